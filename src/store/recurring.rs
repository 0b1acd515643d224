//! What goes out again and again, as it is kept.

use std::borrow::Cow;

use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::audit::actor;
use super::schema::recurring;
use super::sealing::{Opening, Perhaps, Sealed, SealedStr, Unopened};
use super::types::At;
use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{
    Action, Audience, Broken, Deed, Digest, Group, Idempotency, NewNotification, NotificationId, Priority,
    Recurrence, Tenant, Timestamp, UserId, Wish,
};

/// Whose recurring notifications: a person's, or those of a tenant's services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// Which tenant's.
    pub tenant: Tenant,
    /// The person; nobody: the services.
    pub owner: Option<UserId>,
}

impl Whose {
    /// As it is stored.
    pub(super) fn owner(&self) -> &str {
        self.owner.as_ref().map(UserId::as_str).unwrap_or_default()
    }
}

/// One to be kept.
#[derive(Clone, Debug)]
pub struct NewRecurring {
    /// Whose it is.
    pub whose: Whose,
    /// When it is due.
    pub recurrence: Recurrence,
    /// What goes out then, to [`Audience::Whoever`].
    pub notification: NewNotification,
    /// How a request that is sent again is recognised.
    pub idempotency: Idempotency,
    /// How many there may be of the same owner's.
    pub most: i64,
}

/// What came of keeping one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept under this number, and due at this time.
    Due(i64, Timestamp),
    /// It would never be due; nothing was changed.
    Never,
    /// There are as many as there may be.
    TooMany,
    /// Its owner has none of this number.
    Unknown,
    /// The idempotency key was used before for something else; nothing was changed.
    KeyReused,
}

/// One that is kept.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = recurring)]
pub(super) struct Row {
    pub id: i64,
    pub tenant: String,
    pub owner: String,
    pub idempotency_key: Vec<u8>,
    pub request_digest: Vec<u8>,
    pub cron: String,
    pub time_zone: String,
    pub starts_at: Option<At>,
    pub ends_at: Option<At>,
    pub next_at: Option<At>,
    pub audience: String,
    pub kind: String,
    pub topic: String,
    pub title: Sealed,
    pub message: Sealed,
    pub data: Sealed,
    pub priority: i32,
    pub action_url: Option<Sealed>,
    pub sender: Option<String>,
    pub created_at: At,
    pub last_at: Option<At>,
    pub last_notification_id: Option<i64>,
    pub wish: Option<Sealed>,
}

/// The same, as it is looked at.
#[derive(Queryable)]
pub(super) struct Seen {
    id: i64,
    #[diesel(deserialize_as = Opening)]
    tenant: String,
    #[diesel(deserialize_as = Opening)]
    owner: String,
    idempotency_key: Vec<u8>,
    request_digest: Vec<u8>,
    #[diesel(deserialize_as = Opening)]
    cron: String,
    #[diesel(deserialize_as = Opening)]
    time_zone: String,
    starts_at: Option<At>,
    ends_at: Option<At>,
    next_at: Option<At>,
    #[diesel(deserialize_as = Opening)]
    audience: String,
    #[diesel(deserialize_as = Opening)]
    kind: String,
    #[diesel(deserialize_as = Opening)]
    topic: String,
    title: Opening,
    message: Opening,
    data: Opening,
    priority: i32,
    action_url: Option<Opening>,
    #[diesel(deserialize_as = Perhaps)]
    sender: Option<String>,
    created_at: At,
    last_at: Option<At>,
    last_notification_id: Option<i64>,
    wish: Option<Opening>,
}

impl Seen {
    /// It, and why something of it does not open: a word stands there then.
    pub fn row(self) -> (Row, Option<Unopened>) {
        let texts = [Some(&self.title), Some(&self.message), Some(&self.data)];
        let all = texts.into_iter().chain([self.action_url.as_ref(), self.wish.as_ref()]).flatten();
        let why = all.filter_map(|stored| stored.0.as_ref().err()).next().cloned();
        let kept = |stored: Option<Opening>| stored.and_then(|stored| stored.0.ok()).map(Sealed);
        let row = Row {
            id: self.id,
            tenant: self.tenant,
            owner: self.owner,
            idempotency_key: self.idempotency_key,
            request_digest: self.request_digest,
            cron: self.cron,
            time_zone: self.time_zone,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            next_at: self.next_at,
            audience: self.audience,
            kind: self.kind,
            topic: self.topic,
            title: Sealed(self.title.legible()),
            message: Sealed(self.message.legible()),
            data: Sealed(self.data.legible_json()),
            priority: self.priority,
            action_url: kept(self.action_url),
            sender: self.sender,
            created_at: self.created_at,
            last_at: self.last_at,
            last_notification_id: self.last_notification_id,
            wish: kept(self.wish),
        };
        (row, why)
    }
}

/// The columns that its owner decides on.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = recurring, treat_none_as_null = true)]
pub(super) struct Columns<'a> {
    tenant: &'a str,
    owner: &'a str,
    cron: &'a str,
    time_zone: &'a str,
    starts_at: Option<At>,
    ends_at: Option<At>,
    next_at: Option<At>,
    audience: String,
    kind: &'a str,
    topic: &'a str,
    title: SealedStr<'a>,
    message: SealedStr<'a>,
    data: SealedStr<'a>,
    priority: i32,
    action_url: Option<SealedStr<'a>>,
    sender: Option<&'a str>,
    wish: Option<Sealed>,
}

