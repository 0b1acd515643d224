//! When something that recurs is due: a cron expression by the clocks of a time zone.
//!
//! Clocks are put forward and back. What is due at given hours is due once each day, whatever they do: at a time that
//! is left out, as soon as the clocks go on; at one that comes twice, the first time. What is due every hour (the hour
//! is `*`) goes by hours that really pass: none that is left out, both of one that comes twice.

use std::fmt;

use chrono::{DateTime, MappedLocalTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::{Broken, Timestamp, Zone};

/// Bytes of an expression.
const LONGEST: usize = 256;

const CRON: Broken = Broken {
    field: "cron",
    expected: "five fields (minute, hour, day of the month, month, day of the week) that come to pass, such as \
               `30 9 * * MON-FRI`; or six, with seconds in front",
};
const ZONE: Broken =
    Broken { field: "time_zone", expected: "the name of an IANA time zone, such as Europe/Athens or UTC" };

/// A cron expression in a time zone.
#[derive(Clone)]
pub struct Recurrence {
    cron: Cron,
    text: String,
    zone: Zone,
    /// Not before.
    pub starts_at: Option<Timestamp>,
    /// Then no longer.
    pub ends_at: Option<Timestamp>,
}

impl fmt::Debug for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}..{:?}", self.text, self.zone(), self.starts_at, self.ends_at)
    }
}

impl Recurrence {
    /// Reads `cron`, of five fields or six, for the clocks of `zone`.
    ///
    /// # Errors
    /// When either is none, or that time never comes.
    pub fn new(cron: &str, zone: &str) -> Result<Self, Broken> {
        let zone = Zone::named(zone).ok_or(ZONE)?;
        let fields = cron.split_whitespace().count();
        if cron.len() > LONGEST || !cron.is_ascii() || !(5..=6).contains(&fields) {
            return Err(CRON);
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let parsed = parser.parse(cron).map_err(|_| CRON)?;
        let text = cron.split_whitespace().collect::<Vec<_>>().join(" ");
        let recurrence = Self { cron: parsed, text, zone, starts_at: None, ends_at: None };
        // A day that there is not is found out at once: leap years repeat.
        match recurrence.next_after(Timestamp::from_micros(0)) {
            Some(_) => Ok(recurrence),
            None => Err(CRON),
        }
    }

    /// The expression.
    pub fn cron(&self) -> &str {
        &self.text
    }

    /// The name of the time zone.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// Whether it says at which seconds.
    pub fn has_seconds(&self) -> bool {
        self.text.split(' ').count() == 6
    }

    /// When it is due for the first time after `at`.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = self.starts_at.map_or(at, |start| at.max(Timestamp::from_micros(start.as_micros() - 1)));
        let next = match self.is_hourly() {
            true => self.cron.find_next_occurrence(&self.clock(at)?, false).ok().map(|next| instant(&next)),
            false => self.next_once(at),
        };
        next.filter(|next| self.ends_at.is_none_or(|end| *next < end))
    }

    /// When it was due for the last time until `at`, if it was due at `due` or later.
    fn last_until(&self, at: Timestamp, due: Timestamp) -> Timestamp {
        let at = self.ends_at.map_or(at, |end| at.min(Timestamp::from_micros(end.as_micros() - 1)));
        let last = match self.is_hourly() {
            true => self
                .clock(at)
                .and_then(|at| self.cron.find_previous_occurrence(&at, true).ok())
                .map(|last| instant(&last)),
            false => self.last_once(at),
        };
        last.unwrap_or(due).max(due)
    }

    /// Of what was due at `due`, and perhaps again and again until `now`: the last time, and the next one.
    pub fn come_round(&self, due: Timestamp, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let next = self.next_after(due);
        if next.is_none_or(|next| next > now) {
            return (due, next);
        }
        (self.last_until(now, due), self.next_after(now))
    }

    fn is_hourly(&self) -> bool {
        (0..24).all(|hour| self.cron.pattern.hour_match(hour).unwrap_or(false))
    }

    fn clock(&self, at: Timestamp) -> Option<DateTime<Tz>> {
        // To the second, like the expression.
        self.zone.clock(Timestamp::from_micros(at.as_seconds() * 1_000_000))
    }

