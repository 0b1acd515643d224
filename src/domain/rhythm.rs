//! When somebody's digest is due: at a time of day by the clocks on their wall, every day or once a week.
//!
//! Each day has it once, whatever clocks do: at a time that is left out, as soon as they go on; at one that comes twice, the
//! first time. A day that a zone leaves out has none.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Day, TimeOfDay, Timestamp, Zone};

/// Days that are looked at: two weeks, if a zone leaves out the day of one of them.
const DAYS: u64 = 16;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequency {
    /// Every day.
    #[default]
    Daily,
    /// Once a week.
    Weekly,
}

impl Frequency {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
        }
    }

    /// What was stored.
    pub fn named(name: &str) -> Self {
        if name == Self::Weekly.name() { Self::Weekly } else { Self::Daily }
    }
}

/// When something is due again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// At this time of the day.
    pub at: TimeOfDay,
    /// By whose clocks.
    pub zone: Zone,
    /// On this day of the week only.
    pub weekly: Option<Day>,
    /// Not on Saturdays and Sundays.
    pub is_off_on_weekends: bool,
}

impl Rhythm {
    /// When it is due for the first time after `at`.
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        // What was left out yesterday may come today.
        let first = self.today(at)?.checked_sub_days(Days::new(1))?;
        first.iter_days().take(DAYS as usize + 1).filter_map(|day| self.on(day)).find(|due| *due > at)
    }

    /// When it was due for the last time until `at`, and on which day.
    pub fn last_until(&self, at: Timestamp) -> Option<(NaiveDate, Timestamp)> {
        let mut day = self.today(at)?;
        for _ in 0..=DAYS {
            if let Some(due) = self.on(day).filter(|due| *due <= at) {
                return Some((day, due));
            }
            day = day.pred_opt()?;
        }
        None
    }

    /// Whether it is due then, to the instant.
    pub fn is_due_at(&self, at: Timestamp) -> bool {
        self.last_until(at).is_some_and(|(_, last)| last == at)
    }

    /// What day it is there.
    pub fn today(&self, at: Timestamp) -> Option<NaiveDate> {
        Some(self.zone.clock(at)?.date_naive())
    }

    /// When it is due on this day.
    fn on(&self, day: NaiveDate) -> Option<Timestamp> {
        let weekday = day.weekday();
        let is_weekend = matches!(weekday, Weekday::Sat | Weekday::Sun);
        if self.weekly.is_some_and(|Day(wanted)| wanted != weekday) || (self.is_off_on_weekends && is_weekend)
        {
            return None;
        }
        let midnight = |day: NaiveDate| self.zone.instant(day.and_time(NaiveTime::MIN), false);
        if midnight(day)? == midnight(day.succ_opt()?)? {
            return None;
        }
        self.zone.instant(day.and_time(self.at.0), false).map(|due| instant(&due))
    }
}

