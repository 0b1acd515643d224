//! What clocks show where somebody lives, though they are put forward and back.

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeZone as _};
use chrono_tz::{GapInfo, Tz};
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A time zone by its IANA name: `Europe/Athens`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(Tz);

impl Zone {
    /// The zone that everybody has who names none.
    pub const UTC: Self = Self(Tz::UTC);

    /// The zone of this name.
    pub fn named(name: &str) -> Option<Self> {
        name.parse().ok().map(Self)
    }

    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// What clocks there show at an instant.
    pub fn clock(self, at: Timestamp) -> Option<DateTime<Tz>> {
        Some(DateTime::from_timestamp_micros(at.as_micros())?.with_timezone(&self.0))
    }

    /// When clocks there show this for the first time, or (`last`) for the last; what they never show is when they go on.
    pub fn instant(self, shown: NaiveDateTime, last: bool) -> Option<DateTime<Tz>> {
        match self.0.from_local_datetime(&shown) {
            LocalResult::Single(at) => Some(at),
            LocalResult::Ambiguous(first, second) => {
                Some(if last { first.max(second) } else { first.min(second) })
            }
            LocalResult::None => GapInfo::new(&shown, &self.0)?.end,
        }
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::UTC
    }
}

impl TryFrom<String> for Zone {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::named(&name).ok_or("a time zone by its IANA name, such as Europe/Athens")
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}
