//! Who has been let in is known: whatever is sent to many from that moment on comes to them, too. Raw WebSockets are let in by
//! the answer to their handshake, streams by their head; nothing else has to be awaited.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Events, PATIENCE, Raw, Rest, Server, in_seconds, sign};

const ROUNDS: u64 = 12;

/// Somebody who has never been here, with a role that nobody had.
fn newcomer(number: u64) -> (String, Value) {
    let role = format!("role-{number}");
    let token = sign(&json!({"sub": format!("new-{number}"), "roles": [role], "exp": in_seconds(3_600)}));
    // All of it is sent to whoever is known, and to nobody by name.
    let audience = match number % 3 {
        0 => json!({"everyone": true}),
        1 => json!({"tenant_id": "default"}),
        _ => json!({"role": role}),
    };
    (token, audience)
}

fn send(server: &Server, mut audience: Value, number: u64) {
    audience["type"] = "note".into();
    audience["title"] = format!("{number}").into();
    Rest::backend(server).send(&audience);
}

/// Waits for what has this title. (What was sent to all before may still be on its way to newcomers.)
fn hears(raw: &mut Raw, number: u64) {
    let is_it = |message: &Value| message["title"] == format!("{number}");
    let next = || serde_json::from_str(&raw.hear().expect("a message")).expect("JSON");
    std::iter::repeat_with(next).find(is_it);
}

#[test]
fn by_a_websocket() {
    let server = Server::start();
    for number in 0..ROUNDS {
        let (token, audience) = newcomer(number);
        let mut stream = TcpStream::connect(server.address).expect("the server to listen");
        let path = ["/ws/notify", "/api/v1/notifications/ws"][number as usize % 2];
        let mut raw = Raw::upgrade(&mut stream, &format!("{path}?token={token}"), &[]).expect("a WebSocket");
        send(&server, audience, number);
        hears(&mut raw, number);
    }
}

#[test]
fn over_a_connection_already_in_use() {
    let server = Server::start();
    for number in 0..ROUNDS {
        let (token, audience) = newcomer(number);
        let mut stream = TcpStream::connect(server.address).expect("the server to listen");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(stream, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server to listen");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        let mut raw =
            Raw::upgrade(&mut stream, &format!("/ws/notify?token={token}"), &[]).expect("a WebSocket");
        send(&server, audience, number);
        hears(&mut raw, number);
    }
}

#[test]
fn by_a_stream() {
    let server = Server::start();
    for number in 0..ROUNDS {
        let (token, audience) = newcomer(number);
        let mut events = Events::open(&server, &token, "");
        send(&server, audience, number);
        while events.next().1["title"] != format!("{number}") {}
    }
}
