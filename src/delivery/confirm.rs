//! Confirmation without client code: a socket that lives through a full heartbeat round after a push
//! has received it, because it answers pings in order. Where pongs are heard of one by one, the first that
//! answers a ping asked after the push says so at once.
//!
//! What waits here is only *sent*; it lives in memory. If the socket dies first, nothing has to be
//! undone: the database still says unconfirmed, and the next connection gets it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::domain::{Clock, NotificationId, Place, Timestamp};
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

struct Watched {
    /// In time lived (see [`Watch::lived`]).
    due: Duration,
    connection: ConnectionId,
    notification: NotificationId,
    entry: Sent,
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
    asked: HashMap<ConnectionId, VecDeque<(u64, NotificationId, Sent)>>,
    /// Confirmed by a pong, and not taken out yet.
    answered: Vec<Sent>,
    /// Confirmed, and not told of yet, if somebody wants to hear of it.
    traced: Vec<(NotificationId, Sent)>,
    sent: HashMap<NotificationId, Timestamp>,
    /// How many entries are watched.
    many: usize,
}

impl Watch {
    /// This one is watched no longer.
    fn ended(&mut self, notification: NotificationId) {
        self.many -= 1;
        self.sent.remove(&notification);
    }
}

/// What was sent and waits for its confirmation.
pub struct Confirmations {
    watch: Mutex<Watch>,
    rounds: Rounds,
    metrics: Arc<Metrics>,
}

impl Confirmations {
    /// Nothing is watched yet.
    pub fn new(rounds: Rounds, metrics: Arc<Metrics>) -> Self {
        Self { watch: Mutex::default(), rounds, metrics }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Watches one entry that these `connections` have just been handed.
    pub fn watch<'a>(
        &self,
        connections: impl IntoIterator<Item = &'a Connection>,
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
        let before = watch.many;
        for connection in connections.into_iter().take(MOST.saturating_sub(before)) {
            let transport = connection.outlet().transport();
            if transport == Transport::OneWay {
                continue;
            }
            watch.many += 1;
            let entry = Sent { place, sent_at, confirmed_at: sent_at };
            if let Some(pings) = connection.outlet().pings() {
                watch.asked.entry(connection.id).or_default().push_back((pings, notification, entry));
                continue;
            }
            let polling = transport == Transport::Polling;
            let round = if polling { self.rounds.polling } else { self.rounds.stream };
            let watched =
                Watched { due: watch.lived + TICK + round, connection: connection.id, notification, entry };
            if polling { &mut watch.polling } else { &mut watch.stream }.push_back(watched);
        }
        let watched = watch.many - before;
        if watched > 0 {
            watch.sent.entry(notification).or_insert(sent_at);
            self.metrics.unconfirmed.inc_by(i64::try_from(watched).unwrap_or(0));
        }
    }

    /// When `notification` was sent, if it is watched.
    pub fn sent_at(&self, notification: NotificationId) -> Option<Timestamp> {
        self.lock().sent.get(&notification).copied()
    }

    /// The client of `connection` has answered its first `pings` pings: what it was sent before the last of
    /// them has arrived.
    pub fn answered(&self, connection: ConnectionId, pings: u64) {
        let mut watch = self.lock();
        let Some(mut waiting) = watch.asked.remove(&connection) else { return };
        let before = watch.many;
        while let Some((_, notification, entry)) = waiting.pop_front_if(|(asked, ..)| *asked < pings) {
            watch.ended(notification);
            watch.answered.push(entry);
            if self.metrics.traces.is_on() {
                watch.traced.push((notification, entry));
            }
        }
        self.metrics.unconfirmed.dec_by(i64::try_from(before - watch.many).unwrap_or(0));
        if !waiting.is_empty() {
            watch.asked.insert(connection, waiting);
        }
    }

