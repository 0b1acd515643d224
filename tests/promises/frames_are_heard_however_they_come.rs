//! A WebSocket message is heard however it is cut into frames, and a frame that breaks a rule ends its own connection,
//! which is told why.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::support::{Clients, Dice, Raw, Server, backend_hello, booking, facilitator_hello};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUED: u8 = 0x0;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const LAST: u8 = 0x80;

#[test]
fn a_message_in_pieces_is_one_message() {
    let server = Server::start();
    let mut raw = Raw::join(server.address);
    let hello = format!("42{}", facilitator_hello(2));
    let (first, rest) = hello.as_bytes().split_at(20);
    let (second, third) = rest.split_at(1);
    assert!(raw.say_frame(TEXT, first));
    // Between the pieces of a message there may be pings, which are answered at once.
    assert!(raw.say_frame(LAST | PING, b"still there?"));
    assert_eq!(raw.hear_frame(PONG).as_deref(), Some(&b"still there?"[..]));
    assert!(raw.say_frame(CONTINUED, second));
    assert!(raw.say_frame(CONTINUED, b""));
    assert!(raw.say_frame(LAST | CONTINUED, third));
    assert_eq!(raw.hear_event("facilitator_auth_success")["facilitator_id"], 2);
}

#[test]
fn a_message_that_comes_byte_by_byte_is_one_message() {
    let server = Server::start();
    let mut raw = Raw::join(server.address);
    // Unmasked by a mask of zeros: the first of its ten bytes on, each in a packet of its own.
    let event = "42[\"get_pending_notifications\",{\"facilitator_id\":2}]";
    let mut bytes = vec![LAST | TEXT, 0x80 | u8::try_from(event.len()).expect("a short event"), 0, 0, 0, 0];
    bytes.extend(event.as_bytes());
    for byte in bytes {
        assert!(raw.say_raw(&[byte]));
        sleep(Duration::from_millis(1));
    }
    assert_eq!(raw.hear_event("error")["error"], "Unauthorized");
}

#[test]
fn a_binary_event_is_heard_when_its_attachments_have_come() {
    let server = Server::start();
    let mut raw = Raw::join(server.address);
    raw.say(&format!("42{}", backend_hello()));
    raw.wait_for("42[\"backend_auth_success\"");
    let mut with_a_hole = booking(1, 2);
    with_a_hole["booking_id"] = json!({"_placeholder": true, "num": 0});
    raw.say(&format!("452-7[\"booking_notification\",{with_a_hole}]"));
    assert!(raw.say_bytes(b"first"));
    assert!(raw.say_frame(BINARY, b"in"));
    assert!(raw.say_frame(LAST | CONTINUED, b" pieces"));
    let failure = raw.hear_event("notification_error");
    assert_eq!(failure["error"], "Invalid field: booking_id", "{failure}");
    let ack = raw.wait_for("437[");
    assert!(ack.contains("Invalid field"), "{ack}");
}

#[test]
fn what_breaks_a_rule_ends_its_own_connection_with_the_reason() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (backend, page) = (clients.backend(), clients.facilitator(2));
    let too_long = [LAST | TEXT, 0xff, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    type Fault = fn(&mut Raw) -> bool;
    let faults: [(&str, Fault, u16); 12] = [
        ("compressed, though nobody agreed", |raw| raw.say_frame(0xc1, b"2"), 1002),
        ("of no known kind", |raw| raw.say_frame(0x83, b""), 1002),
        ("not masked", |raw| raw.say_raw(&[0x81, 1, b'3']), 1002),
        ("a ping in pieces", |raw| raw.say_frame(PING, b""), 1002),
        ("a long ping", |raw| raw.say_frame(LAST | PING, &[0; 126]), 1002),
        ("a piece of nothing", |raw| raw.say_frame(LAST | CONTINUED, b"x"), 1002),
        (
            "a message within another",
            |raw| raw.say_frame(TEXT, b"42") && raw.say_frame(LAST | TEXT, b"3"),
            1002,
        ),
        ("no UTF-8", |raw| raw.say_frame(LAST | TEXT, b"42[\"\xff\"]"), 1007),
        ("no packet", |raw| raw.say_frame(LAST | TEXT, b"hello"), 1002),
        ("no JSON", |raw| raw.say_frame(LAST | TEXT, b"42[\"x\",{]"), 1002),
        (
            "a text among attachments",
            |raw| raw.try_to_say("451-[\"x\",{}]") && raw.try_to_say("42[\"x\"]"),
            1002,
        ),
        ("an attachment of nothing", |raw| raw.say_bytes(b"x"), 1002),
    ];
    for (what, fault, code) in faults {
        let mut raw = Raw::join(server.address);
        fault(&mut raw);
        assert_eq!(raw.close_code(), Some(code), "{what}");
        assert!(raw.is_ended_by_the_server(), "{what}");
    }
    let mut raw = Raw::join(server.address);
    assert!(raw.say_raw(&too_long));
    assert_eq!(raw.close_code(), Some(1009), "refused by its head");

    // Farewells, by WebSocket and by Engine.IO, are answered with one.
    for farewell in [(LAST | CLOSE, &[3, 232][..]), (LAST | CLOSE, b""), (LAST | TEXT, b"1")] {
        let mut raw = Raw::join(server.address);
        assert!(raw.say_frame(farewell.0, farewell.1));
        assert_eq!(raw.close_code(), Some(1000), "{farewell:?}");
        assert!(raw.is_ended_by_the_server());
    }
    backend.call("booking_notification", booking(1, 2));
    assert_eq!(page.hear("new_booking_notification")["booking_id"], 1);
    assert_eq!(page.changes("disconnected") + backend.changes("disconnected"), 0);
}

#[test]
fn nonsense_harms_nobody() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (backend, page) = (clients.backend(), clients.facilitator(2));
    let mut dice = Dice::thrown();
    for round in 0..100 {
        let mut raw = if round % 2 == 0 { Raw::join(server.address) } else { Raw::dial(server.address) };
        for _ in 0..20 {
            let mut bytes: Vec<u8> = (0..dice.below(60)).map(|_| dice.below(256) as u8).collect();
            if let (true, [first, second, ..]) = (dice.below(4) > 0, bytes.as_mut_slice()) {
                *first &= 0x8f;
                *second = 0x80 | (*second & 0x1f);
            }
            raw.say_raw(&bytes);
        }
    }
    backend.call("booking_notification", booking(1, 2));
    assert_eq!(page.hear("new_booking_notification")["booking_id"], 1);
    assert_eq!(page.changes("disconnected") + backend.changes("disconnected"), 0);
    server.wait_for_stat("online_facilitators", 1);
    assert_eq!(server.get("/health/live").status, 200);
}

#[test]
fn who_joins_nothing_is_sent_away() {
    let server = Server::with(&[("realtime.connect_timeout_ms", "3000")]);
    let mut idle = Raw::dial(server.address);
    assert_eq!(idle.close_code(), Some(1001));
    // So is who has left the namespace and stays; who comes back may stay.
    let mut left = Raw::join(server.address);
    left.say("41");
    assert_eq!(left.close_code(), Some(1001));
    let mut back = Raw::join(server.address);
    back.say_at_once(&["41", "40"]);
    back.wait_for("40");
    sleep(Duration::from_millis(3_500));
    back.emit("get_pending_notifications", &json!({"facilitator_id": 2}));
    assert_eq!(back.hear_event("error")["error"], "Unauthorized");
}
