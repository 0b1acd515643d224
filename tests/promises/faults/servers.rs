//! Faults of processes: nodes, Redis and PostgreSQL die, stand still, and come back.

use std::io::ErrorKind;
use std::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Fault;
use super::stage::Stage;
use crate::support::{Dice, Raw, Redis, SHARDS, Server, eventually};

pub const FAULTS: [Fault; 9] = [
    Fault { name: "a node is killed and restarted", script: node_killed },
    Fault { name: "a node stands still for 5 s (60 s in a soak)", script: node_stopped },
    Fault { name: "a node is asked to stop under load", script: node_asked_to_stop },
    Fault { name: "Redis is killed and restarted empty", script: redis_killed },
    Fault { name: "Redis stands still", script: redis_stopped },
    Fault { name: "Redis is read-only", script: redis_read_only },
    Fault { name: "PostgreSQL is killed and restarted", script: postgres_killed },
    Fault { name: "PostgreSQL stands still for 5 s", script: postgres_stopped },
    Fault { name: "500 clients come back at once (5,000 in a soak)", script: crowd },
];

pub const OF_CLOCKS: [Fault; 2] = [
    Fault { name: "a node's clock jumps an hour ahead, and back", script: clock_ahead },
    Fault { name: "a node's clock jumps an hour back, and ahead", script: clock_back },
];

pub const OF_CLUSTERS: [Fault; 2] = [
    Fault { name: "a node of a Redis cluster is killed and restarted", script: redis_node_killed },
    Fault { name: "a node of a Redis cluster dies, a replica follows", script: redis_node_replaced },
];

fn node_killed(stage: &mut Stage, dice: &mut Dice) {
    let node = &mut stage.nodes[Stage::any_node(dice)];
    node.kill();
    sleep(dice.millis(200, 2_000));
    node.restart();
}

fn node_stopped(stage: &mut Stage, dice: &mut Dice) {
    let node = &stage.nodes[Stage::any_node(dice)];
    node.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(if stage.is_patient { 60 } else { 5 }));
    node.signal(Signal::SIGCONT);
}

fn node_asked_to_stop(stage: &mut Stage, dice: &mut Dice) {
    let node = &mut stage.nodes[Stage::any_node(dice)];
    assert!(node.stop().success(), "it stops in good order");
    sleep(dice.millis(100, 1_000));
    node.restart();
}

fn redis_killed(stage: &mut Stage, dice: &mut Dice) {
    stage.redis[0].kill();
    sleep(dice.millis(200, 3_000));
    stage.redis[0].start();
}

fn redis_stopped(stage: &mut Stage, dice: &mut Dice) {
    stage.redis[0].stop();
    sleep(dice.millis(2_500, 4_500));
    stage.redis[0].go_on();
}

fn redis_read_only(stage: &mut Stage, dice: &mut Dice) {
    stage.redis[0].make_read_only();
    sleep(dice.millis(1_500, 3_000));
    stage.redis[0].make_writable();
}

fn postgres_killed(stage: &mut Stage, dice: &mut Dice) {
    stage.postgres.kill();
    sleep(dice.millis(200, 3_000));
    stage.postgres.start();
}

fn postgres_stopped(stage: &mut Stage, _: &mut Dice) {
    stage.postgres.stop();
    sleep(Duration::from_secs(5));
    stage.postgres.go_on();
}

fn is_master(redis: &Redis) -> bool {
    redis.ask("INFO replication").is_ok_and(|facts| facts.contains("role:master"))
}

/// One of three that have slots. They need not be the first three any more.
fn any_master(stage: &Stage, dice: &mut Dice) -> usize {
    let shard = dice.below(SHARDS as u64) as usize;
    if is_master(&stage.redis[shard]) { shard } else { shard + SHARDS }
}

/// A third of all channels has nobody for a while; who comes back is empty, and has its place again.
fn redis_node_killed(stage: &mut Stage, dice: &mut Dice) {
    let number = any_master(stage, dice);
    stage.redis[number].kill();
    sleep(dice.millis(100, 1_000));
    stage.redis[number].start();
}

/// A node dies, and its replica takes its place.
fn redis_node_replaced(stage: &mut Stage, dice: &mut Dice) {
    let number = any_master(stage, dice);
    let other = (number + SHARDS) % (2 * SHARDS);
    // It may have died in an earlier run.
    if stage.redis[other].ask("PING").is_err() {
        stage.redis[other].start();
    }
    eventually("the replica is up to date", || {
        let facts = stage.redis[other].ask("INFO replication").ok()?;
        facts.contains("master_link_status:up").then_some(())
    });
    stage.redis[number].kill();
    eventually("the replica takes over", || is_master(&stage.redis[other]).then_some(()));
}

/// What a node takes for the present, in seconds since 1970.
fn time_of_day(node: &Server) -> i64 {
    let told = node.get("/health").json()["timestamp"].as_str().unwrap_or_default().to_owned();
    chrono::DateTime::parse_from_rfc3339(&told).expect("a time").timestamp()
}

fn clock_jumps(stage: &mut Stage, hours: i64) {
    let clock = stage.clock.as_ref().expect("a clock");
    let is_ahead = |seconds: i64| {
        let [its, anothers] = [0, 1].map(|node| time_of_day(&stage.nodes[node]));
        ((its - anothers - seconds).abs() < 600).then_some(())
    };
    clock.set(hours * 3_600);
    eventually("the clock has jumped", || is_ahead(hours * 3_600));
    sleep(Duration::from_secs(2));
    clock.set(0);
    eventually("the clock is right again", || is_ahead(0));
}

fn clock_ahead(stage: &mut Stage, _: &mut Dice) {
    clock_jumps(stage, 1);
}

fn clock_back(stage: &mut Stage, _: &mut Dice) {
    clock_jumps(stage, -1);
}

/// As after a cable was pulled: all lines end at one moment, and all come back at the next.
fn crowd(stage: &mut Stage, _: &mut Dice) {
    const THREADS: u64 = 20;
    let count: u64 = if stage.is_patient { 5_000 } else { 500 };
    if let Err(fault) = rlimit::increase_nofile_limit(u64::MAX) {
        assert_ne!(fault.kind(), ErrorKind::Other, "{fault}");
    }
    let first = stage.newcomers(count);
    let (stage, together) = (&*stage, Barrier::new(THREADS as usize));
    std::thread::scope(|all| {
        for thread in 0..THREADS {
            let together = &together;
            all.spawn(move || {
                let come = || -> Vec<Raw> {
                    let people = (first + thread..first + count).step_by(THREADS as usize);
                    people.map(|id| Raw::facilitator(stage.nodes[id as usize % 2].address, id)).collect()
                };
                let before = come();
                together.wait();
                drop(before);
                drop(come());
            });
        }
    });
}
