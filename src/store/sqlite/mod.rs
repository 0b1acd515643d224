//! SQLite: one file, one writer on a thread of its own, a few connections that only read.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use diesel::connection::{Connection as _, SimpleConnection};
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use diesel_async::pooled_connection::deadpool::{Object, Pool as Deadpool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use futures_util::FutureExt as _;

use self::beside::Beside;
use self::checkpoint::Checkpoints;
use self::holders::places_of;
use super::writer::{Inlet, Job, Writer, queue};
use super::{Entry, Roll, StoreError, Write, Written, is_of_one_write, shared};
use crate::domain::{NotificationId, Position, Recipient};
use crate::store::facts::SQLITE as DIALECT;
use crate::store::schema::{connections, deployment, expansions, inbox};
use crate::telemetry::Metrics;

/// A reader.
pub type ReadConnection = SyncConnectionWrapper<SqliteConnection, Beside>;
/// The readers.
pub type Pool = Deadpool<ReadConnection>;

#[path = "../analytics_queries.rs"]
mod analytics_queries;
#[path = "../audit_queries.rs"]
mod audit_queries;
#[path = "../chain_queries.rs"]
mod chain_queries;
#[path = "../compliance_queries.rs"]
mod compliance_queries;
#[path = "../delivery_queries.rs"]
mod delivery_queries;
#[path = "../device_queries.rs"]
mod device_queries;
#[path = "../digest_queries.rs"]
mod digest_queries;
mod holders;
#[path = "../passing_over.rs"]
mod passing_over;
#[path = "../places.rs"]
mod places_body;
#[path = "../privacy_queries.rs"]
mod privacy_queries;
#[path = "../queries.rs"]
mod queries_body;
#[path = "../recent.rs"]
mod recent_body;
#[path = "../recurring_queries.rs"]
mod recurring_queries;
#[path = "../retention_queries.rs"]
mod retention_queries;
#[path = "../template_queries.rs"]
mod template_queries;
#[path = "../traced_queries.rs"]
mod traced_queries;
#[path = "../traces.rs"]
mod traces_body;
#[path = "../watching_queries.rs"]
mod watching_queries;
#[path = "../webhook_queries.rs"]
mod webhook_queries;

/// The query bodies, for this database.
pub mod queries {
    pub use super::analytics_queries::{analytics, connected, count_next, counted_upto};
    pub use super::audit_queries::audited;
    pub use super::chain_queries::{
        audit_chain, audit_given, audit_older, audit_rows, audit_unsealed, audit_waiting, schema_versions,
    };
    pub use super::compliance_queries::{consents_of, disclosures_of, figures, people};
    pub use super::delivery_queries::{
        attempts_of, deliveries_of, failed_deliveries, failed_numbers, next_delivery, pushed_too_late,
        texts_of_tenants,
    };
    pub use super::device_queries::{contacts, devices, stopped};
    pub use super::digest_queries::{
        digest_one, digest_wanted, digest_wanted_by, digests_of, due_digests, first_waiting, items,
        last_place, lines,
    };
    pub use super::places_body::{place_behind, place_of};
    pub use super::privacy_queries::{
        audited_of, begun, booked_by, expansions_of, is_counted_on, is_under_way, messages_of, oldest,
        person_row, places_alone, recurring_for, roles_of, secret_of, sent_by, sockets_of, whole_deliveries,
        whole_digests, whole_entries, written_by,
    };
    pub use super::queries_body::{
        audience, counts, deployment_name, due_releases, due_spreads, find, held, held_counts,
        last_notification, missed, number_of, pending, ping, preferences, spread_of, topics, transfer_state,
    };
    pub use super::recent_body::{recent, recent_kinds};
    pub use super::recurring_queries::{due_rounds, recurring_of, recurring_one};
    pub use super::retention_queries::find_old;
    pub use super::template_queries::{template_at, template_version, template_versions_of, templates_of};
    pub use super::traced_queries::traced;
    pub use super::traces_body::{accepted_before, holders, is_member, is_owed, members, trace, waiting};
    pub use super::watching_queries::{backlogs, failed_many, nodes};
    pub use super::webhook_queries::{
        due_webhooks, failed_messages, webhook_messages_of, webhook_one, webhooks_of,
    };
    pub use super::{audit_writers, behind, last_positions, roll, under_way};
}

use ReadConnection as Connection;

mod beside;
mod checkpoint;
pub mod copy;
#[path = "erasing.rs"]
mod erasing_special;
mod writing;

/// How long a connection waits for another that holds the file, in milliseconds.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 5000";

/// `busy_timeout` comes first: the statements after it may already have to wait. Whoever copies the log beside the
/// writer (`checkpoint.rs`) should be done long before SQLite has a writer do it.
const WRITER_PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
    PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA wal_autocheckpoint = 64000; \
    PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;";
const READER_PRAGMAS: &str = "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; \
    PRAGMA cache_size = -16384; PRAGMA temp_store = MEMORY; PRAGMA case_sensitive_like = ON;";

fn open(path: &Path, pragmas: &str) -> Result<SqliteConnection, StoreError> {
    let unreachable =
        |fault: &dyn std::fmt::Display| StoreError::Unreachable(format!("{} ({fault})", path.display()));
    let file = path.to_string_lossy();
    let mut connection = SqliteConnection::establish(&file).map_err(|fault| unreachable(&fault))?;
    connection.batch_execute(pragmas).map_err(|fault| unreachable(&fault))?;
    Ok(connection)
}

/// Opens the file for writing, as migrations and the writer do.
pub fn open_writer(path: &Path) -> Result<SqliteConnection, StoreError> {
    open(path, WRITER_PRAGMAS)
}

/// How many notifications are stored. Numbers are given out without gaps here and nothing is deleted yet,
/// so the last one given tells; counting them would read the whole table.
async fn total(connection: &mut Connection) -> Result<i64, StoreError> {
    let last = diesel_async::RunQueryDsl::get_result(writing::last_number(), connection).await.optional()?;
    // Numbers that only were places, of what was spread, are no notifications.
    let last: i64 = last.unwrap_or(0);
    let spread =
        expansions::table.select(diesel::dsl::sql::<diesel::sql_types::BigInt>("coalesce(sum(chunks), 0)"));
    let spread: i64 = diesel_async::RunQueryDsl::get_result(spread, connection).await?;
    let burned: i64 =
        diesel_async::RunQueryDsl::get_result(deployment::table.select(deployment::burned), connection)
            .await?;
    Ok(last - spread - burned)
}

/// The place behind which the recipient of row `recipient` has what came after a notification of somebody else's.
#[expect(clippy::unused_async, reason = "as on PostgreSQL")]
async fn position_after(_: &mut Connection, _: i64, id: NotificationId) -> Result<Position, StoreError> {
    // Numbers are given in the order of commits here, to places too.
    Ok(id.0)
}

/// Where the recipient of row `recipient` has a notification.
async fn position_of(
    connection: &mut Connection,
    recipient: i64,
    id: NotificationId,
) -> Result<Option<Position>, StoreError> {
    use diesel::OptionalExtension as _;
    let here = inbox::table.filter(inbox::recipient_id.eq(recipient)).select(inbox::position);
    let found: Option<i64> =
        diesel_async::RunQueryDsl::get_result(here.filter(inbox::position.eq(id.0)), connection)
            .await
            .optional()?;
    if found.is_some() {
        return Ok(found);
    }
    // What was spread has another place.
    let spread =
        here.filter(inbox::notification_id.eq(id.0)).filter(inbox::position.ne(inbox::notification_id));
    Ok(diesel_async::RunQueryDsl::get_result(spread, connection).await.optional()?)
}

/// Nobody is ever behind, and nobody asks.
pub async fn last_positions(
    _: &mut Connection,
    _: &[Recipient],
) -> Result<HashMap<Recipient, Position>, StoreError> {
    Ok(HashMap::new())
}

/// Nobody is ever behind.
pub async fn behind(
    _: &mut Connection,
    people: &[(Recipient, Position)],
) -> Result<Vec<Vec<Entry>>, StoreError> {
    Ok(people.iter().map(|_| Vec::new()).collect())
}

/// Nothing is under way but what this process writes, in order.
pub async fn under_way(_: &mut Connection) -> Result<HashSet<String>, StoreError> {
    Ok(HashSet::new())
}

/// Asks for the highest number that a row of the audit log ever had: what was not committed had none.
const AUDIT_GIVEN: &str = "SELECT seq AS id FROM sqlite_sequence WHERE name = 'audit_log'";

/// Nobody writes into the audit log but this process, in order.
pub async fn audit_writers(_: &mut Connection) -> Result<HashSet<String>, StoreError> {
    Ok(HashSet::new())
}

/// How many connections are written down. Who they are, the one process that has this file knows itself.
pub async fn roll(connection: &mut Connection, _: i64) -> Result<Roll, StoreError> {
    let all = "SELECT (SELECT count(*) FROM connections) AS connections, \
        0 AS people, 0 AS senders";
    Ok(diesel_async::RunQueryDsl::get_result(diesel::sql_query(all), connection).await?)
}

/// Holds the database for this process: a second server on one file would hand out the same numbers. The
/// lock is on the file itself, whatever path or link leads to it; SQLite's own locks are of another kind.
/// Dropped last: closing the file ends those of this process, too.
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock, or says who has it. A new file is made as its owner's alone: it will hold names
    /// and addresses. (SQLite gives its companions the same permissions.)
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|fault| {
                StoreError::Unreachable(format!("cannot make {} ({fault})", folder.display()))
            })?;
        }
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|fault| StoreError::Unreachable(format!("{} ({fault})", path.display())))?;
        match file.try_lock() {
            // A restore may have put another file here meanwhile.
            Ok(()) if !is_at(&file, path) => Self::take(path),
            Ok(()) => Ok(Self { _file: file }),
            Err(_) => Err(StoreError::Unreachable(format!(
                "another Carillon is using {}; stop it, or give this one a database of its own",
                path.display()
            ))),
        }
    }
}

