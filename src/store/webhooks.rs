//! Addresses that are told what becomes of notifications, and what they are told, as it is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use uuid::Uuid;

use super::schema::{webhook_attempts, webhook_messages, webhooks};
use super::sealing::{Opening, Perhaps, Sealed};
use super::types::{At, UuidColumn};
use super::{Attempt, Outcome, Readers, State, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Deed, Secret, Tenant, Timestamp, WebhookEvent};

/// What is to be done with addresses, and with what they are told.
#[derive(Clone, Debug)]
pub enum WebhookWrite {
    /// There is a new one.
    Make {
        /// It.
        new: NewWebhook,
        /// How many there may be of its tenant.
        most: i64,
        /// As it is written down.
        deed: Deed,
    },
    /// One is changed; what is not named stays.
    Change {
        /// Which.
        id: i64,
        /// How.
        change: WebhookChange,
        /// As it is written down.
        deed: Deed,
    },
    /// One is told nothing any more.
    Remove {
        /// Which.
        id: i64,
        /// As it is written down.
        deed: Deed,
    },
    /// What one is told is signed by another secret, and by the former one, too, until then.
    Rotate {
        /// Which.
        id: i64,
        /// The new one.
        secret: Secret,
        /// The end of the former one.
        until: Timestamp,
        /// As it is written down.
        deed: Deed,
    },
    /// One is told something that means nothing.
    Test {
        /// Which.
        id: i64,
        /// By what name.
        uuid: Uuid,
        /// As it is written down.
        deed: Deed,
    },
    /// One is told again.
    Replay {
        /// Which.
        id: i64,
        /// What.
        which: Again,
        /// As it is written down.
        deed: Deed,
    },
    /// Something is alarming: those of the tenant are told that want it.
    Alert {
        /// Whose it is.
        tenant: Tenant,
        /// When.
        at: Timestamp,
        /// What there is to say of it.
        data: serde_json::Value,
    },
    /// At most so many messages for each of these whose turn has come are this process's to send.
    Claim {
        /// Which, and how many.
        wanted: Vec<(i64, i64)>,
    },
    /// This came of attempts. Who has taken nothing for so many seconds is disabled.
    Tried {
        /// What.
        all: Arc<[WebhookTried]>,
        /// How long.
        longest: i64,
    },
    /// At most so many messages of what happened so many seconds ago, or longer, are forgotten.
    Clear {
        /// How long ago.
        age: i64,
        /// How many.
        most: i64,
    },
}

/// A new address.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Where.
    pub url: String,
    /// What it is for, in somebody's words.
    pub description: String,
    /// What it is told of; nothing: of all.
    pub events: Option<Vec<WebhookEvent>>,
    /// By what messages are signed.
    pub secret: Secret,
}

/// How an address is changed.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    /// Where.
    pub url: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it is told of; `None` within: of all.
    pub events: Option<Option<Vec<WebhookEvent>>>,
    /// Whether it is told anything.
    pub is_enabled: Option<bool>,
}

/// What is told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The message of this name, whether it was taken or has failed.
    One(Uuid),
    /// All that has failed of what happened since then.
    FailedSince(Timestamp),
}

