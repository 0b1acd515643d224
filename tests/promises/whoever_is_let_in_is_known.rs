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

fn heard(raw: &mut Raw) -> Value {
    let message: Value = serde_json::from_str(&raw.hear().expect("a message")).expect("JSON");
    message["title"].clone()
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
        assert_eq!(heard(&mut raw), format!("{number}"));
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
        let mut raw = Raw::upgrade(&mut stream, &format!("/ws/notify?token={token}"), &[]).expect("a WebSocket");
        send(&server, audience, number);
        assert_eq!(heard(&mut raw), format!("{number}"));
    }
}

#[test]
fn by_a_stream() {
    let server = Server::start();
    for number in 0..ROUNDS {
        let (token, audience) = newcomer(number);
        let mut events = Events::open(&server, &token, "");
        send(&server, audience, number);
        assert_eq!(events.next().1["title"], format!("{number}"));
    }
}
