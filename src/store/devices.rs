//! Browsers that take pushes, and where people can be reached, as they are kept.

use diesel::prelude::*;
use uuid::Uuid;

use super::schema::push_subscriptions;
use super::sealing::{Opening, OpeningBytes, Perhaps, SealedBytes, Unopened, digests_of};
use super::types::At;
use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{
    Contacts, ContactsChange, Deed, Device, Phone, Priority, QuietHours, Recipient, Timestamp, Zone,
};

/// How long STOP is heeded of a number that is nobody's: whoever owns it may have taken that back since.
pub(super) const HEEDED_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// One to be registered.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Where it is, and its keys; its number is not known yet.
    pub device: Device,
    /// Which program it is, as it says itself.
    pub user_agent: Option<String>,
    /// What the page says of it: a JSON object.
    pub info: Option<String>,
}

/// Which of somebody's devices.
#[derive(Clone, Debug)]
pub enum WhichDevice {
    /// That of this number.
    Number(i64),
    /// That of this endpoint.
    Endpoint(String),
}

/// What is to be done with devices.
#[derive(Clone, Debug)]
pub enum DeviceWrite {
    /// This one belongs to the recipient from now on, whoever it belonged to.
    Register {
        /// Whose it is now.
        recipient: Recipient,
        /// It.
        new: NewDevice,
        /// How many the recipient may have.
        most: i64,
        /// As it is written down.
        deed: Deed,
    },
    /// It is to get something else.
    Change {
        /// Whose it is.
        recipient: Recipient,
        /// Its number.
        id: i64,
        /// The types it is to get; `None` within: all.
        kinds: Option<Option<Vec<String>>>,
        /// When it is to be left alone; `None` within: never.
        quiet_hours: Option<Option<QuietHours>>,
        /// As it is written down.
        deed: Deed,
    },
    /// It is to get nothing any more.
    Remove {
        /// Whose it is.
        recipient: Recipient,
        /// Which.
        which: WhichDevice,
        /// As it is written down.
        deed: Deed,
    },
    /// Their push services do not know these any more.
    Gone(Vec<i64>),
    /// Their push services took something for these, at this time.
    Reached(Vec<i64>, Timestamp),
    /// Their push services took nothing for these.
    Failed(Vec<i64>),
}

/// What is to be done with somebody's contacts.
#[derive(Clone, Debug)]
pub enum ContactsWrite {
    /// They are others.
    Change {
        /// Whose.
        recipient: Recipient,
        /// How.
        change: ContactsChange,
        /// As it is written down.
        deed: Deed,
    },
    /// A provider tells what became of what it had taken. The same once more changes nothing.
    Reported {
        /// Which provider.
        provider: &'static str,
        /// How it calls it.
        provider_id: String,
        /// What the parcel is known by.
        key: Uuid,
        /// What it says.
        said: Said,
        /// When.
        at: Timestamp,
    },
}

/// What a provider says later of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was taken, and is on its way.
    Taken,
    /// It arrived.
    Arrived,
    /// It did not, and why.
    Failed(String),
    /// It did not, and its owner wants no more at that number.
    Stopped(String),
}

/// A device, as its owner and whoever sends to it see it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The row of its owner.
    pub recipient: i64,
    /// It.
    pub device: Device,
    /// Which program it is, as it says itself.
    pub user_agent: Option<String>,
    /// What the page says of it: a JSON object.
    pub info: Option<String>,
    /// The types that it is to get; nothing: all.
    pub kinds: Option<Vec<String>>,
    /// When it is to be left alone.
    pub quiet_hours: Option<QuietHours>,
    /// Since when it is registered.
    pub created_at: Timestamp,
    /// When its push service took something for it last.
    pub last_ok_at: Option<Timestamp>,
    /// How often in a row it has taken nothing since.
    pub failures: i32,
}

