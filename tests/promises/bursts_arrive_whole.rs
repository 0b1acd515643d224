//! Two thousand bookings back to back to one facilitator arrive: all, once, in order.

use serde_json::{Value, json};

use crate::support::{Clients, Kind, Library, PendingList, Route, Server, booking, booking_ids};

const BURST: u64 = 2000;

fn in_order() -> Vec<u64> {
    (1..=BURST).collect()
}

fn burst_to(facilitator: u64) -> Value {
    json!({"booking": booking(0, facilitator), "first": 1, "count": BURST})
}

#[test]
fn a_present_facilitator_hears_a_whole_burst() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for (id, kind) in (1..).zip(Kind::all()) {
        let page = clients.facilitator_by(kind, id);
        backend.burst(burst_to(id)).wait();
        let mut heard = booking_ids(&page.hear_many("new_booking_notification", BURST as usize));
        if kind.library == Library::Python {
            heard.sort_unstable(); // it handles each message on a thread of its own
        }
        assert_eq!(heard, in_order(), "{kind:?}");
        let receipts = backend.hear_many("notification_delivered", BURST as usize);
        assert_eq!(booking_ids(&receipts), in_order(), "{kind:?}");
        page.call("get_pending_notifications", json!({"facilitator_id": id}));
        assert_eq!(page.heard("new_booking_notification").len() as u64, BURST, "{kind:?}: once each");
        assert_eq!(page.changes("disconnected"), 0, "{kind:?}");
        page.disconnect();
    }
}

#[test]
fn every_back_end_can_send_a_burst() {
    let server = Server::start();
    let clients = Clients::of(&server);
    // An old npm client over polling puts all it has into one request, and no Socket.IO server takes that.
    let able = |kind: &Kind| *kind != Kind { library: Library::Npm41, route: Route::Polling };
    for (id, kind) in (1..).zip(Kind::all().filter(able).filter(|k| k.route != Route::Upgrade)) {
        let backend = clients.backend_by(kind);
        let page = clients.facilitator_by(Kind::WEBSOCKET, id);
        backend.burst(burst_to(id)).wait();
        let heard = booking_ids(&page.hear_many("new_booking_notification", BURST as usize));
        assert_eq!(heard, in_order(), "{kind:?}");
        backend.hear_many("notification_delivered", BURST as usize);
        assert!(backend.heard("notification_error").is_empty(), "{kind:?}");
    }
}

#[test]
fn an_absent_facilitator_finds_a_whole_burst() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    backend.burst(burst_to(2)).wait();
    backend.hear_many("notification_stored", BURST as usize);
    let newest_first: Vec<u64> = (1..=BURST).rev().collect();
    for kind in Kind::all() {
        let page = clients.facilitator_by(kind, 2);
        let list = PendingList(page.hear("pending_notifications"));
        assert_eq!(list.booking_ids(), newest_first, "{kind:?}");
        assert_eq!(list.count(), BURST);
        page.disconnect();
    }
}
