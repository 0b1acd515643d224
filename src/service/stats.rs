//! Numbers for whoever watches.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::single_flight::SingleFlight;
use super::{IngestLine, Ingesting, Presences};
use crate::delivery::{Condition, Dispatch};
use crate::domain::{Channel, Clock, Timestamp};
use crate::realtime::backplane::Line;
use crate::realtime::{Census, Hub};
use crate::store::{Counts, LEASE_SECONDS, Store, StoreError};

/// Counting may take up to this share of the time: one part in ten.
const REST: u32 = 10;
/// A database that has not answered by then counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(3);

/// Who is connected, on all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// Different people.
    pub people: usize,
    /// Whether a back end is.
    pub backend: bool,
    /// Connections of people.
    pub sessions: i64,
}

/// What `/stats` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Who is connected.
    pub online: Online,
    /// What is stored.
    pub counts: Counts,
}

/// How Redis is, whatever it is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisIs {
    /// Nothing.
    Unused,
    /// Not asked yet.
    Asked,
    /// There.
    There,
    /// Away: something does not go as it should.
    Away,
}

/// What `/health` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Whether the database answers.
    pub database: bool,
    /// The line between nodes.
    pub line: Line,
    /// The door that Redis is.
    pub ingesting: Ingesting,
    /// Who is on this node.
    pub census: Census,
    /// Who is connected, on all nodes.
    pub online: Online,
    /// The highest notification number, if known.
    pub last_notification: i64,
    /// How each way beyond sockets is.
    pub beyond: [(Channel, Condition); 3],
    /// When this was found out.
    pub at: Timestamp,
}

impl Health {
    /// How Redis is.
    pub const fn redis(&self) -> RedisIs {
        redis(self.line, self.ingesting)
    }

    /// What it is used for, in words; empty, if for nothing.
    pub fn redis_uses(&self) -> Vec<&'static str> {
        let uses = [(self.line != Line::Alone, "nodes"), (self.ingesting != Ingesting::Off, "letters")];
        uses.into_iter().filter_map(|(is_used, word)| is_used.then_some(word)).collect()
    }
}

const fn redis(line: Line, ingesting: Ingesting) -> RedisIs {
    match (line, ingesting) {
        (Line::Degraded, _) | (_, Ingesting::Away) => RedisIs::Away,
        (Line::Connected, _) | (_, Ingesting::Goes) => RedisIs::There,
        (Line::Alone, Ingesting::Begins) => RedisIs::Asked,
        (Line::Alone, Ingesting::Off) => RedisIs::Unused,
    }
}

struct Counted {
    /// Nothing, if the database did not answer.
    counts: Option<Counts>,
    at: Instant,
    took: Duration,
}

/// Counts, without letting whoever asks often make the database slow.
pub struct StatsService {
    hub: Arc<Hub>,
    store: Arc<Store>,
    presences: Arc<Presences>,
    dispatch: Arc<Dispatch>,
    clock: Arc<dyn Clock>,
    ingesting: IngestLine,
    counted: Mutex<Option<Counted>>,
    online: SingleFlight<Online, String>,
    database: SingleFlight<(), Cow<'static, str>>,
    last: SingleFlight<i64, ()>,
}

impl StatsService {
    /// Counts what is in `hub` and `store`, and asks `dispatch` how its providers do; `ingesting` knows of the letters.
    pub fn new(
        hub: Arc<Hub>,
        store: Arc<Store>,
        presences: Arc<Presences>,
        dispatch: Arc<Dispatch>,
        clock: Arc<dyn Clock>,
        ingesting: IngestLine,
    ) -> Self {
        let counted = Mutex::new(None);
        Self {
            hub,
            store,
            presences,
            dispatch,
            clock,
            ingesting,
            counted,
            online: SingleFlight::default(),
            database: SingleFlight::default(),
            last: SingleFlight::default(),
        }
    }

    /// Everything `/stats` tells. A count that took long is used again for ten times as long.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let mut counted = self.counted.lock().await;
        let counts = match &*counted {
            Some(last) if last.at.elapsed() < last.took * REST => last.counts,
            _ => {
                let started = Instant::now();
                let now = self.clock.now();
                let counts = self
                    .store
                    .counts(now)
                    .await
                    .inspect_err(|fault| tracing::warn!(%fault, "no counts"))
                    .ok();
                *counted = Some(Counted { counts, at: Instant::now(), took: started.elapsed() });
                counts
            }
        };
        drop(counted);
        let counts = counts.ok_or_else(|| StoreError::Unreachable("it did not count in time".to_owned()))?;
        Ok(Stats { online: self.online().await?, counts })
    }

    /// Who is connected: this node alone knows that on SQLite, the database where nodes share one.
    pub(super) async fn online(&self) -> Result<Online, StoreError> {
        let online = self.online.at(async || self.look().await.map_err(|fault| fault.to_string()));
        online.await.map_err(StoreError::Unreachable)
    }

    async fn look(&self) -> Result<Online, StoreError> {
        self.presences.write().await?;
        let roll = self.store.roll(LEASE_SECONDS).await?;
        let here = Online { sessions: roll.connections, ..self.here() };
        if !self.store.is_shared() {
            return Ok(here);
        }
        let people = usize::try_from(roll.people).unwrap_or(0);
        Ok(Online { people, backend: roll.senders > 0, ..here })
    }

    /// Who is connected to this node.
    fn here(&self) -> Online {
        let census = self.hub.census(self.clock.now());
        Online { people: census.people, backend: census.senders > 0, sessions: 0 }
    }

    /// How Redis is.
    pub fn redis(&self) -> RedisIs {
        redis(self.hub.backplane().line(), self.ingesting.get())
    }

    /// Everything `/health` tells.
    pub async fn health(&self) -> Health {
        let database = self.database().await.is_ok();
        let numbers = async {
            let last = self.last.at(async || self.store.last_notification().await.map_err(drop));
            let last = last.await.unwrap_or(0);
            let online = if self.store.is_shared() { self.online().await.ok() } else { None };
            (last, online)
        };
        let (last_notification, online) = match database {
            true => tokio::time::timeout(PATIENCE, numbers).await.unwrap_or_default(),
            false => (0, None),
        };
        let at = self.clock.now();
        let (line, census) = (self.hub.backplane().line(), self.hub.census(at));
        let online = online.unwrap_or_else(|| self.here());
        let beyond = Channel::BEYOND.map(|channel| (channel, self.dispatch.condition(channel)));
        let ingesting = self.ingesting.get();
        Health { database, line, ingesting, census, online, last_notification, beyond, at }
    }

    /// Who is connected to this node, and since when on average.
    pub fn census(&self) -> (Census, Timestamp) {
        let at = self.clock.now();
        (self.hub.census(at), at)
    }

    /// Whether the database answers in time, and can store.
    ///
    /// # Errors
    /// In a few words, why not.
    pub async fn database(&self) -> Result<(), Cow<'static, str>> {
        let look = async || match tokio::time::timeout(PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreError::Full(_))) => Err("disk full".into()),
            Ok(Err(StoreError::Lacking(id))) => {
                Err(format!("key `{id}` is not among ENCRYPTION_KEYS").into())
            }
            _ => Err("database unreachable".into()),
        };
        self.database.at(look).await
    }
}
