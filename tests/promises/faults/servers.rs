//! Faults of processes: nodes, Redis and PostgreSQL die, stand still, and come back.

use std::io::ErrorKind;
use std::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Fault;
use super::stage::Stage;
use crate::support::{Dice, Raw};

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
    stage.redis.kill();
    sleep(dice.millis(200, 3_000));
    stage.redis.start();
}

fn redis_stopped(stage: &mut Stage, dice: &mut Dice) {
    stage.redis.stop();
    sleep(dice.millis(2_500, 4_500));
    stage.redis.go_on();
}

fn redis_read_only(stage: &mut Stage, dice: &mut Dice) {
    stage.redis.make_read_only();
    sleep(dice.millis(1_500, 3_000));
    stage.redis.make_writable();
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
