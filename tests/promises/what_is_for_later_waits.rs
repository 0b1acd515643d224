//! What is sent for later is in no inbox before, goes out to the second, and once, even if no server ran when it was due.
//! Until then it may be put off or taken back.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Clients, METRICS_TOKEN, Rest, Server, eventually, get_with, in_seconds, instant, note};

const SCHEDULED: &str = "/api/v1/notifications/scheduled";

/// For user 2, at this time in seconds since 1970.
fn later(seconds: i64, title: &str) -> Value {
    let mut note = note(2, title);
    note["scheduled_at"] = json!(instant(seconds));
    note
}

/// Waits until this time, in seconds since 1970, has passed.
fn wait_until(seconds: i64) {
    while in_seconds(0) <= seconds {
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn it_goes_out_when_it_is_due() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let page = Clients::of(&server).facilitator(2);
    let due = in_seconds(8);
    let sent = backend.send(&later(due, "soon"));
    assert!(sent["scheduled_at"].is_string() && sent["sent_at"].is_null(), "{sent}");
    eventually("it goes out", || {
        let there = person.titles();
        // Asked before: what was answered may only have been late.
        assert!(there.is_empty() || in_seconds(0) >= due, "before it is due: {there:?}");
        (there == ["soon"]).then_some(())
    });
    let shown = &person.get("/api/v1/notifications").expect(200)["notifications"][0];
    assert_eq!(shown["created_at"], sent["scheduled_at"], "it is as old as its going out");
    eventually("it is heard", || {
        let all = [page.heard("notification"), page.heard("new_booking_notification")].concat();
        (all.len() == 1).then_some(())
    });
}

#[test]
fn it_goes_out_once_though_nobody_was_there() {
    let mut server = Server::start();
    Rest::backend(&server).send(&later(in_seconds(3_600), "missed"));
    assert!(Rest::user(&server, 2).titles().is_empty());
    server.kill();
    // An hour and more goes by.
    server.sql(
        "UPDATE expansions SET due_at = due_at - 3602000000",
        "UPDATE expansions SET due_at = due_at - INTERVAL '3602 s'",
    );
    server.restart();
    let person = Rest::user(&server, 2);
    eventually("it goes out", || (person.titles() == ["missed"]).then_some(()));
    server.kill();
    server.restart();
    sleep(Duration::from_secs(2));
    assert_eq!(Rest::user(&server, 2).titles(), ["missed"]);
}

#[test]
fn it_may_be_put_off_and_taken_back() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let put_off = backend.send(&later(in_seconds(3_600), "put off"));
    let path = |sent: &Value| format!("/api/v1/notifications/{}/schedule", sent["id"]);
    let mut attempts = 0..;
    // On a slow machine it may have gone out before.
    let (taken, due) = eventually("one is taken back in time", || {
        let (title, due) = (format!("taken back {}", attempts.next()?), in_seconds(8));
        let sent = backend.send(&later(due, &title));
        let is_taken = backend.delete(&path(&sent)).status == 200;
        assert!(is_taken || in_seconds(0) >= due, "it has not gone out yet");
        let refusal = backend.delete(&path(&sent)).expect(404);
        assert_eq!(refusal["code"], "not_scheduled", "{refusal}");
        let says = |words: &str| refusal["detail"].as_str().is_some_and(|said| said.contains(words));
        assert!(!is_taken || says("taken back"), "{refusal}");
        is_taken.then_some((title, due))
    });
    let soon = json!({"scheduled_at": instant(in_seconds(8))});
    assert_eq!(person.put(&path(&put_off), &soon).status, 404, "it is not theirs to move");
    let over = json!({"scheduled_at": "2020-01-01T00:00:00Z"});
    assert_eq!(backend.put(&path(&put_off), &over).expect(422)["field"], "scheduled_at");
    backend.put(&path(&put_off), &json!({"scheduled_at": instant(in_seconds(5))})).expect(200);
    eventually("the other goes out", || person.titles().contains(&"put off".to_owned()).then_some(()));
    let tomorrow = json!({"scheduled_at": instant(in_seconds(86_400))});
    backend.put(&path(&put_off), &tomorrow).expect(404);
    wait_until(due + 2);
    let there = person.titles();
    assert!(!there.contains(&taken), "{there:?}");
    assert_eq!(there.iter().filter(|title| *title == "put off").count(), 1, "{there:?}");
}