    /// What clocks showed, or ought to have shown, next: the expression knows nothing of zones here.
    fn next_once(&self, at: Timestamp) -> Option<Timestamp> {
        let mut shown = self.clock(at)?.naive_local().and_utc();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            // In an hour that comes again, what was due the first time is over.
            if let Some(next) = self.shown_first(shown).filter(|next| *next > at) {
                return Some(next);
            }
        }
    }

    fn last_once(&self, at: Timestamp) -> Option<Timestamp> {
        let clock = self.clock(at)?;
        let mut shown = clock.naive_local();
        if let MappedLocalTime::Ambiguous(first, second) = clock.timezone().from_local_datetime(&shown)
            && second == clock
        {
            // In an hour that comes again, all that follows in it has been due.
            shown += second - first;
        }
        let mut shown = self.cron.find_previous_occurrence(&shown.and_utc(), true).ok()?;
        loop {
            if let Some(last) = self.shown_first(shown).filter(|last| *last <= at) {
                return Some(last);
            }
            shown = self.cron.find_previous_occurrence(&shown, false).ok()?;
        }
    }

    /// When clocks show this for the first time, or pass over it.
    fn shown_first(&self, shown: DateTime<Utc>) -> Option<Timestamp> {
        self.zone.instant(shown.naive_utc(), false).map(|at| instant(&at))
    }
}

