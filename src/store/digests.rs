//! Digests, as they are kept: who wants one, how far the last one reached, and those that were sent.
//!
//! Promise: the place reached only goes on, in the commit that stores a digest, and never passes what still waits for the
//! end of quiet hours, whose place changes. So each notification is in one digest.

use std::collections::HashMap;

use diesel::prelude::*;

use super::schema::{digest_subscriptions, digests};
use super::sealing::{Opening, Sealed, Unopened, legible};
use super::types::At;
use super::{Readers, Store, StoreError, on, postgres, preferred, sqlite};
use crate::domain::{
    Contacts, Deed, DigestTerms, Frequency, Gathering, Item, Line, Locale, NewNotification, NotificationId,
    Position, Preferences, Recipient, Rhythm, Tenant, Timestamp, UserId,
};

/// Entries that are read at once.
pub(super) const TOGETHER: i64 = 2_000;
/// Digests that are told to be due at once.
const MOST: i64 = 1_000;

/// Who wants a digest, as it is stored.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = digest_subscriptions)]
pub(super) struct Row {
    pub recipient_id: i64,
    #[diesel(deserialize_as = Opening)]
    pub terms: String,
    pub next_at: Option<At>,
    pub reached: i64,
    pub created_at: At,
    pub updated_at: At,
}

/// One that was sent, as it is stored.
#[derive(Clone, Debug, Queryable, Insertable)]
#[diesel(table_name = digests)]
pub(super) struct SentRow {
    pub id: i64,
    pub recipient_id: i64,
    pub notification_id: i64,
    pub frequency: String,
    pub date: String,
    pub after_position: i64,
    pub upto_position: i64,
    pub created_at: At,
    pub content: Sealed,
}

/// What is looked at of one that was sent.
pub(super) type SentColumns = (i64, i64, Opening, Opening, At, Opening);

/// The columns of [`SentColumns`].
#[diesel::dsl::auto_type]
pub(super) fn sent_columns() -> _ {
    (
        digests::id,
        digests::notification_id,
        digests::frequency,
        digests::date,
        digests::created_at,
        digests::content,
    )
}

/// Who wants one, how, and who they are: their tenant, name, preferences and contacts.
pub(super) type Wanting = (Row, Opening, Opening, Option<Opening>, Option<Opening>);

/// An entry, as far as it is named.
pub(super) type ItemColumns =
    (i64, Option<At>, (i64, super::types::UuidColumn, Opening, Opening, Opening, i32, Option<Opening>, At));

/// Somebody who wants a digest.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Their row.
    pub row: i64,
    /// Who they are.
    pub recipient: Recipient,
    /// What they want.
    pub terms: DigestTerms,
    /// When it is due; nothing: it is switched off.
    pub next_at: Option<Timestamp>,
    /// The last place that a digest has told of, or did not have to.
    pub reached: Position,
    /// What they prefer.
    pub preferences: Preferences,
    /// Their language.
    pub locale: Locale,
}

impl Subscriber {
    /// When their digest is due.
    pub fn rhythm(&self) -> Rhythm {
        self.terms.rhythm(self.preferences.time_zone)
    }

    fn read((row, tenant, user, preferences, contacts): Wanting) -> Result<Self, StoreError> {
        let tenant = Tenant::new(&tenant.legible()).map_err(unreadable)?;
        let recipient = Recipient { tenant, user: UserId::new(&user.legible()).map_err(unreadable)? };
        let contacts = contacts
            .and_then(|stored| stored.0.ok())
            .as_deref()
            .map(Contacts::from_stored)
            .unwrap_or_default();
        let locale = contacts.language();
        Ok(Self {
            row: row.recipient_id,
            recipient,
            terms: serde_json::from_str(&row.terms).map_err(unreadable)?,
            next_at: row.next_at.map(|at| at.0),
            reached: row.reached,
            preferences: legible(preferences).as_deref().map(preferred::read).unwrap_or_default(),
            locale: locale.unwrap_or_default(),
        })
    }
}

fn unreadable(fault: impl std::error::Error + Send + Sync + 'static) -> diesel::result::Error {
    diesel::result::Error::DeserializationError(Box::new(fault))
}

/// What came since a digest, counted.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Up to this place.
    pub upto: Position,
    /// What it is.
    pub gathering: Gathering,
    /// Those that may be named, by their places.
    pub items: HashMap<Position, Item>,
}

/// One that was sent.
#[derive(Clone, Debug)]
pub struct SentDigest {
    /// Its number.
    pub id: i64,
    /// What told of it.
    pub notification: NotificationId,
    /// How often there was one then.
    pub frequency: Frequency,
    /// The day that it is of.
    pub date: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What stands in it: a JSON object.
    pub content: String,
}

/// It, and why what stands in it does not open: a word stands there then.
pub(super) fn sent(
    (id, notification, frequency, date, at, content): SentColumns,
) -> (SentDigest, Option<Unopened>) {
    let why = content.0.as_ref().err().cloned();
    let sent = SentDigest {
        id,
        notification: NotificationId(notification),
        frequency: Frequency::named(&frequency.legible()),
        date: date.legible(),
        created_at: at.0,
        content: content.legible_json(),
    };
    (sent, why)
}