#[test]
fn whoever_scheduled_it_sees_and_manages_it() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let shop = Rest::claiming(&server, json!({"sub": "shop", "scope": "notifications:send"}));
    let waiting = |who: &Rest| -> Vec<(String, Value)> {
        let page = who.get(SCHEDULED).expect(200);
        let all = page["scheduled"].as_array().expect("a list").clone();
        let shown =
            |one: &Value| (one["title"].as_str().expect("a title").to_owned(), one["scheduled_at"].clone());
        all.iter().map(shown).collect()
    };
    // A person for themselves: where the answer leads there is something, and it can be moved and taken back.
    let mut own = json!({"type": "note", "title": "own", "scheduled_at": instant(in_seconds(3_600))});
    let reply = person.post("/api/v1/notifications", &own);
    let mine = reply.expect(201);
    let location = reply.header("location").expect("a location").to_owned();
    let shown = person.get(&location).expect(200);
    assert_eq!(shown["id"], mine["id"], "{location}");
    assert!(shown.to_string().contains("it goes out at"), "{shown}");
    let theirs = shop.send(&later(in_seconds(3_600), "theirs"));
    assert_eq!(waiting(&person), [("own".to_owned(), mine["scheduled_at"].clone())]);
    let two = [
        ("theirs".to_owned(), theirs["scheduled_at"].clone()),
        ("own".to_owned(), mine["scheduled_at"].clone()),
    ];
    assert_eq!(waiting(&backend), two);
    let first = backend.get(&format!("{SCHEDULED}?limit=1")).expect(200);
    assert_eq!((&first["has_more"], &first["next_cursor"]), (&json!(true), &theirs["id"]));
    let rest = backend.get(&format!("{SCHEDULED}?limit=1&cursor={}", theirs["id"])).expect(200);
    assert_eq!((&rest["scheduled"][0]["id"], &rest["has_more"]), (&mine["id"], &json!(false)));
    // Others see nothing of it.
    assert_eq!(waiting(&Rest::user(&server, 3)), []);
    assert_eq!(waiting(&Rest::claiming(&server, json!({"sub": "2", "tenant_id": "elsewhere"}))), []);
    let path = |sent: &Value| format!("/api/v1/notifications/{}/schedule", sent["id"]);
    assert_eq!(person.delete(&path(&theirs)).expect(404)["code"], "not_scheduled", "it was sent by the shop");
    Rest::user(&server, 3).delete(&path(&mine)).expect(404);
    let tomorrow = json!({"scheduled_at": instant(in_seconds(86_400))});
    person.put(&path(&mine), &tomorrow).expect(200);
    assert_eq!(waiting(&person), [("own".to_owned(), tomorrow["scheduled_at"].clone())]);
    person.delete(&path(&mine)).expect(200);
    assert_eq!(person.delete(&path(&mine)).expect(404)["code"], "not_scheduled");
    assert_eq!(waiting(&person), []);
    // A service's answers lead to something, too.
    for reply in
        [shop.post("/api/v1/notifications", &note(2, "x")), backend.post("/api/v1/notifications", &own)]
    {
        if reply.status == 201 {
            shop.get(reply.header("location").expect("a location")).expect(200);
        }
    }
    own["scheduled_at"] = json!(null);
    let reply = person.post("/api/v1/notifications", &json!({"type": "note", "title": "at once"}));
    assert_eq!(person.get(reply.header("location").expect("one")).expect(200)["title"], "at once");
    for odd in ["cursor=0", "cursor=-1", "cursor=abc", "limit=0", "user_id=2"] {
        person.get(&format!("{SCHEDULED}?{odd}")).expect(422);
    }
}

