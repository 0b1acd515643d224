//! A facilitator who stops reading stalls nobody, is not online for ever, never counts as having heard, and finds
//! everything on return.

use std::thread::{self, sleep};
use std::time::Duration;

use serde_json::json;

use crate::support::{Clients, Kind, PendingList, Raw, Server, booking, large_booking};

const SLOW: u64 = 2;
const OTHER: u64 = 3;
/// Together far more than the kernel's buffers hold.
const BOOKINGS: u64 = 300;
const BYTES: usize = 60_000;

fn short_round(send_buffer: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("realtime.ping_interval_ms", "1000"),
        ("realtime.ping_timeout_ms", "5000"),
        ("realtime.tcp_user_timeout_ms", "4000"),
        ("realtime.confirm_margin_ms", "300"),
        ("realtime.send_buffer", send_buffer),
    ]
}

/// Sends a flood to the slow one and a few to the other; both must be fine in the end.
fn flood_past(server: &Server) {
    let clients = Clients::of(server);
    let backend = clients.backend();
    let other = clients.facilitator(OTHER);
    let flood = backend.burst(json!({
        "booking": large_booking(0, SLOW, BYTES), "first": 1, "count": BOOKINGS, "acks": true, "window": 16,
    }));
    // While the flood goes on, the other one hears at once.
    let second_backend = clients.backend();
    for number in 1..=20 {
        second_backend.call("booking_notification", booking(number, OTHER));
        assert_eq!(other.hear("new_booking_notification")["booking_id"], number);
    }
    let receipts = flood.wait();
    assert_eq!(receipts.len() as u64, BOOKINGS);
    assert!(receipts.iter().all(|r| r["notification_id"].is_u64()));

    server.wait_for_stat("online_facilitators", 1); // no ghost
    server.wait_for_stat("facilitator_sessions", 1);
    server.wait_for_stat("pending_notifications", BOOKINGS); // the other's are confirmed, not one of the slow one's
    let returned = clients.facilitator_by(Kind::WEBSOCKET, SLOW);
    let list = PendingList(returned.hear("pending_notifications"));
    assert_eq!(list.booking_ids(), (1..=BOOKINGS).rev().collect::<Vec<_>>());
    assert_eq!(other.changes("disconnected"), 0);
}

#[test]
fn one_that_stops_reading() {
    let server = Server::with(&short_round("4096"));
    let _silent = Raw::facilitator(server.address, SLOW);
    flood_past(&server);
}

#[test]
fn one_whose_queue_is_full() {
    let server = Server::with(&short_round("32"));
    let _silent = Raw::facilitator(server.address, SLOW);
    flood_past(&server);
}

#[test]
fn one_that_answers_pings_it_never_read() {
    let server = Server::with(&short_round("4096"));
    let mut silent = Raw::facilitator(server.address, SLOW);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Until it is thrown out; not for ever, should the server fail to.
            for _ in 0..300 {
                if !silent.try_to_say("3") {
                    break;
                }
                sleep(Duration::from_millis(200));
            }
        });
        flood_past(&server);
    });
}
