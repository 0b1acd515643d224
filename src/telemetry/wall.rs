//! What keeps a flood out of the log: of each kind of warning or error, so many lines are written at once and so many in a
//! second, and of the others only how many they were. Whoever makes a server complain cannot fill its disk.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of one kind that may come at once.
const AT_ONCE: f64 = 200.0;
/// And in a second.
const PER_SECOND: f64 = 20.0;
/// How often it is told how many were left out.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// There is one log, so there is one count.
static LEFT_OUT: LazyLock<Counter> = LazyLock::new(Counter::default);

/// Lines that were left out since the process began.
pub fn left_out() -> Counter {
    LEFT_OUT.clone()
}

/// Tells now and then how many lines were left out, if any were.
pub async fn tell() {
    let mut told = LEFT_OUT.get();
    loop {
        tokio::time::sleep(TOLD_EVERY).await;
        let now = LEFT_OUT.get();
        if now > told {
            tracing::warn!(
                lines = now - told,
                "warnings or errors of one kind came faster than they are written; these were left out"
            );
            told = now;
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
#[derive(Default)]
pub(super) struct Wall {
    /// By the place in the code that says it.
    kinds: Mutex<HashMap<Identifier, Allowance>>,
}

impl<S: Subscriber> Filter<S> for Wall {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        let now = Instant::now();
        let mut kinds = self.kinds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let passes = kinds.entry(event.metadata().callsite()).or_insert(Allowance::new(now)).take(now);
        if !passes {
            LEFT_OUT.inc();
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
