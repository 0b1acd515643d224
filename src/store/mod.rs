//! The truth: everything that must survive is here, and all SQL.
//!
//! Promises: what [`Store::submit`] reports as done is durable (fsync on), in the order it reports
//! it; reads see every write that was reported. Knows nothing of sockets, tokens or wire formats.
//!
//! SQLite and PostgreSQL share one schema ([`schema`]) and one body for each query (`queries.rs`, compiled once for
//! each); what is special to one stands in its folder under the same name.

mod analytics;
mod audit;
mod audit_chain;
pub mod backup;
mod content;
mod counts;
mod deliveries;
mod devices;
mod digests;
mod disk;
mod due;
mod erasure;
mod error;
mod examine;
mod facts;
mod held;
mod migrate;
mod people;
mod postgres;
mod preferred;
mod privacy;
mod recurring;
mod retention;
mod schema;
mod sealing;
mod settings;
mod sqlite;
mod tally;
mod templates;
mod trace;
mod traced;
mod transfer;
mod types;
mod url;
mod watching;
mod webhooks;
mod write;
mod writer;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::{Group, NotificationId, Position, Recipient, Tenant, Timestamp};
use crate::telemetry::Metrics;

pub use analytics::{ACCEPTED, AnalyticsWrite, CountedUpto, ITSELF, LOOKED_AT, OfDay, READ};
pub use audit::{Recorded, Sought};
pub use audit_chain::{AuditLog, Chain, ChainWrite, Old, Sealed, Unsealed, secret as chain_secret};
pub use counts::{Counts, Recent, Roll};
pub use deliveries::{
    Attempt, Claimed, Delivery, HELD_SECONDS, Outcome, PUT_OFF, RETRACTED_TOGETHER, SmsCaps, State, Tried,
};
use devices::HEEDED_DAYS;
pub use devices::{ContactsWrite, DeviceWrite, NewDevice, Registered, Said, WhichDevice};
pub use digests::{DigestOutcome, DigestWrite, Gathered, NewDigest, SentDigest, Subscriber};
pub use due::Task;
pub use erasure::{AGAIN, Part, PrivacyWrite};
pub use error::StoreError;
use error::{is_of_one_write, shared};
pub use examine::{Examined, examine};
pub use held::{Counted, Entry, Filter, Gap, Held, HeldCounts, Line, Missed, Pending, Which};
pub(crate) use held::{MUTED, QUIET, SUMMED_UP, TAKEN_BACK};
pub use migrate::migrate;
pub use privacy::{Audited, Consent, Disclosure, Elsewhere, Figure, WholeDelivery, WholeEntry};
pub use recurring::{Kept, NewRecurring, Recurring, Whose};
pub use retention::{Found, Sweep, Until};
pub use sealing::{
    Checked, KeysFound, Rotated, check_values, examine_keys, ids as key_ids, install as use_keys,
    missing_keys, new_key, rotate,
};
pub use settings::Settings;
pub use templates::{TemplateChange, TemplateKept, TemplateVersion};
pub use trace::{Member, Trace, TracedEntry, TracedHush, TracedSpread, Waiting};
pub use transfer::{Moved, transfer};
pub use url::{DatabaseUrl, UrlError};
pub use watching::{Backlog, Backlogs, COUNTED_TO, Node};
pub use webhooks::{
    Again, MessagesSought, NewWebhook, Replayed, ToldMessage, Webhook, WebhookChange, WebhookKept,
    WebhookMessage, WebhookTried, WebhookWrite,
};
pub use write::{Beat, Before, Done, Mark, Presence, Sent, Spread, Write, Written};

/// A node that gave no sign of life for this many seconds is dead: nobody is connected to it.
pub const LEASE_SECONDS: i64 = 20;

/// Where reads go: one arm a database, the same method behind each.
#[derive(Clone)]
enum Readers {
    Sqlite(sqlite::Pool),
    Postgres(postgres::Pool),
}

/// Runs `$query` of `queries.rs` on whichever database this is.
macro_rules! on {
    ($readers:expr, $query:ident ( $($argument:expr),* )) => {
        match $readers {
            Readers::Sqlite(pool) => {
                let mut connection = sqlite::checkout(pool).await?;
                sqlite::queries::$query(&mut connection $(, $argument)*).await
            }
            Readers::Postgres(pool) => {
                let reader = postgres::checkout(pool).await?;
                reader.read(async |connection| postgres::queries::$query(connection $(, $argument)*).await).await
            }
        }
    };
}

