//! A booking that waited for the end of quiet hours is pending afterwards, like any other, until it is read, though a
//! summary told of it. Who has switched bookings off is spared them here, too.

use serde_json::{Value, json};

use crate::support::{Clients, PendingList, Rest, Server, Socket, booking, eventually, note, quiet_now};

const MINE: &str = "/api/v1/notifications/preferences";

/// The bookings that are pending for facilitator 3, newest first.
#[track_caller]
fn listed(page: &Socket) -> Vec<u64> {
    PendingList(page.call("get_pending_notifications", json!({"facilitator_id": 3}))).booking_ids()
}

#[track_caller]
fn book(backend: &Socket, id: u64) -> Value {
    let receipt = backend.call("booking_notification", booking(id, 3));
    assert!(receipt["stored_at"].is_string(), "nobody was told: {receipt}");
    receipt["notification_id"].clone()
}

#[test]
fn those_that_were_summed_up_are_listed() {
    let server = Server::start();
    let (clients, three) = (Clients::of(&server), Rest::user(&server, 3));
    let (backend, page) = (clients.backend(), clients.facilitator(3));
    // So many that are done that the list begins behind them.
    for number in 0..70 {
        Rest::backend(&server).send(&note(3, &format!("done {number}")));
    }
    three.post("/api/v1/notifications/read-all", &json!({})).expect(200);
    three.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    let mut ids = vec![book(&backend, 1)];
    for _ in 0..2 {
        assert!(listed(&page).is_empty(), "it waits");
    }
    ids.extend([book(&backend, 2), book(&backend, 3)]);
    assert!(listed(&page).is_empty(), "they wait");
    three.put(MINE, &json!({"quiet_hours": null})).expect(200);
    let is_summary = |one: &Value| one["type"] == "quiet_hours_summary";
    let summary = eventually("a summary", || page.heard("notification").into_iter().find(is_summary));
    assert_eq!(summary["data"]["count"], 3, "{summary}");
    assert_eq!(listed(&page), [3, 2, 1]);
    let back = clients.facilitator(3);
    assert_eq!(PendingList(back.hear("pending_notifications")).booking_ids(), [3, 2, 1], "on return");
    page.call("mark_notification_read", json!({"facilitator_id": 3, "notification_id": ids[1]}));
    assert_eq!(listed(&page), [3, 1]);
    assert_eq!(listed(&back), [3, 1]);
    assert!(page.heard("new_booking_notification").is_empty(), "they were told once, by the summary");
}

#[test]
fn a_single_one_comes_live_and_is_listed() {
    let server = Server::start();
    let (clients, three) = (Clients::of(&server), Rest::user(&server, 3));
    let (backend, page) = (clients.backend(), clients.facilitator(3));
    three.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    let id = book(&backend, 1);
    assert!(listed(&page).is_empty(), "it waits");
    three.put(MINE, &json!({"quiet_hours": null})).expect(200);
    assert_eq!(page.hear("new_booking_notification")["notification_id"], id);
    assert_eq!(listed(&page), [1]);
}

#[test]
fn who_switched_bookings_off_has_none_pending() {
    for off in [
        json!({"types": {"new_booking": {"in_app": false}}}),
        json!({"topics": {"bookings": {"in_app": false}}}),
        json!({"channels": {"in_app": false}}),
    ] {
        let server = Server::start();
        let (clients, three) = (Clients::of(&server), Rest::user(&server, 3));
        let (backend, page) = (clients.backend(), clients.facilitator(3));
        three.put(MINE, &off).expect(200);
        book(&backend, 1);
        assert!(listed(&page).is_empty(), "{off}");
        three.put(MINE, &json!({"types": {"new_booking": {}}, "topics": {"bookings": {}}})).expect(200);
        three.put(MINE, &json!({"channels": {"in_app": true}})).expect(200);
        let told = backend.call("booking_notification", booking(2, 3));
        assert!(told["delivered_at"].is_string(), "{told}");
        assert_eq!(page.hear("new_booking_notification")["booking_id"], 2);
        assert_eq!(listed(&page), [2], "{off}");
    }
}