/// Whether this is the file that has this name now.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(named)) = (file.metadata(), path.metadata()) else { return true };
    (file.dev(), file.ino()) == (named.dev(), named.ino())
}

/// Connections for reading; made when first needed.
pub fn pool(path: &Path, readers: usize) -> Result<Pool, StoreError> {
    let path = path.to_owned();
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let path = path.clone();
        async move {
            tokio::task::spawn_blocking(move || open(&path, READER_PRAGMAS))
                .await
                .map_err(|fault| fault.to_string())
                .and_then(|opened| opened.map_err(|fault| fault.to_string()))
                .map(SyncConnectionWrapper::new)
                .map_err(ConnectionError::BadConnection)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Deadpool::builder(manager)
        .max_size(readers.max(1))
        .build()
        .map_err(|fault| StoreError::Unreachable(fault.to_string()))
}

/// A reader from the pool.
pub async fn checkout(pool: &Pool) -> Result<Object<ReadConnection>, StoreError> {
    pool.get().await.map_err(|fault| StoreError::Unreachable(fault.to_string()))
}

/// Starts the writer. Rows of connections that a crash left behind are removed first: this process
/// holds the file alone, so nobody is connected yet.
pub async fn start_writer(
    path: &Path,
    batch: usize,
    mandatory: Arc<[String]>,
    metrics: Arc<Metrics>,
) -> Result<Writer, StoreError> {
    let path = path.to_owned();
    let (lock, checkpoints, connection) = tokio::task::spawn_blocking(move || {
        let lock = FileLock::take(&path)?;
        let mut connection = open_writer(&path)?;
        // What was under way when it ended is tried again: nobody else is at it.
        let again = "UPDATE deliveries SET state = 0, due_at = 0 WHERE state < 2 AND state = 1; \
            UPDATE webhook_messages SET state = 0, due_at = 0 WHERE state < 2 AND state = 1";
        let cleared = diesel::delete(connections::table).execute(&mut connection);
        cleared.and_then(|_| connection.batch_execute(again)).map_err(|fault| {
            StoreError::Unreachable(format!("{} cannot be written ({fault})", path.display()))
        })?;
        Ok::<_, StoreError>((lock, Checkpoints::start(&path)?, connection))
    })
    .await
    .map_err(|fault| StoreError::Unreachable(fault.to_string()))??;
    let (writer, inlet) = queue(batch, metrics);
    std::thread::Builder::new()
        .name("sqlite-writer".to_owned())
        .spawn(move || {
            crate::telemetry::vital_thread("sqlite-writer", || {
                write(connection, inlet, (lock, checkpoints), mandatory)
            })
        })
        .map_err(|fault| StoreError::Unreachable(format!("no thread for the writer: {fault}")))?;
    Ok(writer)
}

fn write(
    mut connection: SqliteConnection,
    mut inlet: Inlet,
    (lock, mut checkpoints): (FileLock, Checkpoints),
    mandatory: Arc<[String]>,
) {
    let mut memory = writing::Memory::new(mandatory);
    while let Some(batch) = inlet.next_blocking() {
        let (writes, done): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|Job { write, done }| (write, done)).unzip();
        let started = Instant::now();
        let mut outcomes = commit(&mut connection, &mut memory, &writes);
        inlet.committed(writes.len(), started);
        if writes.iter().any(|write| matches!(write, Write::Last))
            && let Err(fault) = connection.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")
        {
            tracing::warn!(%fault, "the write-ahead log stays beside the database; the next start reads it");
        }
        for (write, outcome) in writes.iter().zip(&mut outcomes) {
            if let Write::Scrub(most) = write {
                let is_empty = erasing_special::scrub(&mut connection, *most);
                *outcome = Ok(Written::Changed(usize::from(is_empty)));
            }
        }
        inlet.report(&writes, done, outcomes);
        checkpoints.committed(&mut connection);
    }
    drop(checkpoints);
    drop(connection);
    drop(lock);
}

