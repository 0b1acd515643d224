//! Hands a stored notification to whoever of its recipient is here.

use std::sync::Arc;

use super::Confirmations;
use crate::domain::{Clock, NewNotification, Notification, NotificationId, Position, Timestamp};
use crate::realtime::Hub;
use crate::telemetry::{Metrics, Outcome};

/// Live delivery.
pub struct Live {
    hub: Arc<Hub>,
    confirmations: Arc<Confirmations>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Live {
    /// Delivers through `hub` and watches with `confirmations`.
    pub fn new(
        hub: Arc<Hub>,
        confirmations: Arc<Confirmations>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { hub, confirmations, clock, metrics }
    }

    /// Sends the notification to its recipient's sockets; returns when, or `None` if nobody took it.
    /// Must be called in the order of the recipient's positions.
    pub fn deliver(
        &self,
        new: &NewNotification,
        id: NotificationId,
        row: i64,
        position: Position,
    ) -> Option<Timestamp> {
        if !self.hub.is_online(&new.recipient) {
            self.metrics.notification(Outcome::Stored);
            return None;
        }
        let notification = Notification {
            id,
            kind: new.kind.to_owned(),
            message: new.message.clone(),
            data: new.data.clone(),
            created_at: new.created_at,
        };
        let took = self.hub.deliver(&new.recipient, &notification, position);
        if took.is_empty() {
            self.metrics.notification(Outcome::Stored);
            return None;
        }
        let sent_at = self.clock.now();
        for connection in took {
            self.confirmations.watch(&connection, id, row, position, sent_at);
        }
        self.metrics.notification(Outcome::Sent);
        self.metrics.delivery_seconds.observe(sent_at.seconds_since(new.created_at).max(0.0));
        Some(sent_at)
    }

    /// When `id` was sent, if it waits for its confirmation.
    pub fn sent_at(&self, id: NotificationId) -> Option<Timestamp> {
        self.confirmations.sent_at(id)
    }
}
