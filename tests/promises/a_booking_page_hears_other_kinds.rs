//! A page of the booking protocol gets bookings as ever, and everything else as `notification`, live and on return; its
//! lists hold and count only bookings.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, PendingList, Rest, Server, booking, eventually, note};

fn titles(told: &[Value]) -> Vec<&str> {
    told.iter().map(|one| one["title"].as_str().expect("a title")).collect()
}

#[test]
fn lists_hold_bookings_and_the_others_follow() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let (backend, rest) = (clients.backend(), Rest::backend(&server));
    for (id, kind) in (2..).zip(Kind::all()) {
        for number in 1..=3 {
            backend.call("booking_notification", booking(number, id));
            rest.send(&note(id, &number.to_string()));
        }
        let page = clients.facilitator_by(kind, id);
        let list = PendingList(page.hear("pending_notifications"));
        assert_eq!((list.count(), list.booking_ids()), (3, vec![3, 2, 1]), "{kind:?}");
        assert!(list.0["remaining"].is_null(), "{}", list.0);
        eventually("the others follow", || (page.heard("notification").len() == 3).then_some(()));
        let mut told = page.heard("notification");
        told.sort_by_key(|one| one["number"].as_u64());
        assert_eq!(titles(&told), ["1", "2", "3"], "{kind:?}");
        rest.send(&note(id, "live"));
        eventually("a live one comes", || (page.heard("notification").len() == 4).then_some(()));
        backend.call("booking_notification", booking(4, id));
        assert_eq!(page.hear("new_booking_notification")["booking_id"], 4);
        let again = page.call("get_pending_notifications", json!({"facilitator_id": id}));
        assert_eq!(again["count"], 4, "{kind:?}");
        assert_eq!(page.heard("notification").len(), 4, "{kind:?}: once is enough");
        page.disconnect();
    }
}

#[test]
fn a_page_that_asks_first_hears_the_others_too() {
    let server = Server::start();
    let clients = Clients::of(&server);
    Rest::backend(&server).send(&note(2, "other"));
    let page = clients.facilitator(2);
    let list = page.call("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(list["count"], 0);
    assert_eq!(page.hear("notification")["title"], "other");
}

#[test]
fn a_full_list_counts_only_bookings() {
    let server = Server::with(&[("booking.pending_limit", "4")]);
    let clients = Clients::of(&server);
    let (backend, rest) = (clients.backend(), Rest::backend(&server));
    for number in 1..=6 {
        backend.call("booking_notification", booking(number, 2));
    }
    for number in 1..=5 {
        rest.send(&note(2, &number.to_string()));
    }
    let page = clients.facilitator(2);
    let list = PendingList(page.hear("pending_notifications"));
    assert_eq!(list.booking_ids(), [6, 5, 4, 3], "others do not take their places");
    assert_eq!((list.count(), &list.0["remaining"]), (4, &json!(2)));
    eventually("the others follow", || (page.heard("notification").len() == 5).then_some(()));
}

#[test]
fn bookings_come_by_the_booking_door_only() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let sender = Rest::claiming(&server, json!({"sub": "9", "role": "admin"}));
    for (path, to) in [
        ("/api/v1/notifications", "user_id"),
        ("/api/v1/notifications/broadcast", "user_id"),
        ("/internal/broadcast", "user_id"),
        ("/api/notifications", "recipients"),
    ] {
        let whom = if to == "user_id" { json!(2) } else { json!([2]) };
        let fake = json!({to: whom, "type": "new_booking", "title": "no booking", "data": {"booking_id": 1}});
        assert_eq!(sender.post(path, &fake).expect(422)["field"], "type", "{path}");
    }
    sender.send(&note(2, "a note"));
    assert_eq!(page.hear("notification")["title"], "a note");
    assert_eq!(page.heard("new_booking_notification"), [] as [Value; 0]);
}
