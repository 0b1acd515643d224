//! What is old and done is removed, and nothing else: what nobody has had yet stays until somebody has, unless the server is
//! told otherwise. Lists, counts and numbers stay right, whenever the server dies while it removes.

use serde_json::{Value, json};

use crate::support::{Clients, Library, Rest, Server, eventually, in_seconds, instant, user_token};

/// Counted and looked at each second.
const OFTEN: [(&str, &str); 2] = [("analytics.settle_seconds", "0"), ("retention.every_seconds", "1")];

fn send(server: &Server, user: u64, title: &str) -> u64 {
    let sent = Rest::backend(server).send(&json!({"user_id": user, "type": "note", "title": title}));
    sent["id"].as_u64().expect("a number")
}

fn read(server: &Server, user: u64, id: u64) {
    let path = format!("/api/v1/notifications/{id}/read");
    let person = Rest::user(server, user);
    eventually("it has come", || (person.post(&path, &json!({})).status == 200).then_some(()));
}

/// Makes all of these as old as if they had been sent so many days ago.
fn age(server: &Server, which: &str, days: u32) {
    server.sql(
        &format!("UPDATE notifications SET created_at = created_at - {days} * 86400000000 WHERE {which}"),
        &format!("UPDATE notifications SET created_at = created_at - interval '{days} days' WHERE {which}"),
    );
}

fn held(server: &Server, which: &str) -> i64 {
    server.rows(&format!("SELECT id FROM notifications WHERE {which}"))
}

