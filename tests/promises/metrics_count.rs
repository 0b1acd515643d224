//! `/metrics` is Prometheus text for who has the token, and counts what happened.

use std::collections::HashMap;

use serde_json::json;

use crate::support::{
    Clients, Library, METRICS_TOKEN, Raw, Rest, Server, booking, eventually, facilitator_hello, get_with,
    note, user_token,
};

/// Every sample: `name{labels}` → value, lower-cased.
fn samples(server: &Server) -> HashMap<String, f64> {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let reply = get_with(server.address, "/metrics", &[("Authorization", &bearer)]);
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = reply.body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "an odd name: {line}");
            (name.to_lowercase(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        })
        .collect()
}

#[test]
fn strangers_read_no_metrics() {
    let server = Server::start();
    assert_eq!(server.get("/metrics").status, 401);
    for header in ["Bearer wrong", "Bearer ", "Basic Og=="] {
        assert_eq!(
            get_with(server.address, "/metrics", &[("Authorization", header)]).status,
            401,
            "{header}"
        );
    }
}

#[test]
fn notifications_are_counted_by_outcome() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    backend.call("booking_notification", booking(1, 2));
    for number in [2, 3] {
        backend.call("booking_notification", booking(number, 3));
    }
    backend.call("booking_notification", booking(3, 3)); // a resend
    backend.call("booking_notification", json!({})); // an error
    let id = page.hear("new_booking_notification")["notification_id"].clone();
    page.call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));

    let expected = [("sent", 1.0), ("stored", 2.0), ("duplicate", 1.0), ("rejected", 1.0), ("read", 1.0)];
    for (outcome, count) in expected {
        let name = format!("carillon_notifications_total{{outcome=\"{outcome}\"}}");
        eventually(&format!("{name} {count}"), || {
            (samples(&server).get(&name) == Some(&count)).then_some(())
        });
    }
    let now = samples(&server);
    assert_eq!(now.get("websocket_connections_active"), Some(&2.0));
    assert_eq!(now.get("carillon_delivery_seconds_count"), Some(&1.0));
    assert!(now.get("carillon_commit_seconds_count").is_some_and(|commits| *commits >= 3.0), "{now:?}");
    assert!(now.contains_key("carillon_write_queue"), "{now:?}");
    page.disconnect();
    let left = || samples(&server).get("websocket_connections_active").filter(|open| **open == 1.0).copied();
    eventually("the page is no longer counted", left);
    assert_eq!(samples(&server).get("carillon_connection_seconds_count"), Some(&1.0));
}

/// Each notification that a device of somebody's has confirmed counts once, whatever said so first, and however often.
#[test]
fn what_is_confirmed_counts_once_whatever_confirmed_it() {
    let server = Server::with(&[
        ("realtime.ping_interval_ms", "500"),
        ("realtime.ping_timeout_ms", "5000"),
        ("realtime.tcp_user_timeout_ms", "1000"),
        ("realtime.confirm_margin_ms", "100"),
        // Nor by a pong.
        ("websocket.confirm_ms", "60000"),
    ]);
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let confirmed = || {
        let now = samples(&server);
        let of = |name: &str| now.get(name).copied().unwrap_or_default();
        let names = [
            "carillon_notifications_total{outcome=\"confirmed\"}",
            "notifications_delivered_total{channel=\"websocket\",status=\"delivered\"}",
        ];
        (names.map(of), of("carillon_notifications_total{outcome=\"read\"}"))
    };
    let acked = clients.feed(3);
    let id = backend.send(&note(3, "acked, twice"))["id"].clone();
    acked.hear("notification");
    for _ in 0..2 {
        acked.call("ack", json!({"notificationId": id}));
    }
    assert_eq!(confirmed(), ([1.0, 1.0], 0.0), "at once, by an ack");
    let id = backend.send(&note(3, "read, twice"))["id"].clone();
    for event in ["read", "read", "ack"] {
        acked.call(event, json!({"notificationId": id}));
    }
    assert_eq!(confirmed(), ([2.0, 2.0], 1.0), "by reading");
    let raw = clients.raw(Library::Ws, &format!("/ws/notify?token={}", user_token(4)));
    raw.next_change("connected");
    backend.send(&note(4, "raw"));
    let id = raw.hear("notification")["id"].clone();
    for _ in 0..2 {
        raw.emit("ack", json!({"message_id": id}));
    }
    eventually("by a raw ack", || (confirmed().0 == [3.0, 3.0]).then_some(()));
    let page = clients.facilitator(5);
    clients.backend().call("booking_notification", booking(1, 5));
    let id = page.hear("new_booking_notification")["notification_id"].clone();
    page.call("mark_notification_read", json!({"facilitator_id": 5, "notification_id": id}));
    assert_eq!(confirmed(), ([4.0, 4.0], 2.0), "by a booking page");
    let six = Rest::user(&server, 6);
    let id = backend.send(&note(6, "by REST, to nobody who is here"))["id"].clone();
    for _ in 0..2 {
        six.put(&format!("/api/v1/notifications/{id}"), &json!({"is_read": true})).expect(200);
    }
    for title in ["with", "all", "others"] {
        backend.send(&note(6, title));
    }
    for _ in 0..2 {
        six.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    }
    assert_eq!(confirmed(), ([8.0, 8.0], 6.0), "by REST, one and all");
    // And by a heartbeat, which counts none of the others once more.
    let silent = clients.feed(7);
    backend.send(&note(7, "by a heartbeat"));
    silent.hear("notification");
    eventually("by a heartbeat", || (confirmed().0 == [9.0, 9.0]).then_some(()));
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(confirmed(), ([9.0, 9.0], 6.0), "none of them twice");
    assert_eq!(samples(&server).get("carillon_unconfirmed"), Some(&0.0));
    let today = backend.get("/api/v1/analytics").expect(200);
    assert_eq!(today["channels"]["in_app"]["delivered"], 9, "{today}");
}

