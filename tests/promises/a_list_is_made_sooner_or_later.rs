//! Who connects while the database is away gets what waited for them as soon as it is back, without asking again.

use serde_json::json;

use crate::support::{Clients, PendingList, Postgres, Redis, Server, Shared, booking, on_postgres};

#[test]
fn an_outage_hides_nothing_from_those_who_come_meanwhile() {
    if !on_postgres() {
        return;
    }
    let mut postgres = Postgres::private();
    let server = Server::on(&Shared::of(&postgres, &Redis::shared().url()).into(), &[]);
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for number in 1..=3 {
        backend.call("booking_notification", booking(number, 2));
        backend.call("booking_notification", booking(number, 3));
    }
    postgres.kill();
    let waits = clients.facilitator(2);
    let asks = clients.facilitator(3);
    asks.emit("get_pending_notifications", json!({"facilitator_id": 3}));
    for page in [&waits, &asks] {
        assert_eq!(page.hear("error")["error"], "Notifications not available");
    }
    postgres.start();
    for page in [&waits, &asks] {
        assert_eq!(PendingList(page.hear("pending_notifications")).booking_ids(), [3, 2, 1]);
        assert_eq!(page.changes("disconnected"), 0);
    }
    assert!(backend.call("booking_notification", booking(4, 2))["delivered_at"].is_string());
    assert_eq!(waits.hear("new_booking_notification")["booking_id"], 4);
}
