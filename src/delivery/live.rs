//! Hands a stored notification to whoever of its recipient is here, and tells the other nodes.

use std::sync::Arc;

use super::{CatchUp, Confirmations};
use crate::domain::{Clock, NewNotification, Notification, NotificationId, Position, Recipient, Timestamp};
use crate::realtime::backplane::{self, Line, Message};
use crate::realtime::{Delivery, Hub, Source};
use crate::telemetry::{Metrics, Outcome};

/// Live delivery.
pub struct Live {
    hub: Arc<Hub>,
    confirmations: Arc<Confirmations>,
    catch_up: CatchUp,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Live {
    /// Delivers through `hub` and watches with `confirmations`.
    pub fn new(
        hub: Arc<Hub>,
        confirmations: Arc<Confirmations>,
        catch_up: CatchUp,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self { hub, confirmations, catch_up, clock, metrics })
    }

    /// Sends a notification that was just committed to its recipient's sockets, here and on other nodes;
    /// `told` hears when that was, or `None` if nobody took it. Must be called in the order of commits.
    pub fn deliver(
        self: &Arc<Self>,
        new: &NewNotification,
        id: NotificationId,
        row: i64,
        position: Position,
        told: impl FnOnce(Option<Timestamp>) + Send + 'static,
    ) {
        let alone = self.hub.backplane().line() == Line::Alone;
        if alone && !self.hub.is_online(&new.recipient) {
            return told(self.counted(None));
        }
        let notification = Notification {
            id,
            kind: new.kind.to_owned(),
            message: new.message.clone(),
            data: new.data.clone(),
            created_at: new.created_at,
        };
        let sent_at = self.hand_out(&new.recipient, &notification, row, position, Source::Live);
        let message = Message::notification(&notification, row, position);
        let (false, Ok(message)) = (alone, message) else {
            return told(self.counted(sent_at));
        };
        let live = self.clone();
        let others = move |others: Option<usize>| {
            let elsewhere = others.is_some_and(|nodes| nodes > 0).then(|| live.clock.now());
            told(live.counted(sent_at.or(elsewhere)));
        };
        self.hub.backplane().publish(&new.recipient, message.encode(), Box::new(others));
    }

    /// Calls `answer` when every notification that was delivered before has been answered.
    pub fn in_order(&self, answer: impl FnOnce() + Send + 'static) {
        self.hub.backplane().after(Box::new(answer));
    }

    fn counted(&self, sent_at: Option<Timestamp>) -> Option<Timestamp> {
        self.metrics.notification(if sent_at.is_some() { Outcome::Sent } else { Outcome::Stored });
        sent_at
    }

    /// Hands one notification to the recipient's sockets on this node. Returns when; `None` if there are
    /// none, or none took it.
    pub fn hand_out(
        &self,
        recipient: &Recipient,
        notification: &Notification,
        row: i64,
        position: Position,
        source: Source,
    ) -> Option<Timestamp> {
        let delivery = self.hub.deliver(recipient, notification, position, source);
        let sent_at = self.clock.now();
        match delivery {
            Delivery::Nobody => return None,
            Delivery::Before => {}
            Delivery::Later => self.catch_up.behind(recipient),
            Delivery::Took(took) => {
                if source == Source::Stored {
                    self.metrics.caught_up.inc();
                }
                for connection in took {
                    self.confirmations.watch(&connection, notification.id, row, position, sent_at);
                }
                let age = sent_at.seconds_since(notification.created_at).max(0.0);
                self.metrics.delivery_seconds.observe(age);
            }
        }
        Some(sent_at)
    }

    /// Another node has something for `recipient`.
    pub fn heard(&self, recipient: &Recipient, text: &[u8]) {
        match Message::decode(text) {
            Ok(Message::Notification { row, position, id, kind, message, data, created_at }) => {
                let notification = backplane::notification(id, &kind, &message, data, created_at);
                self.hand_out(recipient, &notification, row, position, Source::Live);
            }
            Ok(Message::Missed) => self.catch_up.behind(recipient),
            Ok(Message::Event { event, payload }) => self.hub.tell_here(recipient, &event, payload),
            Err(fault) => {
                tracing::warn!(%fault, "another node's message cannot be read; the database has what it was about");
                self.catch_up.behind(recipient);
            }
        }
    }

    /// When `id` was sent, if it waits for its confirmation.
    pub fn sent_at(&self, id: NotificationId) -> Option<Timestamp> {
        self.confirmations.sent_at(id)
    }
}