/// What is told again by one commit.
#[derive(Clone, Debug)]
pub enum Again {
    /// The message of this name, whether it was taken or has failed.
    One(Uuid),
    /// Those of these numbers that have failed.
    Failed(Vec<i64>),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKept {
    /// It was done; the number of the address.
    Done(i64),
    /// So many messages are told again.
    Replayed(usize),
    /// There is no such address, or message.
    Unknown,
    /// There are as many addresses as there may be.
    TooMany,
}

/// An address, as it is shown: without its secrets.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its number.
    pub id: i64,
    /// Where.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// What it is told of; nothing: of all.
    pub events: Option<Vec<WebhookEvent>>,
    /// Whether it is told anything.
    pub is_enabled: bool,
    /// Why it was disabled, if nobody did it.
    pub disabled_why: Option<String>,
    /// Until when messages are signed by its former secret, too.
    pub former_until: Option<Timestamp>,
    /// Since when it has taken nothing.
    pub failing_since: Option<Timestamp>,
    /// Since when there is one.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// A message that is this process's to send.
#[derive(Clone, Debug)]
pub struct WebhookMessage {
    /// Its number.
    pub id: i64,
    /// Its name: the same on each attempt.
    pub uuid: Uuid,
    /// The number of the address.
    pub webhook: i64,
    /// Where that is.
    pub url: String,
    /// By what it is signed, the newest first.
    pub secrets: Vec<Secret>,
    /// What happened.
    pub event: String,
    /// What there is to say of it: a JSON object.
    pub data: String,
    /// When.
    pub happened_at: Timestamp,
    /// Which attempt this is: what comes of it counts only while no later one was begun.
    pub attempt: i32,
    /// Attempts up to this one do not count.
    pub since: i32,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct WebhookTried {
    /// The message.
    pub id: i64,
    /// Which attempt.
    pub attempt: i32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// What the address said.
    pub outcome: Outcome,
}

/// A message, as it is shown.
#[derive(Clone, Debug)]
pub struct ToldMessage {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub uuid: Uuid,
    /// What happened.
    pub event: String,
    /// What there is to say of it: a JSON object.
    pub data: String,
    /// When.
    pub happened_at: Timestamp,
    /// How it stands.
    pub state: State,
    /// When it is tried next, while it waits.
    pub due_at: Timestamp,
    /// Why it stands so.
    pub reason: Option<String>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
}

/// Which messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagesSought {
    /// Only those that stand so.
    pub state: Option<State>,
    /// Only those before the one of this number.
    pub before: Option<i64>,
}

/// An address's row.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = webhooks)]
pub(super) struct Row {
    pub id: i64,
    #[diesel(deserialize_as = Opening)]
    pub tenant: String,
    pub url: Sealed,
    #[diesel(deserialize_as = Opening)]
    pub description: String,
    #[diesel(deserialize_as = Perhaps)]
    pub events: Option<String>,
    pub is_enabled: i32,
    #[diesel(deserialize_as = Perhaps)]
    pub disabled_why: Option<String>,
    pub secret: Sealed,
    pub former_secret: Option<Sealed>,
    pub former_until: Option<At>,
    pub failing_since: Option<At>,
    pub created_at: At,
    pub updated_at: At,
}

/// A message's row.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = webhook_messages)]
pub(super) struct MessageRow {
    pub id: i64,
    pub uuid: UuidColumn,
    pub webhook_id: i64,
    #[diesel(deserialize_as = Opening)]
    pub event: String,
    #[diesel(deserialize_as = Opening)]
    pub data: String,
    pub happened_at: At,
    pub state: i32,
    pub due_at: At,
    pub attempt: i32,
    pub since: i32,
    #[diesel(deserialize_as = Perhaps)]
    pub reason: Option<String>,
    pub finished_at: Option<At>,
}

/// A try's row.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = webhook_attempts)]
pub(super) struct AttemptRow {
    pub id: i64,
    pub message_id: i64,
    pub attempt: i32,
    pub at: At,
    pub took_ms: i32,
    pub state: i32,
    #[diesel(deserialize_as = Perhaps)]
    pub reason: Option<String>,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            url: row.url.0,
            description: row.description,
            events: row.events.as_deref().map(read_events),
            is_enabled: row.is_enabled != 0,
            disabled_why: row.disabled_why,
            former_until: row.former_until.map(|at| at.0),
            failing_since: row.failing_since.map(|at| at.0),
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

/// Events as they are stored. One that is not known any more is nobody's.
fn read_events(text: &str) -> Vec<WebhookEvent> {
    let names: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    names.iter().filter_map(|name| WebhookEvent::named(name)).collect()
}

/// As they are stored.
pub(super) fn written_events(events: &[WebhookEvent]) -> String {
    let names: Vec<&str> = events.iter().map(|event| event.name()).collect();
    serde_json::to_string(&names).unwrap_or_default()
}

/// Who wants to be told, as a writer knows it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub webhook: i64,
    pub tenant: String,
    /// Nothing: of all.
    pub events: Option<Vec<WebhookEvent>>,
}

impl Listener {
    pub fn new((webhook, tenant, events): (i64, String, Option<String>)) -> Self {
        Self { webhook, tenant, events: events.as_deref().map(read_events) }
    }

    pub fn wants(&self, event: WebhookEvent, tenant: &str) -> bool {
        // Who wants all wants what becomes of notifications.
        let is_for_all = event != WebhookEvent::SecurityAlert;
        self.tenant == tenant && self.events.as_ref().map_or(is_for_all, |events| events.contains(&event))
    }
}

/// Who wants to be told, remembered: where nobody does, what becomes true costs nothing more.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    known: Option<(Instant, Arc<[Listener]>)>,
}

impl Listeners {
    /// Those that were there lately enough.
    pub fn known(&self, longest: Duration) -> Option<Arc<[Listener]>> {
        let (since, all) = self.known.as_ref()?;
        (since.elapsed() < longest).then(|| all.clone())
    }

    pub fn remember(&mut self, all: Arc<[Listener]>) {
        self.known = Some((Instant::now(), all));
    }

    pub fn forget(&mut self) {
        self.known = None;
    }
}

impl Store {
    /// All addresses of `tenant`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn webhooks(&self, tenant: &Tenant) -> Result<Vec<Webhook>, StoreError> {
        let rows = on!(&self.readers, webhooks_of(tenant))?;
        Ok(rows.into_iter().map(Webhook::from).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn webhook(&self, tenant: &Tenant, id: i64) -> Result<Option<Webhook>, StoreError> {
        let row = on!(&self.readers, webhook_one(tenant, id))?;
        Ok(row.map(Webhook::from))
    }

    /// What the address of this number was told, the latest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn webhook_messages(
        &self,
        webhook: i64,
        sought: MessagesSought,
        limit: i64,
    ) -> Result<Vec<ToldMessage>, StoreError> {
        on!(&self.readers, webhook_messages_of(webhook, sought, limit))
    }

    /// The numbers of what the address of this number has failed to take of what happened since then, the latest first, before
    /// the one of this number.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn failed_messages(
        &self,
        webhook: i64,
        since: Timestamp,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<i64>, StoreError> {
        on!(&self.readers, failed_messages(webhook, since, before, limit))
    }

    /// The addresses for which something is due.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn due_webhooks(&self) -> Result<Vec<i64>, StoreError> {
        on!(&self.readers, due_webhooks())
    }
}