/// Commits all of `writes`, or, if that fails, each on its own: one that cannot be stored must not
/// take the others with it.
fn commit(
    connection: &mut SqliteConnection,
    memory: &mut writing::Memory,
    writes: &[Write],
) -> Vec<Result<Written, StoreError>> {
    if !writes.iter().any(Write::is_stored) {
        return writes.iter().map(|_| Ok(Written::Done)).collect();
    }
    let mut together = |writes: &[Write]| {
        let outcome =
            connection.immediate_transaction(|connection| writing::apply(connection, memory, writes));
        if outcome.is_err() {
            memory.forget();
        }
        outcome
    };
    match together(writes) {
        Ok(written) => written.into_iter().map(Ok).collect(),
        Err(fault) if writes.len() == 1 || !is_of_one_write(&fault) => {
            tracing::error!(%fault, writes = writes.len(), "a commit failed; nothing of it was stored");
            writes.iter().map(|_| Err(shared(&fault))).collect()
        }
        Err(fault) => {
            tracing::error!(%fault, writes = writes.len(), "a batch of writes failed; trying each alone");
            writes
                .iter()
                .map(|write| match together(std::slice::from_ref(write)) {
                    Ok(mut written) => written.pop().ok_or(StoreError::Closed),
                    Err(fault) => Err(fault.into()),
                })
                .collect()
        }
    }
}
