//! On a machine with one core the server keeps the same promises, on one thread.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{Clients, PendingList, Rest, Server, booking, user_token};

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

/// Whoever leaves while something is read for them takes nothing with them.
#[test]
fn who_leaves_meanwhile_harms_nobody() {
    let mut server = Server::with(&[("server.threads", "1"), ("database.readers", "1")]);
    let backend = Rest::backend(&server);
    backend.send(&json!({"user_id": 2, "type": "note", "title": "the first"}));
    server.stop();
    // A question for what is rare reads all of it.
    server.sql(
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) \
         INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
         SELECT randomblob(16), tenant, kind, topic, i, message, data, created_at FROM n, notifications; \
         INSERT INTO inbox (recipient_id, position, notification_id) \
         SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1; \
         UPDATE recipients SET last_position = 200000",
        "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
         SELECT gen_random_uuid(), tenant, kind, topic, i, message, data, created_at \
         FROM notifications, generate_series(2, 200000) AS i ORDER BY i; \
         INSERT INTO inbox (recipient_id, position, notification_id) \
         SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1; \
         UPDATE recipients SET last_position = 200000; ANALYZE",
    );
    server.restart();
    let rare = "/api/v1/notifications?type=rare";
    let request =
        format!("GET {rare} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", user_token(2));
    for _ in 0..10 {
        let mut gone = TcpStream::connect(server.address).expect("the server to listen");
        gone.write_all(request.as_bytes()).expect("a request");
        std::thread::sleep(Duration::from_millis(30));
        drop(gone);
    }
    assert_eq!(Rest::user(&server, 2).get(rare).expect(200)["notifications"], json!([]));
    assert!(server.stop().success());
    let panics: Vec<_> = server.log().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}
