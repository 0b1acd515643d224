//! Removes what is old and done, a little at a time (decision 36). Each server does it, or processes of their own; several
//! may.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::{Clock, Timestamp};
use crate::store::{Found, PrivacyWrite, Store, StoreError, Until, Write, Written};

const SECONDS_A_DAY: i64 = 24 * 60 * 60;
/// After the start: others have more to do then.
const FIRST: Duration = Duration::from_secs(30);

/// Settings of `[retention]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days after which what was delivered, read or deleted, or has expired, is removed; 0 keeps it for ever.
    pub notifications_days: u16,
    /// Days after which what nobody has had yet is removed, too; 0 keeps it until somebody has had it.
    pub pending_days: u16,
    /// Seconds between two rounds.
    pub every_seconds: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { notifications_days: 90, pending_days: 0, every_seconds: 3_600 }
    }
}

/// Does that.
pub struct Retention {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    settings: RetentionSettings,
}

impl Retention {
    /// For everybody who shares `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>, settings: &RetentionSettings) -> Self {
        Self { store, clock, settings: settings.clone() }
    }

    /// Removes, without end.
    pub async fn run(self) {
        tokio::join!(self.sweep(), self.clear());
    }

    fn pause(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.every_seconds.max(1)))
    }

    /// What is left of people who were forgotten, and counts no longer.
    async fn clear(&self) {
        loop {
            tokio::time::sleep(self.pause()).await;
            if let Err(fault) = self.store.write(Write::Privacy(Arc::new(PrivacyWrite::Clear))).await {
                tracing::warn!(%fault, "what caps count no longer could not be removed; trying again");
            }
        }
    }

    /// At once over, if all is kept.
    async fn sweep(&self) {
        if self.settings.notifications_days == 0 {
            return;
        }
        let pause = self.pause();
        tokio::time::sleep(pause.min(FIRST)).await;
        loop {
            match self.round().await {
                Ok((0, 0)) => {}
                Ok((entries, notifications)) => {
                    tracing::info!(entries, notifications, "what was old and done was removed");
                }
                Err(fault) => tracing::warn!(%fault, "what is old could not be removed; trying again"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn until(&self) -> Until {
        let now = self.clock.now();
        let before = |days: u16| match days {
            0 => Timestamp::from_micros(0),
            days => now.plus_seconds(-i64::from(days) * SECONDS_A_DAY),
        };
        let (done, pending) = (before(self.settings.notifications_days), before(self.settings.pending_days));
        Until { now, done, pending: pending.min(done) }
    }

    /// Removes all that is to be removed now; how many entries, and how many notifications.
    async fn round(&self) -> Result<(usize, usize), StoreError> {
        let (until, mut after, mut removed) = (self.until(), 0, (0, 0));
        loop {
            let started = Instant::now();
            let found = self.store.find_old(after, until).await?;
            tokio::time::sleep(started.elapsed()).await;
            for write in Store::sweeps(&found) {
                let started = Instant::now();
                let is_of_entries = write.is_of_entries();
                if let Written::Changed(many) = self.store.write(write).await? {
                    let sum = if is_of_entries { &mut removed.0 } else { &mut removed.1 };
                    *sum += many;
                }
                tokio::time::sleep(started.elapsed()).await;
            }
            match found {
                Found { next: Some(next), .. } => after = next,
                Found { next: None, .. } => return Ok(removed),
            }
        }
    }
}
