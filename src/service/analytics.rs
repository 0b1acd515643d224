//! What became of a tenant's notifications, in numbers. What each means: docs/PROTOCOLS.md.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{Days, NaiveDate};

use super::Error;
use crate::access::Principal;
use crate::domain::latency::Latencies;
use crate::domain::{Broken, Channel, Clock, Timestamp, Zone};
use crate::store::{ACCEPTED, ITSELF, LEASE_SECONDS, LOOKED_AT, OfDay, READ, State, Store};

/// Days of one answer.
const MOST_DAYS: usize = 366;
/// Days that are told to whoever does not say which.
const USUAL_DAYS: u64 = 30;
/// Kinds that are told: the most frequent ones.
const MOST_KINDS: usize = 100;
const SECONDS_AN_HOUR: i64 = 60 * 60;

/// Days, by the clocks of a time zone.
#[derive(Clone, Debug)]
pub struct Period {
    /// Where.
    pub zone: Zone,
    /// Each, with the hours (since 1970) from which and until which it lasts.
    days: Vec<(NaiveDate, (i64, i64))>,
}

impl Period {
    /// From one day to another (`2025-09-01`), both included; the last thirty days, if nothing is said; from a day on as far
    /// as one may look, if only that is.
    ///
    /// # Errors
    /// When one is no day, or there are none between them, or too many.
    pub fn new(start: Option<&str>, end: Option<&str>, zone: Zone, now: Timestamp) -> Result<Self, Broken> {
        let day = |text: &str, field| {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            let (first, last) = (NaiveDate::from_ymd_opt(1970, 1, 2), NaiveDate::from_ymd_opt(2200, 12, 31));
            let is_near = |day: &NaiveDate| text.len() == 10 && Some(*day) >= first && Some(*day) <= last;
            let expected = "a day such as 2025-09-01, from 1970 to 2200";
            day.filter(is_near).ok_or(Broken { field, expected })
        };
        let today = || zone.clock(now).map(|clock| clock.date_naive()).unwrap_or_default();
        let start = start.map(|text| day(text, "start_date")).transpose()?;
        let end = match (end, start) {
            (Some(text), _) => day(text, "end_date")?,
            // As far as one may look.
            (None, Some(start)) => today().clamp(start, start + Days::new(MOST_DAYS as u64 - 1)),
            (None, None) => today(),
        };
        let usual = || end.checked_sub_days(Days::new(USUAL_DAYS - 1)).unwrap_or(end);
        let start = start.unwrap_or_else(usual);
        if start > end {
            return Err(Broken { field: "end_date", expected: "the day of start_date, or a later one" });
        }
        let begins = |day: NaiveDate| {
            let midnight = zone.instant(day.and_time(chrono::NaiveTime::MIN), false);
            midnight.map_or(0, |at| at.timestamp()).div_euclid(SECONDS_AN_HOUR)
        };
        let mut days = Vec::new();
        for day in start.iter_days().take_while(|day| *day <= end).take(MOST_DAYS + 1) {
            days.push((day, (begins(day), begins(day + Days::new(1)))));
        }
        match days.len() {
            0..=MOST_DAYS => Ok(Self { zone, days }),
            _ => Err(Broken { field: "end_date", expected: "at most 366 days after start_date" }),
        }
    }

    /// The first day, and the last.
    pub fn ends(&self) -> (NaiveDate, NaiveDate) {
        let day = |day: Option<&(NaiveDate, _)>| day.map(|(day, _)| *day).unwrap_or_default();
        (day(self.days.first()), day(self.days.last()))
    }
}

/// What became of what went over a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OfChannel {
    /// Put into an inbox where it is to be told of; or handed to a provider, whatever that said.
    pub sent: i64,
    /// Proved by a socket, or looked at; or taken by the provider.
    pub delivered: i64,
    /// Known to have arrived: the same over sockets; else what the provider says arrived.
    pub confirmed: i64,
    /// Given up.
    pub failed: i64,
    /// Not to go this way.
    pub skipped: i64,
    /// Not needed any more.
    pub cancelled: i64,
    /// Read.
    pub read: i64,
}

impl OfChannel {
    fn add(&mut self, channel: Channel, outcome: i32, many: i64) {
        if outcome == READ {
            self.read += many;
            return;
        }
        match (State::from_number(outcome), channel) {
            (State::Waiting, Channel::Realtime) => self.sent += many,
            (State::Sent, _) => (self.sent, self.delivered) = (self.sent + many, self.delivered + many),
            (State::Delivered, _) => {
                self.sent += many;
                self.delivered += many;
                self.confirmed += many;
            }
            (State::Failed, _) => (self.sent, self.failed) = (self.sent + many, self.failed + many),
            (State::Skipped, _) => self.skipped += many,
            (State::Cancelled, _) => self.cancelled += many,
            (State::Waiting | State::UnderWay | State::Divided, _) => {}
        }
    }

    /// Which part of what was sent was delivered; nothing, if nothing was sent.
    pub fn success_rate(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.delivered as f64 / self.sent as f64)
    }
}

/// What became of some notifications.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many were accepted.
    pub notifications: i64,
    /// Of each channel, by its number.
    pub channels: [OfChannel; 4],
}

impl Figures {
    fn add(&mut self, one: &OfDay) {
        if one.channel == ITSELF {
            self.notifications += if one.outcome == ACCEPTED { one.many } else { 0 };
        } else if let Some(channel) = channel(one.channel) {
            self.of(channel).add(channel, one.outcome, one.many);
        }
    }

