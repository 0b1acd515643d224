//! Who stays for a heartbeat round after a booking has it: it is confirmed, and does not come again.

use serde_json::json;

use crate::support::{Clients, Kind, PendingList, Server, booking};

#[test]
fn who_stays_hears_it_once() {
    let server = Server::with(&[
        ("realtime.ping_interval_ms", "500"),
        ("realtime.ping_timeout_ms", "4000"),
        ("realtime.tcp_user_timeout_ms", "2000"),
        ("realtime.confirm_margin_ms", "200"),
    ]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let pages: Vec<_> =
        (1..).zip(Kind::all()).map(|(id, kind)| (id, clients.facilitator_by(kind, id))).collect();
    for (id, page) in &pages {
        backend.call("booking_notification", booking(1, *id));
        page.hear("new_booking_notification");
    }
    server.wait_for_stat("pending_notifications", 0); // with no word from the pages: they know nothing of this
    for (id, page) in &pages {
        assert_eq!(
            page.call("get_pending_notifications", json!({"facilitator_id": id}))["count"],
            0,
            "{}",
            page.name
        );
        assert_eq!(page.changes("disconnected"), 0, "{} stayed", page.name);
        page.disconnect();
        let returned = clients.facilitator(*id);
        returned.emit("get_pending_notifications", json!({"facilitator_id": id}));
        assert_eq!(returned.hear("pending_notifications")["count"], 0, "{}", page.name);
        assert_eq!(page.heard("new_booking_notification").len(), 1, "{}", page.name);
        returned.disconnect();
    }
}

#[test]
fn who_leaves_within_the_round_hears_it_again() {
    let mut server = Server::start(); // a round takes over a minute by default
    let clients = Clients::of(&server);
    let page = clients.facilitator(2);
    let receipt = clients.backend().call("booking_notification", booking(1, 2));
    page.hear("new_booking_notification");
    assert_eq!(server.stats()["pending_notifications"], 1, "sent is not confirmed");
    page.cut();
    let list = PendingList(page.hear("pending_notifications"));
    assert_eq!(list.notifications()[0]["notification_id"], receipt["notification_id"]);
    // A clean good-bye says nothing about what was seen before it, and neither does a crash of the server.
    page.disconnect();
    server.kill();
    server.restart();
    assert_eq!(PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids(), [1]);
}

#[test]
fn the_list_that_follows_success_leaves_out_what_just_rang() {
    let server = Server::with(&[("booking.pending_delay_ms", "6000")]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    // The processes of the clients are there before the pages' time begins.
    clients.stranger_by(Kind::PYTHON).disconnect();
    let kinds = [(1, Kind::WEBSOCKET), (2, Kind::POLLING), (3, Kind::PYTHON)];
    kinds.iter().for_each(|(id, _)| drop(backend.call("booking_notification", booking(1, *id))));
    let pages = kinds.map(|(id, kind)| (id, clients.facilitator_by(kind, id)));
    for (id, page) in &pages {
        backend.call("booking_notification", booking(2, *id));
        page.hear("new_booking_notification");
        assert!(page.heard("pending_notifications").is_empty(), "the machine is too slow for this test");
    }
    for (_, page) in &pages {
        let list = PendingList(page.hear("pending_notifications"));
        assert_eq!(list.booking_ids(), [1], "{}: pages add up all they get", page.name);
    }
}
