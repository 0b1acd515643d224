//! What is done when its time has come: what recurs becomes a notification, a notification for an audience or for later
//! spreads, and who has had quiet hours hears of what waited. A notification's text is stored once, then it is put into one
//! chunk of inboxes after another, each a commit of its own, so that others wait for none of them. Who is connected comes
//! first, and whoever asks for it has it at once. Whoever dies on the way has lost nothing: the next one, here or on
//! another node, goes on at the next chunk.
//!
//! Nothing waits for anything else that is due: the three have a loop each, and all that spreads goes on by one chunk
//! before any of it goes on by another. What fails rests for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::{Dispatch, Live};
use crate::domain::{Clock, Recipient};
use crate::realtime::Shown;
use crate::store::{Spread, Store, StoreError, Task, Write, Written};

/// How often it is looked whether something was left by somebody who died, or sent for later elsewhere.
const LOOK: Duration = Duration::from_secs(5);
/// After a fault; after the same one again twice as long, and so on, at most so many times.
const RESPITE: Duration = Duration::from_secs(1);
const DOUBLED: u32 = 4;

/// How often it is tried to reach somebody while another node is at it, and how long between.
const ATTEMPTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// So long after somebody had something written, others count as using the database.
const IN_USE: Duration = Duration::from_secs(1);
/// Between two chunks others have the database for as long as the last one took, at most so long.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// Spreads what is for an audience.
pub struct Spreading {
    store: Arc<Store>,
    live: Arc<Live>,
    dispatch: Arc<Dispatch>,
    clock: Arc<dyn Clock>,
    something_new: [Notify; 3],
}

/// What failed, by its number: how often, and until when it rests.
type Failed = HashMap<i64, (u32, Instant)>;

impl Spreading {
    /// Stores in `store`, delivers through `live`, beyond sockets by `dispatch`.
    pub fn new(
        store: Arc<Store>,
        live: Arc<Live>,
        dispatch: Arc<Dispatch>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self { store, live, dispatch, clock, something_new: Default::default() })
    }

    /// What sends over channels that are not sockets.
    pub fn dispatch(&self) -> &Arc<Dispatch> {
        &self.dispatch
    }

    /// Something new is to spread.
    pub fn wake(&self) {
        self.something_new.iter().for_each(Notify::notify_one);
    }

    /// Does what is due, without end.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.always(Task::Recur), self.always(Task::Spread), self.always(Task::Release));
    }

    async fn always(&self, task: Task) {
        let mut failed = Failed::new();
        loop {
            match self.all(task, &mut failed).await {
                Ok(pause) => {
                    let new = self.something_new[task as usize].notified();
                    drop(tokio::time::timeout(pause, new).await);
                }
                Err(fault) => {
                    tracing::warn!(%fault, ?task, "the database does not tell what is due; asking again");
                    tokio::time::sleep(RESPITE).await;
                }
            }
        }
    }

    /// Goes on until nothing is due; returns for how long nothing will be.
    async fn all(&self, task: Task, failed: &mut Failed) -> Result<Duration, StoreError> {
        loop {
            let now = self.clock.now();
            let soon = self.store.due(task, now.plus_seconds(LOOK.as_secs() as i64)).await?;
            let due = soon.partition_point(|(_, at)| *at <= now);
            let (due, later) = soon.split_at(due);
            failed.retain(|id, _| due.iter().any(|(due, _)| due == id));
            let rests = |id: &i64| failed.get(id).is_some_and(|(_, until)| *until > Instant::now());
            let ids: Vec<i64> = due.iter().map(|(id, _)| *id).filter(|id| !rests(id)).collect();
            let mut done = 0;
            for some in ids.chunks(task.together()) {
                let begun = Instant::now();
                done += self.some(task, some, failed).await;
                if task == Task::Spread && self.store.is_in_use(IN_USE) {
                    tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
                }
            }
            if done == 0 {
                let next = later.first().map(|(_, at)| at.as_micros() - now.as_micros());
                let next = next.and_then(|left| u64::try_from(left).ok()).map_or(LOOK, Duration::from_micros);
                // If something is due: it rests, another node is at it, or the database's clock is behind ours.
                return Ok(if due.is_empty() { next } else { next.min(RESPITE) });
            }
        }
    }

    /// Does these, if need be each alone: one that fails holds up no other. Returns how many were done.
    async fn some(&self, task: Task, ids: &[i64], failed: &mut Failed) -> usize {
        match (self.work(task, ids.to_vec()).await, ids) {
            (Ok(done), _) => {
                failed.retain(|id, _| !ids.contains(id));
                done
            }
            (Err(fault), [id]) => {
                let (times, until) = failed.entry(*id).or_insert((0, Instant::now()));
                *until = Instant::now() + RESPITE * (1 << *times);
                *times = DOUBLED.min(*times + 1);
                tracing::warn!(%fault, ?task, id, "what is due could not be done; trying again");
                0
            }
            (Err(_), _) => {
                let mut done = 0;
                for id in ids {
                    done += Box::pin(self.some(task, std::slice::from_ref(id), failed)).await;
                }
                done
            }
        }
    }

    /// Does these in one commit, and tells people what it put into their inboxes.
    async fn work(&self, task: Task, ids: Vec<i64>) -> Result<usize, StoreError> {
        let (tell, told) = oneshot::channel();
        let live = self.live.clone();
        let done = move |written: Result<Written, StoreError>| {
            // Here, in the order of commits.
            if let Ok(Written::Worked { spreads, .. }) = &written {
                spreads.iter().for_each(|spread| hand_out(&live, spread));
            }
            tell.send(written).ok();
        };
        let most = self.store.chunk(self.store.is_in_use(IN_USE));
        self.store.submit(Write::Work { task, ids, most, now: self.clock.now() }, Box::new(done));
        let Written::Worked { done, spreads } = told.await.unwrap_or(Err(StoreError::Closed))? else {
            return Err(StoreError::Closed);
        };
        if !spreads.is_empty() {
            self.dispatch.wake();
        }
        if task == Task::Recur {
            self.something_new[Task::Spread as usize].notify_one();
        }
        for spread in spreads.iter().filter(|spread| task == Task::Spread && spread.is_finished) {
            let id = spread.notification.id;
            tracing::info!(notification.id = %id, "a notification has reached all of its audience");
        }
        Ok(done)
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

/// Tells those who have a place now.
pub(super) fn hand_out(live: &Arc<Live>, spread: &Spread) {
    let to = spread.places.iter().map(|(recipient, placed)| (recipient, *placed));
    live.spread(Shown::new(spread.notification.clone()), to, |_| ());
}
