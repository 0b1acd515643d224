//! Lines between a node and Redis, or PostgreSQL, break in every way that lines do. Nothing answered is lost, nothing
//! comes twice, and all is well by itself afterwards.

use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Clients, Cluster, PendingList, Postgres, Proxy, Redis, RedisCluster, Server, Shared, Side, Upstream,
    booking, booking_ids, eventually, on_postgres,
};

/// One node has Redis behind the proxy, the other has it directly.
#[test]
fn a_node_that_loses_redis_hears_by_other_ways() {
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let proxy = Proxy::to(Upstream::Unix(Redis::shared().socket()));
    let near = Server::on(&shared.clone().into(), &[]);
    let far = Server::on(&shared.with_redis(&format!("redis://{}", proxy.address)).into(), &[]);
    far.wait_for_health("healthy");
    let (here, there) = (Clients::of(&near), Clients::of(&far));
    let pages = [here.facilitator(2), there.facilitator(2)];
    // What is booked before the list is made may come in it.
    for page in &pages {
        page.emit("get_pending_notifications", json!({"facilitator_id": 2}));
        page.hear("pending_notifications");
    }
    let backends = [here.backend(), there.backend()];
    let faults: [(&str, &dyn Fn()); 7] = [
        ("reset", &|| proxy.reset()),
        ("hung up", &|| proxy.hang_up()),
        ("swallowed", &|| proxy.swallow()),
        ("deaf", &|| proxy.swallow_towards(&[Side::Client])),
        ("half closed", &|| proxy.half_close(Side::Client)),
        ("slow", &|| proxy.delay(Duration::from_millis(300))),
        ("refused", &|| {
            proxy.refuse();
            proxy.reset();
        }),
    ];
    let mut number = 0;
    for (name, fault) in faults {
        println!("the line is {name}");
        fault();
        for _ in 0..3 {
            for backend in &backends {
                number += 1;
                let receipt = backend.call("booking_notification", booking(number, 2));
                assert!(receipt["notification_id"].is_u64(), "{name}: {receipt}");
            }
            sleep(Duration::from_millis(700));
        }
        for page in &pages {
            let hope = format!("all arrive although the line is {name}");
            eventually(&hope, || {
                (page.heard("new_booking_notification").len() as u64 >= number).then_some(())
            });
        }
        proxy.heal();
        far.wait_for_health("healthy");
    }
    for page in &pages {
        let heard = booking_ids(&page.heard("new_booking_notification"));
        assert_eq!(heard, (1..=number).collect::<Vec<_>>());
    }
}

/// What was booked at a node without Redis is told as soon as it has Redis again: nobody waits for a sweep.
#[test]
fn what_could_not_be_told_is_told_on_return() {
    const SWEEP: Duration = Duration::from_secs(10);
    let Some((far, proxy, shared)) = behind_a_line() else { return };
    let near = Server::on(&shared.with_redis(&Redis::shared().url()).into(), &[]);
    near.wait_for_health("healthy");
    let page = Clients::of(&near).facilitator(2);
    let backend = Clients::of(&far).backend();
    let mut waited = Duration::ZERO;
    for number in 1..=4 {
        proxy.refuse();
        proxy.reset();
        far.wait_for_health("degraded");
        backend.call("booking_notification", booking(number, 2));
        proxy.heal();
        far.wait_for_health("healthy");
        let healed = Instant::now();
        assert_eq!(page.hear("new_booking_notification")["booking_id"], number);
        waited += healed.elapsed();
    }
    assert!(waited < SWEEP, "four times, together {waited:?}");
}

/// A server, the line by which it has Redis, and what it shares.
fn behind_a_line() -> Option<(Server, Proxy, Shared)> {
    if !on_postgres() {
        return None;
    }
    let proxy = Proxy::to(Upstream::Unix(Redis::shared().socket()));
    let shared = Shared::fresh().with_redis(&format!("redis://{}", proxy.address));
    let server = Server::on(&shared.clone().into(), &[]);
    server.wait_for_health("healthy");
    Some((server, proxy, shared))
}

#[test]
fn receipts_keep_their_order_when_redis_is_slow() {
    let Some((server, proxy, _)) = behind_a_line() else { return };
    let backend = Clients::of(&server).backend();
    backend.call("booking_notification", booking(1, 3));
    proxy.delay(Duration::from_millis(300));
    for number in [2, 1, 3] {
        backend.emit("booking_notification", booking(number, 3));
    }
    let receipts = booking_ids(&backend.hear_many("notification_stored", 4));
    assert_eq!(receipts, [1, 2, 1, 3], "the third answers a resend, which waits for its turn");
}

/// What is called delivered was handed to a socket at that time: also to somebody who has only just come.
#[test]
fn delivered_means_delivered_when_redis_is_slow() {
    let Some((server, proxy, _)) = behind_a_line() else { return };
    let clients = Clients::of(&server);
    let backend = clients.backend();
    proxy.delay(Duration::from_millis(300));
    let page = clients.facilitator(2);
    let receipt = backend.call("booking_notification", booking(1, 2));
    let heard = page.hear("new_booking_notification");
    assert_eq!(heard["notification_id"], receipt["notification_id"]);
    let again = backend.call("booking_notification", booking(1, 2));
    assert_eq!(again["delivered_at"], receipt["delivered_at"], "it was delivered once");
}

