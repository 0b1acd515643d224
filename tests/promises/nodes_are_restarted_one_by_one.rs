//! Three nodes behind a balancer are restarted one after another while back ends book: nothing is lost, nobody is
//! stranded, and everybody comes back by themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Balancer, Clients, Cluster, Kind, PendingList, Route, Shared, Socket, booking, booking_ids, eventually,
    on_postgres,
};

/// A back end that has no receipt by then asks again.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Facilitators 2, 3, …
const FIRST_PERSON: u64 = 2;

#[test]
fn nothing_is_lost_and_nobody_stranded() {
    if !on_postgres() {
        return;
    }
    let mut cluster = Cluster::on(&Shared::fresh().into(), 3, &[]);
    let balancer = Balancer::over(cluster.nodes().iter().map(|node| node.address).collect());
    let clients = Clients::at(&balancer.url());
    let kinds: Vec<Kind> = Kind::all().collect();
    let pages: Vec<Socket> =
        (FIRST_PERSON..).zip(&kinds).map(|(person, kind)| clients.facilitator_by(*kind, person)).collect();
    let backends: Vec<Socket> = [Route::WebSocket, Route::Polling, Route::Upgrade]
        .into_iter()
        .map(|route| clients.backend_by(Kind { route, ..Kind::USUAL }))
        .collect();

    // As a careful back end does: each booking again and again until there is a receipt.
    let mut accepted: Vec<BTreeSet<u64>> = vec![BTreeSet::new(); pages.len()];
    let mut number = 0;
    let mut book = |rounds: usize| {
        for _ in 0..rounds {
            for (person, accepted) in (FIRST_PERSON..).zip(&mut accepted) {
                number += 1;
                let backend = &backends[number as usize % backends.len()];
                let receipt = eventually("a booking is accepted", || {
                    let answer =
                        backend.try_call("booking_notification", booking(number, person), TIMEOUT)?;
                    answer["notification_id"].is_u64().then_some(answer)
                });
                assert_eq!(receipt["booking_id"], number);
                accepted.insert(number);
            }
        }
    };
    book(3);
    for node in 0..3 {
        cluster.begin_stop(node);
        book(5);
        assert!(cluster.end_stop(node).success());
        cluster.restart(node);
        book(3);
    }
    for ((person, page), accepted) in (FIRST_PERSON..).zip(&pages).zip(&accepted) {
        eventually(&format!("facilitator {person} has everything"), || {
            let mut has: BTreeSet<u64> =
                booking_ids(&page.heard("new_booking_notification")).into_iter().collect();
            for list in page.heard("pending_notifications") {
                has.extend(PendingList(list).booking_ids());
            }
            accepted.is_subset(&has).then_some(())
        });
        assert!(page.changes("disconnected") <= 3 * 2, "{} was sent back too often", page.name);
    }
    let online = pages.len();
    for node in cluster.nodes() {
        node.wait_for_stat("online_facilitators", online);
        node.wait_for_stat("backend_connected", json!(true));
    }
}
