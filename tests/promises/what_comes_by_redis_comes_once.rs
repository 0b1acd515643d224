//! However many nodes there are, what is published is stored once, and so is each entry of the stream, in its order;
//! when the node that takes them stops or dies, another one does.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{
    Cluster, METRICS_TOKEN, Proxy, Redis, Rest, Server, Shared, Upstream, eventually, get_with, on_postgres,
};

fn start(count: usize) -> Option<(Cluster, Redis)> {
    if !on_postgres() {
        return None;
    }
    let redis = Redis::private();
    let cluster = Cluster::on(&Shared::fresh().with_redis(&redis.url()).into(), count, &[]);
    redis.wait_for_listener();
    Some((cluster, redis))
}

fn note(title: u32) -> Value {
    json!({"userId": 2, "type": "note", "title": title.to_string()})
}

fn takes(node: &Server) -> bool {
    let bearer = format!("Bearer {METRICS_TOKEN}");
    get_with(node.address, "/metrics", &[("Authorization", &bearer)]).body.contains("carillon_ingest_up 1")
}

/// The node that takes what comes.
fn taker(cluster: &Cluster, among: &[usize]) -> usize {
    eventually("one node takes what comes", || among.iter().copied().find(|node| takes(cluster.node(*node))))
}

#[track_caller]
fn wait_for_all(node: &Server, count: u32) {
    let two = Rest::user(node, 2);
    eventually(&format!("all {count} came"), || {
        (two.titles().len() >= count.min(100) as usize).then_some(())
    });
    let expected: Vec<String> = (0..count).rev().take(100).map(|number| number.to_string()).collect();
    assert_eq!(two.titles(), expected, "lost, doubled or out of order");
    assert_eq!(two.get("/api/v1/notifications?limit=1").expect(200)["total_count"], count);
}

#[test]
fn three_nodes_store_one() {
    let Some((cluster, redis)) = start(3) else { return };
    taker(&cluster, &[0, 1, 2]);
    (0..30).for_each(|number| assert_eq!(redis.publish(&note(number)), 1, "one node listens"));
    eventually("all came", || (Rest::user(cluster.node(1), 2).titles().len() == 30).then_some(()));
    (30..60).for_each(|number| drop(redis.add(&note(number))));
    redis.wait_for_stream(0, 0);
    wait_for_all(cluster.node(0), 60);
    assert_eq!(cluster.nodes().iter().filter(|node| takes(node)).count(), 1);
}

#[test]
fn when_one_dies_another_takes_over() {
    let Some((mut cluster, redis)) = start(2) else { return };
    let first = taker(&cluster, &[0, 1]);
    let mut number = 0;
    let mut add = |many: u32| {
        for _ in 0..many {
            redis.add(&note(number));
            number += 1;
        }
        number
    };
    add(20);
    cluster.kill(first);
    let all = add(20);
    redis.wait_for_stream(0, 0);
    wait_for_all(cluster.node(1 - first), all);
    assert_eq!(taker(&cluster, &[1 - first]), 1 - first);

    // One that stops hands over at once.
    cluster.restart(first);
    cluster.begin_stop(1 - first);
    let all = add(20);
    assert_eq!(taker(&cluster, &[first]), first);
    cluster.end_stop(1 - first);
    redis.wait_for_stream(0, 0);
    wait_for_all(cluster.node(first), all);
}

/// A node whose database is out of reach leaves its turn to one whose database is not.
#[test]
fn who_cannot_store_lets_another_one() {
    if !on_postgres() {
        return;
    }
    let (redis, shared) = (Redis::private(), Shared::fresh());
    let proxy = Proxy::to(Upstream::Unix(shared.database.socket()));
    let shared = shared.with_redis(&redis.url());
    let url = shared.database.url_at(proxy.address);
    let cut_off = Server::on(&shared.clone().reached_at(&url).into(), &[]);
    redis.wait_for_listener();
    redis.add(&note(0));
    wait_for_all(&cut_off, 1);
    eventually("it takes what comes", || takes(&cut_off).then_some(()));
    proxy.refuse();
    proxy.reset();
    // It takes its turn, and what comes now, before there is anybody else.
    redis.add(&note(1));
    redis.wait_for_stream(1, 1);
    let well = Server::on(&shared.into(), &[]);
    (2..20).for_each(|number| drop(redis.add(&note(number))));
    redis.wait_for_stream(0, 0);
    wait_for_all(&well, 20);
    eventually("it takes what comes", || takes(&well).then_some(()));
    proxy.heal();
    eventually("it is well again", || (cut_off.get("/health/ready").status == 200).then_some(()));
    redis.publish(&note(20));
    redis.wait_for_stream(0, 0);
    wait_for_all(&cut_off, 21);
}

/// A node that was only stopped has another one's turn when it goes on: what waited for it is not stored again.
#[test]
fn who_was_stopped_stores_nothing_twice() {
    let Some((cluster, redis)) = start(2) else { return };
    // Whether it stores something before it notices is a matter of chance: several times.
    for round in 1..=4 {
        let first = taker(&cluster, &[0, 1]);
        let other = 1 - first;
        cluster.node(first).signal(Signal::SIGSTOP);
        assert_eq!(taker(&cluster, &[other]), other);
        eventually("both hear", || (redis.publish(&json!({"userId": 9})) == 2).then_some(()));
        (0..20).for_each(|number| assert_eq!(redis.publish(&note(number)), 2));
        cluster.node(first).signal(Signal::SIGCONT);
        eventually("it sees that its turn is over", || (!takes(cluster.node(first))).then_some(()));
        redis.wait_for_stream(0, 0);
        let two = Rest::user(cluster.node(other), 2);
        let all = 20 * round;
        eventually("all came", || {
            let page = two.get("/api/v1/notifications?limit=1").expect(200);
            (page["total_count"].as_u64()? >= all).then_some(())
        });
        redis.add(&json!({"userId": 3, "type": "note", "title": "after"}));
        redis.wait_for_stream(0, 0);
        assert_eq!(two.get("/api/v1/notifications?limit=1").expect(200)["total_count"], all, "doubled");
    }
}
