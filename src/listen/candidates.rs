//! Which open connection makes room for whoever comes. To find it takes no longer the more there are: whoever opens many has
//! others wait for nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::realtime::Line;

/// What has waited for its client for so long may be cut off.
pub const LATE: Duration = Duration::from_secs(1);

/// How a connection is asked to make room.
#[derive(Default)]
pub struct Exit {
    /// Told, it leaves by itself.
    pub leave: Notify,
    /// Whether it was chosen.
    pub is_to_leave: AtomicBool,
    /// What cuts it off.
    pub line: Arc<Line>,
}

/// A connection that waits for its client.
struct Waiting {
    key: IpAddr,
    since: Instant,
    exit: Arc<Exit>,
}

/// How soon an address loses a silent connection: whoever has most of them first; of several, who has the oldest.
type Rank = (usize, Reverse<u64>, IpAddr);

/// Those that can make room.
#[derive(Default)]
pub struct Candidates {
    /// Those on which nothing is asked, by address and in the order in which they fell silent.
    idle: HashMap<IpAddr, BTreeMap<u64, Arc<Exit>>>,
    /// Their addresses.
    ranks: BTreeSet<Rank>,
    /// Those that wait for their clients, in the order in which they began to.
    waiting: BTreeMap<u64, Waiting>,
    /// Silences and waits so far.
    so_far: u64,
}

fn rank(key: IpAddr, idle: &BTreeMap<u64, Arc<Exit>>) -> Option<Rank> {
    idle.first_key_value().map(|(oldest, _)| (idle.len(), Reverse(*oldest), key))
}

impl Candidates {
    /// Nothing is asked on one of this address; returns the number of its silence.
    pub fn add_idle(&mut self, key: IpAddr, exit: Arc<Exit>) -> u64 {
        self.so_far += 1;
        let nth = self.so_far;
        self.change(key, |idle| drop(idle.insert(nth, exit)));
        nth
    }

    /// That silence is over.
    pub fn forget_idle(&mut self, key: IpAddr, nth: u64) {
        self.change(key, |idle| drop(idle.remove(&nth)));
    }

    fn change(&mut self, key: IpAddr, change: impl FnOnce(&mut BTreeMap<u64, Arc<Exit>>)) {
        let idle = self.idle.entry(key).or_default();
        if let Some(before) = rank(key, idle) {
            self.ranks.remove(&before);
        }
        change(idle);
        match rank(key, idle) {
            Some(after) => drop(self.ranks.insert(after)),
            None => drop(self.idle.remove(&key)),
        }
    }

    /// One of this address has waited for its client since then; returns the number of its wait.
    pub fn add_waiting(&mut self, key: IpAddr, since: Instant, exit: Arc<Exit>) -> u64 {
        self.so_far += 1;
        self.waiting.insert(self.so_far, Waiting { key, since, exit });
        self.so_far
    }

    /// That wait is over.
    pub fn forget_waiting(&mut self, nth: u64) {
        self.waiting.remove(&nth);
    }

    /// Takes the one that has been silent for longest of this address; or else of the address that has most of them, so that
    /// whoever opens many loses their own; and of the one that has been silent for longest where several have as many.
    pub fn next_idle(&mut self, of: Option<IpAddr>) -> Option<Arc<Exit>> {
        let key = match of {
            Some(key) => key,
            None => self.ranks.last()?.2,
        };
        let (nth, exit) = self.idle.get(&key)?.first_key_value()?;
        let (nth, exit) = (*nth, exit.clone());
        self.forget_idle(key, nth);
        Some(exit)
    }

    /// Takes one that has waited for its client for long; of this address, or of all.
    pub fn next_waiting(&mut self, of: Option<IpAddr>) -> Option<Arc<Exit>> {
        let is_late = |one: &Waiting| one.since.elapsed() >= LATE;
        let mut some = self.waiting.iter();
        let (nth, _) = some.find(|(_, one)| of.is_none_or(|key| one.key == key) && is_late(one))?;
        let nth = *nth;
        self.waiting.remove(&nth).map(|one| one.exit)
    }

    #[cfg(test)]
    pub fn counts(&self) -> (usize, usize) {
        assert_eq!(self.idle.len(), self.ranks.len());
        (self.idle.values().map(BTreeMap::len).sum(), self.waiting.len())
    }
}
