//! Time as one number, and where it comes from.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};

/// An instant in UTC, in microseconds since 1970: what both databases keep, so nothing is rounded
/// on the way in or out. Printed as RFC 3339 with milliseconds and `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch (JWT's `NumericDate`).
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant moved by `seconds`, clamped to what the type can hold.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// So long after it.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Its day in UTC, as ISO 8601 has it.
    pub fn date(self) -> String {
        self.to_string().chars().take_while(|letter| *letter != 'T').collect()
    }

    /// Seconds from `earlier` until this instant; negative when it lies before.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "@{}us", self.0),
        }
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where "now" comes from, so that tests can move time.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_rfc3339_with_zone() {
        let time = Timestamp::from_micros(1_705_246_200_000_000);
        assert_eq!(time.to_string(), "2024-01-14T15:30:00.000Z");
        assert_eq!(time.plus_seconds(2).to_string(), "2024-01-14T15:30:02.000Z");
    }

    #[test]
    fn far_away_instants_do_not_panic() {
        assert_eq!(Timestamp::from_micros(i64::MAX).plus_seconds(9).as_micros(), i64::MAX);
        assert!(Timestamp::from_micros(i64::MAX).to_string().starts_with('@'));
    }
}
