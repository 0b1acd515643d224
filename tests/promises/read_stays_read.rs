//! What was marked read is read for good: in every tab, after every reconnect, over a restart; saying so twice is fine.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, PendingList, Server, Socket, booking, eventually};

#[test]
fn a_read_notification_does_not_come_back() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let ids =
        [1, 2, 3].map(|b| backend.call("booking_notification", booking(b, 2))["notification_id"].clone());

    let page = clients.facilitator(2);
    page.hear("pending_notifications");
    page.emit("mark_notification_read", json!({"facilitator_id": 2, "notification_id": ids[1]}));
    assert_eq!(page.hear("notification_marked_read"), json!({"notification_id": ids[1]}));
    page.emit("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [3, 1]);

    page.disconnect();
    let again = clients.facilitator(2);
    assert_eq!(PendingList(again.hear("pending_notifications")).booking_ids(), [3, 1]);
    server.kill();
    server.restart();
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids(), [3, 1]);
}

#[test]
fn every_client_can_mark_live_and_stored_ones() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (1..).zip(Kind::all()) {
        backend.call("booking_notification", booking(1, id));
        let page = clients.facilitator_by(kind, id);
        let stored = page.hear("pending_notifications")["notifications"][0]["notification_id"].clone();
        backend.call("booking_notification", booking(2, id));
        let live = page.hear("new_booking_notification")["notification_id"].clone();
        for notification_id in [&stored, &live, &live] {
            page.emit(
                "mark_notification_read",
                json!({"facilitator_id": id, "notification_id": notification_id}),
            );
            assert_eq!(
                page.hear("notification_marked_read"),
                json!({"notification_id": notification_id}),
                "{kind:?}"
            );
        }
        page.emit("get_pending_notifications", json!({"facilitator_id": id}));
        assert_eq!(page.hear("pending_notifications")["count"], 0, "{kind:?}");
        assert!(page.heard("error").is_empty(), "{kind:?}");
    }
    server.wait_for_stat("pending_notifications", 0);
}

#[test]
fn all_tabs_are_told() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let tabs = [Kind::USUAL, Kind::POLLING, Kind::PYTHON].map(|kind| clients.facilitator_by(kind, 2));
    let stranger = clients.facilitator(3);
    clients.backend().call("booking_notification", booking(1, 2));
    let id = tabs[0].hear("new_booking_notification")["notification_id"].clone();
    tabs[0].emit("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
    for tab in &tabs {
        assert_eq!(tab.hear("notification_marked_read"), json!({"notification_id": id}), "{}", tab.name);
    }
    stranger.emit("get_pending_notifications", json!({"facilitator_id": 3}));
    stranger.hear("pending_notifications");
    assert!(stranger.heard("notification_marked_read").is_empty());
}

#[test]
fn the_ack_callback_gets_the_answer_too() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let id = clients.backend().call("booking_notification", booking(1, 2))["notification_id"].clone();
    let answer = page.call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
    assert_eq!(answer, json!({"notification_id": id}));
    eventually("the tab is told once", || (page.heard("notification_marked_read").len() == 1).then_some(()));
    let list = page.call("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(list, json!({"notifications": [], "count": 0}));
}

/// Lists begin where something waits: what was done long ago is passed over, and nothing else is.
#[test]
fn a_long_history_hides_nothing() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let book = |numbers: std::ops::RangeInclusive<u64>| -> Vec<Value> {
        numbers
            .map(|b| backend.call("booking_notification", booking(b, 2))["notification_id"].clone())
            .collect()
    };
    let read = |page: &Socket, ids: &[Value]| {
        for id in ids {
            page.call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
        }
    };
    let listed = |expected: Vec<u64>| {
        // Twice: the first list may note how far all is done.
        for _ in 0..2 {
            let page = clients.facilitator(2);
            let list = page.call("get_pending_notifications", json!({"facilitator_id": 2}));
            let mut numbers = PendingList(list).booking_ids();
            numbers.reverse();
            assert_eq!(numbers, expected);
            server.wait_for_stat("pending_notifications", expected.len());
        }
    };
    let ids = book(1..=150);
    let page = clients.facilitator(2);
    read(&page, &ids[..100]);
    listed((101..=150).collect());
    // One stays unread between many that are not.
    read(&page, &ids[100..120]);
    read(&page, &ids[121..]);
    listed(vec![121]);
    read(&page, &ids[120..121]);
    listed(vec![]);
    book(151..=152);
    listed(vec![151, 152]);
}
