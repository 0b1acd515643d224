//! Signs of life: which nodes share the database, and whose connections died with theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{Presences, Session};
use crate::domain::Clock;
use crate::realtime::Hub;
use crate::realtime::backplane::Line;
use crate::store::{Beat, Store, StoreError, Write, Written, key_ids};

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
    /// Whether it was told that nodes cannot hear each other.
    told_deaf: AtomicBool,
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
        Self { hub, store, session, presences, clock, node, told_deaf: AtomicBool::new(false) }
    }

    /// Gives one sign of life. If the node was taken for dead meanwhile (it may have been stopped), or may
    /// have been (`in_doubt`), its connections are written down again.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn sign(&self, in_doubt: bool) -> Result<(), StoreError> {
        let beat = Beat { node: self.node.clone(), senders: self.senders(), keys: key_ids() };
        let Written::Beat { known, nodes } = self.store.write(Write::Beat(beat)).await? else {
            return Ok(());
        };
        let is_deaf = nodes > 1 && self.hub.backplane().line() == Line::Alone;
        if is_deaf && !self.told_deaf.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                nodes,
                "other nodes use this database, but REDIS_URL is not set: they hear of each other's notifications a \
                 second late, and receipts say stored for people who are connected there"
            );
        }
        if !known || in_doubt {
            self.hub.everybody().iter().for_each(|connection| self.presences.note(connection));
        }
        Ok(())
    }

    /// Gives signs of life, without end.
    pub async fn run(self) {
        let (mut told, mut in_doubt) = (0, false);
        loop {
            let next = Instant::now() + BEAT;
            while tokio::time::timeout_at(next, self.session.changed().notified()).await.is_ok() {
                // Others only need to know how many back ends there are.
                if self.senders() != told {
                    break;
                }
            }
            let senders = self.senders();
            match self.sign(in_doubt).await {
                Ok(()) => (told, in_doubt) = (senders, false),
                Err(fault) => {
                    tracing::warn!(%fault, "this node could not say that it is alive; trying again");
                    // It may be stored although the answer was lost: the next one finds the node known.
                    in_doubt = true;
                }
            }
        }
    }

    fn senders(&self) -> usize {
        self.hub.census(self.clock.now()).senders
    }
}
