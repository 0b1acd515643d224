//! Several nodes on one PostgreSQL and one Redis are one service: it does not matter who is connected where, one node
//! may die, and so may Redis.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, Kind, PendingList, Redis, Shared, Socket, booking, booking_ids, eventually, on_postgres,
};

/// Between two looks of a node into the database while Redis is well: what comes faster came by Redis.
const SWEEP: Duration = Duration::from_secs(10);
/// Numbers of the second back end's bookings begin here.
const SECOND: u64 = 100_000;

/// The bookings this page has heard live, in order.
fn heard(page: &Socket) -> Vec<u64> {
    booking_ids(&page.heard("new_booking_notification"))
}

/// Every booking once, and those of each back end in the order of sending.
fn assert_whole(heard: &[u64], from_each: u64) {
    let (of_first, of_second): (Vec<u64>, Vec<u64>) = heard.iter().partition(|booking| **booking < SECOND);
    for (of_one, first) in [(of_first, 1), (of_second, SECOND)] {
        assert_eq!(of_one.len() as u64, from_each, "lost or doubled");
        let wrong = of_one.iter().zip(first..).find(|(found, expected)| **found != *expected);
        assert_eq!(wrong, None, "lost, doubled or out of order");
    }
}

fn load(to: u64, first: u64, count: u64) -> Value {
    json!({"booking": booking(0, to), "first": first, "count": count, "acks": true, "window": 32})
}

fn assert_all_stored(answers: &[Value], count: u64) {
    assert_eq!(answers.len() as u64, count);
    for answer in answers {
        assert!(answer["notification_id"].is_u64(), "{answer}");
    }
}

#[test]
fn without_redis_they_hear_each_other_by_the_database() {
    if !on_postgres() {
        return;
    }
    let cluster = Cluster::on(&Shared::fresh().with_redis("").into(), 2, &[]);
    let health = cluster.node(0).get("/health").json();
    assert_eq!((&health["status"], &health["redis"]), (&json!("healthy"), &json!("not configured")));
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let backend = here.backend();
    let (near, far) = (here.facilitator(2), there.facilitator(2));
    let alone = there.facilitator(3);
    for (page, id) in [(&near, 2), (&far, 2), (&alone, 3)] {
        // What is booked from here on is not in their lists.
        page.call("get_pending_notifications", json!({"facilitator_id": id}));
    }
    assert_all_stored(&backend.burst(load(2, 1, 100)).wait(), 100);
    far.hear_many("new_booking_notification", 100);
    let receipt = backend.call("booking_notification", booking(101, 3));
    assert!(receipt["stored_at"].is_string(), "nobody is known to be there: {receipt}");
    assert_eq!(alone.hear("new_booking_notification")["notification_id"], receipt["notification_id"]);
    far.disconnect();
    backend.call("booking_notification", booking(102, 2));
    near.hear_many("new_booking_notification", 101);
    let all: Vec<u64> = (1..=100).collect();
    assert_eq!((heard(&far), heard(&near)[..100].to_vec()), (all.clone(), all));
}

#[test]
fn a_booking_on_one_node_is_heard_on_another_at_once() {
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let backend = here.backend();
    let page = there.facilitator(2);
    let start = Instant::now();
    for number in 1..=20 {
        let receipt = backend.call("booking_notification", booking(number, 2));
        assert!(receipt["delivered_at"].is_string(), "{receipt}");
        assert_eq!(backend.hear("notification_delivered"), receipt);
        let told = page.hear("new_booking_notification");
        assert_eq!(
            (&told["booking_id"], &told["notification_id"]),
            (&json!(number), &receipt["notification_id"])
        );
    }
    assert!(start.elapsed() < 4 * SWEEP, "each came by looking into the database");

    page.disconnect();
    cluster.node(0).wait_for_stat("online_facilitators", 0);
    let receipt = backend.call("booking_notification", booking(21, 2));
    assert!(receipt["stored_at"].is_string(), "{receipt}");
    assert_eq!(backend.hear("notification_stored"), receipt);
    let list = PendingList(there.facilitator(2).hear("pending_notifications"));
    assert!(list.booking_ids().contains(&21), "{:?}", list.0);
    // Nor does it matter where one returns to.
    here.facilitator(2).hear("pending_notifications");
}

#[test]
fn all_nodes_tell_the_same_numbers() {
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let agree = |people: u64, sessions: u64, backend: bool| {
        for node in cluster.nodes() {
            node.wait_for_stat("online_facilitators", people);
            node.wait_for_stat("facilitator_sessions", sessions);
            node.wait_for_stat("backend_connected", backend);
            let health = node.get("/health").json();
            let told = (&health["online_facilitators"], &health["backend_connected"], &health["status"]);
            assert_eq!(told, (&json!(people), &json!(backend), &json!("healthy")));
        }
    };
    agree(0, 0, false);
    let backend = here.backend();
    let pages = [there.facilitator(2), there.facilitator_by(Kind::POLLING, 3), here.facilitator(2)];
    agree(2, 3, true);
    pages[0].disconnect();
    agree(2, 2, true);
    backend.disconnect();
    pages[2].disconnect();
    agree(1, 1, false);
}

