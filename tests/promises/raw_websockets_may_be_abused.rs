//! Whatever a raw WebSocket does, it harms itself at worst, and hears why by a close code.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{Clients, Library, Raw, Rest, Server, eventually, note, user_token};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUED: u8 = 0x0;
const PING: u8 = 0x9;
const LAST: u8 = 0x80;

fn open(server: &Server, user: u64) -> Raw {
    let mut stream = TcpStream::connect(server.address).expect("the server to listen");
    let path = format!("/ws/notify?token={}", user_token(user));
    Raw::upgrade(&mut stream, &path, &[]).expect("a WebSocket")
}

#[test]
fn what_breaks_a_rule_ends_its_own_socket_with_the_code() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let other = clients.raw(Library::Ws, &format!("/ws/notify?token={}", user_token(3)));
    other.next_change("connected");
    type Fault = fn(&mut Raw) -> bool;
    let faults: [(&str, Fault, u16); 8] = [
        ("no UTF-8", |raw| raw.say_frame(LAST | TEXT, b"{\"type\":\"\xff\"}"), 1007),
        ("huge", |raw| raw.say_raw(&[LAST | TEXT, 0xff, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0]), 1009),
        ("compressed", |raw| raw.say_frame(0xc1, b"{}"), 1002),
        ("not masked", |raw| raw.say_raw(&[0x81, 2, b'{', b'}']), 1002),
        ("a ping in pieces", |raw| raw.say_frame(PING, b""), 1002),
        ("a piece of nothing", |raw| raw.say_frame(LAST | CONTINUED, b"x"), 1002),
        ("a message within another", |raw| raw.say_frame(TEXT, b"{") && raw.say_frame(TEXT, b"}"), 1002),
        (
            "a storm of pieces",
            |raw| raw.say_frame(TEXT, b"{") && (0..5_000).all(|_| raw.say_frame(CONTINUED, b"")),
            1009,
        ),
    ];
    for (what, fault, code) in faults {
        let mut raw = open(&server, 2);
        fault(&mut raw);
        assert_eq!(raw.close_code(), Some(code), "{what}");
        assert!(raw.is_ended_by_the_server(), "{what}");
    }
    let mut raw = open(&server, 2);
    assert!(raw.say_frame(LAST | BINARY, b"x"));
    assert!(raw.hear().is_some_and(|told| told.contains("binary")), "that only is not understood");
    Rest::backend(&server).send(&note(3, "for another"));
    assert_eq!(other.hear("notification")["title"], "for another");
    eventually("nobody is left but them", || {
        (server.get("/health").json()["total_connections"] == 1 + 1).then_some(())
    });
}

#[test]
fn a_flood_is_read_later_and_answered() {
    let server = Server::with(&[("limits.events_per_second", "50")]);
    let mut raw = open(&server, 2);
    let clients = Clients::of(&server);
    let other = clients.raw(Library::Ws, &format!("/ws/notify?token={}", user_token(3)));
    other.next_change("connected");
    for _ in 0..200 {
        raw.say(r#"{"type":"ping"}"#);
    }
    other.emit("ping", json!({}));
    other.hear("pong");
    for _ in 0..200 {
        assert!(raw.hear().is_some_and(|told| told.contains("pong")));
    }
}

#[test]
fn who_says_nothing_is_gone() {
    let server = Server::with(&[("websocket.heartbeat_ms", "300"), ("websocket.silence_ms", "1000")]);
    // It reads, and answers no ping.
    let mut raw = open(&server, 2);
    assert!(raw.hear().is_some_and(|told| told.contains("heartbeat")));
    assert_eq!(raw.close_code(), Some(1001));
    eventually("nobody is here", || (server.get("/health").json()["total_connections"] == 0).then_some(()));
}

#[test]
fn who_does_not_read_is_closed_and_served_on_return() {
    let server = Server::with(&[("realtime.send_buffer", "64"), ("realtime.tcp_user_timeout_ms", "8000")]);
    let silent = open(&server, 2);
    let backend = Rest::backend(&server);
    let large = "x".repeat(60_000);
    let sent: Vec<_> = (0..300)
        .map(|number| {
            let title = format!("{number}");
            backend.send(&json!({"user_id": 2, "type": "t", "title": title, "data": {"large": large}}))["id"]
                .clone()
        })
        .collect();
    eventually("it is gone", || (server.get("/health").json()["total_connections"] == 0).then_some(()));
    drop(silent);
    let clients = Clients::of(&server);
    let page = clients.raw(Library::Ws, &format!("/ws/notify?token={}", user_token(2)));
    let heard: Vec<_> =
        page.hear_many("notification", sent.len()).iter().map(|one| one["replay_id"].clone()).collect();
    assert_eq!(heard, sent.iter().map(|id| json!(id.to_string())).collect::<Vec<_>>());
}

#[test]
fn a_connection_already_in_use_may_become_one() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).expect("the server to listen");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    write!(stream, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").expect("the server to listen");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let path = format!("/api/v1/notifications/ws?token={}", user_token(2));
    let mut raw = Raw::upgrade(&mut stream, &path, &[]).expect("a WebSocket");
    raw.say(r#"{"type":"ping"}"#);
    assert!(raw.hear().is_some_and(|told| told.contains("pong")));
    Rest::backend(&server).send(&note(2, "over it"));
    assert!(raw.hear().is_some_and(|told| told.contains("over it")));
}

#[test]
fn foreign_pages_stay_out() {
    let server = Server::with(&[("server.allowed_origins", "https://a.example")]);
    let path = format!("/ws/notify?token={}", user_token(2));
    for (origin, answer) in [("https://evil.example", Some(403)), ("https://a.example", None)] {
        let mut stream = TcpStream::connect(server.address).expect("the server to listen");
        assert_eq!(Raw::upgrade(&mut stream, &path, &[("Origin", origin)]).err(), answer, "{origin}");
    }
}
