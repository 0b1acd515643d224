//! A write that the database refuses for its own sake takes no other with it, even in the same commit.

use serde_json::json;

use crate::support::{Clients, PendingList, Server, booking, eventually};

/// Makes the database refuse booking 13.
const ON_SQLITE: &str = r#"
    CREATE TRIGGER fault AFTER INSERT ON inbox WHEN EXISTS (
        SELECT 1 FROM notifications WHERE id = NEW.notification_id AND data LIKE '%"booking_id":13,%'
    ) BEGIN INSERT INTO deployment (name) VALUES (NULL); END
"#;
const ON_POSTGRES: &str = r#"
    ALTER TABLE notifications ADD CONSTRAINT fault CHECK (data NOT LIKE '%"booking_id":13,%')
"#;

#[test]
fn the_others_of_its_commit_are_stored() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    server.sql(ON_SQLITE, ON_POSTGRES);
    let order = json!({"booking": booking(0, 2), "first": 1, "count": 300, "acks": true, "window": 300});
    let answers = backend.burst(order.clone()).wait();
    let (refused, stored): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer["error"].is_string());
    assert_eq!(stored.len(), 299, "{refused:?}");
    assert_eq!(
        (&refused[0]["booking_id"], &refused[0]["error"]),
        (&json!(13), &json!("Notification not stored"))
    );
    assert!(stored.iter().all(|answer| answer["delivered_at"].is_string()), "{stored:?}");
    let told = |line: &String| line.contains("a batch of writes failed; trying each alone");
    // With whom it shares a commit is chance: the same once more, and again.
    eventually("it shares a commit with others", || {
        let is_told = server.log().iter().any(told);
        if !is_told {
            backend.burst(order.clone()).wait();
        }
        is_told.then_some(())
    });
    page.disconnect();
    eventually("it was not stored", || (server.stats()["total_notifications"] == 299).then_some(()));
}

#[test]
fn one_alone_is_refused_and_the_next_is_stored() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    server.sql(ON_SQLITE, ON_POSTGRES);
    assert_eq!(backend.call("booking_notification", booking(13, 2))["error"], "Notification not stored");
    assert!(backend.call("booking_notification", booking(14, 2))["stored_at"].is_string());
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids(), [14]);
}
