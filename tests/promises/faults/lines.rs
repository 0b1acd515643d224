//! Faults of lines: what lies between clients, nodes, Redis and PostgreSQL is cut, slow, silent, or carries nonsense.

use std::thread::sleep;
use std::time::Duration;

use super::Fault;
use super::stage::Stage;
use crate::support::{Dice, Proxy, Side};

pub const FAULTS: [Fault; 11] = [
    Fault { name: "Redis is a black hole", script: redis_blackholed },
    Fault { name: "Redis is slow (200 ms)", script: redis_slow },
    Fault { name: "Redis is cut off from one node", script: redis_partitioned },
    Fault { name: "Nonsense on Redis channels", script: redis_nonsense },
    Fault { name: "Lines to PostgreSQL are cut, replies are lost", script: postgres_replies_lost },
    Fault { name: "PostgreSQL is slow (200 ms)", script: postgres_slow },
    Fault { name: "Lines of clients are reset", script: clients_reset },
    Fault { name: "Lines of clients are black holes", script: clients_blackholed },
    Fault { name: "Lines of clients are half open", script: clients_half_open },
    Fault { name: "Lines of clients are slow (300 ms)", script: clients_slow },
    Fault { name: "Lines of clients carry 64 kbit/s", script: clients_narrow },
];

pub const OF_PACKETS: [Fault; 2] = [
    Fault { name: "Clients lose 20 % of their packets", script: clients_lose },
    Fault { name: "Redis and PostgreSQL lose 20 % of their packets", script: stores_lose },
];

fn for_a_while(lines: &[Proxy], fault: impl Fn(&Proxy), time: Duration) {
    lines.iter().for_each(fault);
    sleep(time);
    lines.iter().for_each(Proxy::heal);
}

fn redis_blackholed(stage: &mut Stage, dice: &mut Dice) {
    for_a_while(&stage.to_redis, Proxy::swallow, dice.millis(1_500, 4_000));
}

fn redis_slow(stage: &mut Stage, dice: &mut Dice) {
    for_a_while(&stage.to_redis, |line| line.delay(Duration::from_millis(200)), dice.millis(2_000, 3_500));
}

fn redis_partitioned(stage: &mut Stage, dice: &mut Dice) {
    let line = &stage.to_redis[Stage::any_node(dice)];
    line.refuse();
    line.reset();
    sleep(dice.millis(1_000, 4_000));
    line.heal();
}

fn redis_nonsense(stage: &mut Stage, dice: &mut Dice) {
    let client = redis::Client::open(stage.redis[0].url()).expect("an address");
    let mut line = client.get_connection().expect("Redis");
    for _ in 0..200 {
        let asked = redis::cmd("PUBSUB").arg("CHANNELS").query(&mut line);
        let channels: Vec<Vec<u8>> = asked.expect("the channels of all rooms");
        for channel in &channels {
            let _: usize =
                redis::cmd("PUBLISH").arg(channel).arg(nonsense(dice)).query(&mut line).expect("a number");
        }
        sleep(Duration::from_millis(10));
    }
}

fn nonsense(dice: &mut Dice) -> Vec<u8> {
    let whole = r#"{"notification":{"row":1,"position":2,"id":3,"kind":"new_booking","message":"x","data":{},"created_at":1}}"#;
    let cut = dice.below(whole.len() as u64) as usize;
    match dice.below(6) {
        0 => Vec::new(),
        1 => (0..dice.below(300)).map(|_| dice.below(256) as u8).collect(),
        2 => format!("a-node\n{}", &whole[..cut]).into_bytes(),
        3 => b"a-node\n{\"notification\":{\"row\":\"one\"}}".to_vec(),
        4 => b"a-node\n{\"something_newer\":[1,2,3]}".to_vec(),
        _ => [b"a-node\n".as_slice(), &[0xff; 5_000]].concat(),
    }
}

/// Statements arrive and are carried out; their answers do not come, and then the line is cut.
fn postgres_replies_lost(stage: &mut Stage, dice: &mut Dice) {
    for _ in 0..5 {
        let line = &stage.to_postgres[Stage::any_node(dice)];
        line.swallow_towards(&[Side::Client]);
        sleep(dice.millis(20, 400));
        line.reset();
        line.heal();
        sleep(dice.millis(100, 500));
    }
}

fn postgres_slow(stage: &mut Stage, dice: &mut Dice) {
    for_a_while(&stage.to_postgres, |line| line.delay(Duration::from_millis(200)), dice.millis(2_000, 3_500));
}

fn clients_reset(stage: &mut Stage, dice: &mut Dice) {
    for _ in 0..4 {
        stage.doors[Stage::any_node(dice)].reset();
        sleep(dice.millis(100, 1_000));
    }
}

/// Nothing arrives for a while; in the end these lines are cut, as by somebody who gives up.
fn clients_blackholed(stage: &mut Stage, dice: &mut Dice) {
    let time = dice.millis(1_500, 4_000);
    for_a_while(&stage.doors, Proxy::swallow, time);
    let line = &stage.doors[Stage::any_node(dice)];
    line.swallow();
    sleep(dice.millis(500, 1_500));
    line.reset();
    line.heal();
}

/// One side has gone, and the other does not know.
fn clients_half_open(stage: &mut Stage, dice: &mut Dice) {
    for side in [Side::Client, Side::Server] {
        stage.doors[Stage::any_node(dice)].half_close(side);
        sleep(dice.millis(700, 1_500));
    }
}

fn clients_slow(stage: &mut Stage, dice: &mut Dice) {
    for_a_while(&stage.doors, |line| line.delay(Duration::from_millis(300)), dice.millis(2_000, 3_500));
}

fn clients_narrow(stage: &mut Stage, dice: &mut Dice) {
    for_a_while(&stage.doors, |line| line.narrow(64_000 / 8), dice.millis(2_500, 4_000));
}

fn clients_lose(stage: &mut Stage, dice: &mut Dice) {
    let network = stage.network.as_ref().expect("a network");
    network.lose(20, stage.doors.iter());
    sleep(dice.millis(3_000, 5_000));
    assert!(network.heal() > 0, "no packet was lost");
}

fn stores_lose(stage: &mut Stage, dice: &mut Dice) {
    let network = stage.network.as_ref().expect("a network");
    network.lose(20, stage.to_redis.iter().chain(&stage.to_postgres));
    sleep(dice.millis(3_000, 5_000));
    assert!(network.heal() > 0, "no packet was lost");
}
