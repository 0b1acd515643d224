//! Marking a large inbox read takes its time, but no booking waits for the whole of it; in the end all is read, and
//! counted so.

use std::thread;

use serde_json::json;

use crate::support::{Clients, Rest, Server, booking, eventually, note};

const MANY: u64 = 150_000;

#[test]
fn bookings_go_on_meanwhile() {
    let server = Server::start();
    let (backend, two) = (Clients::of(&server).backend(), Rest::user(&server, 2));
    Rest::backend(&server).send(&note(2, "again and again"));
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) \
             INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, i, notification_id FROM inbox, n"
        ),
        &format!(
            "INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, i, notification_id FROM inbox, generate_series(2, {MANY}) AS i; \
             UPDATE recipients SET last_position = {MANY} WHERE user_id = '2'"
        ),
    );
    let unread = || two.get("/api/v1/notifications/unread-count").expect(200)["unread_count"].clone();
    assert_eq!(unread(), MANY);
    let mut booked = 0;
    thread::scope(|scope| {
        let reading = scope.spawn(|| two.post("/api/v1/notifications/read-all", &json!({})).expect(200));
        while !reading.is_finished() {
            booked += 1;
            let receipt = backend.call("booking_notification", booking(booked, 3));
            assert!(receipt["notification_id"].is_u64(), "{receipt}");
        }
        let read = reading.join().expect("an answer");
        assert!(read.as_object().is_some_and(|read| read.values().any(|many| *many == MANY)), "{read}");
    });
    // It came between them again and again.
    assert!(booked >= 5, "{booked} bookings were answered meanwhile");
    assert_eq!(unread(), 0);
    let page = two.get("/api/v1/notifications?limit=1").expect(200);
    assert_eq!((&page["total_count"], &page["unread_count"]), (&json!(MANY), &json!(0)));
    eventually("nothing is pending but bookings", || {
        (server.stats()["pending_notifications"] == booked).then_some(())
    });
}