#[test]
fn refusals_are_counted_by_reason() {
    let server = Server::with(&[
        ("server.allowed_origins", "https://app.example"),
        ("server.trusted_proxies", "127.0.0.1"),
        ("limits.sockets", "4"),
        ("limits.sockets_per_address", "1"),
        ("limits.sockets_per_user", "1"),
    ]);
    let refused = |header| Raw::dial_with(server.address, &[header]).err();
    assert_eq!(refused(("Origin", "https://elsewhere.example")), Some(403));
    let visitor = ("X-Forwarded-For", "203.0.113.9");
    let _one = Raw::dial_with(server.address, &[visitor]).expect("a socket");
    assert_eq!(refused(visitor), Some(429));
    let _two = Raw::facilitator(server.address, 2);
    let mut three = Raw::join(server.address);
    three.emit("facilitator_connect", &facilitator_hello(2)[1]);
    three.hear_event("auth_error");
    let _four = Raw::join(server.address);
    assert_eq!(Raw::dial_with(server.address, &[]).err(), Some(503));
    let now = samples(&server);
    for reason in ["origin", "address", "user", "capacity"] {
        let name = format!("carillon_refusals_total{{reason=\"{reason}\"}}");
        assert_eq!(now.get(&name), Some(&1.0), "{name}");
    }
}

#[test]
fn refusals_are_counted() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let stranger = clients.stranger();
    stranger.emit("backend_connect", json!({"token": "wrong"}));
    stranger.hear("auth_error");
    let name = "carillon_refusals_total{reason=\"token\"}";
    eventually(name, || (samples(&server).get(name) == Some(&1.0)).then_some(()));
}

#[test]
fn whatever_is_wrong_with_it_what_rest_refuses_to_send_is_rejected() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let rejected = || {
        samples(&server)
            .get("carillon_notifications_total{outcome=\"rejected\"}")
            .copied()
            .unwrap_or_default()
    };
    let odd = [
        r#"{"user_id": 2, "type": "note"}"#,
        r#"{"user_id": 2, "type": "note", "title": "x", "role": "y"}"#,
        r#"{"user_id": 2, "type": "note", "title": "x", "odd": 1}"#,
        r#"{"user_id": 2, "type": "note", "title": "x", "tenant_id": "elsewhere"}"#,
        r#"{"user_id": [2]}"#,
        r#"{"user_id":"#,
        "",
    ];
    let (mut expected, paths) = (0.0, ["/api/v1/notifications", "/internal/broadcast", "/api/notifications"]);
    for path in paths {
        for body in odd {
            assert!(backend.call("POST", path, Some(body)).status >= 400, "{path} {body}");
            expected += 1.0;
            assert!((rejected() - expected).abs() < 0.5, "{path} {body}: {} of {expected}", rejected());
        }
    }
    backend.keyed("é").post(paths[0], &json!({"user_id": 2, "type": "note", "title": "x"})).expect(422);
    assert!((rejected() - expected - 1.0).abs() < 0.5);
    // What is wrong elsewhere is no notification.
    Rest::user(&server, 2).put("/api/v1/notifications/1", &json!({"odd": 1})).expect(422);
    assert!((rejected() - expected - 1.0).abs() < 0.5);
}
