//! A back end that sends faster than the server can store is slowed down, not refused: everything is answered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Library, Route, Server, booking};

const AT_ONCE: usize = 20_000;

fn all_answered(server: &Server, clients: &Clients, kind: Kind, count: usize) {
    let backend = clients.backend_by(kind);
    let answers =
        backend.burst(json!({"booking": booking(0, 2), "first": 1, "count": count, "acks": true})).wait();
    assert_eq!(answers.len(), count, "{kind:?}");
    let ids: BTreeSet<u64> = answers.iter().filter_map(|a| a["notification_id"].as_u64()).collect();
    assert_eq!(ids.len(), count, "{kind:?}: each has its own receipt");
    for event in ["notification_error", "error", "auth_error"] {
        assert_eq!(backend.heard(event), Vec::<Value>::new(), "{kind:?}");
    }
    assert_eq!(backend.changes("disconnected"), 0, "{kind:?}");
    assert_eq!(server.stats()["total_notifications"], count);
}

#[test]
fn twenty_thousand_at_once_are_all_answered() {
    let server = Server::start();
    all_answered(&server, &Clients::of(&server), Kind::WEBSOCKET, AT_ONCE);
}

#[test]
fn over_polling_too() {
    let server = Server::start();
    all_answered(&server, &Clients::of(&server), Kind::POLLING, AT_ONCE / 4);
}

/// python-socketio upgrades before it joins the namespace, and its answers come over both transports.
#[test]
fn python_back_ends_too() {
    let server = Server::start();
    let upgrading = Kind { library: Library::Python, route: Route::Upgrade };
    all_answered(&server, &Clients::of(&server), upgrading, 3_000);
}

#[test]
fn the_limit_on_events_does_not_touch_back_ends() {
    let server = Server::with(&[("limits.events_per_second", "20")]);
    all_answered(&server, &Clients::of(&server), Kind::USUAL, 1000);
}

#[test]
fn a_flood_from_one_back_end_does_not_shut_out_another() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let flooder = clients.backend();
    let flood =
        flooder.burst(json!({"booking": booking(0, 2), "first": 1, "count": AT_ONCE / 2, "acks": true}));
    flood.wait_for_answers(1);
    let page = clients.facilitator(3);
    let other = clients.backend();
    for number in 1..=10 {
        other.call("booking_notification", booking(number, 3));
        page.hear("new_booking_notification");
    }
    assert_eq!(flood.wait().len(), AT_ONCE / 2);
}
