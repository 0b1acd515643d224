//! Whatever breaks: what was answered arrives, at the right person, in order, and all is well by itself within half a
//! minute. `make test` does each fault once, `make faults` several times, `make soak` at random for as long as you like.

mod ledger;
mod lines;
mod network;
mod report;
mod servers;
mod sessions;
mod stage;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::support::{Dice, on_postgres};
use ledger::Ledger;
use stage::{Scene, Stage};
use verdict::Outcome;

/// Something that goes wrong for a while, and is well again when the script returns.
#[derive(Clone, Copy)]
pub struct Fault {
    pub name: &'static str,
    pub script: fn(&mut Stage, &mut Dice),
}

/// One run: load, the fault at a random moment, recovery, verdict.
fn run(stage: &mut Stage, fault: Fault, dice: &mut Dice) -> Outcome {
    let begun = Instant::now();
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        Ledger::open(stage).book_while(|| {
            std::thread::sleep(dice.millis(200, 800));
            (fault.script)(stage, dice);
        })
    }));
    let outcome = attempt.map_or_else(|_| Outcome::broken(), |evidence| Outcome::of(&evidence));
    let took = begun.elapsed().as_secs_f64();
    println!("{:<52} {outcome} ({took:.1} s)", fault.name);
    outcome.complaints.iter().take(8).for_each(|complaint| println!("    {complaint}"));
    outcome
}

/// On a thread of its own, because a stage may move its thread into another network.
fn alone(act: impl FnOnce() + Send) {
    std::thread::scope(|all| {
        if let Err(fault) = all.spawn(act).join() {
            resume_unwind(fault);
        }
    });
}

/// Each of these once, one after another; fails at the end with all violations.
fn each_once(scene: Scene, faults: &[Fault]) {
    if !on_postgres() {
        return;
    }
    alone(|| {
        let mut dice = Dice::thrown();
        let Some(mut stage) = Stage::set(scene, false) else { return };
        let mut broken = Vec::new();
        for fault in faults {
            if !run(&mut stage, *fault, &mut dice).is_kept() {
                broken.push(fault.name);
                stage = Stage::set(scene, false).expect("the same stage");
            }
        }
        assert!(broken.is_empty(), "the promise is broken by: {broken:?}");
    });
}

/// Everything that can be staged, by what it needs.
fn all() -> [(Scene, Vec<Fault>); 4] {
    let usual = [servers::FAULTS.as_slice(), &sessions::FAULTS, &lines::FAULTS].concat();
    [
        (Scene::Usual, usual),
        (Scene::Network, lines::OF_PACKETS.to_vec()),
        (Scene::Clock, servers::OF_CLOCKS.to_vec()),
        (Scene::Cluster, servers::OF_CLUSTERS.to_vec()),
    ]
}

#[test]
fn servers_may_die_and_stand_still() {
    each_once(Scene::Usual, &servers::FAULTS);
}

#[test]
fn sessions_may_be_refused_and_ended() {
    each_once(Scene::Usual, &sessions::FAULTS);
}

#[test]
fn lines_may_break_and_lie() {
    each_once(Scene::Usual, &lines::FAULTS);
}

#[test]
fn packets_may_be_lost() {
    each_once(Scene::Network, &lines::OF_PACKETS);
}

#[test]
fn clocks_may_jump() {
    each_once(Scene::Clock, &servers::OF_CLOCKS);
}

#[test]
fn a_node_of_a_cluster_may_die() {
    each_once(Scene::Cluster, &servers::OF_CLUSTERS);
}

/// What a variable of the Makefile says.
fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
#[ignore = "minutes; `make faults` writes docs/RELIABILITY.md with it"]
fn the_table_is_written() {
    assert!(on_postgres(), "`make faults` sets what is missing");
    let runs = number("CARILLON_FAULT_RUNS", 5).max(1);
    let (mut dice, mut rows) = (Dice::thrown(), Vec::new());
    for (scene, faults) in all() {
        alone(|| {
            let Some(mut stage) = Stage::set(scene, false) else { return };
            for fault in faults {
                let mut outcomes = Vec::new();
                for _ in 0..runs {
                    outcomes.push(run(&mut stage, fault, &mut dice));
                    if !outcomes.last().is_some_and(Outcome::is_kept) {
                        stage = Stage::set(scene, false).expect("the same stage");
                    }
                }
                rows.push((fault.name, outcomes));
            }
        });
    }
    report::write(runs, &rows);
    let broken = rows.iter().filter(|(_, outcomes)| !outcomes.iter().all(Outcome::is_kept));
    let broken: Vec<_> = broken.map(|(name, _)| *name).collect();
    assert!(broken.is_empty(), "the promise is broken by: {broken:?}; the table says how");
}

#[test]
#[ignore = "as long as MINUTES says; `make soak` runs it"]
fn random_faults_for_a_long_time() {
    assert!(on_postgres(), "`make soak` sets what is missing");
    let end = Instant::now() + Duration::from_secs(60 * number("CARILLON_SOAK_MINUTES", 10));
    let mut dice = Dice::thrown();
    alone(|| {
        // With packets that are lost, where that can be staged.
        let [(usual, mut faults), (network, of_packets), ..] = all();
        let mut stage = match Stage::set(network, true) {
            Some(stage) => {
                faults.extend(of_packets);
                stage
            }
            None => Stage::set(usual, true).expect("the usual stage"),
        };
        for round in 1.. {
            if Instant::now() > end {
                return;
            }
            let fault = faults[dice.below(faults.len() as u64) as usize];
            let outcome = run(&mut stage, fault, &mut dice);
            assert!(outcome.is_kept(), "broken in round {round}; its seed is the first line of this output");
        }
    });
}
