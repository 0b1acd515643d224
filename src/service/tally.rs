//! What somebody was sent in the last days, counted.

use std::collections::{BTreeMap, HashMap};

use super::Error;
use crate::domain::{Position, Priority, Recipient, Timestamp};
use crate::store::{Recent, Store};

const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// Kinds that are counted for themselves: the most frequent ones.
const MOST_KINDS: usize = 100;

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Many {
    /// All.
    pub total: i64,
    /// What of it was not read.
    pub unread: i64,
}

/// What of an inbox was accepted in these days (UTC), today's being the last.
#[derive(Clone, Debug)]
pub struct Tally {
    /// When the first day begins.
    pub since: Timestamp,
    /// Of all.
    pub all: Many,
    /// The most frequent kinds.
    pub by_kind: BTreeMap<String, i64>,
    /// Of each priority, from the lowest.
    pub by_priority: [(Priority, i64); 4],
    /// Of each day, from the first, with its beginning.
    pub by_day: Vec<(Timestamp, Many)>,
}

impl Tally {
    fn new(days: u16, now: Timestamp) -> Self {
        let today = now.as_seconds().div_euclid(SECONDS_A_DAY);
        let first = today - i64::from(days) + 1;
        let begins = |day: i64| Timestamp::from_micros(0).plus_seconds(day * SECONDS_A_DAY);
        Self {
            since: begins(first),
            all: Many::default(),
            by_kind: BTreeMap::new(),
            by_priority: Priority::ALL.map(|priority| (priority, 0)),
            by_day: (first..=today).map(|day| (begins(day), Many::default())).collect(),
        }
    }

    fn count(&mut self, entry: &Recent, kinds: &mut HashMap<String, i64>) {
        let unread = i64::from(!entry.is_read);
        let day = (entry.created_at.as_seconds() - self.since.as_seconds()).div_euclid(SECONDS_A_DAY);
        // What another node's clock put into tomorrow is of today.
        let last = self.by_day.len().saturating_sub(1);
        let day = usize::try_from(day).unwrap_or_default().min(last);
        let of_day = self.by_day.get_mut(day).map(|(_, many)| many);
        for many in of_day.into_iter().chain([&mut self.all]) {
            many.total += 1;
            many.unread += unread;
        }
        for (_, many) in self.by_priority.iter_mut().filter(|(priority, _)| *priority == entry.priority) {
            *many += 1;
        }
        match kinds.get_mut(&entry.kind) {
            Some(many) => *many += 1,
            None => drop(kinds.insert(entry.kind.clone(), 1)),
        }
    }
}

/// Counts from the newest on, until a whole page has nothing of these days: what was scheduled long ago stands among
/// what is new.
pub async fn tally(store: &Store, recipient: &Recipient, days: u16, now: Timestamp) -> Result<Tally, Error> {
    let (mut tally, mut kinds, mut before) = (Tally::new(days, now), HashMap::new(), Position::MAX);
    let since = tally.since;
    loop {
        let page = store.recent(recipient, before, now).await?;
        let mut found = false;
        for entry in page.iter().filter(|entry| entry.created_at >= since) {
            found = true;
            if entry.is_held {
                tally.count(entry, &mut kinds);
            }
        }
        match page.last() {
            Some(last) if found => before = last.position,
            _ => break,
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable_by(|(one, many), (other, more)| more.cmp(many).then_with(|| one.cmp(other)));
    kinds.truncate(MOST_KINDS);
    tally.by_kind = kinds.into_iter().collect();
    Ok(tally)
}
