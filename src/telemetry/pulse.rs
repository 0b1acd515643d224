//! What the metrics are at one moment, so that two moments can be compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::histogram::Histogram;

/// The shortest that is told apart, in seconds.
const SHORTEST: f64 = 0.000_1;
/// Each class ends at this many times the end of the one before.
const GROWTH: f64 = 1.2;
/// Up to 40 seconds; the last class has no end.
const CLASSES: usize = 72;

/// How many took how long, by classes that never tell too short a time, and at most a fifth too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans([u64; CLASSES]);

impl Default for Spans {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Spans {
    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let mut new = *self;
        new.0.iter_mut().zip(before.0).for_each(|(now, then)| *now = now.saturating_sub(then));
        new
    }

    /// How many there are.
    pub fn many(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Within how many seconds so many of a hundred were done; nothing, if there are none.
    pub fn within(&self, percent: u64) -> Option<f64> {
        let wanted = (self.many() * percent).div_ceil(100);
        let mut so_far = 0;
        let class = self.0.iter().position(|many| {
            so_far += many;
            so_far >= wanted && so_far > 0
        })?;
        Some(SHORTEST * GROWTH.powi(i32::try_from(class).unwrap_or(0)))
    }
}

/// A histogram that this program can read, too.
pub struct Timed {
    histogram: Histogram,
    classes: Arc<[AtomicU64; CLASSES]>,
}

impl Timed {
    /// Counts in `histogram`, too.
    pub fn new(histogram: Histogram) -> Self {
        Self { histogram, classes: Arc::new(std::array::from_fn(|_| AtomicU64::new(0))) }
    }

    /// Something took so long.
    pub fn observe(&self, seconds: f64) {
        self.histogram.observe(seconds);
        let class = (seconds / SHORTEST).max(1.0).log(GROWTH).ceil() as usize;
        if let Some(count) = self.classes.get(class.min(CLASSES - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For the registry.
    pub fn histogram(&self) -> Histogram {
        self.histogram.clone()
    }

    /// How many took how long, since the start.
    pub fn counts(&self) -> Spans {
        Spans(std::array::from_fn(|class| self.classes[class].load(Ordering::Relaxed)))
    }
}

/// The metrics at one moment, of this process. What is counted is counted from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Live sockets.
    pub connections: i64,
    /// Writes that wait for their commit.
    pub writes: i64,
    /// Notifications sent and not yet confirmed.
    pub unconfirmed: i64,
    /// Notifications put into inboxes.
    pub placed: u64,
    /// Those of them that a socket took at once.
    pub pushed: u64,
    /// Those that a device confirmed.
    pub confirmed: u64,
    /// How long it took from acceptance to a socket.
    pub took: Spans,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::histogram::exponential_buckets;

    #[test]
    fn percentiles_are_never_too_short_and_at_most_a_fifth_too_long() {
        for seconds in [0.000_1, 0.000_25, 0.003, 0.012_34, 0.5, 7.0, 39.0] {
            let timed = Timed::new(Histogram::new(exponential_buckets(0.1, 2.0, 2)));
            timed.observe(seconds);
            let told = timed.counts().within(99).unwrap_or_default();
            assert!(told >= seconds * 0.999 && told <= seconds * 1.201, "{seconds} is told as {told}");
        }
    }

    #[test]
    fn only_what_came_since_counts() {
        let timed = Timed::new(Histogram::new(exponential_buckets(0.1, 2.0, 2)));
        assert_eq!(timed.counts().within(50), None, "nothing");
        timed.observe(0.0);
        timed.observe(1e9);
        let before = timed.counts();
        (0..99).for_each(|_| timed.observe(0.001));
        timed.observe(2.0);
        let new = timed.counts().since(&before);
        assert_eq!(new.many(), 100);
        assert!(new.within(99).is_some_and(|seconds| seconds < 0.0013));
        assert!(new.within(100).is_some_and(|seconds| seconds >= 2.0));
    }
}
