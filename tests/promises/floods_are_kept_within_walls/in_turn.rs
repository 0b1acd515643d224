//! Requests wait for their turn behind their caller's own, once each, whether or not a body comes with them or is read.

use std::thread::sleep;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::json;

use super::caller::Caller;
use crate::support::{BACKEND_TOKEN, Ground, METRICS_TOKEN, PATIENCE, Rest, Server, eventually, get_with};

const SEND: &str = "/api/v1/notifications";

/// A service that is somebody with an inbox, too, on so many connections.
fn many(server: &Server, many: usize) -> Vec<Caller> {
    let claims = json!({"sub": "busy", "tenant_id": "busy", "scope": "notifications:send"});
    let bearer = format!("Bearer {}", Rest::claiming(server, claims).token());
    let connect = |_| {
        let mut caller = Caller::new(server.address, &[("Authorization", bearer.as_str())]);
        assert!(caller.ask("GET", "/health/live", "").is_some_and(|answer| answer.status == 200));
        caller
    };
    (0..many).map(connect).collect()
}

fn note() -> String {
    json!({"user_id": "busy", "type": "note", "title": "n", "message": "x"}).to_string()
}

/// Requests that all came before it do not stand before somebody else's, if one service sent them.
#[test]
fn one_service_is_served_by_turns_with_others() {
    const MANY: usize = 400;
    let server = Server::with(&[("limits.writes_at_work", "8")]);
    let mut many = many(&server, MANY);
    let bearer = format!("Bearer {BACKEND_TOKEN}");
    let mut one = Caller::new(server.address, &[("Authorization", bearer.as_str())]);
    assert!(one.ask("GET", "/health/live", "").is_some_and(|answer| answer.status == 200));
    let note = json!({"user_id": 2, "type": "note", "title": "n", "message": "x"}).to_string();
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    for caller in many.iter_mut().chain([&mut one]) {
        caller.begin("POST", SEND, note.len(), &note);
    }
    server.signal(nix::sys::signal::Signal::SIGCONT);
    let answer = one.answered_within(PATIENCE).expect("an answer");
    assert_eq!(answer.status, 201, "{answer:?}");
    let (mut earlier, mut later) = (0, 0);
    for caller in &mut many {
        match caller.is_answered() {
            true => earlier += 1,
            false => later += 1,
        }
    }
    println!("{earlier} earlier, {later} later");
    assert!(later > MANY / 4, "{earlier} of {MANY} were answered before somebody else's one");
    for caller in &mut many {
        let answer = caller.answered_within(PATIENCE).expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(server.rows("SELECT 1 FROM notifications"), MANY as i64 + 1);
}

/// Who holds a turn waits for no other: all of them would wait for each other.
#[test]
fn a_body_that_is_empty_waits_for_one_turn_only() {
    let server = Server::with(&[("limits.writes_at_work", "8")]);
    let (mut many, note) = (many(&server, 200), note());
    server.signal(nix::sys::signal::Signal::SIGSTOP);
    for (nth, caller) in many.iter_mut().enumerate() {
        match nth % 4 {
            0 => caller.begin("POST", SEND, note.len(), &note),
            _ => caller.begin("POST", SEND, 0, ""),
        }
    }
    server.signal(nix::sys::signal::Signal::SIGCONT);
    for (nth, caller) in many.iter_mut().enumerate() {
        let answer = caller.answered_within(PATIENCE).unwrap_or_else(|| panic!("no answer to {nth}"));
        assert_eq!(answer.status, if nth % 4 == 0 { 201 } else { 400 }, "{answer:?}");
    }
}

/// A body that has not come yet holds no turn, and one that nobody reads is no way around it.
#[test]
fn a_body_that_nobody_reads_is_no_way_around_turns() {
    let settings =
        [("limits.writes_at_work", "8"), ("limits.service_at_once", "100"), ("limits.tenant_at_once", "100")];
    let server = Server::on(&Ground::Sqlite, &settings);
    let (mut many, note) = (many(&server, 60), note());
    let (half, many) = many.split_at_mut(20);
    for caller in half.iter_mut() {
        caller.begin("POST", SEND, note.len(), &note[..10]);
    }
    sleep(Duration::from_millis(300));
    let created = many[0].ask("POST", SEND, &note).expect("an answer");
    assert_eq!(created.status, 201, "{created:?}");
    let id = serde_json::from_str::<serde_json::Value>(&created.body).expect("a receipt")["id"].to_string();
    let read = format!("{SEND}/{}/read", id.trim_matches('"'));
    let bearer = format!("Bearer {METRICS_TOKEN}");
    let queued = || {
        let metrics = get_with(server.address, "/metrics", &[("Authorization", &bearer)]).body;
        let queued = metrics.lines().find_map(|line| line.strip_prefix("carillon_write_queue "));
        queued.and_then(|number| number.parse::<usize>().ok()).expect("a number")
    };
    let file = server.home().join("carillon.db").display().to_string();
    let mut rival = SqliteConnection::establish(&file).expect("its file");
    rival.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").expect("the lock");
    let (creates, others) = many.split_at_mut(8);
    for caller in creates.iter_mut() {
        caller.begin("POST", SEND, note.len(), &note);
    }
    eventually("they wait for the database", || (queued() >= 8).then_some(()));
    for (nth, caller) in others.iter_mut().enumerate() {
        let path = if nth % 2 == 0 { &read } else { "/api/v1/notifications/read-all" };
        caller.begin("POST", path, 2, "{}");
    }
    sleep(Duration::from_millis(500));
    let waiting = queued();
    rival.batch_execute("ROLLBACK").expect("no lock");
    assert!(waiting < 8 + 8, "{waiting} wait for the database at once");
    for caller in creates.iter_mut().chain(others) {
        let answer = caller.answered_within(PATIENCE).expect("an answer");
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }
}
