//! Numbers for whoever watches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::domain::{Clock, Timestamp};
use crate::realtime::{Census, Hub};
use crate::store::{Counts, Store, StoreError};

/// Counting may take up to this share of the time: one part in ten.
const REST: u32 = 10;
/// A database that has not answered by then counts as unreachable.
const PATIENCE: Duration = Duration::from_secs(3);

/// What `/stats` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Who is here.
    pub census: Census,
    /// What is stored.
    pub counts: Counts,
}

/// What `/health` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Whether the database answers.
    pub database: bool,
    /// Who is here.
    pub census: Census,
    /// The highest notification number, if known.
    pub last_notification: i64,
    /// When this was found out.
    pub at: Timestamp,
}

struct Counted {
    counts: Counts,
    at: Instant,
    took: Duration,
}

/// Counts, without letting whoever asks often make the database slow.
pub struct StatsService {
    hub: Arc<Hub>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    counted: Mutex<Option<Counted>>,
}

impl StatsService {
    /// Counts what is in `hub` and `store`.
    pub fn new(hub: Arc<Hub>, store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { hub, store, clock, counted: Mutex::new(None) }
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
                let counts = self.store.counts().await?;
                *counted = Some(Counted { counts, at: Instant::now(), took: started.elapsed() });
                counts
            }
        };
        Ok(Stats { census: self.hub.census(self.clock.now()), counts })
    }

    /// Everything `/health` tells.
    pub async fn health(&self) -> Health {
        let database = self.database().await.is_ok();
        let last_notification = match database {
            true => self.store.last_notification().await.unwrap_or(0),
            false => 0,
        };
        let at = self.clock.now();
        Health { database, census: self.hub.census(at), last_notification, at }
    }

    /// Whether the database answers in time, and can store.
    ///
    /// # Errors
    /// In two or three words, why not.
    pub async fn database(&self) -> Result<(), &'static str> {
        match tokio::time::timeout(PATIENCE, self.store.ping()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreError::Full(_))) => Err("disk full"),
            _ => Err("database unreachable"),
        }
    }
}
