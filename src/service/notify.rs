//! Accepting a notification: durable first, then delivered, then answered.

use std::sync::Arc;

use super::Error;
use crate::delivery::Live;
use crate::domain::{Accepted, Clock, NewNotification, NotificationId, Timestamp};
use crate::store::{Store, StoreError, Write, Written};
use crate::telemetry::{Metrics, Outcome};

/// How a resend is recognised for: 24 hours.
const IDEMPOTENCY_SECONDS: i64 = 24 * 60 * 60;

/// Proof that a notification is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub id: NotificationId,
    /// How far it got.
    pub reached: Reached,
}

/// How far a notification got before its sender was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It waits for its recipient to come back; stored at this time.
    Stored(Timestamp),
    /// It was handed to a live socket at this time.
    Sent(Timestamp),
}

/// Called once, after the commit.
pub type Answer = Box<dyn FnOnce(Result<Receipt, Error>) + Send>;

/// The way in for every notification.
pub struct Notify {
    store: Arc<Store>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Notify {
    /// Stores in `store`, delivers through `live`.
    pub fn new(store: Arc<Store>, live: Arc<Live>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Self { store, live, clock, metrics }
    }

    /// The time to write on a new notification.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Counts one that was refused before it came this far.
    pub fn rejected(&self) {
        self.metrics.notification(Outcome::Rejected);
    }

    /// Accepts `new`; `answer` is called in commit order, after delivery was tried.
    pub fn accept(&self, new: NewNotification, answer: Answer) {
        let new = Arc::new(new);
        let write = Write::Accept {
            notification: new.clone(),
            window_start: new.created_at.plus_seconds(-IDEMPOTENCY_SECONDS),
        };
        let (live, metrics) = (self.live.clone(), self.metrics.clone());
        self.store.submit(write, Box::new(move |written| committed(&live, &metrics, &new, written, answer)));
    }
}

fn committed(
    live: &Arc<Live>,
    metrics: &Metrics,
    new: &NewNotification,
    written: Result<Written, StoreError>,
    answer: Answer,
) {
    match written {
        Ok(Written::Accepted(Accepted::New { id, recipient, position })) => {
            let (user, created_at) = (new.recipient.user.clone(), new.created_at);
            live.deliver(new, id, recipient, position, move |sent_at| {
                let reached = match sent_at {
                    Some(at) => {
                        tracing::debug!(user.id = %user, notification.id = %id, "Real-time notification sent to facilitator");
                        Reached::Sent(at)
                    }
                    None => {
                        tracing::debug!(user.id = %user, notification.id = %id, "Notification stored for offline facilitator");
                        Reached::Stored(created_at)
                    }
                };
                answer(Ok(Receipt { id, reached }));
            });
        }
        Ok(Written::Accepted(Accepted::Duplicate { id, created_at, delivered_at })) => {
            metrics.notification(Outcome::Duplicate);
            let sent_at = live.sent_at(id).or(delivered_at);
            let reached = sent_at.map_or(Reached::Stored(created_at), Reached::Sent);
            live.in_order(move || answer(Ok(Receipt { id, reached })));
        }
        Ok(Written::Accepted(Accepted::KeyReused)) => {
            metrics.notification(Outcome::Rejected);
            live.in_order(move || answer(Err(Error::KeyReused)));
        }
        Ok(_) => answer(Err(Error::Store(StoreError::Closed))),
        Err(fault) => {
            tracing::error!(%fault, user.id = %new.recipient.user, "Error handling booking notification");
            metrics.notification(Outcome::Failed);
            live.in_order(move || answer(Err(fault.into())));
        }
    }
}
