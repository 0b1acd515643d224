//! What a facilitator missed is there on return: newest first, exactly what is pending, in one list and not two.

use serde_json::{Value, json};

use crate::support::{
    Clients, Kind, Library, PendingList, Server, booking, facilitator_hello, notification_ids,
};

#[test]
fn every_client_hears_on_return_exactly_what_it_missed() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    clients.backend().call("booking_notification", booking(99, 1000)); // somebody else's
    for (id, kind) in (1..).zip(Kind::all()) {
        for number in [10, 11, 12] {
            let stored = backend.call("booking_notification", booking(number, id));
            assert!(stored["stored_at"].as_str().is_some_and(|t| t.ends_with('Z')), "{stored}");
            assert_eq!(stored["facilitator_id"], id);
            assert_eq!(backend.hear("notification_stored"), stored);
        }
        let back = clients.facilitator_by(kind, id);
        let list = PendingList(back.hear("pending_notifications"));
        assert_eq!(list.booking_ids(), [12, 11, 10], "{kind:?}");
        assert_eq!(list.count(), 3);
        let success = back.place_of("facilitator_auth_success");
        assert!(
            success < back.place_of("pending_notifications") || kind.library == Library::Python,
            "{kind:?}"
        );
    }
}

#[test]
fn a_listed_notification_has_the_seeds_fields() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let receipt = clients.backend().call("booking_notification", booking(123, 2));
    let list = PendingList(clients.facilitator(2).hear("pending_notifications"));
    let notification = &list.notifications()[0];
    let expected = booking(123, 2);
    assert_eq!(notification["type"], "new_booking");
    assert_eq!(notification["user"], expected["user"]);
    assert_eq!(notification["session"]["start_time"], "2024-01-15T09:00:00Z");
    assert_eq!(notification["message"], "New booking from Jane Smith for Morning Meditation");
    assert_eq!(notification["notification_id"], receipt["notification_id"]);
    for time in ["timestamp", "stored_at"] {
        assert!(notification[time].as_str().is_some_and(|t| t.ends_with('Z')), "{time}: {notification}");
    }
}

#[test]
fn a_page_that_asks_at_once_gets_one_list_not_two() {
    // Real pages ask the moment they hear of the success, and add up every list they get.
    let server = Server::with(&[("booking.pending_delay_ms", "4000")]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let pages: Vec<_> = (1..)
        .zip(Kind::all())
        .map(|(id, kind)| {
            backend.call("booking_notification", booking(5, id));
            let page = clients.facilitator_by(kind, id);
            page.emit("get_pending_notifications", json!({"facilitator_id": id}));
            assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [5], "{kind:?}");
            page
        })
        .collect();
    // Somebody comes later and gets an automatic list: those of the pages are due no more.
    backend.call("booking_notification", booking(6, 100));
    clients.facilitator(100).hear("pending_notifications");
    for page in pages {
        assert_eq!(page.heard("pending_notifications").len(), 1, "{}", page.name);
    }
}

#[test]
fn a_request_is_always_answered_and_an_empty_list_never_comes_by_itself() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let quiet = clients.facilitator(2);
    clients.backend().call("booking_notification", booking(1, 3));
    clients.facilitator(3).hear("pending_notifications"); // by now 2's automatic list would have come
    assert!(quiet.heard("pending_notifications").is_empty());
    for _ in 0..2 {
        quiet.emit("get_pending_notifications", json!({"facilitator_id": 2}));
        assert_eq!(quiet.hear("pending_notifications"), json!({"notifications": [], "count": 0}));
    }
}

#[test]
fn what_was_listed_stays_pending_until_it_is_read() {
    let server = Server::start();
    let clients = Clients::of(&server);
    clients.backend().call("booking_notification", booking(1, 2));
    for _ in 0..3 {
        let page = clients.facilitator(2);
        assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [1]);
        page.disconnect();
    }
}

#[test]
fn what_comes_while_the_page_is_joining_is_seen_once_and_in_order() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let under_way = backend.burst(json!({"booking": booking(0, 2), "count": 600, "acks": true, "window": 8}));
    under_way.wait_for_answers(100);
    let page = clients.open_with(Kind::WEBSOCKET, &[facilitator_hello(2)], json!({}));
    let list = PendingList(page.hear("pending_notifications"));
    let receipts = under_way.wait();
    assert_eq!(receipts.len(), 600);
    page.emit("get_pending_notifications", json!({"facilitator_id": 2}));
    page.hear("pending_notifications");

    let mut seen = list.notifications().to_vec();
    seen.reverse();
    seen.extend(page.heard("new_booking_notification"));
    seen.sort_by_key(|n| n["notification_id"].as_u64());
    assert_eq!(notification_ids(&seen), notification_ids(&receipts), "each once, none missing");
    let live: Vec<Value> = page.heard("new_booking_notification");
    assert!(notification_ids(&live).is_sorted());
}
