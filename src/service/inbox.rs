//! What a recipient has not seen yet, and marking it read.

use std::sync::Arc;

use super::Error;
use crate::delivery::CatchUp;
use crate::domain::{Clock, Notification, NotificationId, Position, Recipient};
use crate::realtime::{Connection, Hub};
use crate::store::{Store, StoreError, Write, Written};
use crate::telemetry::{Metrics, Outcome};

/// Bytes of text in one list; older notifications follow when these have been read.
const LARGEST_LIST: usize = 32 * 1024 * 1024;

/// Pending notifications, newest first.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those listed.
    pub notifications: Vec<Notification>,
    /// Older ones that did not fit; they come when these have been read.
    pub remaining: i64,
}

/// As many of `entries` as fit into one list, of `all` there are.
fn listing(entries: Vec<(Position, Notification)>, all: i64) -> Listing {
    let mut left = LARGEST_LIST;
    let fits = |notification: &Notification| {
        let size = notification.data.len() + notification.message.len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    let notifications: Vec<_> =
        entries.into_iter().map(|(_, notification)| notification).take_while(fits).collect();
    let remaining = all - i64::try_from(notifications.len()).unwrap_or(all);
    Listing { notifications, remaining }
}

/// One person's notifications.
pub struct Inbox {
    store: Arc<Store>,
    hub: Arc<Hub>,
    catch_up: CatchUp,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limit: i64,
}

impl Inbox {
    /// Lists at most `limit` at once.
    pub fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        catch_up: CatchUp,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limit: i64,
    ) -> Self {
        Self { store, hub, catch_up, clock, metrics, limit: limit.max(1) }
    }

    /// What `recipient` has neither confirmed nor read.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn pending(&self, recipient: &Recipient) -> Result<Listing, Error> {
        // What this person marked read just before does not come back.
        self.store.drain().await;
        let (entries, all) = self.store.pending(recipient, self.limit).await?;
        Ok(listing(entries, all))
    }

    /// The same, for a connection that has just joined: without what it was already sent live.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn missed(&self, recipient: &Recipient, connection: &Connection) -> Result<Listing, Error> {
        self.catch_up.ready(recipient).await;
        // Known before the list is read: a place that is found later may lie behind what the list has.
        let unknown = || StoreError::Unreachable("it is not known yet where this inbox stands".to_owned());
        self.hub.served(recipient).ok_or_else(unknown)?;
        let (mut entries, all) = self.store.pending(recipient, self.limit).await?;
        let read = entries.len();
        // What this node stored, and the query saw, is pushed live before this barrier is passed, if it
        // ever will be. What another node stored is behind the place served so far, and follows.
        self.store.drain().await;
        // Without a place nobody could say what is still to come.
        let served = self.hub.served(recipient).ok_or_else(unknown)?;
        let first_live = connection.first_live();
        if entries.first().is_some_and(|(newest, _)| *newest > served) {
            self.catch_up.behind(recipient);
        }
        entries.retain(|(position, _)| *position < first_live && *position <= served);
        let live = i64::try_from(read - entries.len()).unwrap_or(0);
        Ok(listing(entries, all - live))
    }

    /// Marks one read; `answer` is called after the commit, with [`Error::NotFound`] if `recipient`
    /// has no such notification.
    pub fn mark_read(
        &self,
        recipient: Recipient,
        notification: NotificationId,
        answer: Box<dyn FnOnce(Result<(), Error>) + Send>,
    ) {
        let metrics = self.metrics.clone();
        let write = Write::Read { recipient, notification, at: self.clock.now() };
        self.store.submit(
            write,
            Box::new(move |written| {
                answer(match written {
                    Ok(Written::Read(true)) => {
                        metrics.notification(Outcome::Read);
                        Ok(())
                    }
                    Ok(_) => Err(Error::NotFound),
                    Err(fault) => Err(fault.into()),
                });
            }),
        );
    }
}
