//! Confirmation without client code: a socket that lives through a full heartbeat round after a push
//! has received it, because it answers pings in order.
//!
//! What waits here is only *sent*; it lives in memory. If the socket dies first, nothing has to be
//! undone: the database still says unconfirmed, and the next connection gets it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::domain::{Clock, NotificationId, Position, Timestamp};
use crate::realtime::{self, Connection, ConnectionId, Hub, Transport};
use crate::store::{Sent, Store, Write, Written};
use crate::telemetry::{Metrics, Outcome};

/// Entries watched at most. Beyond them a notification stays pending and comes again: safe, not lost.
const MOST: usize = 1_000_000;
/// Confirmations that share one write.
const TOGETHER: usize = 512;
/// How often the watch is looked at.
const TICK: Duration = Duration::from_millis(250);

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
        Self { stream, polling: stream + interval }
    }
}

struct Watched {
    due: Instant,
    connection: ConnectionId,
    notification: NotificationId,
    entry: Sent,
}

/// Each queue holds entries of one round, so it is sorted by when they are due.
#[derive(Default)]
struct Watch {
    stream: VecDeque<Watched>,
    polling: VecDeque<Watched>,
    sent: HashMap<NotificationId, Timestamp>,
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

    /// Watches one entry that `connection` has just been handed.
    pub fn watch(
        &self,
        connection: &Connection,
        notification: NotificationId,
        recipient: i64,
        position: Position,
        sent_at: Timestamp,
    ) {
        let polling = connection.outlet().transport() == Transport::Polling;
        let round = if polling { self.rounds.polling } else { self.rounds.stream };
        let watched = Watched {
            due: Instant::now() + round,
            connection: connection.id,
            notification,
            entry: Sent { recipient, position, sent_at, confirmed_at: sent_at },
        };
        let mut watch = self.lock();
        if watch.stream.len() + watch.polling.len() >= MOST {
            return;
        }
        watch.sent.entry(notification).or_insert(sent_at);
        if polling { &mut watch.polling } else { &mut watch.stream }.push_back(watched);
        self.metrics.unconfirmed.inc();
    }

    /// When `notification` was sent, if it is watched.
    pub fn sent_at(&self, notification: NotificationId) -> Option<Timestamp> {
        self.lock().sent.get(&notification).copied()
    }

    /// Takes out what is due at `now`: the entries whose connection `is_here` still.
    fn due(
        &self,
        now: Instant,
        confirmed_at: Timestamp,
        is_here: impl Fn(ConnectionId) -> bool,
    ) -> Vec<Sent> {
        let mut watch = self.lock();
        let mut due = Vec::new();
        let mut ended = 0;
        let Watch { stream, polling, sent } = &mut *watch;
        for queue in [stream, polling] {
            while queue.front().is_some_and(|first| first.due <= now) {
                let Some(watched) = queue.pop_front() else { break };
                ended += 1;
                sent.remove(&watched.notification);
                if is_here(watched.connection) {
                    due.push(Sent { confirmed_at, ..watched.entry });
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
            for entries in due.chunks(TOGETHER) {
                match store.write(Write::Confirm(entries.to_vec())).await {
                    Ok(Written::Confirmed(many)) => {
                        self.metrics.notifications_by(Outcome::Confirmed, many as u64);
                    }
                    Ok(_) => {}
                    Err(fault) => {
                        tracing::error!(%fault, "confirmations could not be stored; these notifications stay pending");
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::realtime::{Close, Dialect, Outlet, PushError};
    use serde_json::value::RawValue;

    struct Socket(Transport);

    impl Outlet for Socket {
        fn push(&self, _: &str, _: &RawValue) -> Result<(), PushError> {
            Ok(())
        }
        fn close(&self, _: Close) {}
        fn pause(&self, _: bool) {}
        fn hold(&self, _: Duration) {}
        fn trust(&self) {}
        fn transport(&self) -> Transport {
            self.0
        }
    }

    static DIALECT: Dialect = Dialect { name: "test", event: "test", encode: |_| RawValue::NULL.to_owned() };

    fn connection(id: u64, transport: Transport) -> Connection {
        let address = [127, 0, 0, 1].into();
        let since = Timestamp::from_micros(0);
        Connection::new(ConnectionId(id), "s", address, since, &DIALECT, Box::new(Socket(transport)))
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

    #[test]
    fn only_what_outlived_a_round_is_confirmed() {
        let confirmations = confirmations();
        let (sent, later) = (Timestamp::from_micros(5), Timestamp::from_micros(9));
        let start = Instant::now();
        confirmations.watch(&connection(1, Transport::Stream), NotificationId(1), 7, 1, sent);
        confirmations.watch(&connection(2, Transport::Stream), NotificationId(2), 8, 1, sent);
        confirmations.watch(&connection(3, Transport::Polling), NotificationId(3), 9, 1, sent);
        let early = start + Duration::from_millis(3_400);
        assert!(confirmations.due(early, later, |_| true).is_empty());
        assert_eq!(confirmations.sent_at(NotificationId(1)), Some(sent));

        let round = start + Duration::from_millis(3_900);
        let confirmed = confirmations.due(round, later, |id| id != ConnectionId(2));
        let entry = Sent { recipient: 7, position: 1, sent_at: sent, confirmed_at: later };
        assert_eq!(confirmed, [entry], "the second socket died, the third is polling");
        assert_eq!(confirmations.sent_at(NotificationId(2)), None);

        let longer = start + Duration::from_millis(4_900);
        assert_eq!(confirmations.due(longer, later, |_| true).len(), 1);
    }
}
