//! What is too big or too fast ends or slows only the socket it came from.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Clients, Kind, Raw, Server, Socket, booking, large_booking, post};

/// A back end and a page that must not notice what goes on beside them.
struct Bystanders {
    backend: Socket,
    page: Socket,
    bookings: Cell<u64>,
}

impl Bystanders {
    fn of(clients: &Clients) -> Self {
        Self { backend: clients.backend(), page: clients.facilitator(2), bookings: Cell::new(0) }
    }

    fn are_well(&self) {
        self.bookings.set(self.bookings.get() + 1);
        let receipt = self.backend.call("booking_notification", booking(self.bookings.get(), 2));
        assert!(receipt["delivered_at"].is_string(), "{receipt}");
        assert_eq!(self.page.hear("new_booking_notification")["booking_id"], self.bookings.get());
        assert_eq!(self.page.changes("disconnected") + self.backend.changes("disconnected"), 0);
    }
}

#[test]
fn a_message_that_is_too_big_ends_its_own_socket() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let bystanders = Bystanders::of(&clients);
    let mut raw = Raw::join(server.address);
    raw.try_to_say(&format!("42[\"booking_notification\",{}]", large_booking(1, 2, 101_000)));
    assert!(raw.is_ended_by_the_server());
    let mut raw = Raw::join(server.address);
    raw.say_bytes(&vec![0; 101_000]);
    assert!(raw.is_ended_by_the_server());

    let open = server.get("/socket.io/?EIO=4&transport=polling");
    let greeting: serde_json::Value = serde_json::from_str(&open.body[1..]).expect("a greeting");
    let allowed = greeting["maxPayload"].as_u64().expect("clients are told what fits") as usize;
    let path =
        format!("/socket.io/?EIO=4&transport=polling&sid={}", greeting["sid"].as_str().expect("a sid"));
    let reply = post(server.address, &path, &"4".repeat(allowed + 1000));
    assert!((400..500).contains(&reply.status), "{reply:?}");
    bystanders.are_well();
}

#[test]
fn a_message_that_just_fits_is_taken() {
    let server = Server::start();
    let clients = Clients::of(&server);
    for (number, kind) in (1..).zip(Kind::all()) {
        let answer = clients.backend_by(kind).call("booking_notification", large_booking(number, 3, 99_000));
        assert!(answer["notification_id"].is_u64(), "{kind:?}: {answer}");
    }
}

#[test]
fn too_many_attachments_end_their_own_socket() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let bystanders = Bystanders::of(&clients);
    let with_attachments = |count: usize| {
        let holes: Vec<_> = (0..count).map(|num| json!({"_placeholder": true, "num": num})).collect();
        format!("45{count}-[\"booking_notification\",{}]", json!({ "holes": holes }))
    };
    let mut raw = Raw::join(server.address);
    raw.say(&with_attachments(10));
    (0..10).for_each(|_| assert!(raw.say_bytes(b"x")));
    assert!(raw.hear_event("error")["error"].is_string(), "ten are read, and the event is answered");

    let mut raw = Raw::join(server.address);
    raw.say(&with_attachments(11));
    let _ = (0..11).all(|_| raw.say_bytes(b"x"));
    assert!(raw.is_ended_by_the_server());
    bystanders.are_well();
}

#[test]
fn a_page_that_asks_too_fast_is_slowed_and_answered() {
    let server = Server::with(&[("limits.events_per_second", "20")]);
    let clients = Clients::of(&server);
    let bystanders = Bystanders::of(&clients);
    for (id, kind) in (10..).zip([Kind::WEBSOCKET, Kind::POLLING]) {
        let hasty = clients.facilitator_by(kind, id);
        let start = Instant::now();
        for _ in 0..100 {
            hasty.emit("get_pending_notifications", json!({"facilitator_id": id}));
        }
        bystanders.are_well();
        hasty.hear_many("pending_notifications", 100);
        hasty.call("get_pending_notifications", json!({"facilitator_id": id}));
        // Forty at once, then twenty a second. (A polling request is taken whole; then the next one waits.)
        assert!(start.elapsed() > Duration::from_millis(1500), "{kind:?}: {:?}", start.elapsed());
        assert!(hasty.heard("error").is_empty(), "{kind:?}");
        assert_eq!(hasty.changes("disconnected"), 0, "{kind:?}");
    }
}
