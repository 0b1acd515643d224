//! A fast client speaks in the same breath as it connects, and is heard.

use std::thread;

use serde_json::json;

use crate::support::{Clients, Kind, Raw, Server, backend_hello, facilitator_hello, get, post};

const ROUNDS: usize = 100;

/// Four clients at once, again and again.
fn repeatedly(attempt: impl Fn(usize) + Sync) {
    let attempt = &attempt;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..ROUNDS).for_each(attempt));
        }
    });
}

#[test]
fn an_event_right_behind_the_answer_to_connect_is_heard() {
    let server = Server::start();
    repeatedly(|round| {
        let mut raw = Raw::dial(server.address);
        raw.say("40");
        raw.wait_for("40"); // no library is as fast as this
        raw.say(&format!("42{}", facilitator_hello(2)));
        assert_eq!(raw.hear_event("facilitator_auth_success")["facilitator_id"], 2, "round {round}");
    });
}

#[test]
fn an_event_ahead_of_the_answer_to_connect_is_heard_or_refused_but_never_ignored() {
    let server = Server::start();
    let hello = format!("42{}", facilitator_hello(2));
    repeatedly(|round| {
        let mut raw = Raw::dial(server.address);
        raw.say_at_once(&["40", &hello]);
        // The protocol has clients wait for the answer. One that does not may be thrown out, and comes back.
        let answered =
            std::iter::from_fn(|| raw.hear()).any(|heard| heard.starts_with("42[\"facilitator_auth_success"));
        println!("round {round}: {}", if answered { "heard" } else { "thrown out" });
    });
}

#[test]
fn over_polling_too() {
    let server = Server::start();
    let hello = format!("42{}", backend_hello());
    let address = server.address;
    repeatedly(|round| {
        let open = get(address, "/socket.io/?EIO=4&transport=polling");
        let greeting: serde_json::Value = serde_json::from_str(&open.body[1..]).expect("a greeting");
        let path =
            format!("/socket.io/?EIO=4&transport=polling&sid={}", greeting["sid"].as_str().expect("a sid"));
        let wait_for = |beginning: &str| {
            let mut heard = String::new();
            while !heard.split('\u{1e}').any(|packet| packet.starts_with(beginning)) {
                let more = get(address, &path);
                assert_eq!(more.status, 200, "round {round}, after {heard}");
                heard = heard + "\u{1e}" + &more.body;
            }
        };
        assert_eq!(post(address, &path, "40").status, 200);
        wait_for("40");
        assert_eq!(post(address, &path, &hello).status, 200);
        wait_for("42[\"backend_auth_success\"");
        post(address, &path, "1");
    });
}

#[test]
fn every_client_is_heard_in_its_connect_handler() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for kind in Kind::all() {
        let sockets: Vec<_> =
            (0..8).map(|_| clients.open_with(kind, &[backend_hello()], json!({}))).collect();
        for socket in &sockets {
            socket.hear("backend_auth_success");
        }
        sockets.iter().for_each(|socket| socket.disconnect());
    }
}
