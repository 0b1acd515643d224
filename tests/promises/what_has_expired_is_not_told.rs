//! From the moment on at which it expires, a notification is neither listed nor told, however late it comes to be told.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Clients, Rest, Server, eventually, in_seconds, instant, note};

fn titles(heard: &[Value]) -> Vec<&str> {
    heard.iter().map(|one| one["title"].as_str().expect("a title")).collect()
}

fn step(told: &Value, name: &str) -> Value {
    let its = told["steps"].as_array().expect("steps").iter().find(|one| one["step"] == name);
    its.unwrap_or_else(|| panic!("no step {name} in {told}")).clone()
}

#[test]
fn what_spreads_too_late_comes_to_nobody() {
    let server = Server::start();
    let (clients, backend, two) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 2));
    let page = clients.feed(2);
    server.wait_for_stat("facilitator_sessions", 1);
    // The database takes nothing for this person, as if no server had run.
    server.sql(
        "CREATE TRIGGER stop AFTER INSERT ON inbox BEGIN INSERT INTO deployment (name) VALUES (NULL); END",
        "ALTER TABLE inbox ADD CONSTRAINT stop CHECK (recipient_id < 0)",
    );
    let mut late = note(2, "late");
    (late["scheduled_at"], late["expires_at"]) =
        (json!(instant(in_seconds(1))), json!(instant(in_seconds(3))));
    let late = backend.send(&late);
    let mut news = json!({"everyone": true, "type": "news", "title": "old news"});
    news["expires_at"] = json!(instant(in_seconds(2)));
    let news = backend.send(&news);
    sleep(Duration::from_secs(4));
    let list = two.get("/api/v1/notifications").expect(200);
    assert_eq!((&list["total_count"], &list["notifications"]), (&json!(0), &json!([])));
    server.sql("DROP TRIGGER stop", "ALTER TABLE inbox DROP CONSTRAINT stop");
    for sent in [&late, &news] {
        let path = format!("/api/v1/notifications/{}/timeline?user_id=2", sent["id"]);
        let told = eventually("it is over", || {
            let told = backend.get(&path).expect(200);
            (step(&told, "spread")["happened"] == true).then_some(told)
        });
        let stored = step(&told, "stored");
        assert_eq!(stored["happened"], false, "{stored}");
        assert!(stored["reason"].as_str().expect("a reason").contains("expired"), "{stored}");
    }
    backend.send(&note(2, "in time"));
    assert_eq!(page.hear("notification")["title"], "in time");
    assert_eq!(titles(&page.heard("notification")), ["in time"]);
    assert_eq!(two.titles(), ["in time"]);
}

#[test]
fn nor_is_what_another_node_stored_long_ago() {
    let server = Server::start();
    if server.is_on_sqlite() {
        return;
    }
    let (backend, page) = (Rest::backend(&server), Clients::of(&server).feed(2));
    backend.send(&note(2, "first"));
    assert_eq!(page.hear("notification")["title"], "first");
    // As another node does, whose message is lost.
    server.sql(
        "",
        "WITH old AS (INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at, expires_at) \
             VALUES (gen_random_uuid(), 'default', 'note', '', 'late', '', '{}', now() - interval '2 s', \
                 now() - interval '1 s') RETURNING id, expires_at), \
         there AS (UPDATE recipients SET last_position = last_position + 1 WHERE user_id = '2' \
             RETURNING id, last_position) \
         INSERT INTO inbox (recipient_id, position, notification_id, expires_at) \
             SELECT there.id, last_position, old.id, expires_at FROM there, old",
    );
    backend.send(&note(2, "last"));
    assert_eq!(page.hear("notification")["title"], "last");
    assert_eq!(titles(&page.heard("notification")), ["first", "last"]);
}
