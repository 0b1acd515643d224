//! A notification for an audience spreads: its text is stored once, then it is put into one chunk of
//! inboxes after another, each a commit of its own, so that others wait for none of them. Whoever dies on
//! the way has lost nothing: the next one, here or on another node, goes on at the next chunk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Live;
use crate::realtime::Shown;
use crate::store::{Spread, Store, StoreError, Write, Written};

/// How often it is looked whether something was left by somebody who died.
const LOOK: Duration = Duration::from_secs(5);
/// After a fault.
const RESPITE: Duration = Duration::from_secs(1);

/// Spreads what is for an audience.
pub struct Spreading {
    store: Arc<Store>,
    live: Arc<Live>,
    something_new: Notify,
}

impl Spreading {
    /// Stores in `store`, delivers through `live`.
    pub fn new(store: Arc<Store>, live: Arc<Live>) -> Arc<Self> {
        Arc::new(Self { store, live, something_new: Notify::new() })
    }

    /// Something new is to spread.
    pub fn wake(&self) {
        self.something_new.notify_one();
    }

    /// Spreads, without end.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.spread().await {
                Ok(()) => drop(tokio::time::timeout(LOOK, self.something_new.notified()).await),
                Err(fault) => {
                    tracing::warn!(%fault, "a notification could not be spread further; trying again");
                    tokio::time::sleep(RESPITE).await;
                }
            }
        }
    }

    /// Goes on until nothing is left.
    async fn spread(self: &Arc<Self>) -> Result<(), StoreError> {
        if !self.store.is_spreading().await? {
            return Ok(());
        }
        while let Some(spread) = self.one_chunk().await? {
            if spread.is_finished {
                let id = spread.notification.id;
                tracing::info!(notification.id = %id, "a notification has reached all of its audience");
            }
        }
        Ok(())
    }

    async fn one_chunk(self: &Arc<Self>) -> Result<Option<Arc<Spread>>, StoreError> {
        let (tell, told) = oneshot::channel();
        let live = self.live.clone();
        let done = move |written: Result<Written, StoreError>| {
            // Here, in the order of commits.
            if let Ok(Written::Spread(Some(spread))) = &written {
                let to = spread.places.iter().map(|(recipient, place)| (recipient, *place));
                live.spread(Shown::new(spread.notification.clone()), to, |_| ());
            }
            tell.send(written).ok();
        };
        self.store.submit(Write::Spread, Box::new(done));
        match told.await {
            Ok(Ok(Written::Spread(spread))) => Ok(spread),
            Ok(Err(fault)) => Err(fault),
            _ => Err(StoreError::Closed),
        }
    }
}