/// A digest whose turn has come.
#[derive(Clone, Debug)]
pub struct NewDigest {
    /// Whose, and how it stood when it was made: if anything of that has changed, nothing is stored.
    pub subscriber: Subscriber,
    /// What becomes of it.
    pub outcome: DigestOutcome,
}

/// What becomes of a digest whose turn has come.
#[derive(Clone, Debug)]
pub enum DigestOutcome {
    /// Its recipient does not want to be disturbed until then.
    PutOff(Timestamp),
    /// Nothing came up to this place.
    Nothing(Position),
    /// This is sent.
    Sent {
        /// Up to this place it tells of everything.
        upto: Position,
        /// The day that it is of.
        date: String,
        /// What tells of it, and what stands in it.
        notification: Box<NewNotification>,
    },
}

/// Something to be done with digests.
#[derive(Clone, Debug)]
pub enum DigestWrite {
    /// Somebody wants one like this.
    Subscribe {
        /// Who.
        recipient: Recipient,
        /// What.
        terms: DigestTerms,
        /// As it is written down.
        deed: Deed,
    },
    /// Somebody wants none any more.
    Unsubscribe {
        /// Who.
        recipient: Recipient,
        /// As it is written down.
        deed: Deed,
    },
    /// One whose turn has come.
    Make(Box<NewDigest>),
    /// Those that were sent before then are removed, so many at most.
    Forget {
        /// Then.
        before: Timestamp,
        /// How many.
        most: i64,
    },
}

impl Store {
    /// Whose digest is due until then, and when, the earliest first. There may be more than a thousand, beside the `passed_over`
    /// that are not asked for.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn due_digests(
        &self,
        until: Timestamp,
        passed_over: usize,
    ) -> Result<Vec<(i64, Timestamp)>, StoreError> {
        let most = MOST.saturating_add(i64::try_from(passed_over).unwrap_or(0));
        on!(&self.readers, due_digests(until, most))
    }

    /// Somebody who wants a digest, by their row.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn subscriber(&self, row: i64) -> Result<Option<Subscriber>, StoreError> {
        on!(&self.readers, digest_wanted(row))?.map(Subscriber::read).transpose()
    }

    /// The same, by their name.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn subscriber_named(&self, recipient: &Recipient) -> Result<Option<Subscriber>, StoreError> {
        on!(&self.readers, digest_wanted_by(recipient))?.map(Subscriber::read).transpose()
    }

    /// The first place behind `after` where something waits for the end of this row's quiet hours.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn first_waiting(&self, row: i64, after: Position) -> Result<Option<Position>, StoreError> {
        on!(&self.readers, first_waiting(row, after))
    }

    /// What came since the last digest of `whom`; nothing that was removed or has expired, that they do not want to
    /// hear of, or that waits for the end of quiet hours, and nothing behind that.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn gathered(&self, whom: &Subscriber, now: Timestamp) -> Result<Gathered, StoreError> {
        let Subscriber { row, reached, terms, .. } = whom;
        let (row, reached) = (*row, *reached);
        let last = on!(&self.readers, last_place(row))?.unwrap_or(0);
        let upto = match self.first_waiting(row, reached).await? {
            Some(waiting) => last.min(waiting - 1),
            None => last,
        };
        let mut gathered = Gathered { upto: upto.max(reached), ..Gathered::default() };
        let mut before = upto + 1;
        while before > reached + 1 {
            let page = on!(&self.readers, lines(row, reached, before, now))?;
            let Some((oldest, ..)) = page.last() else { break };
            before = *oldest;
            for (position, kind, level, is_read) in page {
                let priority = crate::domain::Priority::from_level(level);
                if terms.takes(&kind, priority) {
                    gathered.gathering.add(Line { position, kind, priority, is_read });
                }
            }
        }
        if gathered.gathering.total() > 0 {
            let named = gathered.gathering.named();
            let items = on!(&self.readers, items(row, &named))?;
            gathered.items = items.into_iter().map(item).collect();
        }
        Ok(gathered)
    }

    /// The digests that `recipient` got before the one of number `before`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn digests(
        &self,
        recipient: &Recipient,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<SentDigest>, StoreError> {
        on!(&self.readers, digests_of(recipient, before, limit))
    }

    /// The one of this number, if it is `recipient`'s.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn digest(&self, recipient: &Recipient, id: i64) -> Result<Option<SentDigest>, StoreError> {
        on!(&self.readers, digest_one(recipient, id))
    }
}

fn item((position, read_at, columns): ItemColumns) -> (Position, Item) {
    let (id, uuid, kind, title, message, level, action_url, created_at) = columns;
    let item = Item {
        id: NotificationId(id),
        uuid: uuid.0,
        kind: kind.legible(),
        title: title.legible(),
        message: message.legible(),
        priority: crate::domain::Priority::from_level(level),
        action_url: action_url.and_then(|url| url.0.ok()),
        is_read: read_at.is_some(),
        created_at: created_at.0,
    };
    (position, item)
}
