//! How fast a socket sends events.

use std::time::{Duration, Instant};

/// A bucket that refills: two seconds' worth fits in.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    left: f64,
    refilled: Instant,
}

impl Pace {
    /// A full bucket.
    pub fn new(now: Instant) -> Self {
        Self { left: f64::INFINITY, refilled: now }
    }

    /// Counts one event, at `rate` per second; returns how long to wait before the next is read.
    pub fn count(&mut self, rate: f64, now: Instant) -> Option<Duration> {
        let refill = now.duration_since(self.refilled).as_secs_f64() * rate;
        self.refilled = now;
        self.left = (self.left + refill).min(rate * 2.0) - 1.0;
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / rate))
    }

    /// Whoever sends may do so at any speed.
    pub fn refill(&mut self) {
        self.left = f64::INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert!((0..20).all(|_| pace.count(10.0, start).is_none()));
        assert_eq!(pace.count(10.0, start), Some(Duration::from_millis(100)));
        assert_eq!(pace.count(10.0, start + Duration::from_secs(1)), None);
        pace.refill();
        assert_eq!(pace.count(10.0, start), None);
    }
}
