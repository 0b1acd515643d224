//! However much somebody has missed: it comes in order and to the end, to whoever reads fast and to whoever reads slowly, and
//! the server never has more than a little of it in memory.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::support::{AtTheEnd, Events, Raw, Rest, Server, user_token};

const MISSED: usize = 100_000;
/// Bytes that each has besides; all together are far more than the memory allowed.
const EACH: usize = 1_000;
/// What the server's memory may grow by, in KB, with three clients that are told all of it at once: the pages that SQLite
/// keeps at hand, 16 MB for its reader and 64 MB for its writer, and 16 MB for the clients. One of them alone is told 100 MB.
const GROWTH: u64 = (16 + 64 + 16) * 1024;
/// What the server itself has asked for: pages of its program come and go.
const MEMORY: &str = "RssAnon";

#[derive(Deserialize)]
struct Told {
    replay_id: String,
}

fn number(message: &[u8]) -> usize {
    let told: Told = serde_json::from_slice(message).expect("a notification");
    told.replay_id.parse().expect("a number")
}

/// Gives user 2 an inbox of [`MISSED`] notifications. (PostgreSQL of the tests does not look by itself how much it has.)
fn fill(server: &mut Server) {
    let first = json!({"user_id": 2, "type": "note", "title": "1", "data": {"more": "x".repeat(EACH)}});
    Rest::backend(server).send(&first);
    // Its writer knows its numbers by heart.
    server.stop();
    server.sql(
        &format!(
            "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {MISSED}) \
             INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
             SELECT randomblob(16), tenant, kind, topic, i, message, data, created_at FROM n, notifications; \
             INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1; \
             UPDATE recipients SET last_position = {MISSED}"
        ),
        &format!(
            "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, created_at) \
             SELECT gen_random_uuid(), tenant, kind, topic, i, message, data, created_at \
             FROM notifications, generate_series(2, {MISSED}) AS i ORDER BY i; \
             INSERT INTO inbox (recipient_id, position, notification_id) \
             SELECT recipient_id, n.id, n.id FROM notifications AS n, inbox WHERE n.id > 1; \
             UPDATE recipients SET last_position = {MISSED}; ANALYZE"
        ),
    );
    server.restart();
}

fn open(server: &Server, more: &str) -> Raw {
    let mut stream = TcpStream::connect(server.address).expect("the server to listen");
    let path = format!("/api/v1/notifications/ws?token={}{more}", user_token(2));
    Raw::upgrade(&mut stream, &path, &[]).expect("a WebSocket")
}

/// Hears everything and the live one behind it; `each` is called before each is read.
fn hears_all(mut raw: Raw, each: impl Fn(usize)) {
    for expected in 1..=MISSED + 1 {
        each(expected);
        let message = raw.hear_alive().expect("the connection lasts");
        assert_eq!(number(&message), expected);
    }
}

#[test]
fn a_hundred_thousand_are_told_one_after_another() {
    // Each reader of SQLite has its own pages at hand, however much is read.
    let mut server = Server::with(&[("database.readers", "1")]);
    fill(&mut server);
    let server = &server;
    // One of each kind that has come before: what the first one takes is no growth.
    drop((open(server, "&replay_from=99990"), Events::open(server, &user_token(2), "99990")));
    let before = server.memory(MEMORY);
    let (most, is_over) = (&AtomicU64::new(0), &AtomicBool::new(false));
    std::thread::scope(|all| {
        let _end = AtTheEnd(is_over);
        all.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(server.memory(MEMORY), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        // Nothing is confirmed yet; its pongs confirm all of it.
        let unconfirmed = open(server, "");
        Rest::backend(server).send(&json!({"user_id": 2, "type": "note", "title": "live"}));
        hears_all(unconfirmed, |_| {});
        let (fast, slow) = (open(server, "&replay_from=0"), open(server, "&replay_from=0"));
        let mut events = Events::open(server, &user_token(2), "0");
        let fast = all.spawn(move || hears_all(fast, |_| {}));
        let slow = all.spawn(move || {
            hears_all(slow, |number| match number {
                // It looks away for a while, and never reads fast.
                20_000 => std::thread::sleep(Duration::from_secs(3)),
                _ if number.is_multiple_of(200) => std::thread::sleep(Duration::from_millis(10)),
                _ => {}
            });
        });
        let stream = all.spawn(move || {
            for expected in 1..=MISSED + 1 {
                assert_eq!(events.next().0, expected.to_string());
            }
        });
        for client in [fast, slow, stream] {
            client.join().expect("a client");
        }
    });
    let (most, told) = (most.load(Ordering::Relaxed), 4 * (MISSED * EACH) as u64 / 1024);
    println!("{told} KB told at least; the server had {before} KB before, and at most {most} KB");
    assert!(most < before + GROWTH, "the server had {before} KB before, and then {most} KB");
}