    /// No pong of this connection's will come any more.
    pub fn left(&self, connection: ConnectionId) {
        let mut watch = self.lock();
        let waiting = watch.asked.remove(&connection).unwrap_or_default();
        self.metrics.unconfirmed.dec_by(i64::try_from(waiting.len()).unwrap_or(0));
        waiting.into_iter().for_each(|(_, notification, _)| watch.ended(notification));
    }

    /// Takes out what is due at `now`: the entries whose connection `is_here` still. Called every tick.
    pub fn due(
        &self,
        now: Instant,
        confirmed_at: Timestamp,
        is_here: impl Fn(ConnectionId) -> bool,
    ) -> Vec<Sent> {
        let mut watch = self.lock();
        let since = watch.looked.replace(now).map_or(Duration::ZERO, |looked| now.duration_since(looked));
        watch.lived += since.min(LONGEST_STEP);
        let mut due = std::mem::take(&mut watch.answered);
        // One of a person's connections is enough; their pongs come one after another.
        due.sort_unstable_by_key(|entry| (entry.place.recipient, entry.place.position));
        due.dedup_by_key(|entry| entry.place);
        due.iter_mut().for_each(|entry| entry.confirmed_at = confirmed_at);
        let mut ended = 0;
        let Watch { lived, stream, polling, sent, many, traced, .. } = &mut *watch;
        for queue in [stream, polling] {
            while queue.front().is_some_and(|first| first.due <= *lived) {
                let Some(watched) = queue.pop_front() else { break };
                ended += 1;
                *many -= 1;
                sent.remove(&watched.notification);
                // One of a person's connections is enough; they stand side by side.
                let is_known = due.last().is_some_and(|last: &Sent| last.place == watched.entry.place);
                if !is_known && is_here(watched.connection) {
                    due.push(Sent { confirmed_at, ..watched.entry });
                    if self.metrics.traces.is_on() {
                        traced.push((watched.notification, watched.entry));
                    }
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
                    start: entry.sent_at.as_micros(),
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

    fn confirmations() -> Confirmations {
        let settings = realtime::Settings {
            ping_interval_ms: 1_000,
            ping_timeout_ms: 1_000,
            tcp_user_timeout_ms: 1_000,
            confirm_margin_ms: 500,
            ..realtime::Settings::default()
        };
        Confirmations::new(Rounds::new(&settings), Arc::default())
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
            NotificationId(1),
            Place { recipient: 7, position: 1 },
            sent,
        );
        confirmations.watch(
            [&connection(2, Transport::Stream)],
            NotificationId(2),
            Place { recipient: 8, position: 1 },
            sent,
        );
        confirmations.watch(
            [&connection(3, Transport::Polling)],
            NotificationId(3),
            Place { recipient: 9, position: 1 },
            sent,
        );
        assert!(look(&confirmations, start, 3_500, 2).is_empty());
        assert_eq!(confirmations.sent_at(NotificationId(1)), Some(sent));

        let confirmed = look(&confirmations, start + Duration::from_millis(3_500), 1_000, 2);
        let entry = Sent {
            place: Place { recipient: 7, position: 1 },
            sent_at: sent,
            confirmed_at: Timestamp::from_micros(9),
        };
        assert_eq!(confirmed, [entry], "the second socket died, the third is polling");
        assert_eq!(confirmations.sent_at(NotificationId(2)), None);
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
            confirmations.watch([&one], NotificationId(number), place, sent);
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
            confirmations.watch(both.each_ref(), NotificationId(number), place, sent);
        }
        both.iter().for_each(|one| confirmations.answered(one.id, 9));
        let confirmed = look(&confirmations, Instant::now(), 60_000, 0);
        assert_eq!(confirmed.iter().map(|entry| entry.place.position).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(confirmations.lock().many, 0);
    }

    #[test]
    fn a_process_that_was_stopped_has_lived_through_nothing() {
        let confirmations = confirmations();
        let start = Instant::now();
        let sent = Timestamp::from_micros(5);
        confirmations.watch(
            [&connection(1, Transport::Stream)],
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