fn unwritable(fault: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(fault))
}

fn unreadable(fault: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(fault))
}

impl NewRecurring {
    /// Its being kept under the number `id`, as it is written down.
    pub(super) fn deed(&self, action: Action, id: i64, at: Timestamp) -> Deed {
        let group = match &self.notification.audience {
            Audience::Whoever(_, group) => group.subject(),
            Audience::One(_) | Audience::Many(_) => None,
        };
        let (cron, zone) = (self.recurrence.cron(), self.recurrence.zone());
        Deed {
            at,
            tenant: self.whose.tenant.clone(),
            actor: Some(actor(self.notification.sender.as_deref())),
            action,
            subject: Some(format!("recurring:{id}")),
            detail: json!({"cron": cron, "time_zone": zone, "audience": group}).to_string(),
            address: None,
        }
    }

    /// Its columns, when it is due next at `next_at`.
    pub(super) fn columns(&self, next_at: Timestamp) -> QueryResult<Columns<'_>> {
        let new = &self.notification;
        let Audience::Whoever(_, group) = &new.audience else {
            return Err(diesel::result::Error::NotFound);
        };
        Ok(Columns {
            tenant: self.whose.tenant.as_str(),
            owner: self.whose.owner(),
            cron: self.recurrence.cron(),
            time_zone: self.recurrence.zone(),
            starts_at: self.recurrence.starts_at.map(At),
            ends_at: self.recurrence.ends_at.map(At),
            next_at: Some(At(next_at)),
            audience: serde_json::to_string(group).map_err(unwritable)?,
            kind: &new.kind,
            topic: &new.topic,
            title: SealedStr(&new.title),
            message: SealedStr(&new.message),
            data: SealedStr(&new.data),
            priority: new.priority.level(),
            action_url: new.action_url.as_deref().map(SealedStr),
            sender: new.sender.as_deref(),
            wish: new.wish.as_ref().and_then(Wish::written).map(Sealed),
        })
    }
}

impl Row {
    /// When it is due.
    pub fn recurrence(&self) -> Result<Recurrence, Broken> {
        let mut recurrence = Recurrence::new(&self.cron, &self.time_zone)?;
        recurrence.starts_at = self.starts_at.map(|at| at.0);
        recurrence.ends_at = self.ends_at.map(|at| at.0);
        Ok(recurrence)
    }

    /// What goes out because it was due at `due_at`, for whom. The same time is the same notification.
    pub fn notification(&self, due_at: Timestamp) -> QueryResult<(NewNotification, Group)> {
        let tenant = Tenant::new(&self.tenant).map_err(unreadable)?;
        let group: Group = serde_json::from_str(&self.audience).map_err(unreadable)?;
        let key = format!("{}@{}", self.id, due_at.as_micros());
        let new = NewNotification {
            audience: Audience::Whoever(tenant.clone(), group.clone()),
            kind: Cow::Owned(self.kind.clone()),
            topic: Cow::Owned(self.topic.clone()),
            title: self.title.0.clone(),
            message: self.message.0.clone(),
            data: self.data.0.clone(),
            priority: Priority::from_level(self.priority),
            action_url: self.action_url.as_ref().map(|url| url.0.clone()),
            sender: self.sender.clone(),
            expires_at: None,
            wish: self.wish.as_ref().and_then(|wish| Wish::read(&wish.0)),
            due_at: Some(due_at),
            idempotency: Idempotency::keyed("recurring", &self.tenant, &key, Digest::of(&[])),
            uuid: Uuid::now_v7(),
            created_at: due_at,
            tenant,
        };
        Ok((new, group))
    }
}

/// One that is kept, as its owner sees it.
#[derive(Clone, Debug)]
pub struct Recurring {
    /// Its number.
    pub id: i64,
    /// When it is due.
    pub recurrence: Recurrence,
    /// When it is due next; nothing, if it is over.
    pub next_at: Option<Timestamp>,
    /// What goes out then.
    pub notification: NewNotification,
    /// To whom.
    pub group: Group,
    /// Since when there is one.
    pub created_at: Timestamp,
    /// What went out last, and when that was due.
    pub last: Option<(NotificationId, Timestamp)>,
}

impl Row {
    fn shown(self) -> Result<Recurring, StoreError> {
        let recurrence = self.recurrence().map_err(unreadable)?;
        let (notification, group) = self.notification(self.created_at.0)?;
        let last = self.last_notification_id.zip(self.last_at);
        Ok(Recurring {
            id: self.id,
            recurrence,
            next_at: self.next_at.map(|at| at.0),
            notification,
            group,
            created_at: self.created_at.0,
            last: last.map(|(id, at)| (NotificationId(id), at.0)),
        })
    }
}

impl Store {
    /// Those of `whose` before the number `before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn recurring(
        &self,
        whose: &Whose,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Recurring>, StoreError> {
        let rows = on!(&self.readers, recurring_of(whose, before, limit))?;
        rows.into_iter().map(Row::shown).collect()
    }

    /// The one of this number, if it is `whose`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn recurring_one(&self, whose: &Whose, id: i64) -> Result<Option<Recurring>, StoreError> {
        let row = on!(&self.readers, recurring_one(whose, id))?;
        row.map(Row::shown).transpose()
    }
}