/// What became of all that was ever sent, but for the days and who is connected.
fn numbers(server: &Server) -> Value {
    let from: String = instant(in_seconds(-300 * 86_400)).chars().take(10).collect();
    let path = format!("/api/v1/analytics?start_date={from}");
    let mut told = Rest::backend(server).get(&path).expect(200);
    let sums = ["total_notifications", "channels", "types", "response_times"];
    json!(sums.map(|name| told[name].take()))
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn unread(server: &Server, user: u64) -> Value {
    let counts = Rest::user(server, user).get("/api/v1/notifications?limit=1").expect(200);
    json!([counts["total_count"], counts["unread_count"]])
}

#[test]
fn what_was_read_goes_and_what_nobody_has_had_stays() {
    let server = Server::with(&OFTEN);
    let backend = Rest::backend(&server);
    for user in [2, 3] {
        let person = Rest::user(&server, user);
        person.post("/api/v1/subscriptions", &json!({"topics": ["all"]})).expect(200);
    }
    let done = send(&server, 2, "done");
    let kept = send(&server, 2, "kept");
    let deleted = send(&server, 2, "deleted");
    let shared = backend.send(&json!({"topic": "all", "type": "note", "title": "shared"}));
    let shared = shared["id"].as_u64().expect("a number");
    let gone = backend.send(&json!({"topic": "all", "type": "note", "title": "gone"}));
    let gone = gone["id"].as_u64().expect("a number");
    let fresh = send(&server, 2, "fresh");
    for id in [done, shared, gone, fresh] {
        read(&server, 2, id);
    }
    read(&server, 3, gone);
    Rest::user(&server, 2).delete(&format!("/api/v1/notifications/{deleted}"));
    let newest = send(&server, 3, "newest");
    assert_eq!(unread(&server, 2), json!([5, 1]));
    age(&server, "title NOT IN ('fresh', 'newest')", 91);
    let before = numbers(&server);
    assert_eq!(before[0], 7);

    eventually("what is done goes", || {
        (held(&server, "title IN ('done', 'deleted', 'gone')") == 0).then_some(())
    });
    assert_eq!(held(&server, "title IN ('kept', 'shared', 'fresh', 'newest')"), 4);
    assert_eq!(server.rows("SELECT position FROM inbox"), 4, "entries of kept, shared, fresh and newest");
    assert_eq!(server.rows("SELECT notification_id FROM expansions"), 1);
    let (two, three) = (Rest::user(&server, 2), Rest::user(&server, 3));
    assert_eq!(two.titles(), ["fresh", "kept"]);
    assert_eq!(three.titles(), ["newest", "shared"]);
    assert_eq!((unread(&server, 2), unread(&server, 3)), (json!([2, 1]), json!([2, 2])));
    assert_eq!(two.get(&format!("/api/v1/notifications/{done}")).status, 404);
    // Pages go on as if it had never been; whose cursor is gone is told to begin anew.
    let page = two.get("/api/v1/notifications?limit=1").expect(200);
    let page = two.get(&format!("/api/v1/notifications?cursor={}", said(&page["next_cursor"]))).expect(200);
    assert_eq!(
        (said(&page["notifications"][0]["id"]), &page["next_cursor"]),
        (kept.to_string(), &Value::Null)
    );
    let refused = two.get(&format!("/api/v1/notifications?cursor={gone}"));
    assert_eq!((refused.status, refused.body.contains("begin anew")), (422, true), "{refused:?}");
    // What it all was is told as before; what is there is counted anew.
    assert_eq!(numbers(&server), before);
    server.wait_for_stat("total_notifications", 4);

    // Once somebody has had it, it goes, too.
    read(&server, 2, kept);
    read(&server, 3, shared);
    eventually("it goes", || (held(&server, "title IN ('kept', 'shared')") == 0).then_some(()));
    assert_eq!((unread(&server, 2), unread(&server, 3)), (json!([1, 0]), json!([1, 1])));
    assert_eq!(server.rows("SELECT notification_id FROM expansions"), 0);
    assert_eq!(three.titles(), ["newest"]);
    // Who was last told of one that is gone is told of what came after it.
    let path = format!("/ws/notify?token={}&replay_from={done}", user_token(2));
    let page = Clients::of(&server).raw(Library::Ws, &path);
    eventually("what came after it", || {
        let titles: Vec<_> = page.heard("notification").iter().map(|one| said(&one["title"])).collect();
        (titles == ["fresh"]).then_some(())
    });
    assert!(newest > fresh);
}

#[test]
fn deliveries_go_with_what_they_were_of() {
    let server = Server::with(&OFTEN);
    let backend = Rest::backend(&server);
    let person = Rest::user(&server, 2);
    // There is nowhere to send it.
    for title in ["old", "young", "last"] {
        let new = json!({"user_id": 2, "type": "note", "title": title, "channels": ["in_app", "email"]});
        read(&server, 2, backend.send(&new)["id"].as_u64().expect("a number"));
    }
    age(&server, "title = 'old'", 91);
    eventually("the old one goes", || (held(&server, "title = 'old'") == 0).then_some(()));
    assert_eq!(server.rows("SELECT id FROM deliveries"), 2);
    let without = "SELECT 1 FROM delivery_attempts WHERE delivery_id NOT IN (SELECT id FROM deliveries)";
    assert_eq!(server.rows(without), 0);
    assert_eq!(person.titles(), ["last", "young"]);
}

#[test]
fn what_waits_goes_if_the_server_is_told_so() {
    let server = Server::with(&[OFTEN[0], OFTEN[1], ("retention.pending_days", "200")]);
    for title in ["oldest", "old", "new"] {
        send(&server, 2, title);
    }
    age(&server, "title = 'old'", 199);
    age(&server, "title = 'oldest'", 201);
    eventually("the oldest goes", || (held(&server, "title = 'oldest'") == 0).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(Rest::user(&server, 2).titles(), ["new", "old"]);
}

#[test]
fn all_stays_if_the_server_is_told_so() {
    let server = Server::with(&[OFTEN[0], OFTEN[1], ("retention.notifications_days", "0")]);
    for title in ["old", "new"] {
        read(&server, 2, send(&server, 2, title));
    }
    age(&server, "title = 'old'", 5_000);
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    assert_eq!(Rest::user(&server, 2).titles(), ["new", "old"]);
}

#[test]
fn who_dies_while_removing_harms_nothing() {
    let mut server = Server::with(&[OFTEN[0], OFTEN[1], ("worker.enabled", "false")]);
    for number in 0..900 {
        send(&server, 2 + number % 3, "many");
    }
    for user in 2..5 {
        Rest::user(&server, user).post("/api/v1/notifications/read-all", &json!({})).expect(200);
        unread(&server, user);
    }
    for user in 2..5 {
        send(&server, user, "waits");
    }
    send(&server, 2, "last");
    age(&server, "title = 'many'", 91);
    let before = numbers(&server);
    server.kill();
    server.set("worker.enabled", "true");
    for _ in 0..4 {
        server.restart();
        let many = held(&server, "true");
        eventually("it has begun", || (many == 4 || held(&server, "true") < many).then_some(()));
        server.kill();
    }
    server.restart();
    eventually("the rest goes", || (held(&server, "title = 'many'") == 0).then_some(()));
    for (user, many) in [(2, 2), (3, 1), (4, 1)] {
        assert_eq!(unread(&server, user), json!([many, many]));
    }
    assert_eq!(server.rows("SELECT position FROM inbox"), 4);
    assert_eq!(numbers(&server), before);
    server.wait_for_stat("total_notifications", 4);
}
