//! A notification on its way to connections, and what comes of that.

use std::sync::{Arc, OnceLock};

use super::{Connection, Dialect, Encode, Encoded};
use crate::domain::{Notification, Recipient};

/// What came of handing out a notification.
pub enum Delivery {
    /// Nobody of its recipient is here, or nobody took it.
    Nobody,
    /// These took it.
    Took(Vec<Arc<Connection>>),
    /// It was handed out before.
    Before,
    /// Somebody is here, and has to hear something else first.
    Later,
    /// Somebody is here, and hears it behind what they missed, which is on its way.
    Behind,
}

/// A notification as it is shown: encoded once for each form, however many hear it.
pub struct Shown {
    /// What is shown.
    pub notification: Notification,
    /// By whose it is, if that is written in it.
    encoded: Vec<(Option<Recipient>, Encoded)>,
}

impl Shown {
    /// Nobody has seen it yet.
    pub fn new(notification: Notification) -> Self {
        Self { notification, encoded: Vec::with_capacity(1) }
    }

    /// The form in which a connection of `recipient`'s, of this `dialect`, hears of it.
    pub fn by(&mut self, dialect: &Dialect, recipient: &Recipient) -> &Encoded {
        let form = (dialect.form)(&self.notification);
        let known = self.encoded.iter().position(|(_, encoded)| encoded.event == form.event);
        let is_others =
            |index: &usize| self.encoded[*index].0.as_ref().is_some_and(|whose| whose != recipient);
        if let Some(index) = known.filter(is_others) {
            // Recipients come one after another, and nobody asks for the one before.
            self.encoded.swap_remove(index);
        } else if let Some(index) = known {
            return &self.encoded[index].1;
        }
        let (whose, payload) = match form.encode {
            Encode::Shared(encode) => (None, encode(&self.notification)),
            Encode::Personal(encode) => (Some(recipient.clone()), encode(&self.notification, recipient)),
        };
        let id = self.notification.id;
        let encoded = Encoded { id, event: form.event, payload, frame: OnceLock::new() };
        self.encoded.push((whose, encoded));
        let last = self.encoded.len() - 1;
        &self.encoded[last].1
    }
}
