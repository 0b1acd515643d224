//! `docs/asyncapi.json` tells the truth: real clients say and hear every message in it, and nothing else; every payload
//! and every ack has the described shape.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::{
    BACKEND_TOKEN, Clients, Kind, Rest, Server, Socket, booking, in_seconds, instant, sign, user_token,
};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const DESCRIPTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/asyncapi.json");

/// What went over the wire.
#[derive(Default)]
struct Traffic(Mutex<Vec<Value>>);

impl Traffic {
    fn note(&self, line: Value) {
        self.0.lock().expect("what was said").push(line);
    }

    /// Says something by a good payload, and returns what the ack callback gets.
    fn say(&self, socket: &Socket, event: &str, payload: Value) -> Value {
        self.note(json!({"message": event, "payload": payload}));
        self.say_oddly(socket, event, payload)
    }

    /// The same, by a payload that is not as described.
    fn say_oddly(&self, socket: &Socket, event: &str, payload: Value) -> Value {
        let answer = socket.call(event, payload);
        self.note(json!({"ack": event, "payload": answer}));
        answer
    }

    fn connect(&self, clients: &Clients, kind: Kind, auth: Value) -> Socket {
        self.note(json!({"message": "connect", "payload": auth}));
        let socket = clients.open_with(kind, &[], json!({"auth": auth}));
        socket.hear("connection_response");
        socket
    }

    fn connect_in_vain(&self, clients: &Clients, auth: Value) {
        self.note(json!({"message": "connect", "payload": auth}));
        let socket = clients.open_with(Kind::WEBSOCKET, &[], json!({"auth": auth}));
        let refusal = socket.next_change("connect_error");
        self.note(json!({"message": "connect_error", "payload": {"message": refusal["message"]}}));
    }

