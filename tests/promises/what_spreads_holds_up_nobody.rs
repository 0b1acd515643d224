//! However many people something is for, and whatever is wrong with it: what is for others comes meanwhile, when it is
//! due.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Clients, PATIENCE, Rest, Server, booking, eventually, in_seconds, instant, note, on_postgres, quiet_now,
};

const MINE: &str = "/api/v1/notifications/preferences";
const PEOPLE: usize = 25_000;

fn pending(server: &Server) -> u64 {
    server.stats()["pending_notifications"].as_u64().expect("a number")
}

#[test]
fn a_reminder_and_the_end_of_quiet_hours_wait_for_no_broadcast() {
    let server = Server::start();
    let (clients, backend, four) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 4));
    let (three, four_page) = (clients.feed(3), clients.feed(4));
    four.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    backend.send(&note(4, "good morning"));
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PEOPLE}) \
             INSERT INTO recipients (tenant, user_id) SELECT 'another', 'p' || i FROM n"
        ),
        &format!(
            "INSERT INTO recipients (tenant, user_id) SELECT 'another', 'p' || i FROM generate_series(1, {PEOPLE}) AS i"
        ),
    );
    let another = Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "another"}));
    let noon = instant(in_seconds(2));
    another.send(&json!({"everyone": true, "type": "news", "title": "to all", "scheduled_at": noon}));
    let mut reminder = note(3, "reminder");
    reminder["scheduled_at"] = json!(noon);
    backend.send(&reminder);
    eventually("it begins", || (pending(&server) > 500).then_some(()));
    four.put(MINE, &json!({"quiet_hours": null})).expect(200);
    assert_eq!(four_page.hear("notification")["title"], "good morning");
    assert_eq!(three.hear("notification")["title"], "reminder");
    let come = pending(&server);
    assert!(come < PEOPLE as u64, "all had come before");
    eventually("all others have it", || (pending(&server) >= PEOPLE as u64).then_some(()));
}

#[test]
fn bookings_are_answered_between_its_chunks() {
    let server = Server::start();
    let booker = Clients::of(&server).backend();
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {PEOPLE}) \
             INSERT INTO recipients (tenant, user_id) SELECT 'another', 'p' || i FROM n"
        ),
        &format!(
            "INSERT INTO recipients (tenant, user_id) SELECT 'another', 'p' || i FROM generate_series(1, {PEOPLE}) AS i"
        ),
    );
    let another = Rest::claiming(&server, json!({"sub": "boss", "role": "admin", "tenant_id": "another"}));
    booker.call("booking_notification", booking(1, 3));
    another.send(&json!({"everyone": true, "type": "news", "title": "to all"}));
    // One after the other: each waits for the answer to the one before. Who only had the gap between two large chunks
    // would be answered a hundred times.
    let least = if server.is_on_sqlite() { 300 } else { 50 };
    let mut booked = 1;
    let deadline = Instant::now() + PATIENCE;
    while pending(&server) < PEOPLE as u64 + booked {
        for _ in 0..25 {
            booked += 1;
            let receipt = booker.call("booking_notification", booking(booked, 3));
            assert!(receipt["notification_id"].is_u64(), "{receipt}");
        }
        assert!(Instant::now() < deadline, "it did not come to everybody beside {booked} bookings");
    }
    assert!(booked >= least, "{booked} bookings were answered meanwhile");
}

#[test]
fn what_cannot_be_read_stops_nothing_else() {
    let server = Server::start();
    let (clients, backend) = (Clients::of(&server), Rest::backend(&server));
    let (three, four) = (clients.feed(3), Rest::user(&server, 4));
    let four_page = clients.feed(4);
    four.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    backend.send(&note(4, "good morning"));
    // For whom these are, only a newer release knows.
    for topic in ["one", "two", "three"] {
        backend.send(
            &json!({"topic": topic, "type": "news", "title": "odd", "scheduled_at": instant(in_seconds(2))}),
        );
    }
    server.sql(
        "UPDATE expansions SET audience = '{\"weather\":\"rain\"}'",
        "UPDATE expansions SET audience = '{\"weather\":\"rain\"}'",
    );
    sleep(Duration::from_secs(3));
    let mut reminder = note(3, "reminder");
    reminder["scheduled_at"] = json!(instant(in_seconds(1)));
    backend.send(&reminder);
    assert_eq!(three.hear("notification")["title"], "reminder");
    let recurring =
        json!({"user_id": 3, "type": "note", "title": "tick", "cron": "* * * * * *", "time_zone": "UTC"});
    backend.post("/api/v1/recurring", &recurring).expect(201);
    assert_eq!(three.hear("notification")["title"], "tick");
    four.put(MINE, &json!({"quiet_hours": null})).expect(200);
    assert_eq!(four_page.hear("notification")["title"], "good morning");
    assert_eq!(four.titles(), ["good morning"], "lists are read, too");
}

