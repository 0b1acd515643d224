//! A fast client speaks in the same breath as it connects, and is heard.

use std::thread;

use serde_json::json;

use crate::support::{Clients, Kind, Raw, Server, backend_hello, facilitator_hello, get, post};

const ROUNDS: usize = 150;

#[test]
fn an_event_in_the_same_write_as_the_connect_is_heard() {
    let server = Server::start();
    let hello = format!("42{}", facilitator_hello(2));
    let address = server.address;
    let dialer = || {
        for round in 0..ROUNDS {
            let mut raw = Raw::dial(address);
            raw.say_at_once(&["40", &hello]);
            let success = raw.hear_event("facilitator_auth_success");
            assert_eq!(success["facilitator_id"], 2, "round {round}");
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(dialer))));
}

#[test]
fn an_event_in_the_same_post_as_the_connect_is_heard() {
    let server = Server::start();
    let hello = format!("40\u{1e}42{}", backend_hello());
    let address = server.address;
    let poller = || {
        for round in 0..ROUNDS {
            let open = get(address, "/socket.io/?EIO=4&transport=polling");
            let greeting: serde_json::Value = serde_json::from_str(&open.body[1..]).expect("a greeting");
            let path = format!("/socket.io/?EIO=4&transport=polling&sid={}", greeting["sid"].as_str().expect("a sid"));
            assert_eq!(post(address, &path, &hello).status, 200, "round {round}");
            let mut heard = String::new();
            while !heard.contains(r#"42["backend_auth_success""#) {
                let more = get(address, &path);
                assert_eq!(more.status, 200, "round {round}, after {heard}");
                heard.push_str(&more.body);
            }
            post(address, &path, "1");
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(poller))));
}

#[test]
fn every_client_is_heard_in_its_connect_handler() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for kind in Kind::all() {
        let sockets: Vec<_> = (0..8).map(|_| clients.open_with(kind, &[backend_hello()], json!({}))).collect();
        for socket in &sockets {
            socket.hear("backend_auth_success");
        }
        sockets.iter().for_each(|socket| socket.disconnect());
    }
}
