//! What keeps a flood out of the log: of each kind of warning or error, so many lines are written at once and so many in a
//! second, and of the others only how many they were. Whoever makes a server complain cannot fill its disk.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one kind that may come at once.
const AT_ONCE: f64 = 200.0;
/// And in a second.
const PER_SECOND: f64 = 20.0;
/// How often it is told how many were left out.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// Kinds that are named then, and characters of what each says.
const NAMED: (usize, usize) = (5, 80);

/// There is one log, so there is one count.
static LEFT_OUT: LazyLock<Counter> = LazyLock::new(Counter::default);
/// By the place in the code that says it.
static KINDS: LazyLock<Mutex<HashMap<Identifier, Kind>>> = LazyLock::new(Mutex::default);

/// Lines that were left out since the process began.
pub fn left_out() -> Counter {
    LEFT_OUT.clone()
}

/// Tells now and then what was left out, if anything was.
pub async fn tell() {
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        if let Some((lines, of)) = untold() {
            tracing::warn!(
                lines,
                of,
                "warnings or errors of one kind came faster than they are written; these were left out"
            );
        }
    }
}

fn kinds() -> MutexGuard<'static, HashMap<Identifier, Kind>> {
    KINDS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How many lines were left out since this was asked last, and of what.
fn untold() -> Option<(u64, String)> {
    let mut kinds = kinds();
    let mut left_out: Vec<_> = kinds
        .values_mut()
        .filter(|kind| kind.left_out > 0)
        .map(|kind| (std::mem::take(&mut kind.left_out), std::mem::take(&mut kind.says)))
        .collect();
    drop(kinds);
    left_out.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let all: u64 = left_out.iter().map(|(lines, _)| lines).sum();
    let named: Vec<_> =
        left_out.iter().take(NAMED.0).map(|(lines, says)| format!("{lines} × {says}")).collect();
    let mut of = named.join("; ");
    if left_out.len() > NAMED.0 {
        let others = left_out.len() - NAMED.0;
        write!(of, "; and {others} other kinds").ok();
    }
    (all > 0).then_some((all, of))
}

/// A place in the code that says something.
struct Kind {
    allowance: Allowance,
    /// Since that was told.
    left_out: u64,
    /// The module, and what the first of them says.
    says: String,
}

/// What an event says.
struct Said(String);

impl Said {
    fn of(event: &Event<'_>) -> String {
        let mut said = Self(format!("{}: ", event.metadata().target()));
        event.record(&mut said);
        said.0
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.extend(format!("{value:?}").chars().take(NAMED.1));
        }
    }
}

/// How many more lines of one kind there may be.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    refilled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { left: AT_ONCE, refilled: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let refill = now.saturating_duration_since(self.refilled).as_secs_f64() * PER_SECOND;
        self.refilled = now;
        self.left = (self.left + refill).min(AT_ONCE);
        let is_there = self.left >= 1.0;
        if is_there {
            self.left -= 1.0;
        }
        is_there
    }
}

/// Lets warnings and errors pass at a bounded rate, and everything else.
pub(super) struct Wall;

impl<S: Subscriber> Filter<S> for Wall {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let now = Instant::now();
        let mut kinds = kinds();
        let kind = kinds.entry(event.metadata().callsite()).or_insert_with(|| Kind {
            allowance: Allowance::new(now),
            left_out: 0,
            says: String::new(),
        });
        if kind.allowance.take(now) {
            return true;
        }
        if kind.left_out == 0 {
            kind.says = Said::of(event);
        }
        kind.left_out += 1;
        LEFT_OUT.inc();
        false
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn what_was_left_out_is_named() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink).with_filter(Wall);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            for nth in 0..1_000 {
                tracing::warn!(nth, "somebody guesses, {} times", nth);
                tracing::error!("{}", "x".repeat(1_000));
            }
            for kind in 0..3 {
                tracing::warn!(kind, "rare");
            }
        });
        let (lines, of) = untold().unwrap_or_default();
        assert!((1_500..=1_600).contains(&lines), "{lines}");
        let parts: Vec<_> = of.split("; ").collect();
        assert!(
            parts.iter().any(|part| part.contains("carillon::telemetry::wall::tests: somebody guesses, ")),
            "{of}"
        );
        assert!(parts.len() == 2 && of.len() < 400 && !of.contains("rare"), "{of}");
        assert_eq!(untold(), None, "once");
    }

    #[test]
    fn a_burst_is_written_and_then_a_trickle() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let many = |allowance: &mut Allowance, now| (0..1_000).filter(|_| allowance.take(now)).count();
        assert_eq!(many(&mut allowance, start), 200);
        assert_eq!(many(&mut allowance, start + Duration::from_secs(1)), 20);
        assert_eq!(many(&mut allowance, start + Duration::from_secs(60)), 200);
    }
}
