//! What is known of a notification's way, for those who ask why.

use uuid::Uuid;

use super::{Readers, Registered, Store, StoreError, on, postgres, sqlite};
use crate::domain::{
    Contacts, Group, Idempotency, Notification, NotificationId, Preferences, Priority, Recipient, Tenant,
    Timestamp, UserId,
};

/// A notification, and one recipient's entry of it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its number.
    pub id: NotificationId,
    /// Its second name.
    pub uuid: Uuid,
    /// The sender's kind of notification.
    pub kind: String,
    /// The sender's category; may be empty.
    pub topic: String,
    /// How much it matters.
    pub priority: Priority,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// When it was accepted; of one for later, when it went out.
    pub created_at: Timestamp,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// How far it has spread, if it is for a group, or was for later.
    pub spread: Option<TracedSpread>,
    /// What became of it in the inbox, if it is there.
    pub entry: Option<TracedEntry>,
}

/// How far a notification has spread.
#[derive(Clone, Debug)]
pub struct TracedSpread {
    /// Among whom.
    pub group: Group,
    /// From when on.
    pub due_at: Timestamp,
    /// How many have it.
    pub people: i64,
    /// When these were all.
    pub finished_at: Option<Timestamp>,
    /// Whether it was taken back then, before it went out.
    pub is_taken_back: bool,
}

/// What became of a notification in an inbox.
#[derive(Clone, Debug)]
pub struct TracedEntry {
    /// When it was handed to the socket that confirmed it, or that told it first.
    pub sent_at: Option<Timestamp>,
    /// By which socket of which node that was: `socket@node`.
    pub sent_over: Option<String>,
    /// When a device had it.
    pub confirmed_at: Option<Timestamp>,
    /// How that is known: `heartbeat`, `ack`, `read`.
    pub confirmed_by: Option<String>,
    /// When it was looked at.
    pub read_at: Option<Timestamp>,
    /// When it was removed.
    pub deleted_at: Option<Timestamp>,
    /// Why it was not told by itself, and why, in words.
    pub hush: Option<(TracedHush, String)>,
}

/// Why an entry is not, or was not, told by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TracedHush {
    /// It is switched off.
    Muted,
    /// It waits for the end of quiet hours.
    Waits,
    /// It waited, and a summary tells of it.
    SummedUp,
    /// It waited, and is told like any other now, or was seen meanwhile.
    Over,
}

/// One person of an audience.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they prefer, if they ever said.
    pub preferences: Option<Preferences>,
    /// Whether a socket of theirs is connected to some node.
    pub is_online: bool,
    /// Where they can be reached besides.
    pub contacts: Contacts,
    /// Whether that cannot be read: they are none, then.
    pub is_shut: bool,
    /// The browsers that take their pushes.
    pub devices: Vec<Registered>,
}

/// One notification that is to go out later.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What.
    pub notification: Notification,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// For whom.
    pub group: Group,
    /// When.
    pub due_at: Timestamp,
}

impl Store {
    /// What is known of the way of `tenant`'s notification, and of `recipient`'s entry of it.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn trace(
        &self,
        tenant: &Tenant,
        id: NotificationId,
        recipient: Option<&Recipient>,
    ) -> Result<Option<Trace>, StoreError> {
        on!(&self.readers, trace(tenant, id, recipient))
    }

    /// What became of `tenant`'s notification in the inboxes of those whose rows come behind `after`: at most `limit`; and where
    /// to go on, if there may be more.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn holders(
        &self,
        tenant: &Tenant,
        id: NotificationId,
        after: i64,
        limit: i64,
    ) -> Result<(Vec<(UserId, TracedEntry)>, Option<i64>), StoreError> {
        on!(&self.readers, holders(tenant, id, after, limit))
    }

    /// The first people of `tenant` who are in `group` now.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn members(
        &self,
        tenant: &Tenant,
        group: &Group,
        limit: i64,
    ) -> Result<Vec<Member>, StoreError> {
        on!(&self.readers, members(tenant, group, limit))
    }

    /// Whether `recipient` is in `group` now.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn is_member(&self, recipient: &Recipient, group: &Group) -> Result<bool, StoreError> {
        on!(&self.readers, is_member(recipient, group))
    }

    /// Whether something that is due for `recipient` has not come to them yet.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn is_owed(&self, recipient: &Recipient, now: Timestamp) -> Result<bool, StoreError> {
        on!(&self.readers, is_owed(recipient, now))
    }

    /// What of `tenant` is to go out after `now`, of this sender, if one is named; those before the number `before`,
    /// from the highest, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn waiting(
        &self,
        tenant: &Tenant,
        sender: Option<&UserId>,
        now: Timestamp,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Waiting>, StoreError> {
        on!(&self.readers, waiting(tenant, sender, now, before, limit))
    }

    /// The number, the second name and the time of what the same request brought, not before `since`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn accepted_before(
        &self,
        same: &Idempotency,
        since: Timestamp,
    ) -> Result<Option<(NotificationId, Uuid, Timestamp)>, StoreError> {
        on!(&self.readers, accepted_before(same, since))
    }
}
