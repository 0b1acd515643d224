//! Hands a stored notification to whoever of its recipient is here, and tells the other nodes.

use std::sync::{Arc, Mutex};

use super::{CatchUp, Confirmations};
use crate::domain::{Audience, Clock, NewNotification, NotificationId, Place, Placed, Recipient, Timestamp};
use crate::realtime::backplane::{Line, Message, Template};
use crate::realtime::{Delivery, Hub, Pass, Shown, Source};
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

    /// Sends a notification that was just committed to those who are known by name, here and on other nodes;
    /// `told` hears when somebody got it first, or `None` if nobody took it. Must be called in the order of
    /// commits.
    pub fn deliver(
        self: &Arc<Self>,
        new: &NewNotification,
        id: NotificationId,
        places: &[Placed],
        told: impl FnOnce(Option<Timestamp>) + Send + 'static,
    ) {
        let named = new.audience.named();
        if self.is_alone() && !named.iter().any(|recipient| self.hub.is_online(recipient)) {
            return told(self.counted(None));
        }
        let shown = Shown::new(new.stored(id));
        let live = self.clone();
        let counted = move |sent_at| told(live.counted(sent_at));
        self.spread(shown, named.iter().zip(places.iter().copied()), counted);
    }

    /// Sends a notification to each of these, who have it at these places; else like [`Live::deliver`].
    pub fn spread<'a>(
        self: &Arc<Self>,
        mut shown: Shown,
        to: impl Iterator<Item = (&'a Recipient, Placed)>,
        told: impl FnOnce(Option<Timestamp>) + Send + 'static,
    ) {
        let mut sent_at: Option<Timestamp> = None;
        let mut messages = Vec::new();
        let template = (!self.is_alone()).then(|| Template::new(&shown.notification).ok()).flatten();
        for (recipient, Placed { place, is_hushed }) in to {
            if is_hushed {
                // Other nodes find out when something behind it comes.
                if self.hub.pass_over(recipient, place.position, Source::Live) == Pass::Later {
                    self.catch_up.behind(recipient);
                }
                continue;
            }
            let sent = self.hand_out(recipient, &mut shown, place, Source::Live);
            sent_at = sent_at.or(sent);
            if let Some(template) = &template {
                messages.push((recipient, template.at(place)));
            }
        }
        let Some((last, text)) = messages.pop() else { return told(sent_at) };
        let live = self.clone();
        let elsewhere = Arc::new(Mutex::new(sent_at));
        let heard = move |elsewhere: &Mutex<Option<Timestamp>>, others: Option<usize>| {
            let now = others.is_some_and(|nodes| nodes > 0).then(|| live.clock.now());
            let mut first = elsewhere.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            *first = first.or(now);
            *first
        };
        // They are told in their order: the last one tells how it went for all.
        for (recipient, text) in messages {
            let (heard, elsewhere) = (heard.clone(), elsewhere.clone());
            let one = move |others| _ = heard(&elsewhere, others);
            self.hub.backplane().publish(recipient, text, Box::new(one));
        }
        let all = move |others| told(heard(&elsewhere, others));
        self.hub.backplane().publish(last, text, Box::new(all));
    }

    fn is_alone(&self) -> bool {
        self.hub.backplane().line() == Line::Alone
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
        shown: &mut Shown,
        place: Place,
        source: Source,
    ) -> Option<Timestamp> {
        let delivery = self.hub.deliver(recipient, shown, place.position, source);
        let notification = &shown.notification;
        let sent_at = self.clock.now();
        match delivery {
            Delivery::Nobody => return None,
            Delivery::Before | Delivery::Behind => {}
            Delivery::Later => self.catch_up.behind(recipient),
            Delivery::Took(took) => {
                if source == Source::Stored {
                    self.metrics.caught_up.inc();
                }
                let took = took.iter().map(|one| &**one);
                self.confirmations.watch(took, recipient, notification.id, place, sent_at);
                let age = sent_at.seconds_since(notification.created_at).max(0.0);
                self.metrics.delivery_seconds.observe(age);
            }
        }
        Some(sent_at)
    }

    /// Another node has something for `recipient`.
    pub fn heard(&self, recipient: &Recipient, text: &[u8]) {
        match Message::decode(text) {
            Ok(Message::Notification(committed)) => {
                let (notification, place) = committed.read();
                self.hand_out(recipient, &mut Shown::new(notification), place, Source::Live);
            }
            Ok(Message::Missed) => self.catch_up.behind(recipient),
            Ok(Message::Forgotten) => _ = self.hub.forget_here(recipient),
            Ok(Message::Standing(stands)) => match stands.read() {
                Ok(standing) => self.hub.tell_standing_here(recipient, &standing),
                Err(fault) => tracing::warn!(%fault, "another node's message cannot be read"),
            },
            Err(fault) => {
                tracing::warn!(%fault, "another node's message cannot be read; the database has what it was about");
                self.catch_up.behind(recipient);
            }
        }
    }

    /// When `id` was handed to one of those whom `audience` names, if that is watched here.
    pub fn sent_at(&self, id: NotificationId, audience: &Audience) -> Option<Timestamp> {
        audience.named().iter().find_map(|one| self.confirmations.handed(one, id)).map(|handed| handed.at)
    }

    /// What was handed to sockets, and is not confirmed.
    pub const fn confirmations(&self) -> &Arc<Confirmations> {
        &self.confirmations
    }
}
