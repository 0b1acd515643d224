//! A back end that did not hear the answer may send again: same answer, one notification. What differs is new.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Clients, PendingList, Server, booking};

/// The answer without its words, which may change from "stored" to "delivered".
fn id(answer: &Value) -> u64 {
    answer["notification_id"].as_u64().unwrap_or_else(|| panic!("no receipt: {answer}"))
}

#[test]
fn the_same_booking_again_is_one_notification() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let first = backend.call("booking_notification", booking(1, 2));
    let again = backend.call("booking_notification", booking(1, 2));
    assert_eq!(again, first, "answered as before");
    let other_backend = clients.backend();
    assert_eq!(id(&other_backend.call("booking_notification", booking(1, 2))), id(&first));
    assert_eq!(server.stats()["total_notifications"], 1);

    server.kill();
    server.restart();
    let after = clients.backend().call("booking_notification", booking(1, 2));
    assert_eq!(after, first, "answered as before, over a crash");
    let page = clients.facilitator(2);
    assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [1]);
}

#[test]
fn a_present_facilitator_is_not_rung_twice() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let first = backend.call("booking_notification", booking(1, 2));
    assert!(first["delivered_at"].is_string());
    assert_eq!(backend.call("booking_notification", booking(1, 2)), first);
    backend.call("booking_notification", booking(2, 2));
    let heard = page.hear_many("new_booking_notification", 2);
    assert_eq!((&heard[0]["booking_id"], &heard[1]["booking_id"]), (&json!(1), &json!(2)));
}

#[test]
fn after_a_day_the_same_booking_is_a_new_one() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let first = id(&backend.call("booking_notification", booking(1, 2)));
    let other = id(&backend.call("booking_notification", booking(2, 2)));
    server.sql(
        &format!("UPDATE notifications SET created_at = created_at - 86401000000 WHERE id = {first}"),
        &format!("UPDATE notifications SET created_at = created_at - interval '86401 s' WHERE id = {first}"),
    );
    let second = id(&backend.call("booking_notification", booking(1, 2)));
    assert!(second != first && second != other);
    assert_eq!(id(&backend.call("booking_notification", booking(1, 2))), second, "it counts from now on");
    assert_eq!(id(&backend.call("booking_notification", booking(2, 2))), other);
    let page = clients.facilitator(2);
    assert_eq!(PendingList(page.hear("pending_notifications")).count(), 3);
}

#[test]
fn a_read_one_does_not_ring_again() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let first = backend.call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    page.call(
        "mark_notification_read",
        json!({"facilitator_id": 2, "notification_id": first["notification_id"]}),
    );
    assert_eq!(id(&backend.call("booking_notification", booking(1, 2))), id(&first));
    assert_eq!(page.call("get_pending_notifications", json!({"facilitator_id": 2}))["count"], 0);
    assert_eq!(page.heard("new_booking_notification").len(), 1);
}

#[test]
fn a_changed_booking_is_a_new_notification() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let first = backend.call("booking_notification", booking(1, 2));
    let mut moved = booking(1, 2);
    moved["session"]["start_time"] = "2024-01-16T09:00:00".into();
    let second = backend.call("booking_notification", moved.clone());
    assert_ne!(id(&first), id(&second));
    let mut noted = moved;
    noted["session"]["note"] = "bring a mat".into();
    assert_ne!(id(&backend.call("booking_notification", noted)), id(&second));
    assert_ne!(id(&backend.call("booking_notification", booking(1, 3))), id(&first), "another facilitator");
    server.wait_for_stat("total_notifications", 4);
}

#[test]
fn a_key_of_the_back_ends_own_decides() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let keyed = |key: &str| {
        let mut keyed = booking(1, 2);
        keyed["idempotency_key"] = key.into();
        keyed
    };
    let a = id(&backend.call("booking_notification", keyed("a")));
    let b = id(&backend.call("booking_notification", keyed("b")));
    assert_ne!(a, b, "the same booking under two keys is two");
    assert_eq!(id(&backend.call("booking_notification", keyed("a"))), a);
    assert_eq!(id(&backend.call("booking_notification", keyed("b"))), b);
    let mut other = keyed("a");
    other["session"]["title"] = "Something else".into();
    let refused = backend.call("booking_notification", other);
    assert!(refused["error"].is_string(), "one key for two different bookings is a mistake: {refused}");
    let page = clients.facilitator(2);
    let list = PendingList(page.hear("pending_notifications"));
    assert_eq!(list.booking_ids(), [1, 1]);
    assert!(
        list.notifications()[0].get("idempotency_key").is_none(),
        "the key is between back end and server"
    );
}

#[test]
fn resends_at_the_same_moment_are_one_too() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backends: Vec<_> = (0..4).map(|_| clients.backend()).collect();
    let page = clients.facilitator(2);
    let order = json!({"booking": booking(0, 2), "first": 1, "count": 100, "acks": true});
    let bursts: Vec<_> = backends.iter().map(|backend| backend.burst(order.clone())).collect();
    let answers: Vec<Vec<Value>> = bursts.into_iter().map(|burst| burst.wait()).collect();
    let numbers = |answers: &[Value]| -> BTreeMap<u64, u64> {
        answers.iter().map(|answer| (answer["booking_id"].as_u64().expect("a number"), id(answer))).collect()
    };
    let first = numbers(&answers[0]);
    assert_eq!(first.len(), 100);
    for some in &answers {
        assert_eq!(numbers(some), first, "all back ends got the same ids");
        let order: Vec<_> = some.iter().map(|answer| (answer["booking_id"].as_u64(), id(answer))).collect();
        assert!(order.is_sorted(), "answers come in the order of commits, and so do numbers: {order:?}");
    }
    backends[0].call("booking_notification", booking(1000, 2));
    let heard = page.hear_many("new_booking_notification", 101);
    assert_eq!(heard[100]["booking_id"], 1000, "each rang once");
    assert_eq!(server.stats()["total_notifications"], 101);
}
