//! A receipt means durable: whenever the server is killed, every booking it answered is there afterwards, in order.

use std::collections::BTreeSet;
use std::thread::sleep;

use serde_json::{Value, json};

use crate::support::{
    Clients, Dice, Kind, PendingList, Server, backend_hello, booking, booking_ids, facilitator_hello,
};

const KILLS: u64 = 24;
const PRESENT: u64 = 2;
const ABSENT: u64 = 3;

#[test]
fn nothing_answered_is_lost_over_many_kills() {
    let mut server = Server::start();
    let mut dice = Dice::thrown();
    let clients = Clients::of(&server);
    // Default clients, only with less patience between their attempts.
    let hasty = json!({"reconnectionDelay": 20, "reconnectionDelayMax": 50});
    let page = clients.open_with(Kind::WEBSOCKET, &[facilitator_hello(PRESENT)], hasty.clone());
    let by_socket = clients.open_with(Kind::WEBSOCKET, &[backend_hello()], hasty.clone());
    let by_polling = clients.open_with(Kind::POLLING, &[backend_hello()], hasty);

    let mut receipts: Vec<(u64, Value)> = Vec::new();
    for round in 1..=KILLS {
        by_socket.hear("backend_auth_success");
        by_polling.hear("backend_auth_success");
        page.hear("facilitator_auth_success");
        let load = |to: u64| json!({"booking": booking(0, to), "first": round * 100_000, "count": 99_999, "acks": true, "window": 8});
        let to_present = by_socket.burst(load(PRESENT));
        let to_absent = by_polling.burst(load(ABSENT));
        // At any moment, also before the first answer; but not always.
        if round % 2 == 0 {
            to_present.wait_for_answers(3);
        }
        sleep(dice.millis(2, 80));
        server.kill();
        receipts.extend(to_present.wait().into_iter().map(|answer| (PRESENT, answer)));
        receipts.extend(to_absent.wait().into_iter().map(|answer| (ABSENT, answer)));
        server.restart();
    }
    println!("{} bookings were answered before {KILLS} kills", receipts.len());
    assert!(receipts.len() > KILLS as usize, "there was no load to speak of");
    page.hear("facilitator_auth_success");

    let absent = PendingList(clients.facilitator(ABSENT).hear("pending_notifications")).booking_ids();
    assert!(
        absent.is_sorted_by(|newer, older| newer > older),
        "newest first, in the order of sending, each once"
    );
    let mut seen: BTreeSet<u64> = booking_ids(&page.heard("new_booking_notification")).into_iter().collect();
    let returned = clients.facilitator(PRESENT);
    let present = PendingList(returned.hear("pending_notifications")).booking_ids();
    assert!(
        present.is_sorted_by(|newer, older| newer > older),
        "newest first, in the order of sending, each once"
    );
    seen.extend(&present);

    for (to, answer) in &receipts {
        let booking_id =
            answer["booking_id"].as_u64().unwrap_or_else(|| panic!("an error under load: {answer}"));
        let arrived = if *to == ABSENT { absent.contains(&booking_id) } else { seen.contains(&booking_id) };
        assert!(arrived, "{booking_id} to {to} was answered and is lost: {answer}");
    }
    let stored = server.stats()["total_notifications"].as_u64().expect("a number") as usize;
    assert_eq!(stored, absent.len() + present.len(), "the count agrees with what arrives");
}

#[test]
fn ids_are_never_given_twice() {
    let mut server = Server::start();
    let clients = Clients::of(&server);
    let mut ids = BTreeSet::new();
    for round in 0..4 {
        let backend = clients.backend();
        let order = json!({"booking": booking(0, 2), "first": round * 1000, "count": 50, "acks": true});
        for answer in backend.burst(order).wait() {
            assert!(ids.insert(answer["notification_id"].as_u64()), "given twice: {answer}");
        }
        server.kill();
        server.restart();
    }
    assert_eq!(ids.len(), 200);
}
