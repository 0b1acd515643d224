//! The write-ahead log beside an SQLite file does not grow with what is stored, while one write follows the other; and
//! what was in it is in the file.

use std::thread;

use serde_json::json;

use crate::support::{Ground, Rest, Server, eventually};

/// Notifications, and bytes of each: much more than the log may have.
const MANY: usize = 2_000;
const LARGE: usize = 60_000;
const SENDERS: usize = 4;
/// 64 MB are copied at once; half as much may come meanwhile.
const MOST: u64 = 96 * 1024 * 1024;

#[test]
fn however_much_is_stored() {
    let mut server = Server::on(&Ground::Sqlite, &[("limits.user_per_minute", "0")]);
    let two = Rest::user(&server, 2);
    let large = json!({"type": "note", "title": "large", "data": {"text": "x".repeat(LARGE)}});
    let length = |name: &str| server.home().join(name).metadata().map_or(0, |file| file.len());
    let send =
        || (0..MANY / SENDERS).for_each(|_| drop(two.post("/api/v1/notifications", &large).expect(201)));
    thread::scope(|scope| (0..SENDERS).for_each(|_| drop(scope.spawn(send))));
    let log = length("carillon.db-wal");
    assert!(log < MOST, "{log} bytes of log for {} bytes", MANY * LARGE);
    let stored = (MANY * LARGE) as u64 - MOST;
    eventually("the file has what the log has not", || (length("carillon.db") > stored).then_some(()));
    server.kill();
    server.restart();
    let page = Rest::user(&server, 2).get("/api/v1/notifications?limit=1").expect(200);
    assert_eq!(page["total_count"], MANY);
}
