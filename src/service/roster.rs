//! Signs of life: which nodes share the database, and whose connections died with theirs.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Presences, Session};
use crate::domain::Clock;
use crate::realtime::Hub;
use crate::store::{Beat, Store, StoreError, Write, Written};

/// A node that gave no sign of life for this many seconds is dead: nobody is connected to it.
pub const LEASE_SECONDS: i64 = 20;
/// Between two signs.
const BEAT: Duration = Duration::from_secs(5);

/// This node's place among those that share the database.
pub struct Roster {
    hub: Arc<Hub>,
    store: Arc<Store>,
    session: Arc<Session>,
    presences: Arc<Presences>,
    clock: Arc<dyn Clock>,
    node: String,
}

impl Roster {
    /// Signs for `node`.
    pub fn new(
        hub: Arc<Hub>,
        store: Arc<Store>,
        session: Arc<Session>,
        presences: Arc<Presences>,
        clock: Arc<dyn Clock>,
        node: String,
    ) -> Self {
        Self { hub, store, session, presences, clock, node }
    }

    /// Gives one sign of life. If the node was taken for dead meanwhile (it may have been stopped), its
    /// connections are written down again.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn sign(&self) -> Result<(), StoreError> {
        let beat = Beat { node: self.node.clone(), senders: self.senders() };
        if let Written::Beat { known: false } = self.store.write(Write::Beat(beat)).await? {
            self.hub.everybody().iter().for_each(|connection| self.presences.came(connection));
        }
        Ok(())
    }

    /// Gives signs of life, without end.
    pub async fn run(self) {
        let mut told = 0;
        loop {
            let next = Instant::now() + BEAT;
            while tokio::time::timeout_at(next, self.session.changed().notified()).await.is_ok() {
                // Somebody came or went; others only need to know when a back end did.
                if self.senders() != told {
                    break;
                }
            }
            told = self.senders();
            if let Err(fault) = self.sign().await {
                tracing::warn!(%fault, "this node could not say that it is alive; trying again");
            }
        }
    }

    fn senders(&self) -> usize {
        self.hub.census(self.clock.now()).senders
    }
}