use on;

/// Entries that are counted in one transaction: others wait for it.
const COUNTED_TOGETHER: usize = 4_096;
/// Entries of one person that [`Store::behind`] reads at once.
pub const TOGETHER: usize = 64;

/// The database.
pub struct Store {
    readers: Readers,
    writer: writer::Writer,
    /// The SQLite file.
    file: Option<PathBuf>,
}

impl Store {
    /// Opens the database of `settings`, brings its schema up to date and starts the writer. Nobody can mute
    /// notifications of `mandatory` types.
    /// Must be called inside the runtime on which completions are to run.
    ///
    /// # Errors
    /// When the address is wrong, the database cannot be reached or migrated, or another process
    /// holds the SQLite file.
    pub async fn open(
        settings: &Settings,
        mandatory: Arc<[String]>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let url: DatabaseUrl = settings.url.parse()?;
        sealing::install(settings)?;
        migrate(&url).await?;
        sealing::acquaint(&url).await?;
        let store = match url {
            DatabaseUrl::Sqlite(path) => {
                let writer = sqlite::start_writer(&path, settings.commit_batch, mandatory, metrics).await?;
                let readers = Readers::Sqlite(sqlite::pool(&path, settings.readers)?);
                Self { readers, writer, file: Some(path) }
            }
            DatabaseUrl::Postgres(url) => {
                let target = postgres::Target::new(&url)?;
                let readers = Readers::Postgres(postgres::pool(&target, settings.readers)?);
                let writer =
                    postgres::start_writer(target, settings.commit_batch, mandatory, metrics).await?;
                Self { readers, writer, file: None }
            }
        };
        store.check_transfer().await?;
        Ok(store)
    }

    /// A database that was moved half is not to be used.
    async fn check_transfer(&self) -> Result<(), StoreError> {
        match on!(&self.readers, transfer_state())?.as_deref() {
            Some("unfinished") => Err(StoreError::Transfer(
                "a move to this database was interrupted; run `carillon migrate --to` again until it says Moved and \
                 compared"
                    .to_owned(),
            )),
            Some(_) => {
                tracing::warn!(
                    "all of this file was moved to PostgreSQL; what is stored here now is not there. Set DATABASE_URL to \
                     where it was moved"
                );
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Queues `write`; `done` is called once, after its commit (or failure), in commit order.
    /// Never blocks: who submits bounds how much of its own is under way.
    pub fn submit(&self, write: Write, done: Done) {
        self.writer.submit(write, done);
    }

    /// Whether others had something written within so long, and wait for what they write next.
    pub fn is_in_use(&self, within: std::time::Duration) -> bool {
        self.writer.was_awaited_within(within)
    }

    /// Queues `write` and waits for its commit.
    ///
    /// # Errors
    /// What the commit failed with.
    pub async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.submit(write, Box::new(move |written| drop(tell.send(written))));
        told.await.unwrap_or(Err(StoreError::Closed))
    }

    /// What of this `kind` `recipient` has neither confirmed nor read, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn pending(
        &self,
        recipient: &Recipient,
        kind: &str,
        limit: i64,
    ) -> Result<Pending, StoreError> {
        let pending = on!(&self.readers, pending(recipient, kind, limit))?;
        if let Some((recipient, upto)) = pending.settled {
            self.submit(Write::Settled { recipient, upto }, Box::new(|_| ()));
        }
        Ok(pending)
    }

    /// What `recipient` has of this `gap`, oldest first; nothing that has expired.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn missed(
        &self,
        recipient: &Recipient,
        gap: &Gap,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<Line>, StoreError> {
        on!(&self.readers, missed(recipient, gap, now, limit))
    }

    /// The name that this database was given when it was made.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn deployment(&self) -> Result<String, StoreError> {
        on!(&self.readers, deployment_name())
    }

    /// Whether several nodes may store here. Places in an inbox are then counted without gaps.
    pub fn is_shared(&self) -> bool {
        matches!(self.readers, Readers::Postgres(_))
    }