#[test]
fn a_request_that_comes_again_is_answered_as_it_was() {
    let server = Server::start();
    let backend = Rest::backend(&server);
    let same = |one: &Value, other: &Value| {
        for member in ["id", "uuid", "created_at", "scheduled_at", "sent_at", "status"] {
            assert_eq!(one[member], other[member], "{member}: {one} {other}");
        }
    };
    // Before its time, and when it has gone out.
    let soon = later(in_seconds(3), "soon");
    let sent = backend.keyed("soon").send(&soon);
    assert!(sent["scheduled_at"].is_string(), "{sent}");
    same(&backend.keyed("soon").send(&soon), &sent);
    eventually("it goes out", || (Rest::user(&server, 2).titles() == ["soon"]).then_some(()));
    same(&backend.keyed("soon").send(&soon), &sent);
    // What was taken back is said to be.
    let never = later(in_seconds(3_600), "never");
    let sent = backend.keyed("never").send(&never);
    backend.delete(&format!("/api/v1/notifications/{}/schedule", sent["id"])).expect(200);
    let again = backend.keyed("never").send(&never);
    assert_eq!((&again["id"], &again["scheduled_at"]), (&sent["id"], &sent["scheduled_at"]));
    assert_eq!(again["status"], "cancelled", "{again}");
    // What has expired since was accepted all the same.
    let mut short = note(2, "short");
    short["expires_at"] = json!(instant(in_seconds(8)));
    let sent = backend.keyed("short").send(&short);
    sleep(Duration::from_millis(8_500));
    same(&backend.keyed("short").send(&short), &sent);
    assert_eq!(
        backend.keyed("other").post("/api/v1/notifications", &short).expect(422)["field"],
        "expires_at"
    );
    backend.post("/api/v1/notifications", &short).expect(422);
    assert_eq!(server.stats()["total_notifications"], 3);
    // A broadcast for later says when, and again.
    let all = json!({"title": "all", "scheduled_at": instant(in_seconds(3_600))});
    let told: Vec<_> = (0..2)
        .map(|_| backend.keyed("all").post("/api/v1/notifications/broadcast", &all).expect(200))
        .collect();
    assert_eq!(told[0]["scheduled_at"], all["scheduled_at"], "{}", told[0]);
    same(&told[0], &told[1]);
}

/// Commits so far.
fn commits(server: &Server) -> u64 {
    let metrics =
        get_with(server.address, "/metrics", &[("Authorization", &format!("Bearer {METRICS_TOKEN}"))]);
    let metrics = metrics.body;
    let count = metrics.lines().find_map(|line| line.strip_prefix("carillon_commit_seconds_count "));
    count.expect("a count").parse().expect("a number")
}

#[test]
fn for_one_person_it_costs_the_same_however_many_are_here() {
    let server = Server::start();
    // So many are connected elsewhere.
    server.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
         INSERT INTO recipients (tenant, user_id) SELECT 'default', 'p' || i FROM n; \
         INSERT INTO connections (socket_id, node, tenant, user_id, connected_at) \
             SELECT 's' || user_id, 'elsewhere', tenant, user_id, 0 FROM recipients",
        "INSERT INTO nodes (name, seen_at, senders) VALUES ('elsewhere', now() + interval '1 hour', 0); \
         INSERT INTO recipients (tenant, user_id) SELECT 'default', 'p' || i FROM generate_series(1, 10000) AS i; \
         INSERT INTO connections (socket_id, node, tenant, user_id, connected_at) \
             SELECT 's' || user_id, 'elsewhere', tenant, user_id, now() FROM recipients",
    );
    let before = commits(&server);
    Rest::backend(&server).send(&later(1, "soon"));
    server.wait_for_stat("pending_notifications", 1);
    let after = commits(&server);
    assert!(after - before < 15, "{} commits", after - before);
}
