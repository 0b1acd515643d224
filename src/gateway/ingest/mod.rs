//! What other programs leave in Redis: published on a channel, or added to a stream. Each is accepted as if it had been
//! posted.
//!
//! Promises: an entry of the stream leaves it only when what it asks for is stored, or is a dead letter; it is stored
//! once. A published message is stored once, however many nodes there are, if a node listened when it was published.
//! What cannot be taken holds up nothing behind it. Redis may come and go; nobody else waits for it.

mod channel;
mod lease;
mod letters;
mod naming;
mod stream;
mod traces;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use redis::{PushInfo, RedisError};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::lease::{Found, Lease};
pub use self::letters::Letterbox;
pub use self::traces::Traces;
use self::wire::Refused;
use crate::realtime::backplane::{self, Link, Server};
use crate::service::{IngestLine, Ingesting, Notify};
use crate::telemetry::Metrics;

/// Between two questions of a node that does not hold the lease.
const STAND_BY: Duration = Duration::from_millis(500);
/// Between two attempts to connect, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Bytes of the name of a stream: it begins the keys of its entries.
const LONGEST_NAME: usize = 128;

/// Settings of `[ingest]`. They count when `redis.url` is set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The channel on which senders publish. Empty: none.
    pub channel: String,
    /// The stream to which senders add. Empty: nothing is taken from Redis at all.
    pub stream: String,
    /// The stream that keeps what could not be taken. Empty: it is only counted.
    pub dead_letters: String,
    /// The consumer group of all nodes.
    pub group: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: "notifications:send".to_owned(),
            stream: "notifications:stream".to_owned(),
            dead_letters: "notifications:dead".to_owned(),
            group: "carillon".to_owned(),
        }
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Redis's address, or its file of certificates.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A name.
    #[error("{0}")]
    Name(&'static str),
}

impl Settings {
    fn check(&self) -> Result<(), IngestError> {
        let rules = [
            (
                self.stream.is_empty() && !self.channel.is_empty(),
                "ingest.stream is empty, but ingest.channel is not: what is published passes through the stream; set both, or none",
            ),
            (
                !self.stream.is_empty() && self.group.is_empty(),
                "ingest.group is empty; name the consumer group of ingest.stream, or empty ingest.stream and ingest.channel",
            ),
            (
                !self.stream.is_empty() && self.stream == self.dead_letters,
                "ingest.dead_letters is ingest.stream; dead letters need a stream of their own",
            ),
            (
                self.stream.len() > LONGEST_NAME,
                "ingest.stream has more than 128 bytes; choose a shorter name",
            ),
            (
                !lease::can_have_neighbours(&self.stream),
                "ingest.stream has odd braces; use none, or a hash tag such as {shop}:stream",
            ),
        ];
        match rules.into_iter().find(|(is_broken, _)| *is_broken) {
            Some((_, rule)) => Err(IngestError::Name(rule)),
            None => Ok(()),
        }
    }
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Channel,
    Stream,
}

impl Origin {
    /// The field of entries that were published, and put into the stream by us.
    const CARRIED: &str = "published";

    const fn word(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Stream => "stream",
        }
    }
}

/// Why a node no longer takes what comes by Redis.
enum End {
    /// The line is broken, or Redis refuses.
    Redis(RedisError),
    /// Another node does.
    Taken,
}

impl From<RedisError> for End {
    fn from(fault: RedisError) -> Self {
        Self::Redis(fault)
    }
}

/// The time during which a node takes what comes.
struct Turn {
    lease: Lease,
    /// Whether nothing can be stored at present.
    troubled: AtomicBool,
}

/// The door that Redis is.
pub struct Ingest {
    server: Server,
    names: Settings,
    notify: Arc<Notify>,
    metrics: Arc<Metrics>,
    node: String,
    largest: usize,
    state: IngestLine,
}

