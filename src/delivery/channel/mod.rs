//! The ways to reach somebody who is not connected: one file for each provider, one trait for all.
//!
//! Promise: a channel says *taken* only when its provider did; and the same parcel carries the same key on each attempt,
//! so that a second copy can be recognised. It knows no database, no preferences and no retries: only how to hand over.

mod mail;
mod pumping;
mod registry;
mod sendgrid;
mod signed;
mod sink;
mod smtp;
mod sns;
mod twilio;
pub mod web_push;

use std::time::Duration;

use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::domain::{Device, Email, Phone, Priority, Tenant, Timestamp};

pub use pumping::Countries;
pub use registry::{ChannelSettings, Channels};
pub use sink::Sink;
pub use smtp::greet_mail_server;
pub use twilio::{CALLBACKS, Fate, Report, TwilioCallbacks};

/// Why a provider cannot be used as it is set: which setting, and what to write.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// One text for one address, ready to be handed over.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The same on each attempt.
    pub key: Uuid,
    /// Whose notification it is.
    pub tenant: Tenant,
    /// The notification's second name.
    pub notification: Uuid,
    /// The sender's kind of notification.
    pub kind: String,
    /// How much it matters.
    pub priority: Priority,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// Where it goes, and what it says there.
    pub letter: Letter,
}

/// An address with what is to be said there.
#[derive(Clone, Debug)]
pub enum Letter {
    /// An e-mail.
    Email {
        /// To whom.
        to: Email,
        /// One line.
        subject: String,
        /// For readers without HTML.
        text: String,
        /// A whole page.
        html: String,
        /// Where one click ends such e-mails (RFC 8058).
        unsubscribe: Option<String>,
    },
    /// To one device (RFC 8030).
    Push {
        /// Which.
        to: Device,
        /// What the service worker gets: a JSON object.
        payload: String,
    },
    /// A short message.
    Sms {
        /// To which number.
        to: Phone,
        /// What it says.
        text: String,
    },
}

/// A provider's yes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How the provider calls it.
    pub provider_id: Option<String>,
}

/// A provider's no, which says what follows from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It may go well later, not before this time has passed, if the provider named one.
    #[error("{reason}")]
    Retry {
        /// How long the provider wants to be left alone.
        after: Option<Duration>,
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// The same, and perhaps because of this address alone: others are still tried, until several in a row are refused so.
    #[error("{reason}")]
    Slow {
        /// How long this address, or whoever sends, is to wait.
        after: Option<Duration>,
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// It may go well later, and it is because of this address alone: others may be served meanwhile.
    #[error("{reason}")]
    Later {
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// It will never be taken.
    #[error("{reason}")]
    Reject {
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// Nobody is at this address any more.
    #[error("{reason}")]
    Gone {
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// It can never go this way, and nobody was asked: nothing follows from it for the provider.
    #[error("{reason}")]
    Unfit {
        /// What happened: no contacts, no secrets.
        reason: String,
    },
    /// It was handed over, and nobody said whether it was taken.
    #[error("{reason}")]
    Unsure {
        /// What happened: no contacts, no secrets.
        reason: String,
    },
}

/// A provider.
pub trait Channel: Send + Sync {
    /// Its name in logs, metrics and the delivery log: `smtp`.
    fn name(&self) -> &'static str;

    /// Parcels that it takes at once at most: more would wait for each other, and their time would run.
    fn most_at_once(&self) -> usize {
        usize::MAX
    }

    /// Hands `parcel` over. Ends within the provider's time limit.
    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>>;
}

/// A parcel for tests.
#[cfg(test)]
fn sample(letter: Letter) -> Parcel {
    Parcel {
        key: Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_0001),
        tenant: Tenant::default(),
        notification: Uuid::from_u128(7),
        kind: "note".to_owned(),
        priority: Priority::Normal,
        expires_at: None,
        letter,
    }
}
