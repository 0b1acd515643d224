//! On a machine with one core the server keeps the same promises, on one thread.

use serde_json::json;

use crate::support::{Clients, PendingList, Server, booking};

#[test]
fn a_journey_on_one_thread() {
    let mut server = Server::with(&[("server.threads", "1"), ("database.readers", "1")]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let answers =
        backend.burst(json!({"booking": booking(0, 2), "first": 1, "count": 200, "acks": true})).wait();
    assert!(answers.iter().all(|answer| answer["delivered_at"].is_string()), "{answers:?}");
    page.hear_many("new_booking_notification", 200);
    assert!(backend.call("booking_notification", booking(1, 3))["stored_at"].is_string());
    assert_eq!(PendingList(clients.facilitator(3).hear("pending_notifications")).booking_ids(), [1]);
    assert!(server.stop().success());
}
