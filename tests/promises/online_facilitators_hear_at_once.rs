//! A facilitator who is online hears of a booking at once, in every tab, whatever client and transport either
//! side uses and however many back ends there are; and the back end is told so.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Server, Socket, booking, eventually};

#[test]
fn every_client_over_every_transport_hears_at_once() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (1..).zip(Kind::all()) {
        let facilitator = clients.facilitator_by(kind, id);
        backend.emit("booking_notification", booking(100 + id, id));
        let heard = facilitator.hear("new_booking_notification");
        assert_eq!(heard["booking_id"], 100 + id, "{kind:?}");
        let receipt = backend.hear("notification_delivered");
        assert_eq!(receipt["booking_id"], 100 + id, "{kind:?}");
        assert_eq!(receipt["facilitator_id"], id, "{kind:?}");
        assert_eq!(receipt["notification_id"], heard["notification_id"], "{kind:?}");
        assert_utc(&receipt["delivered_at"]);
    }
}

#[test]
fn every_client_over_every_transport_can_be_a_back_end() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let facilitator = clients.facilitator(2);
    // All at once: several back ends are welcome together.
    let backends: Vec<Socket> = Kind::all().map(|kind| clients.backend_by(kind)).collect();
    for (id, backend) in (1..).zip(&backends) {
        let answer = backend.call("booking_notification", booking(id, 2));
        assert_eq!(answer["booking_id"], id, "{}", backend.name);
        assert_eq!(
            backend.hear("notification_delivered"),
            answer,
            "{}: event and callback agree",
            backend.name
        );
        assert_eq!(facilitator.hear("new_booking_notification")["booking_id"], id, "{}", backend.name);
    }
    // One leaves; the others go on, and the service still counts as connected.
    backends[0].disconnect();
    assert_eq!(server.stats()["backend_connected"], true);
    assert_eq!(backends[1].call("booking_notification", booking(99, 2))["booking_id"], 99);
}

#[test]
fn all_tabs_hear_the_same_notification_in_the_seeds_words() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let tabs = [Kind::USUAL, Kind::POLLING, Kind::PYTHON].map(|kind| clients.facilitator_by(kind, 2));
    let other = clients.facilitator(3);
    let backend = clients.backend();
    backend.call("booking_notification", booking(123, 2));

    let heard = tabs.each_ref().map(|tab| tab.hear("new_booking_notification"));
    assert!(heard.iter().all(|h| *h == heard[0]), "{heard:?}");
    let mut notification = heard[0].clone();
    assert!(notification["notification_id"].as_u64().is_some_and(|id| id > 0), "{notification}");
    assert_utc(&notification["timestamp"]);
    let fields = notification.as_object_mut().expect("an object");
    for changing in ["notification_id", "timestamp", "stored_at"] {
        fields.remove(changing);
    }
    assert_eq!(
        notification,
        json!({
            "type": "new_booking",
            "booking_id": 123,
            "user": {"id": 5, "name": "Jane Smith", "email": "jane@example.com"},
            "session": {"id": 1, "title": "Morning Meditation", "start_time": "2024-01-15T09:00:00Z"},
            "message": "New booking from Jane Smith for Morning Meditation",
        })
    );
    // Once per tab, and nothing for anybody else.
    for socket in tabs.iter().chain([&other]) {
        socket.emit(
            "get_pending_notifications",
            json!({"facilitator_id": if socket.name == other.name { 3 } else { 2 }}),
        );
        socket.hear("pending_notifications");
    }
    assert!(tabs.iter().all(|tab| tab.heard("new_booking_notification").len() == 1));
    assert!(other.heard("new_booking_notification").is_empty());
}

#[test]
fn what_the_back_end_adds_passes_unchanged() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let facilitator = clients.facilitator(2);
    let backend = clients.backend();
    let mut rich = booking(1, 2);
    rich["user"]["name"] = "Ζωή \"<b>\" \\ \u{1F514}".into();
    rich["user"]["phone"] = Value::Null;
    rich["session"]["start_time"] = "2024-01-15T09:00:00+02:00".into();
    rich["session"]["price"] = json!({"amount": 12.5, "parts": [1, true, "x"]});
    backend.emit("booking_notification", rich.clone());
    let heard = facilitator.hear("new_booking_notification");
    assert_eq!(heard["user"], rich["user"]);
    assert_eq!(heard["session"], rich["session"]);
}

#[test]
fn a_connection_is_greeted_with_its_id() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for kind in Kind::all() {
        let socket = clients.open_with(kind, &[], json!({}));
        let greeting = socket.hear("connection_response");
        let id = socket.next_change("connected")["id"].clone();
        assert_eq!(greeting, json!({"status": "connected", "socket_id": id}), "{kind:?}");
        socket.disconnect();
    }
    let gone = || server.stats()["facilitator_sessions"].as_u64().filter(|count| *count == 0);
    eventually("nobody is left", gone);
}

/// Browsers read a time without a zone as local.
fn assert_utc(time: &Value) {
    assert!(time.as_str().is_some_and(|t| t.ends_with('Z') && t.contains('T')), "not UTC: {time}");
}
