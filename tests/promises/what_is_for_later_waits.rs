//! What is sent for later is in no inbox before, goes out to the second, and once, even if no server ran when it was due.
//! Until then it may be put off or taken back.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use crate::support::{Clients, Rest, Server, eventually, in_seconds, instant, note};

fn later(seconds: i64, title: &str) -> serde_json::Value {
    let mut note = note(2, title);
    note["scheduled_at"] = json!(instant(in_seconds(seconds)));
    note
}

fn titles(person: &Rest) -> Vec<String> {
    let page = person.get("/api/v1/notifications").expect(200);
    let all = page["notifications"].as_array().expect("a list").clone();
    all.iter().map(|one| one["title"].as_str().expect("a title").to_owned()).collect()
}

#[test]
fn it_goes_out_when_it_is_due() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let page = Clients::of(&server).facilitator(2);
    let sent = backend.send(&later(3, "soon"));
    assert!(sent["scheduled_at"].is_string() && sent["sent_at"].is_null(), "{sent}");
    assert_eq!(titles(&person), Vec::<String>::new());
    eventually("it goes out", || (titles(&person) == ["soon"]).then_some(()));
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
    Rest::backend(&server).send(&later(2, "missed"));
    server.kill();
    sleep(Duration::from_secs(3));
    server.restart();
    let person = Rest::user(&server, 2);
    eventually("it goes out", || (titles(&person) == ["missed"]).then_some(()));
    server.kill();
    server.restart();
    sleep(Duration::from_secs(1));
    assert_eq!(titles(&Rest::user(&server, 2)), ["missed"]);
}

#[test]
fn it_may_be_put_off_and_taken_back() {
    let server = Server::start();
    let (backend, person) = (Rest::backend(&server), Rest::user(&server, 2));
    let put_off = backend.send(&later(3600, "put off"));
    let taken = backend.send(&later(6, "taken back"));
    let path = |sent: &serde_json::Value| format!("/api/v1/notifications/{}/schedule", sent["id"]);
    let soon = json!({"scheduled_at": instant(in_seconds(6))});
    assert_eq!(person.put(&path(&put_off), &soon).status, 404, "it is not theirs to move");
    backend.put(&path(&put_off), &soon).expect(200);
    backend.call("DELETE", &path(&taken), None).expect(200);
    backend.call("DELETE", &path(&taken), None).expect(404);
    let over = json!({"scheduled_at": "2020-01-01T00:00:00Z"});
    assert_eq!(backend.put(&path(&put_off), &over).expect(422)["field"], "scheduled_at");
    eventually("the other goes out", || (titles(&person) == ["put off"]).then_some(()));
    let tomorrow = json!({"scheduled_at": instant(in_seconds(86_400))});
    backend.put(&path(&put_off), &tomorrow).expect(404);
    sleep(Duration::from_secs(1));
    assert_eq!(titles(&person), ["put off"]);
}
