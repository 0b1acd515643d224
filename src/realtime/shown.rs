//! A notification on its way to connections, and what comes of that.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Connection, Dialect};
use crate::domain::Notification;

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
    encoded: Vec<(&'static str, Box<RawValue>)>,
}

impl Shown {
    /// Nobody has seen it yet.
    pub fn new(notification: Notification) -> Self {
        Self { notification, encoded: Vec::with_capacity(1) }
    }

    /// The event and payload by which a connection of this `dialect` hears of it.
    pub fn by(&mut self, dialect: &Dialect) -> (&'static str, &RawValue) {
        let form = (dialect.form)(&self.notification);
        let known = self.encoded.iter().position(|(event, _)| *event == form.event);
        let index = known.unwrap_or_else(|| {
            self.encoded.push((form.event, (form.encode)(&self.notification)));
            self.encoded.len() - 1
        });
        (form.event, &self.encoded[index].1)
    }
}