    fn of(&mut self, channel: Channel) -> &mut OfChannel {
        let [realtime, email, push, sms] = &mut self.channels;
        match channel {
            Channel::Realtime => realtime,
            Channel::Email => email,
            Channel::Push => push,
            Channel::Sms => sms,
        }
    }
}

/// The channel of this number.
fn channel(number: i32) -> Option<Channel> {
    if number == Channel::Realtime.number() { Some(Channel::Realtime) } else { Channel::from_number(number) }
}

/// What became of a tenant's notifications.
#[derive(Clone, Debug)]
pub struct Analytics {
    /// On which days.
    pub period: Period,
    /// Whether all of it is counted. It is not while very many are being counted for the first time.
    pub is_complete: bool,
    /// Of all.
    pub all: Figures,
    /// How long it took, by channel.
    pub latencies: [Latencies; 4],
    /// Of each of the most frequent kinds.
    pub kinds: BTreeMap<String, Figures>,
    /// Of each day.
    pub days: Vec<(NaiveDate, Figures)>,
    /// Connections of people that are open now.
    pub connections: i64,
    /// Whose they are.
    pub people: i64,
}

impl Analytics {
    fn new(period: Period, rows: &[OfDay]) -> Self {
        let days = period.days.iter().map(|(day, _)| (*day, Figures::default())).collect();
        let mut told = Self {
            period,
            is_complete: true,
            all: Figures::default(),
            latencies: Default::default(),
            kinds: BTreeMap::new(),
            days,
            connections: 0,
            people: 0,
        };
        for one in rows {
            let latencies = usize::try_from(one.channel).ok().and_then(|which| told.latencies.get_mut(which));
            match (latencies, one.class) {
                (Some(latencies), 0..) => latencies.add(one.class, one.many),
                (Some(latencies), _) => latencies.took(one.millis),
                (None, _) => {}
            }
            if one.class >= 0 {
                continue;
            }
            told.all.add(one);
            told.kinds.entry(one.kind.clone()).or_default().add(one);
            if let Some((_, day)) = usize::try_from(one.day).ok().and_then(|day| told.days.get_mut(day)) {
                day.add(one);
            }
        }
        if told.kinds.len() > MOST_KINDS {
            let mut many: Vec<i64> = told.kinds.values().map(|of| of.notifications).collect();
            many.sort_unstable_by(|one, other| other.cmp(one));
            let least = many.get(MOST_KINDS - 1).copied().unwrap_or(0);
            let mut left = MOST_KINDS;
            told.kinds.retain(|_, of| {
                let is_told = of.notifications >= least && left > 0;
                left -= usize::from(is_told);
                is_told
            });
        }
        told
    }
}

/// Numbers, for those who may see them.
pub struct Reckoning {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Reckoning {
    /// Reads `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What became of the notifications of `who`'s tenant.
    ///
    /// # Errors
    /// When the token does not allow it, or the database cannot answer.
    pub async fn tell(&self, who: &Principal, period: Period) -> Result<Analytics, Error> {
        if !(who.can_send || who.can_watch()) {
            let whose = "analytics are for administrators and services of a tenant, and for the roles viewer and operator";
            return Err(Error::Forbidden(whose));
        }
        let hours: Vec<(i64, i64)> = period.days.iter().map(|(_, hours)| *hours).collect();
        let rows = self.store.analytics(&who.tenant, &hours).await?;
        let upto = self.store.counted_upto().await?;
        let (connections, people) = self.store.connected(&who.tenant, LEASE_SECONDS).await?;
        let is_complete = upto.last - upto.counted <= LOOKED_AT;
        Ok(Analytics { is_complete, connections, people, ..Analytics::new(period, &rows) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(start: &str, end: &str, zone: &str) -> Result<Period, Broken> {
        let zone = Zone::named(zone).unwrap_or_default();
        Period::new(Some(start), Some(end), zone, Timestamp::from_micros(0))
    }

    #[test]
    fn days_are_those_of_the_zone() -> Result<(), Broken> {
        let hours =
            |period: Period| period.days.iter().map(|(_, hours)| hours.1 - hours.0).collect::<Vec<_>>();
        assert_eq!(hours(period("2025-03-29", "2025-03-31", "Europe/Berlin")?), [24, 23, 24]);
        assert_eq!(hours(period("2025-10-26", "2025-10-26", "Europe/Berlin")?), [25]);
        // 18:30 UTC: the hour before midnight's.
        assert_eq!(period("1970-01-02", "1970-01-02", "Asia/Kolkata")?.days[0].1, (18, 42));
        Ok(())
    }

    #[test]
    fn there_are_not_too_many_days() {
        assert!(period("2024-01-01", "2024-12-31", "UTC").is_ok());
        assert!(period("2024-01-01", "2025-01-01", "UTC").is_err());
        for (start, end) in [
            ("2025-02-02", "2025-02-01"),
            ("2025-2-2", "2025-02-03"),
            ("x", "2025-02-03"),
            ("1900-01-01", "1900-01-02"),
        ] {
            assert!(period(start, end, "UTC").is_err(), "{start} {end}");
        }
        let usual = Period::new(None, None, Zone::UTC, Timestamp::from_micros(1_757_548_800_000_000));
        assert_eq!(usual.map(|usual| usual.days.len()), Ok(30));
    }
}
