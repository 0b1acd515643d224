//! What is kept of people, for those whom it is about: what they agree to, who saw it, all of it, and none of it any more.

use super::sealing::{Opening, digests_of, legible};
use super::types::At;
use super::{Readers, SentDigest, Store, StoreError, Write, Written, on, postgres, sqlite};
use crate::domain::{Channel, Notification, Position, Recipient, Tenant, Timestamp};

/// How often it is tried to leave nothing in the log, and how long is waited between.
const ATTEMPTS: u32 = 50;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Rows of one page, and of one commit.
pub const PAGE: i64 = 500;
/// Notifications among which it is looked at once who sent them.
const WINDOW: i64 = 20_000;

/// Bookings that are looked through at once.
const BOOKINGS: i64 = 1_000;

/// Something that somebody agreed to, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Its number.
    pub id: i64,
    /// To be sent over which channel.
    pub channel: Channel,
    /// Which type of notifications; empty: all.
    pub kind: String,
    /// Whether they agree.
    pub is_given: bool,
    /// When it was said.
    pub at: Timestamp,
    /// By which way.
    pub how: String,
    /// Who said so for them; nothing: they themselves.
    pub actor: Option<String>,
    /// What else was said of it.
    pub note: Option<String>,
}

/// Who saw, or was sent, what about whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// Its number; nothing to be told before it is stored.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// About whom.
    pub about: String,
    /// To whom.
    pub recipient: String,
    /// Who disclosed it, if not whoever saw it.
    pub actor: Option<String>,
    /// `send`, or what was read.
    pub action: String,
    /// By which notification.
    pub notification: Option<i64>,
    /// Of which type.
    pub kind: String,
}

/// An entry of somebody's inbox, with all that is kept of it.
#[derive(Clone, Debug)]
pub struct WholeEntry {
    /// Its place.
    pub position: Position,
    /// What it says.
    pub notification: Notification,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// What its sender wanted beyond sockets, as JSON.
    pub wish: Option<String>,
    /// When it was sent, confirmed, read and deleted.
    pub times: [Option<Timestamp>; 4],
    /// What confirmed it.
    pub confirmed_by: Option<String>,
    /// Why it was not told by itself.
    pub hush: Option<String>,
}

/// What went out to somebody beyond sockets.
#[derive(Clone, Debug)]
pub struct WholeDelivery {
    /// Its number.
    pub id: i64,
    /// Of which notification.
    pub notification: i64,
    /// Over which channel.
    pub channel: Channel,
    /// As a number: see [`super::State`].
    pub state: i32,
    /// Why it stands so.
    pub reason: Option<String>,
    /// Who was asked last, and how they call it.
    pub provider: (Option<String>, Option<String>),
    /// Whether it went to a guardian.
    pub to_guardian: bool,
    /// When it was made, and over.
    pub times: (Timestamp, Option<Timestamp>),
}

/// A row that stands somewhere else, with its number and what it says.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// Its number.
    pub id: i64,
    /// What it is: an event, a title, an expression of time.
    pub what: String,
    /// JSON, or a text.
    pub content: String,
    /// When it was, or will be.
    pub at: Option<Timestamp>,
}

/// A row of the audit log that names somebody.
#[derive(Clone, Debug)]
pub struct Audited {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Option<String>,
    /// What was done.
    pub action: String,
    /// Of what, or about whom.
    pub subject: Option<String>,
    /// A JSON object.
    pub detail: String,
    /// From where.
    pub address: Option<String>,
}

/// What is counted of a tenant, for those who look whether rules are kept: of what, of which kind, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// `audit`, `audit log`, `consent`, `disclosure`, `people`.
    pub section: &'static str,
    /// Of which kind.
    pub name: String,
    /// How many.
    pub many: i64,
}

