//! Looking at an inbox costs others nothing: no commit for what need not be counted, and none for what spreads to
//! other people.

use serde_json::json;

use crate::support::{METRICS_TOKEN, Rest, Server, eventually, get_with, note};

/// Writes that were committed so far.
fn writes(server: &Server) -> f64 {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("carillon_commit_writes_sum "));
    line.and_then(|sum| sum.parse().ok()).expect("a number")
}

/// What so many lists of these query strings cost, in writes.
fn costs(server: &Server, person: &Rest, queries: &[&str]) -> f64 {
    let before = writes(server);
    for query in queries {
        person.get(&format!("/api/v1/notifications?{query}")).expect(200);
    }
    // What the last list began is behind this, if it is anywhere.
    person.put("/api/v1/notifications/preferences", &json!({"time_zone": "UTC"})).expect(200);
    writes(server) - before
}

#[test]
fn what_is_not_counted_once_and_for_all_is_only_read() {
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    for number in 0..120 {
        backend.send(&note(2, &number.to_string()));
    }
    // As many parts as are kept are counted, one after another.
    for part in 0..12 {
        let query = [format!("type=part-{part}")];
        eventually("it is counted, or not to be", || {
            (costs(&server, &two, &[query[0].as_str()]) < 2.0).then_some(())
        });
    }
    let cost = costs(&server, &two, &["type=another"; 30]);
    assert!(cost < 15.0, "30 lists cost {cost} writes");
    let page = two.get("/api/v1/notifications?type=note&limit=1").expect(200);
    assert_eq!(page["total_count"], 120);
}

#[test]
fn what_is_on_its_way_to_others_is_theirs() {
    let server = Server::start();
    let (two, four) = (Rest::user(&server, 2), Rest::user(&server, 4));
    let admin = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    admin.send(&note(2, "there"));
    four.post("/api/v1/subscriptions", &json!({"topics": ["news"]})).expect(200);
    // The database takes nothing for four: what is for them is on its way for as long as that lasts.
    server.sql(
        "CREATE TRIGGER stop AFTER INSERT ON inbox \
         WHEN NEW.recipient_id = (SELECT id FROM recipients WHERE user_id = '4') \
         BEGIN INSERT INTO deployment (name) VALUES (NULL); END",
        "DO $$ BEGIN EXECUTE format('ALTER TABLE inbox ADD CONSTRAINT stop CHECK (recipient_id <> %s)', \
         (SELECT id FROM recipients WHERE user_id = '4')); END $$",
    );
    admin.send(&json!({"topic": "news", "type": "note", "title": "news"}));
    let cost = costs(&server, &two, &["limit=5"; 40]);
    assert!(cost < 20.0, "40 lists cost {cost} writes");
    assert_eq!(two.titles(), ["there"]);
    server.sql("DROP TRIGGER stop", "ALTER TABLE inbox DROP CONSTRAINT stop");
    eventually("they have it", || (four.titles() == ["news"]).then_some(()));
}
