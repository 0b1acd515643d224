//! A malformed event is answered with an error and leaves its socket usable; nobody else notices anything.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Raw, Rest, Server, booking, eventually, note, user_token};

const AUTHENTICATING: [&str; 3] = ["backend_connect", "facilitator_connect", "authenticate"];
const WORKING: [&str; 3] = ["booking_notification", "get_pending_notifications", "mark_notification_read"];

fn odd_payloads() -> Vec<Vec<Value>> {
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!([deep]);
    }
    vec![
        vec![],
        vec![json!("text")],
        vec![json!("{\"token\": 1}")],
        vec![json!([])],
        vec![json!([{"facilitator_id": 2}])],
        vec![json!(42)],
        vec![json!(-1.5e300)],
        vec![json!(true)],
        vec![json!({})],
        vec![json!({"__proto__": {"x": 1}, "constructor": null})],
        vec![json!({"$bytes": 8})],
        vec![json!({"facilitator_id": {"$bytes": 8}, "booking_id": {"$bytes": 8}, "token": {"$bytes": 8}})],
        vec![json!({}), json!({}), json!([])],
        vec![deep],
    ]
}

#[test]
fn every_odd_payload_of_every_event_leaves_the_socket_usable() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (10..).zip(Kind::all()) {
        // A socket each for a few payloads: many failures to authenticate are slowed down, rightly.
        let chunks: Vec<_> = odd_payloads().chunks(2).map(<[_]>::to_vec).collect();
        let sockets: Vec<_> = chunks.iter().map(|_| clients.stranger_by(kind)).collect();
        for (socket, payloads) in sockets.iter().zip(&chunks) {
            for payload in payloads {
                for event in AUTHENTICATING.iter().chain(&WORKING) {
                    socket.emit_args(event, payload.clone());
                }
            }
        }
        for (socket, payloads) in sockets.iter().zip(&chunks) {
            // The same socket, still there, can say who it is and be heard.
            socket.emit("facilitator_connect", json!({"facilitator_id": id, "token": user_token(id)}));
            assert_eq!(
                socket.hear("facilitator_auth_success")["facilitator_id"],
                id,
                "{kind:?} {payloads:?}"
            );
            assert_eq!(socket.changes("disconnected"), 0, "{kind:?} was thrown out by one of {payloads:?}");
            let refusals = || socket.heard("auth_error").len() + socket.heard("error").len();
            let hope = format!("{kind:?}: each of {payloads:?} is answered");
            eventually(&hope, || (refusals() >= payloads.len() * 6).then_some(()));
            assert_eq!(refusals(), payloads.len() * 6, "{kind:?}: each of {payloads:?} is answered once");
        }
        backend.call("booking_notification", booking(1, id));
        sockets.iter().for_each(|socket| drop(socket.hear("new_booking_notification")));
    }
}

#[test]
fn a_back_end_and_a_facilitator_survive_their_own_mistakes() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    for payload in odd_payloads() {
        backend.emit_args("booking_notification", payload.clone());
        assert!(backend.hear("notification_error")["error"].is_string(), "{payload:?}");
        page.emit_args("mark_notification_read", payload.clone());
        assert!(page.hear("error")["error"].is_string(), "{payload:?}");
    }
    backend.emit("no_such_event", json!({"x": 1}));
    backend.call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    assert!(backend.heard("error").is_empty(), "front ends show every error: send none without cause");
}

#[test]
fn a_feed_survives_its_own_mistakes() {
    const EVENTS: [&str; 5] = ["ack", "read", "subscribe", "unsubscribe", "updatePreferences"];
    let server = Server::start();
    let clients = Clients::of(&server);
    let rest = Rest::backend(&server);
    for (id, kind) in (10..).zip(Kind::all()) {
        let feed = clients.feed_by(kind, &user_token(id));
        for payload in odd_payloads() {
            for event in EVENTS {
                feed.emit_args(event, payload.clone());
                assert!(feed.hear("error")["error"].is_string(), "{kind:?} {event} {payload:?}");
            }
            feed.emit_args("requestMissedNotifications", payload);
        }
        let answer = feed.call("updatePreferences", json!({"email": true, "push": false, "inApp": true}));
        assert_eq!(answer["push"], false, "{kind:?}");
        rest.send(&note(id, "still there"));
        assert_eq!(feed.hear("notification")["title"], "still there", "{kind:?}");
        assert_eq!(feed.changes("disconnected"), 0, "{kind:?}");
    }
}

#[test]
fn broken_packets_end_their_own_connection_at_worst() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let nest = format!("42[\"booking_notification\",{}{}]", "[".repeat(20_000), "]".repeat(20_000));
    let broken = [
        "42",
        "42[",
        "42{}",
        "42[]",
        "42[1]",
        "42[null,{}]",
        "42[\"booking_notification\",{]",
        "49",
        "4",
        "9",
        "",
        "42/nowhere,[\"x\"]",
        "4299999999999999999999[\"booking_notification\",{}]",
        "43[]",
        "4399[\"x\"]",
        "451-[\"booking_notification\",{\"_placeholder\":true,\"num\":7}]",
        "45-1[\"x\"]",
        "459999999-[\"x\"]",
        "40",
        "40{\"a\":",
        "41",
        "2probe",
        "6",
        "5",
        "1",
        &nest,
    ];
    for packet in broken {
        let mut raw = Raw::join(server.address);
        raw.try_to_say(packet);
        raw.try_to_say("42[\"get_pending_notifications\",{\"facilitator_id\":2}]");
        drop(raw);
        assert_eq!(server.get("/health/live").status, 200, "after {packet:.60}");
    }
    let backend = clients.backend();
    backend.call("booking_notification", booking(1, 2));
    assert_eq!(page.hear("new_booking_notification")["booking_id"], 1);
    assert_eq!(page.changes("disconnected"), 0);
}