fn instant(at: &DateTime<Tz>) -> Timestamp {
    Timestamp::from_micros(at.timestamp_micros())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Instant;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
    }

    fn recurs(cron: &str, zone: &str) -> Recurrence {
        Recurrence::new(cron, zone).unwrap()
    }

    /// All times from `from` on until `to`.
    fn all(recurrence: &Recurrence, from: &str, to: &str) -> Vec<String> {
        let (mut found, mut last, end) = (Vec::new(), at(from), at(to));
        while let Some(next) = recurrence.next_after(last).filter(|next| *next <= end) {
            found.push(next.to_string());
            last = next;
        }
        found
    }

    #[test]
    fn what_is_no_time_names_its_field() {
        let field = |cron, zone| Recurrence::new(cron, zone).err().map(|broken| broken.field);
        assert_eq!(field("30 9 * * MON-FRI", "Europe/Athens"), None);
        assert_eq!(field("*/5 * * * * *", "UTC"), None);
        assert_eq!(field("0 9 29 2 *", "UTC"), None, "there are leap years");
        assert_eq!(field("0 9 L * *", "UTC"), None);
        let began = Instant::now();
        let long = "1,".repeat(200) + "1 * * * *";
        for bad in [
            "",
            "* * * *",
            "61 * * * *",
            "* * * * * * *",
            "@daily",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
            "a b c d e",
            "* * * * ÿ",
            &long,
        ] {
            assert_eq!(field(bad, "UTC"), Some("cron"), "{bad}");
        }
        // Nobody looks for them for ever.
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        for bad in ["", "Mars/Olympus", "europe/athens\0", "+02:00"] {
            assert_eq!(field("* * * * *", bad), Some("time_zone"), "{bad}");
        }
    }

    #[test]
    fn a_time_that_is_left_out_is_due_when_clocks_go_on() {
        // In Berlin 02:00 became 03:00 on 30 March 2025, and 03:00 became 02:00 on 26 October.
        let daily = recurs("30 2,14 * * *", "Europe/Berlin");
        let found = all(&daily, "2025-03-29T20:00:00Z", "2025-03-31T00:00:00Z");
        assert_eq!(found, ["2025-03-30T01:00:00.000Z", "2025-03-30T12:30:00.000Z"].map(str::to_owned));
        let both = recurs("0 2,3 * * *", "Europe/Berlin");
        assert_eq!(all(&both, "2025-03-29T20:00:00Z", "2025-03-30T20:00:00Z").len(), 1, "at once, and once");
    }

    #[test]
    fn a_time_that_comes_twice_is_due_the_first_time() {
        let daily = recurs("30 2,14 * * *", "Europe/Berlin");
        let found = all(&daily, "2025-10-25T20:00:00Z", "2025-10-27T00:00:00Z");
        assert_eq!(found, ["2025-10-26T00:30:00.000Z", "2025-10-26T13:30:00.000Z"].map(str::to_owned));
        let hourly = recurs("30 * * * *", "Europe/Berlin");
        let found = all(&hourly, "2025-10-25T23:00:00Z", "2025-10-26T03:00:00Z");
        assert_eq!(found.len(), 4, "every hour that passes: {found:?}");
        assert_eq!(all(&hourly, "2025-03-29T23:00:00Z", "2025-03-30T03:00:00Z").len(), 4);
    }

    #[test]
    fn of_many_that_were_missed_the_last_counts() {
        let often = recurs("* * * * * *", "UTC");
        let (last, next) = often.come_round(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00.500Z"));
        assert_eq!((last, next), (at("2026-02-01T00:00:00Z"), Some(at("2026-02-01T00:00:01Z"))));
        let daily = recurs("0 9 * * *", "Europe/Athens");
        let due = at("2026-01-05T07:00:00Z");
        assert_eq!(daily.come_round(due, due), (due, Some(at("2026-01-06T07:00:00Z"))), "none was missed");
        // The second time that clocks show 02:10, what was due at 02:45 the first time is over.
        let twice = recurs("0,45 2 * * *", "Europe/Berlin");
        let (last, next) = twice.come_round(at("2025-10-25T00:00:00Z"), at("2025-10-26T01:10:00Z"));
        assert_eq!(last, at("2025-10-26T00:45:00Z"));
        assert_eq!(next, Some(at("2025-10-27T01:00:00Z")));
    }

    #[test]
    fn it_begins_and_ends_when_it_is_to() {
        let mut daily = recurs("0 9 * * *", "UTC");
        (daily.starts_at, daily.ends_at) =
            (Some(at("2026-03-02T09:00:00Z")), Some(at("2026-03-04T09:00:00Z")));
        let found = all(&daily, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        assert_eq!(found, ["2026-03-02T09:00:00.000Z", "2026-03-03T09:00:00.000Z"].map(str::to_owned));
        let (last, next) = daily.come_round(at("2026-03-02T09:00:00Z"), at("2026-09-01T00:00:00Z"));
        assert_eq!((last, next), (at("2026-03-03T09:00:00Z"), None), "what was missed ends, too");
    }

    /// In many zones and years: a daily time is due once for each day that clocks show, in order; looking back from
    /// any instant finds what looking ahead found.
    #[test]
    fn every_day_has_one_in_many_zones() {
        for (number, zone) in chrono_tz::TZ_VARIANTS.iter().enumerate().step_by(4) {
            let (minute, hour) = (number * 7 % 60, number % 5);
            let daily = recurs(&format!("{minute} {hour} * * *"), zone.name());
            let year = 2000 + number % 40;
            let mut last = at(&format!("{year}-01-02T00:00:00Z"));
            let mut days = Vec::new();
            for _ in 0..366 {
                let next = daily.next_after(last).unwrap();
                assert!(next > last, "{zone} {year}");
                let between =
                    Timestamp::from_micros(last.as_micros() + (next.as_micros() - last.as_micros()) / 2);
                assert_eq!(daily.next_after(between), Some(next), "{zone} {year}");
                let before = Timestamp::from_micros(next.as_micros() - 1);
                if !days.is_empty() {
                    assert_eq!(daily.last_once(before), Some(last), "{zone} {year} {next}");
                }
                assert_eq!(daily.last_once(next), Some(next), "{zone} {year} {next}");
                days.push(daily.clock(next).unwrap().date_naive());
                last = next;
            }
            for (one, other) in days.iter().zip(&days[1..]) {
                assert_eq!((*other - *one).num_days(), 1, "{zone} {year}: {one} and then {other}");
            }
        }
    }

    #[test]
    fn a_day_that_a_zone_left_out_is_made_up_for() {
        // Samoa went from 29 to 31 December 2011.
        let daily = recurs("0 9 * * *", "Pacific/Apia");
        let found = all(&daily, "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z");
        let due = ["2011-12-29T19:00:00.000Z", "2011-12-30T10:00:00.000Z", "2011-12-30T19:00:00.000Z"];
        assert_eq!(found[..3], due.map(str::to_owned), "{found:?}");
    }

    #[test]
    fn odd_expressions_are_refused_or_go_on() {
        let letters = b"*0123456789/-,LW#?+ MONJAN";
        let mut seed = 7_u64;
        let mut dice = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize
        };
        let now = at("2026-06-01T00:00:00Z");
        for _ in 0..3_000 {
            let fields = 5 + dice() % 2;
            let field = |dice: &mut dyn FnMut() -> usize| -> String {
                (0..1 + dice() % 4).map(|_| letters[dice() % letters.len()] as char).collect()
            };
            let text: Vec<String> = (0..fields).map(|_| field(&mut dice)).collect();
            if let Ok(read) = Recurrence::new(&text.join(" "), "America/New_York") {
                let next = read.next_after(now);
                assert!(next.is_none_or(|next| next > now), "{text:?}");
            }
        }
    }
}
