//! Counts what becomes of notifications, so that nobody has to count it when it is asked for (decision 35). Each server does
//! it, or processes of their own; several may.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::Clock;
use crate::store::{AnalyticsWrite, CountedUpto, Store, StoreError, Write};

/// Between two rounds, at most.
const PAUSE: u64 = 5;

/// Settings of `[analytics]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnalyticsSettings {
    /// How long notifications are left alone before they are counted, in seconds: what most of them become, they become
    /// within that time. Until then they are counted whenever somebody asks.
    pub settle_seconds: u32,
}

impl Default for AnalyticsSettings {
    fn default() -> Self {
        Self { settle_seconds: 60 }
    }
}

/// Does that.
pub struct Rollup {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    settle: u32,
    /// Up to which notification a place was announced, and whose transactions may not have heard of it.
    before: Option<(i64, HashSet<String>)>,
}

impl Rollup {
    /// For everybody who shares `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, settings: &AnalyticsSettings) -> Self {
        Self { store, clock, settle: settings.settle_seconds, before: None }
    }

    /// Counts, without end.
    pub async fn run(mut self) {
        let pause = Duration::from_secs(u64::from(self.settle).clamp(1, PAUSE));
        loop {
            if let Err(fault) = self.round().await {
                tracing::warn!(%fault, "what became of notifications could not be counted; trying again");
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        if self.is_announced().await? {
            self.rested(async |store: &Store| store.count_next().await).await?;
        }
        self.rested(async |store: &Store| store.add_up().await).await?;
        let announce = AnalyticsWrite::Announce { now: self.clock.now(), settle: self.settle.into() };
        self.store.write(Write::Analytics(announce)).await?;
        Ok(())
    }

    /// Whether something is to be counted, and everybody who writes has heard of it: all transactions are over that may have
    /// begun before the place was announced.
    async fn is_announced(&mut self) -> Result<bool, StoreError> {
        let CountedUpto { counted, announced, .. } = self.store.counted_upto().await?;
        if counted >= announced {
            return Ok(false);
        }
        let under_way = self.store.under_way().await?;
        let before = match self.before.take() {
            Some((place, before)) if place == announced => before.intersection(&under_way).cloned().collect(),
            _ => under_way,
        };
        let is_heard = before.is_empty();
        self.before = Some((announced, before));
        Ok(is_heard)
    }

    /// Works on while something is left, and rests each time as long as that took.
    async fn rested(&self, work: impl AsyncFn(&Store) -> Result<bool, StoreError>) -> Result<(), StoreError> {
        loop {
            let started = Instant::now();
            if !work(&self.store).await? {
                return Ok(());
            }
            tokio::time::sleep(started.elapsed()).await;
        }
    }
}
