//! The order of play. Promises: the servers take turns and change who goes first (A B, B A, …); every measurement
//! has a fresh server and database; a round that the machine disturbed is repeated, and kept apart if it stays so.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::figures::median;
use crate::machine::fixed_work_ms;
use crate::procfs::{Sample, Watched};
use crate::settings::{Kind, Settings, Shape};
use crate::shapes::{self, Outcome};
use crate::site::Site;

/// The figure that says how fast the machine was just then.
const FIXED_WORK: &str = "fixed_work_ms";
/// By how much it may differ between the servers of a round.
const SPEED_DRIFT: f64 = 0.15;

/// All servers, once, in one shape.
#[derive(Debug, Serialize, Deserialize)]
pub struct Round {
    pub quiet: bool,
    pub outcomes: BTreeMap<Kind, Outcome>,
}

/// Everything measured in one shape.
#[derive(Debug, Serialize, Deserialize)]
pub struct Series {
    pub shape: Shape,
    /// The rounds that count: quiet ones, or all of them where too few were.
    pub rounds: Vec<Round>,
    /// Rounds left out because the machine was busy with something else.
    pub disturbed: usize,
}

impl Round {
    pub fn figure(&self, kind: Kind, name: &str) -> Option<f64> {
        let outcome = self.outcomes.get(&kind)?;
        match name {
            "load_share" => Some(outcome.usage.load_share),
            "kernel_share" => Some(outcome.usage.kernel_share),
            _ => outcome.figures.iter().find(|(figure, _)| *figure == name).map(|(_, value)| *value),
        }
    }
}

impl Series {
    /// Whether every round that counts was quiet.
    pub fn quiet(&self) -> bool {
        self.rounds.iter().all(|round| round.quiet)
    }

    /// The median over the rounds.
    pub fn median(&self, kind: Kind, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.rounds.iter().filter_map(|round| round.figure(kind, name)).collect();
        (!values.is_empty()).then(|| median(&values))
    }

    /// How many times more `over` has than `under`: median, least and greatest over the rounds.
    pub fn ratio(&self, over: Kind, under: Kind, name: &str) -> Option<(f64, f64, f64)> {
        let ratio = |round: &Round| Some(round.figure(over, name)? / round.figure(under, name)?);
        let ratios: Vec<f64> = self.rounds.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).collect();
        let least = ratios.iter().copied().min_by(f64::total_cmp)?;
        let greatest = ratios.iter().copied().max_by(f64::total_cmp)?;
        Some((median(&ratios), least, greatest))
    }
}

/// Plays every shape and writes the raw rounds after each.
pub async fn play(settings: &Settings) -> Result<Vec<Series>> {
    let mut all = if settings.resume { earlier(settings)? } else { Vec::new() };
    for &shape in &settings.only {
        if all.iter().any(|series| series.shape == shape) {
            continue;
        }
        all.push(play_shape(shape, settings).await?);
        fs::write(&settings.json, serde_json::to_string_pretty(&all)?)
            .with_context(|| format!("writing {}", settings.json.display()))?;
    }
    Ok(all)
}

/// What was measured before the run ended early.
fn earlier(settings: &Settings) -> Result<Vec<Series>> {
    let path = settings.json.display();
    let text = fs::read_to_string(&settings.json).with_context(|| format!("reading {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path} is of another load tool"))
}

async fn play_shape(shape: Shape, settings: &Settings) -> Result<Series> {
    let (mut quiet, mut disturbed) = (Vec::new(), Vec::new());
    let most = if settings.attach.is_some() { 1 } else { settings.rounds * 2 };
    for attempt in 0..most {
        if quiet.len() == settings.rounds {
            break;
        }
        let mut kinds = settings.kinds(shape);
        if attempt % 2 == 1 {
            kinds.reverse();
        }
        let mut outcomes = BTreeMap::new();
        for kind in kinds {
            outcomes.insert(kind, measure(shape, attempt + 1, kind, settings).await?);
        }
        let left_alone = outcomes.values().all(|outcome| outcome.quiet);
        // Memory does not depend on the machine's speed.
        let quiet_round = left_alone && (shape == Shape::Rss || steady(&outcomes));
        let round = Round { quiet: quiet_round, outcomes };
        if round.quiet { quiet.push(round) } else { disturbed.push(round) }
    }
    let left_out = disturbed.len();
    if quiet.len() < settings.rounds {
        quiet.append(&mut disturbed);
        return Ok(Series { shape, rounds: quiet, disturbed: 0 });
    }
    Ok(Series { shape, rounds: quiet, disturbed: left_out })
}

/// Whether the machine was about as fast for every server of a round.
fn steady(outcomes: &BTreeMap<Kind, Outcome>) -> bool {
    let times = || {
        let figures = outcomes.values().flat_map(|outcome| &outcome.figures);
        figures.filter(|(name, _)| *name == FIXED_WORK).map(|(_, time)| *time)
    };
    times().fold(0.0, f64::max) <= times().fold(f64::INFINITY, f64::min) * (1.0 + SPEED_DRIFT)
}

/// Measures one server, once more if the machine was busy.
async fn measure(shape: Shape, round: usize, kind: Kind, settings: &Settings) -> Result<Outcome> {
    let mut tries = if settings.attach.is_some() { 1 } else { 2 };
    loop {
        if settings.attach.is_none() && shape != Shape::Rss {
            await_quiet(Duration::from_secs(settings.patience));
        }
        let mut site = Site::start(shape, kind, settings).with_context(|| kind.title())?;
        let before = fixed_work_ms();
        let mut outcome = shapes::run(shape, settings, &mut site).await.with_context(|| kind.title())?;
        outcome.figures.push((FIXED_WORK, f64::midpoint(before, fixed_work_ms())));
        report_progress(shape, round, kind, &outcome);
        tries -= 1;
        if outcome.quiet || tries == 0 {
            return Ok(outcome);
        }
    }
}

/// Waits until the machine has nothing else to do for a second, but no longer than `limit`.
fn await_quiet(limit: Duration) {
    let started = Instant::now();
    while started.elapsed() < limit {
        let Ok(before) = Sample::take(&Watched::default()) else { return };
        std::thread::sleep(Duration::from_secs(1));
        if before.until_now().is_ok_and(|usage| usage.quiet()) {
            return;
        }
    }
}

fn report_progress(shape: Shape, round: usize, kind: Kind, outcome: &Outcome) {
    let figures: Vec<String> = outcome.figures.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
    let usage = &outcome.usage;
    eprintln!(
        "{shape} round {round}: {}: {} | server {:.0} %, load tool {:.0} %, kernel threads {:.0} %, others {:.0} %, stolen {:.0} %{}",
        kind.title(),
        figures.join(", "),
        usage.server_share * 100.0,
        usage.load_share * 100.0,
        usage.kernel_share * 100.0,
        usage.foreign_share * 100.0,
        usage.steal_share * 100.0,
        if outcome.quiet { "" } else { " (disturbed)" },
    );
}
