//! What is sent for later is in no inbox before, goes out to the second, and once, even if no server ran when it was due.
//! Until then it may be put off or taken back.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Clients, Rest, Server, eventually, in_seconds, instant, note};

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
        backend.delete(&path(&sent)).expect(404);
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