#[test]
fn a_failover_that_lost_some_silences_nobody() {
    const LOST: u64 = 200;
    if !on_postgres() {
        return;
    }
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let page = clients.facilitator(2);
    let order = json!({"booking": booking(0, 2), "first": 1, "count": LOST + 1, "acks": true});
    backend.burst(order).wait();
    page.hear_many("new_booking_notification", LOST as usize + 1);
    let lost = "DELETE FROM inbox WHERE position > 1; DELETE FROM notifications WHERE id > 1; \
         UPDATE recipients SET last_position = 1";
    server.sql("", lost);
    // Long before its places are those that the page has been served already.
    let mut number = 1_000;
    eventually("the page hears again", || {
        std::thread::sleep(Duration::from_millis(500));
        number += 1;
        backend.call("booking_notification", booking(number, 2));
        booking_ids(&page.heard("new_booking_notification")).contains(&number).then_some(())
    });
    assert!(number < 1_000 + LOST / 2, "it heard only what came at a new place");
    // Nothing of what came meanwhile is lost.
    let listed = PendingList(clients.facilitator(2).hear("pending_notifications")).booking_ids();
    let heard = booking_ids(&page.heard("new_booking_notification"));
    let missing = (1_001..=number).find(|number| !heard.contains(number) && !listed.contains(number));
    assert_eq!(missing, None, "{heard:?} {listed:?}");
}

#[test]
fn redis_may_be_a_cluster() {
    if !on_postgres() {
        return;
    }
    let redis = RedisCluster::start();
    let cluster = Cluster::on(&Shared::fresh().with_redis(&redis.url()).into(), 2, &[]);
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));
    let (here, there) = (Clients::of(cluster.node(0)), Clients::of(cluster.node(1)));
    let backend = here.backend();
    // Many people, so that every part of the cluster has some.
    for person in 1..=12 {
        let page = there.facilitator(person);
        let receipt = backend.call("booking_notification", booking(person, person));
        assert!(receipt["delivered_at"].is_string(), "{receipt}");
        assert_eq!(page.hear("new_booking_notification")["booking_id"], person);
        page.disconnect();
    }
}

/// Bookings under way while PostgreSQL goes away are answered when it is back, or refused: never both or neither.
#[test]
fn postgres_may_die_and_come_back() {
    const COUNT: u64 = 2_000;
    if !on_postgres() {
        return;
    }
    let mut postgres = Postgres::private();
    let shared = Shared::of(&postgres, &Redis::shared().url());
    let cluster = Cluster::on(&shared.into(), 2, &[]);
    let (here, there) = (Clients::of(cluster.node(0)), Clients::of(cluster.node(1)));
    let (backend, page) = (here.backend(), there.facilitator(2));
    let load = json!({"booking": booking(0, 2), "first": 1, "count": COUNT, "acks": true, "window": 32});
    let burst = backend.burst(load);
    burst.wait_for_answers(100);
    postgres.kill();
    sleep(Duration::from_secs(1));
    postgres.start();
    assert_answers_are_kept(&burst.wait(), COUNT, || booking_ids(&page.heard("new_booking_notification")));
    cluster.nodes().iter().for_each(|node| node.wait_for_health("healthy"));

    // It stands still for longer than anybody waits.
    postgres.stop();
    eventually("a still database is noticed", || {
        (cluster.node(0).get("/health/ready").status == 503).then_some(())
    });
    postgres.go_on();
    for node in cluster.nodes() {
        eventually("readiness comes back", || (node.get("/health/ready").status == 200).then_some(()));
    }
    let receipt = backend.call("booking_notification", booking(COUNT + 1, 3));
    assert!(receipt["stored_at"].is_string(), "{receipt}");
    let list = PendingList(there.facilitator(3).hear("pending_notifications"));
    assert_eq!(list.booking_ids(), [COUNT + 1]);
}

/// Every line to PostgreSQL is cut again and again.
#[test]
fn cut_lines_to_postgres_lose_and_double_nothing() {
    const COUNT: u64 = 2_000;
    if !on_postgres() {
        return;
    }
    let shared = Shared::fresh();
    let proxy = Proxy::to(Upstream::Unix(shared.database.socket()));
    let url = shared.database.url_at(proxy.address);
    let server = Server::on(&shared.reached_at(&url).into(), &[]);
    let clients = Clients::of(&server);
    let (backend, page) = (clients.backend(), clients.facilitator(2));
    let load = json!({"booking": booking(0, 2), "first": 1, "count": COUNT, "acks": true, "window": 32});
    let burst = backend.burst(load);
    for round in 1..=10 {
        burst.wait_for_answers(100 * round);
        proxy.reset();
    }
    assert_answers_are_kept(&burst.wait(), COUNT, || booking_ids(&page.heard("new_booking_notification")));
}

/// All were answered; those that were answered as stored arrive, each once and in order.
fn assert_answers_are_kept(answers: &[Value], count: u64, heard: impl Fn() -> Vec<u64>) {
    assert_eq!(answers.len() as u64, count, "some were never answered");
    let stored = |answer: &&Value| answer["notification_id"].is_u64();
    let kept: Vec<u64> =
        answers.iter().filter(stored).filter_map(|answer| answer["booking_id"].as_u64()).collect();
    println!("{} of {count} were stored", kept.len());
    let hope = "all that were stored arrive";
    let arrived =
        eventually(hope, || Some(heard()).filter(|heard| kept.iter().all(|one| heard.contains(one))));
    assert!(arrived.is_sorted_by(|before, after| before < after), "doubled or out of order: {arrived:?}");
}
