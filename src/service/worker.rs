//! Work that belongs to no connection: each server does it, or processes of their own (`carillon worker`).
//! Several may do it at once.

use std::sync::Arc;
use std::time::Duration;

use crate::store::{LEASE_SECONDS, Store, Write};

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(5);

/// Does that work.
pub struct Worker {
    store: Arc<Store>,
}

impl Worker {
    /// For everybody who shares `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Works, without end.
    pub async fn run(self) {
        loop {
            // Nobody counts the connections of dead nodes; this clears them away.
            if let Err(fault) = self.store.write(Write::Reap(LEASE_SECONDS)).await {
                tracing::warn!(%fault, "dead nodes could not be cleared away; trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
