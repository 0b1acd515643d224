//! What goes out over channels that are not sockets.

use std::time::Duration;

use uuid::{Builder, Uuid};

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{
    Channel, ConsentNeeded, Contacts, Device, Digest, Email, Notification, NotificationId, Phone, Place,
    Recipient, Tenant, Timestamp, Wish, Zone,
};

/// How long somebody who tries has a delivery for themselves, in seconds: longer than any provider may take.
pub const HELD_SECONDS: i64 = 28;
/// A day, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// The reason of what waits for the end of quiet hours, or for its turn; as the index `deliveries_put_off` has it.
pub const PUT_OFF: &str = "put off";
/// Pushes that are taken back in one commit, at most.
pub const RETRACTED_TOGETHER: usize = 100;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum State {
    /// It waits for its time.
    Waiting = 0,
    /// Somebody tries.
    UnderWay = 1,
    /// The provider took it.
    Sent = 2,
    /// The provider says that it arrived.
    Delivered = 3,
    /// It was tried as often as it may be, or can never be taken.
    Failed = 4,
    /// It could not or must not go this way.
    Skipped = 5,
    /// It was not needed any more.
    Cancelled = 6,
    /// Each device has a delivery of its own.
    Divided = 7,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Waiting,
        Self::UnderWay,
        Self::Sent,
        Self::Delivered,
        Self::Failed,
        Self::Skipped,
        Self::Cancelled,
        Self::Divided,
    ];

    /// As it is stored.
    pub const fn number(self) -> i32 {
        self as i32
    }

    /// What was stored.
    pub fn from_number(number: i32) -> Self {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::Failed)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::UnderWay => "under_way",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Divided => "divided",
        }
    }
}

/// A delivery that is this process's to try.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its number.
    pub id: i64,
    /// Which attempt this is: what comes of it counts only while no later one was begun.
    pub attempt: i32,
    /// Attempts up to this one do not count.
    pub since: i32,
    /// Over which channel.
    pub channel: Channel,
    /// Which step; 0 goes out in any case.
    pub step: i32,
    /// The number of the device that it is for.
    pub device_id: Option<i64>,
    /// Whether it takes back what that device was sent before.
    pub is_retraction: bool,
    /// That device.
    pub device: Option<Device>,
    /// The number that it goes to, if it is a text message.
    pub phone: Option<Phone>,
    /// Where it stands in an inbox.
    pub place: Place,
    /// For whom.
    pub recipient: Recipient,
    /// Where they can be reached.
    pub contacts: Contacts,
    /// Where their clock hangs.
    pub time_zone: Zone,
    /// When it came into the inbox.
    pub placed_at: Timestamp,
    /// From when its steps are counted.
    pub steps_from: Timestamp,
    /// How often it was handed over, and nobody said whether it was taken.
    pub unanswered: i32,
    /// What.
    pub notification: Notification,
    /// What its sender wants.
    pub wish: Wish,
}

impl Claimed {
    /// The address that an e-mail goes to; a minor's guardian's, whatever its sender says.
    pub fn email(&self) -> Option<Email> {
        if self.contacts.is_minor {
            return self.contacts.mail().cloned();
        }
        match &self.wish.email {
            Some(given) => Email::new(given.expose()).ok(),
            None => self.contacts.email.clone(),
        }
    }

    /// What its parcel is known by: the same for each attempt, and no other's.
    pub fn key(&self) -> Uuid {
        let device = self.device_id.map(|id| id.to_string()).unwrap_or_default();
        let notification = self.notification.uuid.to_string();
        let recipient = self.place.recipient.to_string();
        let parts = [&notification, &recipient, self.channel.name(), &device];
        Builder::from_custom_bytes(Digest::of(&parts.map(|part| part as &str)).0).into_uuid()
    }
}

/// How many text messages, and e-mails to oneself, may go out in a day; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmsCaps {
    /// To one number.
    pub per_number: u32,
    /// To one person.
    pub per_user: u32,
    /// Of one tenant.
    pub per_tenant: u32,
    /// E-mails that one person sends to themselves, and that one address gets in this way.
    pub mails_to_oneself: u32,
    /// For which channels people must have agreed.
    pub consent: ConsentNeeded,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The delivery.
    pub id: i64,
    /// Of which notification.
    pub notification: NotificationId,
    /// To whom: the recipient's row.
    pub row: i64,
    /// Which step it is.
    pub step: i32,
    /// To which device.
    pub device: Option<i64>,
    /// Which attempt.
    pub attempt: i32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// Who was to be asked.
    pub provider: &'static str,
    /// Whether they were: only then it is an attempt.
    pub is_asked: bool,
    /// What they said.
    pub outcome: Outcome,
}

