//! Faults inside PostgreSQL: it refuses transactions, kills one of two that wait for each other, and ends sessions.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Fault;
use super::stage::Stage;
use crate::support::{Dice, eventually};

pub const FAULTS: [Fault; 3] = [
    Fault { name: "PostgreSQL ends sessions", script: sessions_ended },
    Fault { name: "Deadlocks in PostgreSQL", script: deadlocks },
    Fault { name: "PostgreSQL cannot serialize", script: not_serializable },
];

/// How often what this column counts has happened in the nodes' database.
fn counted(stage: &Stage, column: &str) -> u64 {
    let query = format!("SELECT {column} FROM pg_stat_database WHERE datname = current_database()");
    let rows = stage.database.tell(&query).expect("a number");
    rows[0].parse().expect("a number")
}

fn sessions_ended(stage: &mut Stage, dice: &mut Dice) {
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'carillon'";
    let mut ended = 0;
    for _ in 0..6 {
        ended += stage.database.tell(all).expect("the number of sessions").len();
        sleep(dice.millis(50, 800));
    }
    assert!(ended > 0, "no session was ended");
}

/// From now on a transaction has each person's row for a while before it takes the next.
const SLOW: &str = "
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END';
    CREATE TRIGGER slow BEFORE UPDATE ON recipients FOR EACH ROW EXECUTE FUNCTION wait()";
const AS_EVER: &str = "DROP TRIGGER slow ON recipients; DROP FUNCTION wait()";

/// Another program locks the same people in the other order, as slowly: the two meet.
fn deadlocks(stage: &mut Stage, _: &mut Dice) {
    let latest = "SELECT id FROM recipients ORDER BY id DESC LIMIT 7";
    let lock =
        |id: &String| format!("SELECT id FROM recipients WHERE id = {id} FOR UPDATE; SELECT pg_sleep(0.02);");
    let before = counted(stage, "deadlocks");
    stage.database.tell(SLOW).expect("a trigger");
    let start = Instant::now();
    let (mut killed, mut waited) = (0, Duration::ZERO);
    // As long as it takes.
    while waited < Duration::from_secs(3) || (killed == 0 && counted(stage, "deadlocks") == before) {
        assert!(waited < Duration::from_secs(60), "nobody waited for each other");
        // On a slow machine the people of this run may only just be coming.
        let people = stage.database.tell(latest).expect("people");
        let locks: String = people.iter().map(lock).collect();
        if let Err(fault) = stage.database.tell(&format!("BEGIN; {locks} COMMIT")) {
            assert!(fault.contains("40P01"), "{fault}");
            killed += 1;
        }
        sleep(Duration::from_millis(100));
        waited = start.elapsed();
    }
    eventually("all is as ever", || stage.database.tell(AS_EVER).ok());
}

/// Transactions to the same people now exclude each other: all but one are refused. Another program's is always among
/// them.
fn not_serializable(stage: &mut Stage, _: &mut Dice) {
    let isolation = |level: &str| {
        let order = format!("ALTER SYSTEM SET default_transaction_isolation = '{level}'");
        stage.database.tell(&order).expect("a setting");
        stage.database.tell("SELECT pg_reload_conf()").expect("a reload");
    };
    // Who waits for these rows finds them changed, and is refused; not so this one.
    let rival = "BEGIN ISOLATION LEVEL READ COMMITTED; \
         UPDATE recipients SET user_id = user_id WHERE id IN (SELECT id FROM recipients ORDER BY id DESC LIMIT 7); \
         SELECT pg_sleep(0.2); COMMIT";
    let before = counted(stage, "xact_rollback");
    isolation("serializable");
    let start = Instant::now();
    eventually("a transaction is refused", || {
        if let Err(fault) = stage.database.tell(rival) {
            assert!(fault.contains("40P01"), "{fault}");
        }
        let is_refused = counted(stage, "xact_rollback") > before;
        (is_refused && start.elapsed() > Duration::from_secs(3)).then_some(())
    });
    isolation("read committed");
}
