//! What those who run the server look at: what this node did in the last quarter of an hour, and what waits on all.
//!
//! Promise: counting for those who look costs the database no more than a tenth of the time, however many look. Their lists
//! (what failed last, the audit log) are read by key, a page for each viewer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Analytics, Error, Health, Online, Period, Reckoning, StatsService};
use crate::access::Principal;
use crate::domain::{Clock, Tenant, Timestamp, Zone};
use crate::store::{Backlogs, Node, Store, StoreError};
use crate::telemetry::{Metrics, Pulse};

/// Between two moments that are remembered.
const STEP: Duration = Duration::from_secs(5);
/// How many of them are: those of a quarter of an hour.
const KEPT: usize = 181;
/// How far back it is looked for what happens now.
const LATELY: Duration = Duration::from_secs(12);
/// Moments over which percentiles are told: half a minute.
const WINDOW: usize = 6;
/// Something is asked anew after this, and after ten times as long as it took.
const ANEW: Duration = Duration::from_secs(1);
/// The same, of what is counted by day.
const DAY_ANEW: Duration = Duration::from_secs(5);
const REST: u32 = 10;
/// A database that has not answered by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Tenants whose numbers are kept.
const TENANTS: usize = 256;

/// What was asked, for others who ask soon.
struct Asked<T> {
    at: Instant,
    took: Duration,
    what: T,
}

impl<T: Clone> Asked<T> {
    fn still(&self, anew: Duration) -> Option<T> {
        (self.at.elapsed() < anew.max(self.took * REST)).then(|| self.what.clone())
    }
}

/// What this node did in the last quarter of an hour, in steps of five seconds, the latest last. A step that this process did
/// not see has nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// The present.
    pub now: Pulse,
    /// Since the start of this process, in seconds.
    pub uptime: f64,
    /// Notifications a second into inboxes, in the last seconds; nothing right after the start.
    pub placed: Option<f64>,
    /// Confirmed by devices, a second.
    pub confirmed: Option<f64>,
    /// Seconds from acceptance to a socket in the last five minutes: of 50, 95 and 99 of a hundred.
    pub took: [Option<f64>; 3],
    /// How many these were.
    pub pushed: u64,
    /// Live sockets at each step.
    pub connections_then: Vec<Option<f64>>,
    /// Notifications a second into inboxes, at each step.
    pub placed_then: Vec<Option<f64>>,
    /// Confirmed by devices, at each step.
    pub confirmed_then: Vec<Option<f64>>,
    /// Seconds from acceptance to a socket, in the half minute before each step: 50, 95 and 99 of a hundred.
    pub took_then: [Vec<Option<f64>>; 3],
}

const PERCENTS: [u64; 3] = [50, 95, 99];

/// What this node did, from what was remembered (oldest first) and the present.
fn recent(moments: &VecDeque<(Instant, Pulse)>, now: (Instant, Pulse), started: Instant) -> Recent {
    let seconds = |later: Instant, earlier: Instant| later.duration_since(earlier).as_secs_f64();
    let rate = |later: u64, earlier: u64, seconds: f64| {
        (seconds > 0.1).then(|| later.saturating_sub(earlier) as f64 / seconds)
    };
    let mut told = Recent { now: now.1, uptime: seconds(now.0, started), ..Recent::default() };
    let base = moments.iter().rev().find(|(at, _)| now.0.duration_since(*at) >= LATELY).or(moments.front());
    if let Some((at, then)) = base {
        let lasted = seconds(now.0, *at);
        told.placed = rate(now.1.placed, then.placed, lasted);
        told.confirmed = rate(now.1.confirmed, then.confirmed, lasted);
    }
    let five_minutes = moments.len().saturating_sub(60);
    let before = moments.get(five_minutes).map_or_else(Default::default, |(_, then)| then.took);
    let took = now.1.took.since(&before);
    (told.took, told.pushed) = (PERCENTS.map(|percent| took.within(percent)), took.many());

    let unseen = KEPT.saturating_sub(moments.len());
    let blank = || vec![None; unseen];
    let mut all = [blank(), blank(), blank()];
    let mut took_then = [blank(), blank(), blank()];
    for (index, (at, then)) in moments.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| moments.get(before));
        let of = |count: fn(&Pulse) -> u64| {
            let (earlier, was) = before?;
            rate(count(then), count(was), seconds(*at, *earlier))
        };
        all[0].push(Some(then.connections as f64));
        all[1].push(of(|pulse| pulse.placed));
        all[2].push(of(|pulse| pulse.confirmed));
        let from = moments.get(index.saturating_sub(WINDOW)).filter(|_| index > 0);
        let took = from.map(|(_, was)| then.took.since(&was.took));
        for (points, percent) in took_then.iter_mut().zip(PERCENTS) {
            points.push(took.as_ref().and_then(|took| took.within(percent)));
        }
    }
    let [connections, placed, confirmed] = all;
    (told.connections_then, told.placed_then, told.confirmed_then) = (connections, placed, confirmed);
    told.took_then = took_then;
    told
}

/// What is known of all nodes together, of all tenants.
#[derive(Clone, Debug)]
pub struct Everywhere {
    /// How this node is.
    pub health: Health,
    /// The rest, if the database answers.
    pub known: Option<Known>,
}

/// What only the database knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who is connected.
    pub online: Online,
    /// What waits.
    pub backlogs: Backlogs,
    /// The nodes. None on SQLite, where this one is alone.
    pub nodes: Vec<Node>,
}