/// What a provider said.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Yes, and how it calls it.
    Sent(Option<String>),
    /// Not now: it is tried again after so long.
    Again(Duration, String),
    /// It was handed over, and nobody said whether it was taken: it is tried again after so long.
    Unsure(Duration, String),
    /// Nobody was asked: it is tried after so long, and this attempt does not count.
    Later(Duration, String),
    /// No.
    Failed(String),
    /// Nobody is there any more.
    Gone(String),
    /// It was not needed any more.
    Settled(&'static str),
    /// The same, and nobody is there any more.
    Moot(&'static str),
    /// There is nowhere to send it.
    Nowhere(&'static str),
}

impl Outcome {
    /// Where it leads.
    pub const fn state(&self) -> State {
        match self {
            Self::Sent(_) => State::Sent,
            Self::Again(..) | Self::Unsure(..) | Self::Later(..) => State::Waiting,
            Self::Failed(_) | Self::Gone(_) => State::Failed,
            Self::Settled(_) | Self::Moot(_) => State::Cancelled,
            Self::Nowhere(_) => State::Skipped,
        }
    }

    /// Why it did not go well.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Sent(_) => None,
            Self::Again(_, reason) | Self::Unsure(_, reason) | Self::Later(_, reason) => Some(reason),
            Self::Failed(reason) | Self::Gone(reason) => Some(reason),
            Self::Settled(reason) | Self::Moot(reason) | Self::Nowhere(reason) => Some(reason),
        }
    }

    /// The same, as any database keeps it: what somebody else said is cut off where it is long, and nothing in it controls.
    pub fn kept(self) -> Self {
        match self {
            Self::Sent(id) => Self::Sent(id.map(clean)),
            Self::Again(pause, reason) => Self::Again(pause, clean(reason)),
            Self::Unsure(pause, reason) => Self::Unsure(pause, clean(reason)),
            Self::Later(pause, reason) => Self::Later(pause, clean(reason)),
            Self::Failed(reason) => Self::Failed(clean(reason)),
            Self::Gone(reason) => Self::Gone(clean(reason)),
            said @ (Self::Settled(_) | Self::Moot(_) | Self::Nowhere(_)) => said,
        }
    }

    /// The same, without what somebody else said.
    pub fn bare(self) -> Self {
        let why = || "what was said of it could not be written down".to_owned();
        match self {
            Self::Sent(_) => Self::Sent(None),
            Self::Again(pause, _) => Self::Again(pause, why()),
            Self::Unsure(pause, _) => Self::Unsure(pause, why()),
            Self::Later(pause, _) => Self::Later(pause, why()),
            Self::Failed(_) => Self::Failed(why()),
            Self::Gone(_) => Self::Gone(why()),
            said @ (Self::Settled(_) | Self::Moot(_) | Self::Nowhere(_)) => said,
        }
    }

    /// When it is tried again, seen from `now`.
    pub(super) fn again(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Again(pause, _) | Self::Unsure(pause, _) | Self::Later(pause, _) => Some(now.plus(*pause)),
            _ => None,
        }
    }

    /// How the provider calls it.
    pub fn provider_id(&self) -> Option<&str> {
        match self {
            Self::Sent(id) => id.as_deref(),
            _ => None,
        }
    }
}

/// Characters of what somebody said that are kept.
const LONGEST_SAID: usize = 500;

fn clean(text: String) -> String {
    text.chars().filter(|sign| !sign.is_control()).take(LONGEST_SAID).collect()
}

/// A delivery, as it is shown.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// Of which notification.
    pub notification: NotificationId,
    /// The sender's kind of notification.
    pub kind: String,
    /// For whom.
    pub user: String,
    /// Over which channel.
    pub channel: Channel,
    /// Which step; 0 goes out in any case.
    pub step: i32,
    /// To which device.
    pub device: Option<i64>,
    /// Whether it takes back what that device was sent before.
    pub is_retraction: bool,
    /// How it stands.
    pub state: State,
    /// When it is tried next, while it waits.
    pub due_at: Timestamp,
    /// How often somebody took it to try it.
    pub attempt: i32,
    /// Why it stands so.
    pub reason: Option<String>,
    /// Who was asked last.
    pub provider: Option<String>,
    /// Whether it goes to the guardian of a minor.
    pub to_guardian: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When nothing more was to be done.
    pub finished_at: Option<Timestamp>,
}

/// One try.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Of which delivery.
    pub delivery: i64,
    /// Which: 1 is the first.
    pub number: i32,
    /// When.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// Who was asked.
    pub provider: String,
    /// Where it led; waiting: it is tried again.
    pub state: State,
    /// Why it did not go well.
    pub reason: Option<String>,
}

impl Store {
    /// How long it is until the next delivery over `channel` is due, if any waits.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn next_delivery(&self, channel: Channel) -> Result<Option<Duration>, StoreError> {
        on!(&self.readers, next_delivery(channel))
    }

    /// Who of those to whom these pushes went has read, or removed, meanwhile what they tell of.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn pushed_too_late(&self, deliveries: &[i64]) -> Result<Vec<Recipient>, StoreError> {
        on!(&self.readers, pushed_too_late(deliveries))
    }

    /// How many text messages went out within the day before `now`, of each tenant that sent at least `most`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn texts_of_tenants(
        &self,
        now: Timestamp,
        most: i64,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        on!(&self.readers, texts_of_tenants(now.plus_seconds(-DAY), most))
    }

    /// The deliveries of a notification of `tenant`'s, to `recipient` if one is named; at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deliveries_of(
        &self,
        tenant: &Tenant,
        id: NotificationId,
        recipient: Option<&Recipient>,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        on!(&self.readers, deliveries_of(tenant, id, recipient, limit))
    }

    /// What was tried of these deliveries.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn attempts_of(&self, deliveries: &[i64]) -> Result<Vec<Attempt>, StoreError> {
        on!(&self.readers, attempts_of(deliveries))
    }

    /// The numbers of what of `tenant`'s has failed, the latest first, before the one of this number.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn failed_numbers(
        &self,
        tenant: &Tenant,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        on!(&self.readers, failed_numbers(tenant, before, limit))
    }

    /// What of `tenant`'s has failed, the latest first, before the one of this number.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn failed_deliveries(
        &self,
        tenant: &Tenant,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        on!(&self.readers, failed_deliveries(tenant, before, limit))
    }
}