fn instant(at: &DateTime<Tz>) -> Timestamp {
    Timestamp::from_micros(at.timestamp_micros())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::quiet::tests_only::thrown;

    const DAY: i64 = 24 * 60 * 60;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
    }

    fn rhythm(time: &str, zone: &str) -> Rhythm {
        let at = TimeOfDay::try_from(time.to_owned()).unwrap();
        Rhythm { at, zone: Zone::named(zone).unwrap(), weekly: None, is_off_on_weekends: false }
    }

    fn next(rhythm: &Rhythm, after: &str) -> String {
        rhythm.next_after(at(after)).unwrap().to_string()
    }

    #[test]
    fn it_is_morning_where_they_live() {
        let (athens, york) = (rhythm("07:00", "Europe/Athens"), rhythm("07:00", "America/New_York"));
        assert_eq!(next(&athens, "2025-01-15T04:59:59Z"), "2025-01-15T05:00:00.000Z");
        assert_eq!(next(&athens, "2025-01-15T05:00:00Z"), "2025-01-16T05:00:00.000Z");
        assert_eq!(next(&york, "2025-07-15T05:00:00Z"), "2025-07-15T11:00:00.000Z");
        assert_eq!(athens.last_until(at("2025-01-15T04:00:00Z")).unwrap().0.to_string(), "2025-01-14");
        assert_eq!(athens.last_until(at("2025-01-15T05:00:00Z")).unwrap().0.to_string(), "2025-01-15");
    }

    #[test]
    fn what_clocks_leave_out_comes_when_they_go_on_and_what_comes_twice_once() {
        // 02:00 to 03:00 is left out on 29 March 2026, and comes twice on 25 October.
        let berlin = rhythm("02:30", "Europe/Berlin");
        assert_eq!(next(&berlin, "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00.000Z");
        assert_eq!(next(&berlin, "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00.000Z");
        assert_eq!(next(&berlin, "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00.000Z");
        assert_eq!(next(&berlin, "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00.000Z");
        // Half an hour on Lord Howe Island.
        let island = rhythm("02:07", "Australia/Lord_Howe");
        assert_eq!(next(&island, "2025-10-04T12:00:00Z"), "2025-10-04T15:30:00.000Z");
        // In Greenland the last hour of a Saturday; it is that Saturday's.
        let nuuk = rhythm("23:30", "America/Nuuk");
        let late = nuuk.next_after(at("2026-03-28T12:00:00Z")).unwrap();
        assert_eq!(late.to_string(), "2026-03-29T01:00:00.000Z");
        assert_eq!(nuuk.last_until(late).unwrap().0.to_string(), "2026-03-28");
        assert_eq!(next(&nuuk, "2026-03-29T01:00:00Z"), "2026-03-30T00:30:00.000Z");
        // Samoa had no 30 December 2011.
        let apia = rhythm("07:00", "Pacific/Apia");
        assert_eq!(next(&apia, "2011-12-29T17:00:00Z"), "2011-12-30T17:00:00.000Z");
        assert_eq!(apia.last_until(at("2011-12-30T17:00:00Z")).unwrap().0.to_string(), "2011-12-31");
    }

    #[test]
    fn weekends_and_weeks_are_local() {
        let workdays = Rhythm { is_off_on_weekends: true, ..rhythm("07:00", "Pacific/Kiritimati") };
        // Friday, 3 January 2025; then Monday.
        assert_eq!(next(&workdays, "2025-01-02T12:00:00Z"), "2025-01-02T17:00:00.000Z");
        assert_eq!(next(&workdays, "2025-01-02T17:00:00Z"), "2025-01-05T17:00:00.000Z");
        let monday = Day::try_from("mon".to_owned()).unwrap();
        let weekly = Rhythm { weekly: Some(monday), ..rhythm("07:00", "UTC") };
        assert_eq!(next(&weekly, "2025-01-01T00:00:00Z"), "2025-01-06T07:00:00.000Z");
        assert_eq!(next(&weekly, "2025-01-06T07:00:00Z"), "2025-01-13T07:00:00.000Z");
    }

    /// The days of a year in a zone, as its clocks show them.
    fn days(zone: Zone, from: Timestamp, until: Timestamp) -> Vec<NaiveDate> {
        let mut days: Vec<NaiveDate> = Vec::new();
        let mut now = from;
        while now < until {
            let day = zone.clock(now).unwrap().date_naive();
            if days.last() != Some(&day) {
                days.push(day);
            }
            now = now.plus_seconds(300);
        }
        days
    }

    /// A year in many zones, with the odd ones always: due exactly once on each day that is shown there.
    #[test]
    fn each_day_has_it_once() {
        let odd = [
            ("Australia/Lord_Howe", 2025),
            ("Pacific/Apia", 2011),
            ("Africa/Casablanca", 2026),
            ("Pacific/Kiritimati", 2025),
            ("Antarctica/Troll", 2025),
            ("Asia/Kolkata", 2025),
            ("Asia/Kathmandu", 2025),
            ("Pacific/Chatham", 2025),
            ("America/Nuuk", 2026),
            ("America/St_Johns", 2025),
            ("Africa/Cairo", 2025),
            ("America/Havana", 2025),
            ("Pacific/Kwajalein", 1993),
            ("Asia/Pyongyang", 2015),
            ("America/Caracas", 2016),
        ];
        let mut dice = 0x7ab1_e0f5_eed5_u64;
        let zones = chrono_tz::TZ_VARIANTS;
        let some = (0..25).map(|_| zones[thrown(&mut dice, zones.len() as i64) as usize].name());
        let some: Vec<(&str, i32)> = some.map(|name| (name, 2025)).collect();
        for (name, year) in odd.into_iter().chain(some) {
            let zone = Zone::named(name).unwrap();
            let (from, until) =
                (at(&format!("{year}-01-01T12:00:00Z")), at(&format!("{}-01-01T12:00:00Z", year + 1)));
            let shown = days(zone, from, until);
            for time in
                ["00:00", "00:30", "01:59", "02:00", "02:15", "02:30", "03:00", "07:00", "23:30", "23:59"]
            {
                let daily = rhythm(time, name);
                check(&daily, &shown, |_| true, from, until);
            }
            let weekday = NaiveDate::weekday;
            let workdays = Rhythm { is_off_on_weekends: true, ..rhythm("07:00", name) };
            check(&workdays, &shown, |day| weekday(day).number_from_monday() < 6, from, until);
            for (word, number) in [("mon", 1), ("fri", 5), ("sun", 7)] {
                let weekly =
                    Rhythm { weekly: Some(Day::try_from(word.to_owned()).unwrap()), ..rhythm("02:30", name) };
                check(&weekly, &shown, |day| weekday(day).number_from_monday() == number, from, until);
            }
        }
    }

    #[track_caller]
    fn check(
        rhythm: &Rhythm,
        shown: &[NaiveDate],
        is_wanted: impl Fn(&NaiveDate) -> bool,
        from: Timestamp,
        until: Timestamp,
    ) {
        let mut found = Vec::new();
        let mut now = from;
        while let Some(due) = rhythm.next_after(now).filter(|due| *due < until) {
            assert!(due > now, "{rhythm:?} at {now}");
            let (day, last) = rhythm.last_until(due).unwrap();
            assert_eq!(last, due, "{rhythm:?}");
            assert!(rhythm.is_due_at(due) && !rhythm.is_due_at(due.plus_seconds(60)), "{rhythm:?}");
            assert!(rhythm.last_until(due.plus_seconds(60)).unwrap().1 == due, "{rhythm:?} at {due}");
            found.push(day);
            now = due;
        }
        // Of the first day and the last one only a part is looked at.
        let inner = &shown[1..shown.len() - 1];
        let wanted: Vec<NaiveDate> = inner.iter().copied().filter(|day| is_wanted(day)).collect();
        found.retain(|day| inner.contains(day));
        assert_eq!(found, wanted, "{rhythm:?}");
    }

    /// What came between two digests is in the second: the places reached follow each other, however often somebody
    /// changes time and zone, and however long nobody was there.
    #[test]
    fn what_comes_is_told_once_whatever_is_changed() {
        let mut dice = 0x0dd_ba11_5eed_u64;
        let zones = chrono_tz::TZ_VARIANTS;
        for _ in 0..200 {
            let mut now = at("2025-01-01T00:00:00Z").plus_seconds(thrown(&mut dice, 300 * DAY));
            let (mut came, mut told, mut reached) = (0_i64, Vec::new(), 0_i64);
            let mut wanted = rhythm("07:00", "UTC");
            let mut next_at = wanted.next_after(now).unwrap();
            for _ in 0..120 {
                match thrown(&mut dice, 4) {
                    // Somebody lives elsewhere from now on.
                    0 => {
                        let zone = zones[thrown(&mut dice, zones.len() as i64) as usize].name();
                        let minute = thrown(&mut dice, 1_440);
                        wanted = rhythm(&format!("{:02}:{:02}", minute / 60, minute % 60), zone);
                        if next_at > now {
                            next_at = wanted.next_after(now).unwrap();
                        }
                    }
                    // Nobody is there.
                    1 => now = now.plus_seconds(thrown(&mut dice, 5 * DAY)),
                    _ => {
                        came += thrown(&mut dice, 3);
                        now = now.plus_seconds(thrown(&mut dice, DAY / 2));
                    }
                }
                if next_at <= now {
                    told.extend(reached + 1..=came);
                    (reached, next_at) = (came, wanted.next_after(now).unwrap());
                    assert!(next_at > now && next_at <= now.plus_seconds(2 * DAY + 3_600));
                }
            }
            assert_eq!(told, (1..=reached).collect::<Vec<_>>());
        }
    }
}