#[test]
fn read_on_one_node_is_told_on_another() {
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let (desk, phone, stranger) = (here.facilitator(2), there.facilitator(2), there.facilitator(3));
    here.backend().call("booking_notification", booking(1, 2));
    let id = desk.hear("new_booking_notification")["notification_id"].clone();
    assert_eq!(phone.hear("new_booking_notification")["notification_id"], id);
    desk.emit("mark_notification_read", json!({"facilitator_id": 2, "notification_id": id}));
    for page in [&desk, &phone] {
        assert_eq!(page.hear("notification_marked_read"), json!({"notification_id": id}));
    }
    let list = phone.call("get_pending_notifications", json!({"facilitator_id": 2}));
    assert_eq!(list["count"], 0);
    stranger.call("get_pending_notifications", json!({"facilitator_id": 3}));
    assert!(stranger.heard("notification_marked_read").is_empty());
}

#[test]
fn two_back_ends_on_two_nodes_keep_their_order() {
    const EACH: u64 = 500;
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let pages = [here.facilitator(2), there.facilitator(2)];
    let backends = [here.backend(), there.backend()];
    let bursts = [backends[0].burst(load(2, 1, EACH)), backends[1].burst(load(2, SECOND, EACH))];
    let mut ids = BTreeSet::new();
    for burst in bursts {
        let answers = burst.wait();
        assert_all_stored(&answers, EACH);
        ids.extend(answers.iter().map(|answer| answer["notification_id"].as_u64()));
    }
    assert_eq!(ids.len() as u64, 2 * EACH, "a number was given twice");
    for page in &pages {
        page.hear_many("new_booking_notification", 2 * EACH as usize);
        assert_whole(&heard(page), EACH);
    }
    assert_eq!(heard(&pages[0]), heard(&pages[1]), "all tabs hear the same order");
}

/// Who arrives in the middle of a burst finds each booking in the list or hears it live.
#[test]
fn the_moment_of_arrival_misses_nothing() {
    const COUNT: u64 = 200;
    let Some(cluster) = Cluster::start(2) else { return };
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let backends = [here.backend(), there.backend()];
    for person in 1..=30 {
        let bursts = [0, 1].map(|side| backends[side].burst(load(person, 1 + side as u64 * SECOND, COUNT)));
        let page = there.facilitator(person);
        bursts.into_iter().for_each(|burst| assert_all_stored(&burst.wait(), COUNT));
        let hope = format!("all arrive at person {person}");
        eventually(&hope, || {
            let lists = page.heard("pending_notifications").into_iter();
            let listed = lists.flat_map(|list| PendingList(list).booking_ids());
            let all: BTreeSet<u64> = listed.chain(heard(&page)).collect();
            (all.len() as u64 == 2 * COUNT).then_some(())
        });
        page.disconnect();
    }
}

#[test]
fn a_killed_node_leaves_no_ghosts() {
    let Some(mut cluster) = Cluster::start(2) else { return };
    let doomed = Clients::of(cluster.node(1));
    let _pages = [doomed.facilitator(2), doomed.facilitator(3)];
    let _backend = doomed.backend();
    let here = Clients::of(cluster.node(0));
    let _stays = here.facilitator(3);
    cluster.node(0).wait_for_stat("facilitator_sessions", 3);
    cluster.kill(1);
    for (name, value) in [
        ("online_facilitators", json!(1)),
        ("facilitator_sessions", json!(1)),
        ("backend_connected", json!(false)),
    ] {
        cluster.node(0).wait_for_stat(name, value);
    }
    let receipt = here.backend().call("booking_notification", booking(1, 2));
    assert!(receipt["stored_at"].is_string(), "nobody is there to hear: {receipt}");

    // Its clients come back by themselves, and are counted again.
    cluster.restart(1);
    cluster.node(0).wait_for_stat("facilitator_sessions", 3);
    cluster.node(0).wait_for_stat("online_facilitators", 2);
}

#[test]
fn redis_may_die_under_load() {
    const EACH: u64 = 1_500;
    if !on_postgres() {
        return;
    }
    let mut redis = Redis::private();
    let cluster = Cluster::on(&Shared::fresh().with_redis(&redis.url()).into(), 2, &[]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    let [here, there] = [0, 1].map(|number| Clients::of(cluster.node(number)));
    let pages = [here.facilitator(2), there.facilitator(2)];
    let backends = [here.backend(), there.backend()];
    let bursts = [backends[0].burst(load(2, 1, EACH)), backends[1].burst(load(2, SECOND, EACH))];
    bursts.iter().for_each(|burst| burst.wait_for_answers(100));
    redis.kill();
    for node in cluster.nodes() {
        node.wait_for_health("degraded");
        assert_eq!(node.get("/health/ready").status, 200, "work goes on");
    }
    for burst in bursts {
        assert_all_stored(&burst.wait(), EACH);
    }
    // Without Redis, too, what is booked here is heard there.
    let receipt = backends[0].call("booking_notification", booking(1 + EACH, 2));
    assert!(receipt["notification_id"].is_u64(), "{receipt}");
    let arrived = |all: u64| {
        for page in &pages {
            let hope = format!("all {all} arrive");
            eventually(&hope, || (heard(page).len() as u64 >= all).then_some(()));
        }
    };
    arrived(2 * EACH + 1);

    redis.start();
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    let receipt = backends[1].call("booking_notification", booking(SECOND + EACH, 2));
    assert!(receipt["delivered_at"].is_string(), "{receipt}");
    arrived(2 * EACH + 2);
    sleep(Duration::from_millis(1_500)); // a sweep may still be under way, and must say nothing twice
    pages.iter().for_each(|page| assert_whole(&heard(page), EACH + 1));
}