    /// Holds everything against the description.
    fn hold_against_the_description(self) {
        let mut reader = Command::new(format!("{CLIENTS}/.venv/bin/python"))
            .args([&format!("{CLIENTS}/traffic.py"), DESCRIPTION])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the clients, which `make clients` installs");
        let mut lines = reader.stdin.take().expect("its input");
        for line in self.0.into_inner().expect("what was said") {
            writeln!(lines, "{line}").expect("it to listen");
        }
        drop(lines);
        let output = reader.wait_with_output().expect("its answer");
        assert!(output.status.success(), "\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn whatever_is_said_and_heard() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let traffic = Traffic::default();
    let by_token = |id: u64| json!({"token": user_token(id)});

    // Back ends.
    let backend = traffic.connect(&clients, Kind::PYTHON, json!({}));
    assert_eq!(traffic.say(&backend, "booking_notification", booking(1, 2))["error"], "Unauthorized");
    assert_eq!(traffic.say(&backend, "authenticate", json!({"token": "x"}))["error"], "Invalid token");
    assert_eq!(traffic.say(&backend, "backend_connect", json!({"token": "x"}))["error"], "Invalid token");
    traffic.say(&backend, "backend_connect", json!({"token": BACKEND_TOKEN}));
    let mut keyed = booking(1, 2);
    keyed["idempotency_key"] = "one".into();
    assert!(traffic.say(&backend, "booking_notification", keyed.clone())["stored_at"].is_string());
    keyed["booking_id"] = 2.into();
    assert_eq!(traffic.say(&backend, "booking_notification", keyed)["error"], "Idempotency key reused");
    for odd in [json!({"booking_id": 7}), json!("text"), Value::Null] {
        traffic.say_oddly(&backend, "booking_notification", odd);
    }

    // Facilitators.
    let page = traffic.connect(&clients, Kind::USUAL, json!({"token": null}));
    traffic.say(&page, "facilitator_connect", json!({"facilitator_id": 2, "token": user_token(3)}));
    traffic.say_oddly(&page, "facilitator_connect", json!({}));
    traffic.say(&page, "facilitator_connect", json!({"facilitator_id": 2, "token": user_token(2)}));
    traffic.say(&page, "authenticate", by_token(2));
    let list = traffic.say(&page, "get_pending_notifications", json!({"facilitator_id": "2"}));
    let id = &list["notifications"][0]["notification_id"];
    traffic.say(&page, "get_pending_notifications", json!({"facilitator_id": 3}));
    for id in [id, &json!("999")] {
        traffic.say(&page, "mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
    }
    let mut textual = booking(3, 2);
    (textual["booking_id"], textual["facilitator_id"]) = (json!("b-3"), json!("2"));
    textual["user"]["more"] = json!([1]);
    assert!(traffic.say(&backend, "booking_notification", textual)["delivered_at"].is_string());
    page.hear("new_booking_notification");

    // Feeds.
    traffic.connect_in_vain(&clients, json!({"token": "x"}));
    let late = traffic.connect(&clients, Kind::POLLING, json!({}));
    assert_eq!(traffic.say(&late, "subscribe", json!({"channels": ["orders"]}))["error"], "Unauthorized");
    traffic.say(&late, "authenticate", by_token(4));
    let feed = traffic.connect(&clients, Kind::USUAL, by_token(2));
    feed.hear("authenticated");
    let channels = json!({"userId": 2, "channels": ["orders", "news"]});
    traffic.say(&feed, "subscribe", channels.clone());
    traffic.say(&feed, "unsubscribe", json!({"userId": null, "channels": ["news"]}));
    traffic.say_oddly(&feed, "subscribe", json!({"channels": [""]}));
    let sender = Rest::claiming(&server, json!({"sub": "4", "role": "admin"}));
    sender.send(&json!({
        "topic": "orders", "type": "order_status", "title": "shipped", "priority": "normal", "data": {"a": [1]},
        "action_url": "/orders/1", "expires_at": instant(in_seconds(3600))
    }));
    sender.send(&json!({"user_ids": [2, 5], "type": "note", "message": "of no topic"}));
    feed.hear_many("notification", 3);
    page.hear_many("notification", 2);
    let heard = feed.heard("notification");
    for one in &heard {
        traffic.say(&feed, "ack", json!({"notificationId": one["id"]}));
        traffic.say(&feed, "read", json!({"notificationId": one["number"]}));
    }
    late.hear_many("notificationStatus", 2);
    traffic.say(&feed, "read", json!({"notificationId": "999"}));
    traffic.say_oddly(&feed, "ack", json!({"notificationId": {}}));
    for since in [heard[0]["id"].clone(), heard[0]["timestamp"].clone(), Value::Null, json!(999)] {
        traffic.say(&feed, "requestMissedNotifications", json!({"since": since}));
    }
    traffic.say(&feed, "updatePreferences", json!({"email": true, "push": false, "inApp": true}));
    let wishes = json!({
        "sms": false, "channels": {"news": {"push": true}}, "types": {"note": {"email": false, "inApp": true}},
        "quietHours": {"start": "00:00", "end": "00:01", "days": ["mon"]}, "timeZone": "Europe/Athens"
    });
    assert_eq!(traffic.say(&feed, "updatePreferences", wishes)["timeZone"], "Europe/Athens");
    assert_eq!(
        traffic.say(&feed, "updatePreferences", json!({"quietHours": null}))["quietHours"],
        Value::Null
    );
    traffic.say_oddly(&feed, "updatePreferences", json!({"odd": 1}));
    let brief = traffic.connect(&clients, Kind::WEBSOCKET, json!({"token": brief_token()}));
    assert_eq!(brief.hear("auth_error")["error"], "Token expired");

    for socket in [&backend, &page, &late, &feed, &brief] {
        for (event, payload) in socket.heard_of_all() {
            traffic.note(json!({"message": event, "payload": payload}));
        }
    }
    traffic.hold_against_the_description();
}

/// Of somebody, for a moment.
fn brief_token() -> String {
    sign(&json!({"sub": "6", "exp": in_seconds(2)}))
}
