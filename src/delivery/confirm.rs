//! Confirmation without client code: a socket that lives through a full heartbeat round after a push
//! has received it, because it answers pings in order. Where pongs are heard of one by one, the first that
//! answers a ping asked after the push says so at once.
//!
//! What waits here is only *sent*; it lives in memory. If the socket dies first, nothing has to be
//! undone: the database still says unconfirmed, and the next connection gets it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::domain::{Clock, Handed, NotificationId, Place, Recipient, SocketMark, Timestamp};
use crate::realtime::{self, Connection, ConnectionId, Hub, Transport};
use crate::store::{Sent, Store, Write, Written};
use crate::telemetry::traces::Span;
use crate::telemetry::{Metrics, Outcome};

/// Entries watched at most. Beyond them a notification stays pending and comes again: safe, not lost.
const MOST: usize = 1_000_000;
/// Confirmations that share one write.
const TOGETHER: usize = 512;
/// How often the watch is looked at.
const TICK: Duration = Duration::from_millis(250);
/// What is confirmed is written down within this, if the database is well.
const WRITTEN: Duration = Duration::from_secs(3);
/// At most this much counts as lived between two looks. A process that was stopped for a minute has not
/// seen a heartbeat round: its sockets must live through one after it goes on.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// How long a socket must live after a push.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    stream: Duration,
    polling: Duration,
}

impl Rounds {
    /// The next ping goes out within an interval, its answer comes within the timeout, and a dead peer
    /// is noticed within the TCP timeout. A polling client may be upgrading when a ping is due, and
    /// then skips it: one interval more.
    pub fn new(settings: &realtime::Settings) -> Self {
        let interval = Duration::from_millis(settings.ping_interval_ms);
        let stream = interval
            + Duration::from_millis(settings.ping_timeout_ms)
            + Duration::from_millis(settings.tcp_user_timeout_ms)
            + Duration::from_millis(settings.confirm_margin_ms);
        let skipped = interval.max(Duration::from_millis(settings.upgrade_timeout_ms));
        Self { stream, polling: stream + skipped }
    }

    /// Seconds after which a socket that got something has shown it, however it is connected, and that is written down.
    pub fn seconds(self) -> u32 {
        let longest = self.stream.max(self.polling) + TICK * 2 + WRITTEN;
        u32::try_from(longest.as_secs() + 1).unwrap_or(u32::MAX)
    }
}

/// Something, and for whom.
type Key = (NotificationId, Recipient);

struct Watched {
    /// In time lived (see [`Watch::lived`]).
    due: Duration,
    connection: ConnectionId,
    key: Key,
    entry: Sent,
    /// Whether outliving a round proves something.
    proves: bool,
}

/// What a person was handed.
struct Out {
    /// When, and by which socket first.
    handed: Handed,
    /// By how many sockets it waits for its confirmation.
    waiting: usize,
    /// Whether the person has said that it came.
    is_settled: bool,
}

/// Each queue holds entries of one round, so it is sorted by when they are due.
#[derive(Default)]
struct Watch {
    /// How long this process has been running while it watched.
    lived: Duration,
    looked: Option<Instant>,
    stream: VecDeque<Watched>,
    polling: VecDeque<Watched>,
    /// Of connections whose pongs are heard of: with the number of pings that had been asked before.
    asked: HashMap<ConnectionId, VecDeque<(u64, Key, Sent)>>,
    /// Confirmed by a pong, and not taken out yet.
    answered: Vec<Sent>,
    /// Confirmed, and not told of yet, if somebody wants to hear of it.
    traced: Vec<(NotificationId, Sent)>,
    out: HashMap<Key, Out>,
    /// Watched no longer. Known until the next look: what is confirmed is written down by then.
    ended: Vec<Key>,
    /// How many entries are watched.
    many: usize,
}

impl Watch {
    /// This one is watched no longer; tells whether it still waited.
    fn end(&mut self, key: Key) -> bool {
        self.many -= 1;
        let Some(out) = self.out.get_mut(&key) else { return true };
        out.waiting = out.waiting.saturating_sub(1);
        let waited = !out.is_settled;
        if out.waiting == 0 {
            self.ended.push(key);
        }
        waited
    }