impl Ingest {
    /// Takes, as `node`, messages of at most `largest` bytes, and tells `state` how that goes; `None` when the settings name nothing to take them from.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(
        settings: &Settings,
        redis: &backplane::Settings,
        notify: Arc<Notify>,
        metrics: Arc<Metrics>,
        node: &str,
        largest: usize,
        state: IngestLine,
    ) -> Result<Option<Self>, IngestError> {
        settings.check()?;
        if redis.url.is_empty() || settings.stream.is_empty() {
            return Ok(None);
        }
        let (server, names) = (Server::new(redis)?, settings.clone());
        state.set(Ingesting::Begins);
        Ok(Some(Self { server, names, notify, metrics, node: node.to_owned(), largest, state }))
    }

    /// Takes what comes whenever it is this node's turn, until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (mut pause, mut is_told) = (PAUSES.0, false);
        for number in 1_u64.. {
            let lease = Lease::new(&self.names.stream, &self.names.group, format!("{}/{number}", self.node));
            let turn = Turn { lease, troubled: AtomicBool::new(false) };
            let ended = self.turn(&turn, &stop, || (pause, is_told) = (PAUSES.0, false)).await;
            self.metrics.ingest_up.set(0);
            if let Err(End::Redis(_)) = ended {
                self.state.set(Ingesting::Away);
            }
            match ended {
                Ok(()) => return,
                Err(End::Taken) => tracing::info!("another node takes what comes by Redis now"),
                Err(End::Redis(fault)) if !is_told => {
                    is_told = true;
                    tracing::warn!(%fault, "what comes by Redis cannot be taken; trying again each second");
                }
                Err(End::Redis(_)) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Waits for the lease, and takes what comes for as long as it can be kept. `begun` is called when it is ours.
    async fn turn(&self, turn: &Turn, stop: &CancellationToken, begun: impl FnOnce()) -> Result<(), End> {
        let (pushes, heard) = channel::queue(self.metrics.clone());
        let mut link = self.server.connect(pushes).await?;
        self.state.set(Ingesting::Goes);
        if !self.wait(&mut link, turn, stop).await? {
            return Ok(());
        }
        let line = self.server.connect(|_: PushInfo| Ok::<_, ()>(())).await?;
        tracing::info!(
            channel = self.names.channel,
            stream = self.names.stream,
            "this node takes what comes by Redis"
        );
        begun();
        self.metrics.ingest_up.set(1);
        // Both end when told to stop.
        let carrying = self.carry(&mut link, heard, turn, stop);
        futures_util::future::try_join(carrying, self.read(line, turn, stop)).await?;
        Ok(turn.lease.release(&mut link).await?)
    }

    /// Waits until it is this node's turn; false when told to stop.
    async fn wait(&self, link: &mut Link, turn: &Turn, stop: &CancellationToken) -> Result<bool, End> {
        loop {
            let found = match turn.lease.take(link, false, false).await? {
                Found::Troubled if self.notify.is_ready().await => turn.lease.take(link, false, true).await?,
                found => found,
            };
            if found == Found::Ours {
                return Ok(true);
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(false),
                () = tokio::time::sleep(STAND_BY) => {}
            }
        }
    }

    fn too_large(&self) -> Refused {
        let why = format!("a message may have {} bytes (limits.max_request_bytes)", self.largest);
        Refused::new("too_large", why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_rules() {
        let with = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().err().map(|fault| fault.to_string())
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|settings| settings.channel.clear()), None);
        assert_eq!(with(|settings| settings.dead_letters.clear()), None);
        assert_eq!(with(|settings| (settings.channel, settings.stream) = Default::default()), None);
        let wrong: [fn(&mut Settings); 5] = [
            |settings| settings.stream.clear(),
            |settings| settings.group.clear(),
            |settings| settings.dead_letters.clone_from(&settings.stream),
            |settings| settings.stream = "x".repeat(129),
            |settings| settings.stream = "a{b".to_owned(),
        ];
        for change in wrong {
            assert!(with(change).is_some_and(|words| words.contains("ingest.")));
        }
    }
}