impl Registered {
    /// Whether it is to get notifications of this type at all.
    pub fn wants(&self, kind: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|wanted| wanted == kind))
    }

    /// Until when it is to be left alone, if it is; `zone` is its owner's. What is urgent passes.
    pub fn quiet_until(&self, priority: Priority, now: Timestamp, zone: Zone) -> Option<Timestamp> {
        let hours = self.quiet_hours.as_ref().filter(|_| priority < Priority::Urgent)?;
        hours.end_of(now, zone)
    }
}

/// One row, as it is copied.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = push_subscriptions)]
pub(super) struct Row {
    pub id: i64,
    pub tenant: String,
    pub recipient_id: i64,
    pub endpoint: String,
    pub p256dh: SealedBytes,
    pub auth: SealedBytes,
    pub user_agent: Option<String>,
    pub device_info: Option<String>,
    pub kinds: Option<String>,
    pub quiet_hours: Option<String>,
    pub created_at: At,
    pub last_ok_at: Option<At>,
    pub failures: i32,
}

/// The same, as it is looked at.
#[derive(Queryable)]
pub(super) struct Seen {
    id: i64,
    #[diesel(deserialize_as = Opening)]
    _tenant: String,
    recipient_id: i64,
    #[diesel(deserialize_as = Opening)]
    endpoint: String,
    p256dh: OpeningBytes,
    auth: OpeningBytes,
    #[diesel(deserialize_as = Perhaps)]
    user_agent: Option<String>,
    #[diesel(deserialize_as = Perhaps)]
    device_info: Option<String>,
    #[diesel(deserialize_as = Perhaps)]
    kinds: Option<String>,
    #[diesel(deserialize_as = Perhaps)]
    quiet_hours: Option<String>,
    created_at: At,
    last_ok_at: Option<At>,
    failures: i32,
}

impl Seen {
    /// It, and why its keys do not open: it has none then.
    pub fn registered(self) -> (Registered, Option<Unopened>) {
        let (p256dh, auth, why) = match (self.p256dh.0, self.auth.0) {
            (Ok(p256dh), Ok(auth)) => (p256dh, auth, None),
            (Err(why), _) | (_, Err(why)) => (Vec::new(), Vec::new(), Some(why)),
        };
        let registered = Registered {
            recipient: self.recipient_id,
            device: Device { id: self.id, endpoint: self.endpoint, p256dh, auth },
            user_agent: self.user_agent,
            info: self.device_info,
            // What a newer release stored and this one does not know lets more through, not less.
            kinds: self.kinds.and_then(|kinds| serde_json::from_str(&kinds).ok()),
            quiet_hours: self.quiet_hours.and_then(|hours| serde_json::from_str(&hours).ok()),
            created_at: self.created_at.0,
            last_ok_at: self.last_ok_at.map(|at| at.0),
            failures: self.failures,
        };
        (registered, why)
    }
}

impl Store {
    /// The devices of `recipient`, in the order in which they were registered.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn devices(&self, recipient: &Recipient) -> Result<Vec<Registered>, StoreError> {
        on!(&self.readers, devices(recipient))
    }

    /// Which of these numbers want no more text messages.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn stopped(&self, numbers: &[Phone], now: Timestamp) -> Result<Vec<Phone>, StoreError> {
        let digests = |number: &Phone| digests_of(number.expose());
        let asked: Vec<String> = numbers.iter().flat_map(digests).collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let known = on!(&self.readers, stopped(&asked, now.plus_seconds(-HEEDED_DAYS * DAY)))?;
        let is_known = |number: &&Phone| digests(number).iter().any(|digest| known.contains(digest));
        Ok(numbers.iter().filter(is_known).cloned().collect())
    }

    /// Where `recipient` can be reached.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn contacts(&self, recipient: &Recipient) -> Result<Contacts, StoreError> {
        let stored = on!(&self.readers, contacts(recipient))?;
        Ok(stored.as_deref().map(Contacts::from_stored).unwrap_or_default())
    }
}