impl Store {
    /// The number of `recipient`'s row.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn person_row(&self, recipient: &Recipient) -> Result<Option<i64>, StoreError> {
        on!(&self.readers, person_row(recipient))
    }

    /// The roles that `recipient` had last.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn roles_of(&self, row: i64) -> Result<Vec<String>, StoreError> {
        on!(&self.readers, roles_of(row))
    }

    /// Whether caps go on counting what went to `person`, who was forgotten.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn is_counted_on(&self, person: &Recipient) -> Result<bool, StoreError> {
        on!(&self.readers, is_counted_on(person))
    }

    /// A page of an inbox: all that is behind this place, the oldest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn whole_entries(&self, row: i64, after: Position) -> Result<Vec<WholeEntry>, StoreError> {
        on!(&self.readers, whole_entries(row, after, PAGE / 5))
    }

    /// Places of a page of an inbox, and their notifications; and which of these nobody else has or is to get.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn places_alone(
        &self,
        recipient: &Recipient,
        row: i64,
    ) -> Result<(Vec<(i64, i64)>, Vec<i64>), StoreError> {
        on!(&self.readers, places_alone(recipient, row, PAGE))
    }

    /// What of these notifications went out to somebody beyond sockets.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn whole_deliveries(
        &self,
        row: i64,
        notifications: &[i64],
    ) -> Result<Vec<WholeDelivery>, StoreError> {
        on!(&self.readers, whole_deliveries(row, notifications))
    }

    /// The archive of somebody's digests behind this one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn whole_digests(&self, row: i64, after: i64) -> Result<Vec<SentDigest>, StoreError> {
        on!(&self.readers, whole_digests(row, after, PAGE / 5))
    }

    /// What somebody said of what they agree to, the latest first, before this one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn consents_of(
        &self,
        recipient: &Recipient,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Consent>, StoreError> {
        on!(&self.readers, consents_of(recipient, before, limit))
    }

    /// Who saw what about a person of this name, the latest first, before this one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn disclosures_of(
        &self,
        about: &Recipient,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Disclosure>, StoreError> {
        on!(&self.readers, disclosures_of(about, before, limit))
    }

    /// Rows of the audit log behind this one that name `person`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audited_of(&self, person: &Recipient, after: i64) -> Result<Vec<Audited>, StoreError> {
        on!(&self.readers, audited_of(person, after, PAGE))
    }

    /// Messages to webhooks behind this one that name `person`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn messages_of(&self, person: &Recipient, after: i64) -> Result<Vec<Elsewhere>, StoreError> {
        on!(&self.readers, messages_of(person, after, PAGE))
    }

    /// Notifications for later, or for people by name, that name `person`, behind this one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn expansions_of(&self, person: &Recipient, after: i64) -> Result<Vec<Elsewhere>, StoreError> {
        on!(&self.readers, expansions_of(person, after, PAGE))
    }

    /// What recurs and is `person`'s, or names them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn recurring_for(&self, person: &Recipient) -> Result<Vec<Elsewhere>, StoreError> {
        on!(&self.readers, recurring_for(person))
    }

    /// What `person` sent, of the next notifications behind this number; and where to go on, if there are more.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sent_by(
        &self,
        person: &Recipient,
        after: i64,
    ) -> Result<(Vec<Notification>, Option<i64>), StoreError> {
        on!(&self.readers, sent_by(person, after, WINDOW))
    }

    /// Bookings whose `user` is `person`, of the next ones behind this number; and where to go on, until there are none.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn booked_by(
        &self,
        person: &Recipient,
        after: i64,
    ) -> Result<(Vec<Notification>, Option<i64>), StoreError> {
        on!(&self.readers, booked_by(person, after, BOOKINGS))
    }

    /// Templates that `person` wrote: name and version.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn written_by(&self, person: &Recipient) -> Result<Vec<(String, i64)>, StoreError> {
        on!(&self.readers, written_by(person))
    }

    /// Sockets of `person`'s: since when, and on which node.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sockets_of(&self, person: &Recipient) -> Result<Vec<(Timestamp, String)>, StoreError> {
        on!(&self.readers, sockets_of(person))
    }

    /// The secret of which `person`'s pseudonyms are made.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn secret_of(&self, person: &Recipient) -> Result<Option<Vec<u8>>, StoreError> {
        on!(&self.readers, secret_of(person))
    }

    /// What is counted of `tenant` between these times.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn figures(
        &self,
        tenant: &Tenant,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Figure>, StoreError> {
        on!(&self.readers, figures(tenant, from, to))
    }

    /// Whether a delivery is this attempt's still: who it is for may have been forgotten.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn is_under_way(&self, delivery: i64, attempt: i32) -> Result<bool, StoreError> {
        on!(&self.readers, is_under_way(delivery, attempt))
    }

    /// Waits until every transaction that had begun, on any node, has ended; not for longer than one may take.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn outlast_others(&self) -> Result<(), StoreError> {
        self.drain().await;
        let begun = on!(&self.readers, begun())?;
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(12);
        while tokio::time::Instant::now() < until {
            if on!(&self.readers, oldest())? >= begun {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Sees to it that what was removed stands in no file any more, if the database is one file of at most so many bytes; a
    /// larger one (any, if nothing is said) is not written anew, but what is removed is overwritten in any case.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn scrub(&self, most: Option<u64>) -> Result<(), StoreError> {
        let mut what = most;
        for _ in 0..ATTEMPTS {
            // The writer does what others wait for meanwhile.
            if !matches!(self.write(Write::Scrub(what)).await?, Written::Changed(0)) {
                return Ok(());
            }
            what = None;
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!(
            "the write-ahead log could not be emptied after an erasure: somebody reads it for long; the stop empties it"
        );
        Ok(())
    }
}

/// What is kept of somebody who was forgotten.
pub(super) fn person_digests(whom: &Recipient) -> Vec<String> {
    digests_of(&format!("{}\u{1f}{}", whom.tenant.as_str(), whom.user.as_str()))
}

/// Of an entry, beside what it says.
pub(super) type EntryRow = (
    i64,
    (Option<String>, Option<Opening>),
    (Option<At>, Option<At>, Option<At>, Option<At>),
    (Option<String>, Option<String>),
);

impl From<(Notification, EntryRow)> for WholeEntry {
    fn from(
        (notification, (position, (sender, wish), times, (confirmed_by, hush))): (Notification, EntryRow),
    ) -> Self {
        let at = |at: Option<At>| at.map(|at| at.0);
        Self {
            position,
            notification,
            sender,
            wish: wish.and_then(|wish| wish.0.ok()),
            times: [at(times.0), at(times.1), at(times.2), at(times.3)],
            confirmed_by,
            hush,
        }
    }
}

/// Of a disclosure, as it is stored.
pub(super) type DisclosureRow = (i64, At, Opening, Opening, Option<Opening>, Opening, Option<i64>, Opening);

impl From<DisclosureRow> for Disclosure {
    fn from((id, At(at), about, recipient, actor, action, notification, kind): DisclosureRow) -> Self {
        let (about, recipient, actor) = (about.legible(), recipient.legible(), legible(actor));
        Self { id, at, about, recipient, actor, action: action.legible(), notification, kind: kind.legible() }
    }
}

/// How messages to webhooks name somebody by this member, for LIKE with `\` as its escape.
pub(super) fn named(member: &str, user: &str) -> String {
    let json = serde_json::to_string(user).unwrap_or_default();
    let mut pattern = format!("%\"{member}\":").replace('_', "\\_");
    for letter in json.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}