/// Watches this node, and looks at all.
pub struct Watch {
    store: Arc<Store>,
    stats: Arc<StatsService>,
    reckoning: Arc<Reckoning>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    /// This node's name.
    pub node: String,
    started: Instant,
    moments: Lock<VecDeque<(Instant, Pulse)>>,
    all: Mutex<Option<Asked<Everywhere>>>,
    days: Mutex<HashMap<Tenant, Asked<(Arc<Analytics>, i64)>>>,
}

impl Watch {
    /// Watches from now on.
    pub fn new(
        store: Arc<Store>,
        stats: Arc<StatsService>,
        reckoning: Arc<Reckoning>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        node: String,
    ) -> Self {
        let moments = Lock::default();
        let (all, days) = (Mutex::default(), Mutex::default());
        Self { store, stats, reckoning, metrics, clock, node, started: Instant::now(), moments, all, days }
    }

    /// Remembers what this node does, without end.
    pub async fn run(self: Arc<Self>) {
        let mut next = tokio::time::interval(STEP);
        next.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            let now = (Instant::now(), self.metrics.pulse());
            let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
            if moments.len() >= KEPT {
                moments.pop_front();
            }
            moments.push_back(now);
        }
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether several nodes may store here.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// What this node did lately. Numbers of all tenants together.
    pub fn recent(&self) -> Recent {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        recent(&moments, (Instant::now(), self.metrics.pulse()), self.started)
    }

    /// How this node is, who is connected to all, what waits, and which nodes there are.
    ///
    /// # Errors
    /// When the token does not allow it.
    pub async fn everywhere(&self, who: &Principal) -> Result<Everywhere, Error> {
        may(who)?;
        let mut asked = self.all.lock().await;
        if let Some(known) = asked.as_ref().and_then(|asked| asked.still(ANEW)) {
            return Ok(known);
        }
        let at = Instant::now();
        let health = self.stats.health().await;
        let known = match health.database {
            true => tokio::time::timeout(PATIENCE, self.known()).await.ok().and_then(Result::ok),
            false => None,
        };
        let what = Everywhere { health, known };
        *asked = Some(Asked { at, took: at.elapsed(), what: what.clone() });
        Ok(what)
    }

    async fn known(&self) -> Result<Known, StoreError> {
        let online = self.stats.online().await?;
        let backlogs = self.store.backlogs(self.clock.now()).await?;
        Ok(Known { online, backlogs, nodes: self.store.nodes().await? })
    }

    /// What became of today's notifications of `who`'s tenant (by UTC); and how many of its deliveries have failed and were not
    /// tried again, counted up to [`crate::store::COUNTED_TO`].
    ///
    /// # Errors
    /// When the token does not allow it, or the database cannot answer.
    pub async fn today(&self, who: &Principal) -> Result<(Arc<Analytics>, i64), Error> {
        may(who)?;
        let mut days = self.days.lock().await;
        if let Some(known) = days.get(&who.tenant).and_then(|asked| asked.still(DAY_ANEW)) {
            return Ok(known);
        }
        let (at, now) = (Instant::now(), self.clock.now());
        let day = now.date();
        let period = Period::new(Some(&day), Some(&day), Zone::UTC, now)?;
        let analytics = Arc::new(self.reckoning.tell(who, period).await?);
        let what = (analytics, self.store.failed_many(&who.tenant).await?);
        if days.len() >= TENANTS {
            days.clear();
        }
        days.insert(who.tenant.clone(), Asked { at, took: at.elapsed(), what: what.clone() });
        Ok(what)
    }
}

fn may(who: &Principal) -> Result<(), Error> {
    let needed = "it needs the role viewer, operator or admin";
    if who.can_watch() { Ok(()) } else { Err(Error::Forbidden(needed)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(many: usize, placed: impl Fn(usize) -> u64, from: Instant) -> VecDeque<(Instant, Pulse)> {
        let moment = |step: usize| {
            let pulse = Pulse { placed: placed(step), connections: 7, ..Pulse::default() };
            (from + STEP * u32::try_from(step).unwrap_or(0), pulse)
        };
        (0..many).map(moment).collect()
    }

    #[test]
    fn rates_are_of_what_came_between() {
        let from = Instant::now();
        let known = moments(4, |step| step as u64 * 50, from);
        let now = (from + STEP * 4, Pulse { placed: 200, ..Pulse::default() });
        let told = recent(&known, now, from);
        assert_eq!(told.placed, Some(10.0));
        assert_eq!(told.placed_then.len(), KEPT, "steps that were not seen are there, with nothing in them");
        assert_eq!(told.placed_then[KEPT - 4..], [None, Some(10.0), Some(10.0), Some(10.0)]);
        assert_eq!(told.connections_then[KEPT - 5..], [None, Some(7.0), Some(7.0), Some(7.0), Some(7.0)]);
        assert_eq!(told.took, [None; 3], "nothing was pushed");
    }

    #[test]
    fn right_after_the_start_nothing_is_made_up() {
        let from = Instant::now();
        let told = recent(&VecDeque::new(), (from, Pulse::default()), from);
        assert_eq!((told.placed, told.confirmed, told.pushed), (None, None, 0));
        assert!(told.placed_then.iter().chain(&told.took_then[2]).all(Option::is_none));
    }
}