    /// The last place in the inbox of each of `people` who ever got anything.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn last_positions(
        &self,
        people: &[Recipient],
    ) -> Result<HashMap<Recipient, Position>, StoreError> {
        on!(&self.readers, last_positions(people))
    }

    /// The entries of each of `people` behind the place given with them, oldest first, at most [`TOGETHER`] of
    /// each. None on SQLite, where one writer gives out all places.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn behind(&self, people: &[(Recipient, Position)]) -> Result<Vec<Vec<Entry>>, StoreError> {
        on!(&self.readers, behind(people))
    }

    /// What `recipient` holds, newest first.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn held(
        &self,
        recipient: &Recipient,
        filter: &Filter,
        skip: i64,
        limit: i64,
    ) -> Result<Vec<Line>, StoreError> {
        on!(&self.readers, held(recipient, filter, skip, limit))
    }

    /// How much `recipient` holds of a kind, topic and priority; nothing if nobody of that name ever got anything.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn held_counts(
        &self,
        recipient: &Recipient,
        filter: &Filter,
    ) -> Result<Option<Counted>, StoreError> {
        on!(&self.readers, held_counts(recipient, filter))
    }

    /// What `recipient` was sent before this place, newest first; nothing when that was all.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn recent(
        &self,
        recipient: &Recipient,
        before: Position,
        now: Timestamp,
    ) -> Result<Vec<Recent>, StoreError> {
        on!(&self.readers, recent(recipient, before, now))
    }

    /// Counts the next entries that nobody has counted yet; `true` if there may be more.
    ///
    /// # Errors
    /// What the commit failed with.
    pub async fn count_on(
        &self,
        recipient: &Recipient,
        which: &Which,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let write = Write::Count { recipient: recipient.clone(), which: which.clone(), now };
        let counted = self.write(write).await?;
        Ok(matches!(counted, Written::Changed(many) if many >= COUNTED_TOGETHER))
    }

    /// One notification that `recipient` holds.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find(&self, recipient: &Recipient, id: NotificationId) -> Result<Option<Held>, StoreError> {
        on!(&self.readers, find(recipient, id))
    }

    /// Where `recipient` has this notification, or had it before it was deleted.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn place_of(
        &self,
        recipient: &Recipient,
        id: NotificationId,
    ) -> Result<Option<Position>, StoreError> {
        on!(&self.readers, place_of(recipient, id))
    }

    /// The same; of one that was for others, behind which place `recipient` has what came after it. `None` if none of
    /// that number was stored yet.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn place_behind(
        &self,
        recipient: &Recipient,
        id: NotificationId,
    ) -> Result<Option<Position>, StoreError> {
        on!(&self.readers, place_behind(recipient, id))
    }

    /// How many of `tenant` are in `group` now.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audience(&self, tenant: &Tenant, group: &Group) -> Result<i64, StoreError> {
        on!(&self.readers, audience(tenant, group))
    }

    /// In how many inboxes a notification for an audience is, and whether these are all.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn spread_of(&self, id: NotificationId) -> Result<Option<(i64, bool)>, StoreError> {
        on!(&self.readers, spread_of(id))
    }

    /// The number of the notification with this second name. It may be anybody's.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn number_of(&self, uuid: &uuid::Uuid) -> Result<Option<NotificationId>, StoreError> {
        on!(&self.readers, number_of(uuid))
    }

    /// The topics that `recipient` hears of, in their order.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn topics(&self, recipient: &Recipient) -> Result<Vec<String>, StoreError> {
        on!(&self.readers, topics(recipient))
    }

    /// The highest notification number.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn last_notification(&self) -> Result<i64, StoreError> {
        on!(&self.readers, last_notification())
    }

    /// Whether the database can be read, by the keys that are here, has room, and takes commits. When the last one failed, another
    /// is tried: readiness must not wait for work that only a ready server is given.
    ///
    /// # Errors
    /// When it cannot, has none, or does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        if let Some(file) = &self.file {
            disk::has_room(file)?;
        }
        if !self.writer.is_well() {
            self.write(Write::Probe).await?;
        }
        let names = on!(&self.readers, ping())?;
        match sealing::lacking(&names) {
            Some(id) => Err(StoreError::Lacking(id)),
            None => Ok(()),
        }
    }

    /// Waits until every write submitted before has been committed and reported.
    pub async fn drain(&self) {
        self.write(Write::Barrier).await.ok();
    }

    /// The same, for the last time before the process ends: an SQLite file is then whole without its
    /// write-ahead log.
    pub async fn close(&self) {
        self.write(Write::Last).await.ok();
    }
}