#[test]
fn preferences_that_cannot_be_read_stop_no_booking() {
    let mut server = Server::start();
    let four = Rest::user(&server, 4);
    four.put(MINE, &json!({"types": {"news": {"in_app": false}}})).expect(200);
    // As a newer release may have left them.
    let newer = r#"{"types":{"news":{"realtime":false}},"topics":7,"time_zone":"Mars/Olympus","mood":"calm",
        "quiet_hours":{"start":"00:00","end":"23:59","shade":"dim"}}"#;
    let update = format!("UPDATE recipients SET preferences = '{newer}' WHERE user_id = '4'");
    server.sql(&update, &update);
    server.kill();
    server.restart();
    let (clients, backend, four) = (Clients::of(&server), Rest::backend(&server), Rest::user(&server, 4));
    let page = clients.feed(4);
    let urgent = |kind: &str| json!({"user_ids": [3, 4], "type": kind, "title": kind, "priority": "urgent"});
    backend.send(&urgent("news"));
    backend.send(&urgent("note"));
    assert_eq!(page.hear("notification")["title"], "note", "what can be read is heeded");
    backend.post("/api/v1/notifications/preview", &urgent("news")).expect(200);
    let told = four.get(MINE).expect(200);
    assert_eq!((&told["time_zone"], &told["types"]["news"]["in_app"]), (&json!("UTC"), &json!(false)));
    four.put(MINE, &json!({"time_zone": "Europe/Athens", "quiet_hours": null})).expect(200);
    assert_eq!(four.get(MINE).expect(200)["time_zone"], "Europe/Athens");
    assert_eq!(Rest::user(&server, 3).titles(), ["note", "news"]);
    // Nor what is no preference at all.
    server.sql(
        "UPDATE recipients SET preferences = 'nonsense' WHERE user_id = '4'",
        "UPDATE recipients SET preferences = 'nonsense' WHERE user_id = '4'",
    );
    server.kill();
    server.restart();
    Rest::backend(&server).send(&urgent("news"));
    let four = Rest::user(&server, 4);
    assert_eq!(four.titles(), ["news", "note"]);
    assert_eq!(four.get(MINE).expect(200)["time_zone"], "UTC");
}

/// Looking after those who are here costs as much as they are, not as everybody there is: even while PostgreSQL remembers an
/// almost empty table, as after many have come at once.
#[test]
fn who_is_here_is_looked_after_without_the_rest_of_the_tenant() {
    const HERE: i64 = 40;
    const ELSEWHERE: i64 = 10_000;
    if !on_postgres() {
        return;
    }
    let server = Server::with(&[("redis.url", "")]);
    server.sql(
        "",
        &format!(
            "INSERT INTO recipients (tenant, user_id) VALUES ('a', 'a'), ('b', 'b'); ANALYZE recipients; \
             INSERT INTO recipients (tenant, user_id) \
                 SELECT 'default', 'p' || i FROM generate_series(1, {ELSEWHERE}) AS i"
        ),
    );
    let clients = Clients::of(&server);
    let here: Vec<_> = (1..=HERE).map(|user| clients.feed(user.unsigned_abs())).collect();
    let read = || {
        let fetched =
            "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = 'recipients'";
        server.rows(&format!("SELECT FROM generate_series(1, ({fetched}))"))
    };
    // Each second, as there is no Redis.
    let before = read();
    eventually("they are looked after", || (read() >= before + 3 * HERE).then_some(()));
    assert!(read() < before + ELSEWHERE, "{} rows were read for {HERE} people", read() - before);
    drop(here);
}
