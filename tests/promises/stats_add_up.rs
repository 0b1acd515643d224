//! The numbers in `/stats` are what is so: while people come and go, after bookings, and right after a crash.

use serde_json::json;

use crate::support::{
    Clients, Kind, PendingList, Raw, Rest, Server, booking, in_seconds, instant, note, quiet_now,
};

#[test]
fn numbers_follow_what_happens() {
    let server = Server::start();
    let clients = Clients::of(&server);
    assert_eq!(
        server.stats(),
        json!({
            "online_facilitators": 0, "backend_connected": false, "total_notifications": 0,
            "pending_notifications": 0, "facilitator_sessions": 0,
        }),
        "the seed's fields"
    );
    let backend = clients.backend();
    server.wait_for_stat("backend_connected", true);
    let tabs = [clients.facilitator(2), clients.facilitator_by(Kind::POLLING, 2), clients.facilitator(3)];
    server.wait_for_stat("online_facilitators", 2);
    server.wait_for_stat("facilitator_sessions", 3);

    backend.call("booking_notification", booking(1, 2));
    backend.call("booking_notification", booking(2, 3));
    backend.call("booking_notification", booking(3, 4));
    backend.call("booking_notification", booking(3, 4)); // a resend
    backend.call("booking_notification", json!({})); // an error
    server.wait_for_stat("total_notifications", 3);
    server.wait_for_stat("pending_notifications", 3);
    let read = tabs[0].hear("new_booking_notification")["notification_id"].clone();
    for _ in 0..2 {
        tabs[0].call("mark_notification_read", json!({"facilitator_id": 2, "notification_id": read}));
    }
    server.wait_for_stat("pending_notifications", 2);
    server.wait_for_stat("total_notifications", 3);

    tabs[0].disconnect();
    server.wait_for_stat("facilitator_sessions", 2);
    server.wait_for_stat("online_facilitators", 2); // another tab is there
    tabs[1].disconnect();
    server.wait_for_stat("online_facilitators", 1);
    tabs[2].disconnect();
    backend.disconnect();
    server.wait_for_stat("online_facilitators", 0);
    server.wait_for_stat("facilitator_sessions", 0);
    server.wait_for_stat("backend_connected", false);
}

#[test]
fn what_is_for_everybody_is_one_notification() {
    let server = Server::start();
    let admin = Rest::claiming(&server, json!({"sub": "1", "role": "admin"}));
    for person in 2..=6 {
        admin.send(&note(person, "for one"));
    }
    admin.send(&json!({"everyone": true, "type": "note", "title": "for all"}));
    // Five of their own, and one more each: nothing comes behind the last of them.
    server.wait_for_stat("pending_notifications", 10);
    assert_eq!(server.stats()["total_notifications"], 6);
}

#[test]
fn numbers_are_right_after_a_crash() {
    let mut server = Server::start();
    let mut pages: Vec<Raw> = (0..5).map(|id| Raw::facilitator(server.address, 2 + id)).collect();
    server.wait_for_stat("facilitator_sessions", 5);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    backend.call("booking_notification", booking(1, 2));
    pages[0].hear_event("new_booking_notification");
    backend.call("booking_notification", booking(1, 2)); // a resend takes no number
    backend.disconnect();
    server.kill();
    server.restart();
    if !server.is_on_sqlite() {
        // Others cannot know at once that a node is dead.
        server.wait_for_stat("facilitator_sessions", 0);
        server.wait_for_stat("backend_connected", false);
    }
    let stats = server.stats();
    assert_eq!(stats["facilitator_sessions"], 0, "nobody is connected to a server that has just started");
    assert_eq!(stats["online_facilitators"], 0);
    assert_eq!(stats["backend_connected"], false);
    assert_eq!(stats["total_notifications"], 1);
    assert_eq!(stats["pending_notifications"], 1);
    clients.backend().call("booking_notification", booking(2, 3));
    server.wait_for_stat("total_notifications", 2);
    let page = clients.facilitator(2);
    assert_eq!(PendingList(page.hear("pending_notifications")).count(), 1);
    server.wait_for_stat("facilitator_sessions", 1);
}

#[test]
fn one_socket_that_says_who_it_is_twice_is_one_session() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    for _ in 0..3 {
        let hello = crate::support::facilitator_hello(2);
        page.emit("facilitator_connect", hello[1].clone());
        page.hear("facilitator_auth_success");
    }
    clients.backend().call("booking_notification", booking(1, 2));
    page.call("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(page.heard("new_booking_notification").len(), 1, "and hears everything once");
    server.wait_for_stat("facilitator_sessions", 1);
    page.disconnect();
    server.wait_for_stat("facilitator_sessions", 0);
}

#[test]
fn what_nobody_would_be_told_is_not_pending() {
    const MINE: &str = "/api/v1/notifications/preferences";
    let server = Server::start();
    let (backend, two) = (Rest::backend(&server), Rest::user(&server, 2));
    two.put(MINE, &json!({"types": {"news": {"in_app": false}}})).expect(200);
    backend.send(&note(2, "pending"));
    backend.send(&json!({"user_id": 2, "type": "news", "title": "muted"}));
    server.wait_for_stat("pending_notifications", 1);
    backend.send(&json!({"user_id": 2, "type": "note", "title": "x", "expires_at": instant(in_seconds(15))}));
    server.wait_for_stat("pending_notifications", 2);
    server.wait_for_stat("pending_notifications", 1);
    two.put(MINE, &json!({"quiet_hours": quiet_now(), "time_zone": "UTC"})).expect(200);
    let clients = Clients::of(&server);
    clients.backend().call("booking_notification", booking(1, 2));
    for title in ["one", "two"] {
        backend.send(&note(2, title));
    }
    assert_eq!(server.stats()["pending_notifications"], 1, "they wait");
    two.put(MINE, &json!({"quiet_hours": null})).expect(200);
    // The first, the summary, and the booking, which is listed still.
    server.wait_for_stat("pending_notifications", 3);
    assert_eq!(server.stats()["total_notifications"], 7);
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).count(), 1);
}
