//! Quiet hours: when somebody does not want to be disturbed, by the clock on their wall.

use std::fmt;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Broken, Locale, Timestamp, Zone};

/// A time of day, to the minute: `22:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(pub(super) NaiveTime);

impl TryFrom<String> for TimeOfDay {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |at: usize| text.as_bytes()[at].is_ascii_digit();
        let is_spelled = text.len() == 5 && [0, 1, 3, 4].into_iter().all(is_digit);
        let time = is_spelled.then(|| NaiveTime::parse_from_str(&text, "%H:%M").ok()).flatten();
        time.map(Self).ok_or("a time of day such as 22:00")
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%H:%M").fmt(f)
    }
}

/// A day of the week: `mon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub(super) Weekday);

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse().map(Self).map_err(|_| "a day: mon, tue, wed, thu, fri, sat or sun")
    }
}

impl From<Day> for String {
    fn from(Day(day): Day) -> Self {
        day.to_string().to_ascii_lowercase()
    }
}

/// From when until when, each day or on some. What ends no later than it starts ends on the next day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Whether they count.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// They start then.
    pub start: TimeOfDay,
    /// They are over then.
    pub end: TimeOfDay,
    /// On these days they start; on all, if there are none.
    #[serde(default)]
    pub days: Vec<Day>,
}

const fn yes() -> bool {
    true
}

/// What is to be different about quiet hours. With a start and an end they are new ones; else the rest of those that
/// there are stays.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietChange {
    enabled: Option<bool>,
    start: Option<TimeOfDay>,
    end: Option<TimeOfDay>,
    days: Option<Vec<Day>>,
}

impl QuietChange {
    /// Quiet hours that were like `old`, changed.
    ///
    /// # Errors
    /// When they would have no start or end, or end when they start.
    pub fn over(self, old: Option<QuietHours>) -> Result<Option<QuietHours>, Broken> {
        let refused = |expected| Err(Broken { field: "quiet_hours", expected });
        let Self { enabled, start, end, days } = self;
        let new = match (start, end, old) {
            (Some(start), Some(end), _) => {
                QuietHours { enabled: enabled.unwrap_or(true), start, end, days: days.unwrap_or_default() }
            }
            (start, end, Some(old)) => QuietHours {
                enabled: enabled.unwrap_or(old.enabled),
                start: start.unwrap_or(old.start),
                end: end.unwrap_or(old.end),
                days: days.unwrap_or(old.days),
            },
            (None, None, None) if enabled == Some(false) => return Ok(None),
            _ => return refused("a start and an end, such as 22:00 and 07:00: there are none yet"),
        };
        match new {
            new if new.start == new.end => refused("an end that is not its start"),
            new if new.days.len() > 7 => refused("each day once"),
            new => Ok(Some(new)),
        }
    }
}

impl QuietHours {
    /// When those quiet hours are over in which `now` lies; nothing, if it lies in none. A clock change makes
    /// them longer or shorter, as it does the night.
    pub fn end_of(&self, now: Timestamp, zone: Zone) -> Option<Timestamp> {
        let now = zone.clock(now).filter(|_| self.enabled)?;
        let today = now.date_naive();
        // What began yesterday may last until today.
        let begun = [today.checked_sub_days(Days::new(1)), Some(today)].into_iter().flatten();
        let ends = begun.filter_map(|day| {
            let (start, end) = self.window(day, zone)?;
            (start <= now && now < end).then_some(end)
        });
        ends.max().map(|end| Timestamp::from_micros(end.timestamp_micros()))
    }

    /// The quiet hours that start on `day`.
    fn window(&self, day: NaiveDate, zone: Zone) -> Option<(DateTime<Tz>, DateTime<Tz>)> {
        if !self.days.is_empty() && !self.days.contains(&Day(day.weekday())) {
            return None;
        }
        let is_overnight = self.end.0 <= self.start.0;
        let last = if is_overnight { day.checked_add_days(Days::new(1))? } else { day };
        let start = zone.instant(day.and_time(self.start.0), false)?;
        Some((start, zone.instant(last.and_time(self.end.0), true)?))
    }
}

/// What tells somebody who reads this language that so many notifications waited for the end of their quiet hours.
pub fn came_meanwhile(many: usize, locale: &Locale) -> String {
    match locale.language() {
        "es" => format!("Llegaron {many} notificaciones durante tus horas de silencio"),
        "el" => format!("{many} ειδοποιήσεις ήρθαν στις ώρες ησυχίας σας"),
        _ => format!("{many} notifications came during your quiet hours"),
    }
}

#[cfg(test)]
pub(super) mod tests_only {
    #![allow(clippy::unwrap_used)]

    /// Numbers that look random, the same in each run.
    pub fn thrown(dice: &mut u64, sides: i64) -> i64 {
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        i64::try_from(*dice >> 1).unwrap() % sides
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::tests_only::thrown;
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
    }

    fn hours(start: &str, end: &str, days: &[&str]) -> QuietHours {
        let time = |text: &str| TimeOfDay::try_from(text.to_owned()).unwrap();
        let days = days.iter().map(|day| Day::try_from((*day).to_owned()).unwrap()).collect();
        QuietHours { enabled: true, start: time(start), end: time(end), days }
    }

