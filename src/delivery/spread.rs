//! A notification for an audience, or for later, spreads when it is due: its text is stored once, then it is put into one
//! chunk of inboxes after another, each a commit of its own, so that others wait for none of them. Who is connected comes
//! first, and whoever asks for it has it at once. Whoever dies on the way has lost nothing: the next one, here or on
//! another node, goes on at the next chunk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::Live;
use crate::domain::{Clock, Recipient};
use crate::realtime::Shown;
use crate::store::{Release, Spread, Store, StoreError, Write, Written};

/// How often it is looked whether something was left by somebody who died, or sent for later elsewhere.
const LOOK: Duration = Duration::from_secs(5);
/// After a fault.
const RESPITE: Duration = Duration::from_secs(1);

/// How often it is tried to reach somebody while another node is at it, and how long between.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Spreads what is for an audience.
pub struct Spreading {
    store: Arc<Store>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    something_new: Notify,
}

impl Spreading {
    /// Stores in `store`, delivers through `live`.
    pub fn new(store: Arc<Store>, live: Arc<Live>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store, live, clock, something_new: Notify::new() })
    }

    /// Something new is to spread.
    pub fn wake(&self) {
        self.something_new.notify_one();
    }

    /// Spreads, without end.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.spread().await {
                Ok(pause) => drop(tokio::time::timeout(pause, self.something_new.notified()).await),
                Err(fault) => {
                    tracing::warn!(%fault, "a notification could not be spread further; trying again");
                    tokio::time::sleep(RESPITE).await;
                }
            }
        }
    }

    /// Goes on until nothing is due; returns for how long nothing will be.
    async fn spread(self: &Arc<Self>) -> Result<Duration, StoreError> {
        loop {
            let Some(due_at) = self.store.next_due().await? else { return Ok(LOOK) };
            let left = due_at.as_micros().saturating_sub(self.clock.now().as_micros());
            if let Ok(left @ 1..) = u64::try_from(left) {
                return Ok(Duration::from_micros(left).min(LOOK));
            }
            let Some(spread) = self.one_chunk().await? else {
                if !self.release().await? {
                    // Another node is at it, or the database's clock is behind ours.
                    return Ok(RESPITE);
                }
                continue;
            };
            if spread.is_finished {
                let id = spread.notification.id;
                tracing::info!(notification.id = %id, "a notification has reached all of its audience");
            }
        }
    }

    async fn one_chunk(self: &Arc<Self>) -> Result<Option<Arc<Spread>>, StoreError> {
        match self.tell_of(Write::Spread(self.clock.now())).await? {
            Written::Spread(spread) => Ok(spread),
            _ => Err(StoreError::Closed),
        }
    }

    /// Looks after somebody whose quiet hours are over; `false` if there is nobody.
    async fn release(self: &Arc<Self>) -> Result<bool, StoreError> {
        match self.tell_of(Write::Release(self.clock.now())).await? {
            Written::Released(release) => Ok(!matches!(release, Release::Nobody)),
            _ => Err(StoreError::Closed),
        }
    }

    /// Does `write`, and tells people what it put into their inboxes.
    async fn tell_of(self: &Arc<Self>, write: Write) -> Result<Written, StoreError> {
        let (tell, told) = oneshot::channel();
        let live = self.live.clone();
        let done = move |written: Result<Written, StoreError>| {
            // Here, in the order of commits.
            if let Ok(Written::Spread(Some(spread)) | Written::Released(Release::Something(spread))) =
                &written
            {
                hand_out(&live, spread);
            }
            tell.send(written).ok();
        };
        self.store.submit(write, Box::new(done));
        told.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Lets `recipient` have at once what is on its way to them: they ask before it is their turn.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn reach(&self, recipient: &Recipient) -> Result<(), StoreError> {
        if !self.store.is_owed(recipient, self.clock.now()).await? {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            let (tell, told) = oneshot::channel();
            let live = self.live.clone();
            let done = move |written: Result<Written, StoreError>| {
                if let Ok(Written::Reached { spreads, .. }) = &written {
                    spreads.iter().for_each(|spread| hand_out(&live, spread));
                }
                tell.send(written).ok();
            };
            self.store.submit(Write::Reach(recipient.clone(), self.clock.now()), Box::new(done));
            match told.await {
                Ok(Ok(Written::Reached { is_busy: true, .. })) => tokio::time::sleep(PAUSE).await,
                Ok(Err(fault)) => return Err(fault),
                _ => return Ok(()),
            }
        }
        // It comes by itself.
        Ok(())
    }
}

fn hand_out(live: &Arc<Live>, spread: &Spread) {
    let to = spread.places.iter().map(|(recipient, placed)| (recipient, *placed));
    live.spread(Shown::new(spread.notification.clone()), to, |_| ());
}