    /// Forgets what had ended before.
    fn forget(&mut self) {
        for key in std::mem::take(&mut self.ended) {
            if self.out.get(&key).is_some_and(|out| out.waiting == 0) {
                self.out.remove(&key);
            }
        }
    }
}

/// What was sent and waits for its confirmation.
pub struct Confirmations {
    watch: Mutex<Watch>,
    rounds: Rounds,
    node: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Confirmations {
    /// Nothing is watched yet, on this node.
    pub fn new(rounds: Rounds, node: &str, metrics: Arc<Metrics>) -> Self {
        Self { watch: Mutex::default(), rounds, node: node.into(), metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Watches one entry that these `connections` have just been handed.
    pub fn watch<'a>(
        &self,
        connections: impl IntoIterator<Item = &'a Connection>,
        recipient: &Recipient,
        notification: NotificationId,
        place: Place,
        sent_at: Timestamp,
    ) {
        self.metrics.traces.note(|| Span {
            notification: notification.0,
            accepted: None,
            name: "send",
            start: sent_at.as_micros(),
            end: sent_at.as_micros(),
            facts: vec![("channel", "in_app".to_owned())],
            is_failed: false,
        });
        let mut watch = self.lock();
        let (before, mut first) = (watch.many, None);
        for connection in connections.into_iter().take(MOST.saturating_sub(before)) {
            watch.many += 1;
            let (at, node) = (sent_at, self.node.clone());
            let handed = Handed { at, socket: SocketMark::of(&connection.socket_id), node };
            let entry = Sent { place, handed, confirmed_at: sent_at };
            first.get_or_insert_with(|| entry.handed.clone());
            let key = (notification, recipient.clone());
            if let Some(pings) = connection.outlet().pings() {
                watch.asked.entry(connection.id).or_default().push_back((pings, key, entry));
                continue;
            }
            let transport = connection.outlet().transport();
            let polling = transport == Transport::Polling;
            let round = if polling { self.rounds.polling } else { self.rounds.stream };
            let (due, proves) = (watch.lived + TICK + round, transport != Transport::OneWay);
            let watched = Watched { due, connection: connection.id, key, entry, proves };
            if polling { &mut watch.polling } else { &mut watch.stream }.push_back(watched);
        }
        let Some(handed) = first else { return };
        let watched = watch.many - before;
        let new = Out { handed, waiting: 0, is_settled: false };
        let out = watch.out.entry((notification, recipient.clone())).or_insert(new);
        out.waiting += watched;
        if !out.is_settled {
            self.metrics.unconfirmed.inc_by(i64::try_from(watched).unwrap_or(0));
        }
    }

    /// When, and by which socket of this node, `recipient` was handed `notification`, if that is watched.
    pub fn handed(&self, recipient: &Recipient, notification: NotificationId) -> Option<Handed> {
        self.lock().out.get(&(notification, recipient.clone())).map(|out| out.handed.clone())
    }

    /// The person has said that it came, and that is written down with all that is known of it here.
    pub fn settled(&self, recipient: &Recipient, notification: NotificationId) {
        let mut watch = self.lock();
        if let Some(out) = watch.out.get_mut(&(notification, recipient.clone()))
            && !std::mem::replace(&mut out.is_settled, true)
        {
            self.metrics.unconfirmed.dec_by(i64::try_from(out.waiting).unwrap_or(0));
        }
    }

    /// Seconds after which it is known, and written down, whether something arrived.
    pub fn seconds(&self) -> u32 {
        self.rounds.seconds()
    }

    /// The client of `connection` has answered its first `pings` pings: what it was sent before the last of
    /// them has arrived.
    pub fn answered(&self, connection: ConnectionId, pings: u64) {
        let mut watch = self.lock();
        let Some(mut waiting) = watch.asked.remove(&connection) else { return };
        let mut ended = 0;
        while let Some((_, key, entry)) = waiting.pop_front_if(|(asked, ..)| *asked < pings) {
            let notification = key.0;
            if !watch.end(key) {
                continue;
            }
            ended += 1;
            if self.metrics.traces.is_on() {
                watch.traced.push((notification, entry.clone()));
            }
            watch.answered.push(entry);
        }
        self.metrics.unconfirmed.dec_by(ended);
        if !waiting.is_empty() {
            watch.asked.insert(connection, waiting);
        }
    }

    /// No pong of this connection's will come any more.
    pub fn left(&self, connection: ConnectionId) {
        let mut watch = self.lock();
        let waiting = watch.asked.remove(&connection).unwrap_or_default();
        let ended = waiting.into_iter().filter_map(|(_, key, _)| watch.end(key).then_some(())).count();
        self.metrics.unconfirmed.dec_by(i64::try_from(ended).unwrap_or(0));
    }

    /// Takes out what is due at `now`: the entries whose connection `is_here` still. Called every tick, when what was taken
    /// out before is written down.
    pub fn due(
        &self,
        now: Instant,
        confirmed_at: Timestamp,
        is_here: impl Fn(ConnectionId) -> bool,
    ) -> Vec<Sent> {
        let mut watch = self.lock();
        watch.forget();
        let since = watch.looked.replace(now).map_or(Duration::ZERO, |looked| now.duration_since(looked));
        watch.lived += since.min(LONGEST_STEP);
        let mut due = std::mem::take(&mut watch.answered);
        // One of a person's connections is enough; their pongs come one after another.
        due.sort_unstable_by_key(|entry| (entry.place.recipient, entry.place.position));
        due.dedup_by_key(|entry| entry.place);
        due.iter_mut().for_each(|entry| entry.confirmed_at = confirmed_at);
        let (mut ended, lived) = (0, watch.lived);
        for is_polling in [false, true] {
            let queue = |watch: &mut Watch| {
                let queue = if is_polling { &mut watch.polling } else { &mut watch.stream };
                queue.pop_front_if(|first| first.due <= lived)
            };
            while let Some(Watched { connection, key, entry, proves, .. }) = queue(&mut watch) {
                let notification = key.0;
                if !watch.end(key) {
                    continue;
                }
                ended += 1;
                // One of a person's connections is enough; they stand side by side.
                let is_known = due.last().is_some_and(|last: &Sent| last.place == entry.place);
                if proves && !is_known && is_here(connection) {
                    if self.metrics.traces.is_on() {
                        watch.traced.push((notification, entry.clone()));
                    }
                    due.push(Sent { confirmed_at, ..entry });
                }
            }
        }
        self.metrics.unconfirmed.dec_by(ended);
        due
    }

    /// Confirms what is due, for as long as it is polled.
    pub async fn run(self: Arc<Self>, hub: Arc<Hub>, store: Arc<Store>, clock: Arc<dyn Clock>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let due = self.due(Instant::now(), clock.now(), |id| hub.is_here(id));
            let traced = std::mem::take(&mut self.lock().traced);
            for entries in due.chunks(TOGETHER) {
                match store.write(Write::Confirm(entries.to_vec())).await {
                    Ok(Written::Changed(many)) => {
                        self.metrics.notifications_by(Outcome::Confirmed, many as u64);
                    }
                    Ok(_) => {}
                    Err(fault) => {
                        tracing::error!(%fault, "confirmations could not be stored; these notifications stay pending");
                    }
                }
            }
            for (notification, entry) in traced {
                self.metrics.traces.note(|| Span {
                    notification: notification.0,
                    accepted: None,
                    name: "confirm",
                    start: entry.handed.at.as_micros(),
                    end: clock.now().as_micros(),
                    facts: vec![("by", "heartbeat".to_owned())],
                    is_failed: false,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Tenant, UserId};
    use crate::realtime::{Dialect, Encode, Form, Line, Outlet, PushError};
    use serde_json::value::RawValue;

    struct Socket(Transport, Line);

    impl Outlet for Socket {
        fn push(&self, _: &str, _: &RawValue) -> Result<(), PushError> {
            Ok(())
        }
        fn line(&self) -> &Line {
            &self.1
        }
        fn transport(&self) -> Transport {
            self.0
        }
        fn pings(&self) -> Option<u64> {
            // As many as bytes were pushed, if any.
            Some(self.1.unsent() as u64).filter(|pings| *pings > 0)
        }
    }

    static FORM: Form = Form { event: "test", encode: Encode::Shared(|_| RawValue::NULL.to_owned()) };
    static DIALECT: Dialect = Dialect {
        name: "test",
        form: |_| &FORM,
        standing: |_| None,
        replays: false,
        caught_up: |_| None,
        expired: || None,
    };

    fn connection(id: u64, transport: Transport) -> Connection {
        let address = [127, 0, 0, 1].into();
        let since = Timestamp::from_micros(0);
        Connection::new(
            ConnectionId(id),
            "s",
            address,
            since,
            &DIALECT,
            Box::new(Socket(transport, Line::default())),
        )
    }

    fn person() -> Recipient {
        Recipient { tenant: Tenant::default(), user: UserId::new("7").unwrap() }
    }

    fn confirmations() -> Confirmations {
        let settings = realtime::Settings {
            ping_interval_ms: 1_000,
            ping_timeout_ms: 1_000,
            tcp_user_timeout_ms: 1_000,
            confirm_margin_ms: 500,
            ..realtime::Settings::default()
        };
        Confirmations::new(Rounds::new(&settings), "n1", Arc::default())
    }

    /// Looks every quarter of a second, up to `until` milliseconds.
    fn look(confirmations: &Confirmations, from: Instant, until: u64, dead: u64) -> Vec<Sent> {
        let ticks = (0..=until).step_by(250);
        let here = |id| id != ConnectionId(dead);
        let later = Timestamp::from_micros(9);
        ticks.flat_map(|ms| confirmations.due(from + Duration::from_millis(ms), later, here)).collect()
    }

    #[test]
    fn only_what_outlived_a_round_is_confirmed() {
        let confirmations = confirmations();
        let sent = Timestamp::from_micros(5);
        let start = Instant::now();
        confirmations.watch(
            [&connection(1, Transport::Stream)],
            &person(),
            NotificationId(1),
            Place { recipient: 7, position: 1 },
            sent,
        );
        confirmations.watch(
            [&connection(2, Transport::Stream)],
            &person(),
            NotificationId(2),
            Place { recipient: 8, position: 1 },
            sent,
        );
        confirmations.watch(
            [&connection(3, Transport::Polling)],
            &person(),
            NotificationId(3),
            Place { recipient: 9, position: 1 },
            sent,
        );
        assert!(look(&confirmations, start, 3_500, 2).is_empty());
        assert_eq!(confirmations.handed(&person(), NotificationId(1)).map(|handed| handed.at), Some(sent));

        let confirmed = look(&confirmations, start + Duration::from_millis(3_500), 1_000, 2);
        let entry = Sent {
            place: Place { recipient: 7, position: 1 },
            handed: Handed { at: sent, socket: SocketMark::of("s"), node: "n1".into() },
            confirmed_at: Timestamp::from_micros(9),
        };
        assert_eq!(confirmed, [entry], "the second socket died, the third is polling");
        assert_eq!(confirmations.handed(&person(), NotificationId(2)), None);
        assert_eq!(look(&confirmations, start + Duration::from_millis(4_500), 12_000, 2).len(), 1);
    }

    /// Whoever is here and answers is not sent a text message for want of patience.
    #[test]
    fn a_step_takes_longer_than_any_socket_needs() {
        let usual = Rounds::new(&realtime::Settings::default());
        assert_eq!(usual.seconds(), 95);
        let slow = realtime::Settings { ping_interval_ms: 60_000, ..realtime::Settings::default() };
        assert!(u64::from(Rounds::new(&slow).seconds()) > 60 + 20 + 20 + 1 + 60 + 1);
    }

    #[test]
    fn a_pong_confirms_what_came_before_its_ping() {
        let confirmations = confirmations();
        let sent = Timestamp::from_micros(5);
        let one = connection(1, Transport::Stream);
        let watch = |pings, number| {
            one.outlet().line().queued(pings);
            let place = Place { recipient: 7, position: number };
            confirmations.watch([&one], &person(), NotificationId(number), place, sent);
        };
        watch(1, 1);
        watch(0, 2);
        watch(1, 3);
        confirmations.answered(one.id, 1);
        assert!(look(&confirmations, Instant::now(), 0, 0).is_empty(), "they came behind the first ping");
        confirmations.answered(one.id, 2);
        let confirmed = look(&confirmations, Instant::now(), 0, 0);
        assert_eq!(confirmed.iter().map(|entry| entry.place.position).collect::<Vec<_>>(), [1, 2]);
        confirmations.left(one.id);
        confirmations.answered(one.id, 9);
        assert!(look(&confirmations, Instant::now(), 60_000, 0).is_empty());
        // Whoever has many connections is written down once for each notification, not once for each connection.
        let both = [connection(2, Transport::Stream), connection(3, Transport::Stream)];
        for number in [4, 5] {
            both.iter().for_each(|one| _ = one.outlet().line().queued(1));
            let place = Place { recipient: 7, position: number };
            confirmations.watch(both.each_ref(), &person(), NotificationId(number), place, sent);
        }
        both.iter().for_each(|one| confirmations.answered(one.id, 9));
        let confirmed = look(&confirmations, Instant::now(), 60_000, 0);
        assert_eq!(confirmed.iter().map(|entry| entry.place.position).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(confirmations.lock().many, 0);
    }

    /// What the person has said that came is not written down once more, nor waited for.
    #[test]
    fn what_is_settled_waits_no_longer() {
        let confirmations = confirmations();
        let (sent, start) = (Timestamp::from_micros(5), Instant::now());
        let (place, id) = (Place { recipient: 7, position: 1 }, NotificationId(1));
        let both = [connection(1, Transport::Stream), connection(2, Transport::Polling)];
        confirmations.watch(both.each_ref(), &person(), id, place, sent);
        assert_eq!(confirmations.metrics.unconfirmed.get(), 2);
        assert_eq!(
            confirmations.handed(&person(), id).map(|handed| handed.way()),
            Some("s-------@n1".to_owned())
        );
        confirmations.settled(&person(), id);
        confirmations.settled(&person(), id);
        assert_eq!(confirmations.metrics.unconfirmed.get(), 0);
        assert!(look(&confirmations, start, 60_000, 0).is_empty());
        assert_eq!((confirmations.metrics.unconfirmed.get(), confirmations.handed(&person(), id)), (0, None));
        assert_eq!(confirmations.lock().many, 0);
    }

    /// Nobody hears whether a stream that only goes one way brought something; when it was handed out is known.
    #[test]
    fn a_stream_that_goes_one_way_proves_nothing() {
        let confirmations = confirmations();
        let (id, start) = (NotificationId(1), Instant::now());
        let place = Place { recipient: 7, position: 1 };
        confirmations.watch(
            [&connection(1, Transport::OneWay)],
            &person(),
            id,
            place,
            Timestamp::from_micros(5),
        );
        assert!(confirmations.handed(&person(), id).is_some());
        assert!(look(&confirmations, start, 60_000, 0).is_empty());
        assert_eq!(confirmations.handed(&person(), id), None);
    }

    #[test]
    fn a_process_that_was_stopped_has_lived_through_nothing() {
        let confirmations = confirmations();
        let start = Instant::now();
        let sent = Timestamp::from_micros(5);
        confirmations.watch(
            [&connection(1, Transport::Stream)],
            &person(),
            NotificationId(1),
            Place { recipient: 7, position: 1 },
            sent,
        );
        assert!(look(&confirmations, start, 1_000, 0).is_empty());
        let woken = start + Duration::from_secs(61);
        assert!(look(&confirmations, woken, 1_000, 0).is_empty());
        assert_eq!(look(&confirmations, woken + Duration::from_secs(1), 2_000, 0).len(), 1);
    }
}