    #[test]
    fn a_night_ends_in_the_morning() {
        let night = hours("22:00", "07:00", &[]);
        let athens = Zone::named("Europe/Athens").unwrap();
        let end = |now| night.end_of(at(now), athens).map(|end| end.to_string());
        let morning = Some("2026-01-15T05:00:00.000Z".to_owned());
        assert_eq!(end("2026-01-14T19:59:59Z"), None);
        assert_eq!(end("2026-01-14T20:00:00Z"), morning);
        assert_eq!(end("2026-01-15T04:59:59Z"), morning);
        assert_eq!(end("2026-01-15T05:00:00Z"), None);
        let off = QuietHours { enabled: false, ..night.clone() };
        assert_eq!(off.end_of(at("2026-01-14T23:00:00Z"), athens), None);
    }

    #[test]
    fn only_the_named_days_count_on_which_they_start() {
        let weekend = hours("20:00", "10:00", &["sat", "sun"]);
        let is_quiet = |now| weekend.end_of(at(now), Zone::UTC).is_some();
        assert!(!is_quiet("2026-01-16T23:00:00Z"), "Friday evening");
        assert!(is_quiet("2026-01-17T23:00:00Z"), "Saturday evening");
        assert!(is_quiet("2026-01-19T09:59:00Z"), "Monday morning still belongs to Sunday");
        assert!(!is_quiet("2026-01-19T23:00:00Z"), "Monday evening");
    }

    #[test]
    fn clock_changes_move_the_end_with_the_clock() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let end = |hours: &QuietHours, now| hours.end_of(at(now), berlin).map(|end| end.to_string());
        // On 29 March 2026 02:00 to 03:00 is left out.
        let spring = Some("2026-03-29T05:00:00.000Z".to_owned());
        assert_eq!(end(&hours("22:00", "07:00", &[]), "2026-03-28T23:00:00Z"), spring);
        let in_gap = Some("2026-03-29T01:00:00.000Z".to_owned());
        assert_eq!(end(&hours("22:00", "02:30", &[]), "2026-03-28T23:00:00Z"), in_gap);
        assert_eq!(end(&hours("22:00", "02:07", &[]), "2026-03-28T23:00:00Z"), in_gap, "when they go on");
        // On Lord Howe Island 02:00 to 02:30 was left out on 5 October 2025.
        let island = Zone::named("Australia/Lord_Howe").unwrap();
        let found = hours("22:00", "02:07", &[]).end_of(at("2025-10-04T14:00:00Z"), island);
        assert_eq!(found, Some(at("2025-10-04T15:30:00Z")));
        // On 25 October 2026 02:00 to 03:00 comes twice: it is quiet until the second 02:30.
        let autumn = Some("2026-10-25T01:30:00.000Z".to_owned());
        assert_eq!(end(&hours("22:00", "02:30", &[]), "2026-10-25T00:45:00Z"), autumn);
    }

    #[test]
    fn odd_words_are_refused() {
        for bad in ["24:00", "7:00", "07:60", "", "07:00:00", "ab:cd", " 7:00", "+7:00", "é:00"] {
            assert!(TimeOfDay::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        for bad in ["", "Mars/Olympus", "europe athens", "../../etc/localtime", "UTC+25"] {
            assert!(Zone::named(bad).is_none(), "{bad}");
        }
        assert!(Day::try_from("someday".to_owned()).is_err());
    }

    /// Over all zones and many years: whoever waits for the end is told a time to come, the same one during the
    /// whole of it, and then it is over.
    #[test]
    fn the_end_is_one_instant_and_it_comes() {
        let mut dice = 0x5eed_cafe_u64;
        for round in 0..60_000 {
            let zone =
                chrono_tz::TZ_VARIANTS[thrown(&mut dice, chrono_tz::TZ_VARIANTS.len() as i64) as usize];
            let zone = Zone::named(zone.name()).unwrap();
            let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let (start, length) = (thrown(&mut dice, 1_440), 1 + thrown(&mut dice, 1_439));
            let quiet = hours(&time(start), &time((start + length) % 1_440), &[]);
            // 1990 to 2037, where the rules are.
            let now = Timestamp::from_micros(MINUTE * (10_519_200 + thrown(&mut dice, 47 * 525_960)));
            let Some(end) = quiet.end_of(now, zone) else { continue };
            let told = format!("{} {quiet:?} at {now}: until {end} (round {round})", zone.name());
            assert!(end > now, "{told}");
            assert!(end <= now.plus_seconds(27 * 3_600), "{told}");
            let between = Timestamp::from_micros(
                now.as_micros() + thrown(&mut dice, end.as_micros() - now.as_micros()),
            );
            let again = quiet.end_of(between, zone);
            assert!(again.is_some_and(|again| again >= end), "{told}: {again:?} at {between}");
            // What is left out of a day can let one night touch the next.
            let after = quiet.end_of(end, zone);
            assert!(after.is_none_or(|after| after > end), "{told}");
        }
    }

    /// Where clocks never change, it is quiet exactly while they show what was said.
    #[test]
    fn without_clock_changes_the_wall_decides() {
        let mut dice = 0xdead_beef_u64;
        for _ in 0..60_000 {
            let (start, length) = (thrown(&mut dice, 1_440), 1 + thrown(&mut dice, 1_439));
            let time = |minutes: i64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            let quiet = hours(&time(start), &time((start + length) % 1_440), &[]);
            let minute = 28_000_000 + thrown(&mut dice, 10_000_000);
            let now = Timestamp::from_micros(MINUTE * minute);
            let shown = (minute + 330).rem_euclid(1_440);
            let gone = (shown - start).rem_euclid(1_440);
            let left = (gone < length).then_some(length - gone);
            let kolkata = Zone::named("Asia/Kolkata").unwrap();
            let found = quiet.end_of(now, kolkata).map(|end| (end.as_micros() - now.as_micros()) / MINUTE);
            assert_eq!(found, left, "{quiet:?} at {now}");
        }
    }
}
