//! A notification on its way to connections, and what comes of that.

use std::sync::{Arc, OnceLock};

use super::{Connection, Dialect, Encoded};
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
    encoded: Vec<Encoded>,
}

impl Shown {
    /// Nobody has seen it yet.
    pub fn new(notification: Notification) -> Self {
        Self { notification, encoded: Vec::with_capacity(1) }
    }

    /// The form in which a connection of this `dialect` hears of it.
    pub fn by(&mut self, dialect: &Dialect) -> &Encoded {
        let form = (dialect.form)(&self.notification);
        let known = self.encoded.iter().position(|encoded| encoded.event == form.event);
        let index = known.unwrap_or_else(|| {
            let payload = (form.encode)(&self.notification);
            self.encoded.push(Encoded { event: form.event, payload, frame: OnceLock::new() });
            self.encoded.len() - 1
        });
        &self.encoded[index]
    }
}
