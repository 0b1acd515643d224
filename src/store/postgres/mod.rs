//! PostgreSQL: the same bodies over an async connection, without libpq.
//!
//! The server may go away at any moment, even between a commit and its answer. A batch is then tried
//! again on a new connection: what it stored before is recognised by its keys.

mod confirming;
mod connect;
#[path = "erasing.rs"]
mod erasing_special;
mod holders;
mod people;
mod statements;
mod writing;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use diesel::result::{DatabaseErrorKind, Error as Fault};
use diesel_async::pooled_connection::deadpool::{Object, Pool as Deadpool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolableConnection as _, RecyclingMethod,
};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use futures_util::FutureExt as _;

use self::holders::places_of;
use super::writer::{Inlet, Job, Writer, queue};
use super::{Roll, StoreError, Write, Written, is_of_one_write, shared};
use crate::domain::{NotificationId, Position};
use crate::store::facts::POSTGRES as DIALECT;
use crate::store::schema::inbox;
use crate::telemetry::{Metrics, vital};

pub use connect::Target;

/// The readers.
pub type Pool = Deadpool<AsyncPgConnection>;

use AsyncPgConnection as Connection;

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
    pub use super::people::{behind, last_positions};
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
    pub use super::{audit_writers, roll, under_way};
}

/// A batch is given up when the server has been away for this long; its senders are then told.
const PATIENCE: Duration = Duration::from_secs(10);
/// A reader is waited for no longer, when very many come back at once.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A transaction that takes longer has lost its server.
const LONGEST: Duration = Duration::from_secs(10);
/// A batch the server refuses (a deadlock, say) is tried this often before each write is tried alone.
const ATTEMPTS: usize = 4;
/// Between two attempts, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How many notifications are stored.
async fn total(connection: &mut Connection) -> Result<i64, StoreError> {
    use diesel::QueryDsl as _;
    let counted = crate::store::schema::notifications::table.count();
    Ok(diesel_async::RunQueryDsl::get_result(counted, connection).await?)
}

/// Where the recipient of row `recipient` has a notification.
async fn position_of(
    connection: &mut Connection,
    recipient: i64,
    id: NotificationId,
) -> Result<Option<Position>, StoreError> {
    use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
    let here = inbox::table
        .filter(inbox::recipient_id.eq(recipient))
        .filter(inbox::notification_id.eq(id.0))
        .select(inbox::position);
    Ok(diesel_async::RunQueryDsl::get_result(here, connection).await.optional()?)
}

/// Entries that are read at once, from the newest on.
const SOME: i64 = 256;
/// So many entries in a row are older than a notification: none that is newer stands before them. Those that are spread,
/// or wait for their time, may come later than their numbers say; nobody has so many of them at once.
const IN_A_ROW: usize = 1_024;

/// The place behind which the recipient of row `recipient` has what came after a notification of somebody else's. Reads
/// what will be handed out, and [`IN_A_ROW`] more: not the whole inbox.
async fn position_after(
    connection: &mut Connection,
    recipient: i64,
    id: NotificationId,
) -> Result<Position, StoreError> {
    use diesel::{ExpressionMethods as _, QueryDsl as _};
    let (mut place, mut before, mut older) = (None, Position::MAX, 0);
    while older < IN_A_ROW {
        let some = inbox::table
            .filter(inbox::recipient_id.eq(recipient))
            .filter(inbox::position.lt(before))
            .order(inbox::position.desc())
            .select((inbox::position, inbox::notification_id))
            .limit(SOME);
        let some: Vec<(Position, i64)> = diesel_async::RunQueryDsl::load(some, connection).await?;
        let Some((last, _)) = some.last() else { break };
        before = *last;
        for (position, number) in some {
            // If nothing is newer, what comes next is.
            place.get_or_insert(position);
            if number > id.0 {
                (place, older) = (Some(position - 1), 0);
            } else {
                older += 1;
            }
        }
    }
    Ok(place.unwrap_or(0))
}

#[derive(diesel::QueryableByName)]
struct Holder {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

async fn holders(connection: &mut Connection, query: &str) -> Result<HashSet<String>, StoreError> {
    let holders: Vec<Holder> = diesel_async::RunQueryDsl::load(diesel::sql_query(query), connection).await?;
    Ok(holders.into_iter().map(|holder| holder.name).collect())
}

/// Whose transactions have looked at the place up to which analytics are counted, or may have given a number away, and write.
pub async fn under_way(connection: &mut Connection) -> Result<HashSet<String>, StoreError> {
    // Only of those that have changed something: who reads for hours, as a backup does, or vacuums, notes nothing.
    let query = "SELECT DISTINCT held.virtualtransaction AS name FROM pg_locks AS held \
        JOIN pg_locks AS changed USING (virtualtransaction) WHERE held.pid <> pg_backend_pid() \
        AND held.relation IN ('notifications'::regclass, 'analytics_place'::regclass) \
        AND held.mode IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') \
        AND changed.locktype = 'relation' AND changed.mode = 'RowExclusiveLock'";
    holders(connection, query).await
}

/// Asks for the highest number that the audit log gave out, whether or not its row was committed.
const AUDIT_GIVEN: &str =
    "SELECT pg_sequence_last_value(pg_get_serial_sequence('audit_log', 'id')::regclass) AS id";

/// Whose transactions write into the audit log: whoever was given a number there holds this lock until the commit.
pub async fn audit_writers(connection: &mut Connection) -> Result<HashSet<String>, StoreError> {
    let query = "SELECT DISTINCT virtualtransaction AS name FROM pg_locks \
        WHERE relation = 'audit_log'::regclass AND mode = 'RowExclusiveLock' AND pid <> pg_backend_pid()";
    holders(connection, query).await
}

/// Who is connected to nodes that are alive.
pub async fn roll(connection: &mut Connection, lease: i64) -> Result<Roll, StoreError> {
    let all = "WITH alive AS (SELECT name, senders FROM nodes \
            WHERE seen_at >= now() - make_interval(secs => $1)), \
        here AS (SELECT tenant, user_id FROM connections JOIN alive ON name = node) \
        SELECT (SELECT count(*) FROM here) AS connections, \
        (SELECT count(*) FROM (SELECT DISTINCT tenant, user_id FROM here) AS p) AS people, \
        (SELECT coalesce(sum(senders), 0)::bigint FROM alive) AS senders";
    let query = diesel::sql_query(all).bind::<diesel::sql_types::Double, _>(lease as f64);
    Ok(diesel_async::RunQueryDsl::get_result(query, connection).await?)
}

/// Connections for reading; made when first needed.
pub fn pool(target: &Target, readers: usize) -> Result<Pool, StoreError> {
    let target = target.clone();
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let target = target.clone();
        async move {
            target.connect().await.map_err(|fault| ConnectionError::BadConnection(fault.to_string()))
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config("", config);
    Deadpool::builder(manager)
        .max_size(readers.max(1))
        .wait_timeout(Some(LONGEST_WAIT))
        .create_timeout(Some(PATIENCE))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|fault| StoreError::Unreachable(fault.to_string()))
}

/// A reader from the pool. One that was not given back is closed: it may wait for an answer that never comes.
pub struct Reader(Option<Object<AsyncPgConnection>>);

impl Reader {
    /// Reads by `query`, within a limit.
    pub async fn read<T>(
        mut self,
        query: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(connection) = self.0.as_mut() else { return Err(StoreError::Closed) };
        match tokio::time::timeout(LONGEST, query(connection)).await {
            Ok(answer) => {
                self.0 = None;
                answer
            }
            Err(_) => Err(StoreError::Unreachable("the server does not answer".to_owned())),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}

/// A reader from the pool.
pub async fn checkout(pool: &Pool) -> Result<Reader, StoreError> {
    let connection = pool.get().await.map_err(|fault| StoreError::Unreachable(fault.to_string()))?;
    Ok(Reader(Some(connection)))
}

/// Starts the writer.
pub async fn start_writer(
    target: Target,
    batch: usize,
    mandatory: std::sync::Arc<[String]>,
    metrics: std::sync::Arc<Metrics>,
) -> Result<Writer, StoreError> {
    let mut connection = target.connect().await?;
    warn_of_fsync(&mut connection).await?;
    let connection = Some(connection);
    let (writer, inlet) = queue(batch, metrics);
    let memory = writing::Memory { mandatory, listeners: Default::default() };
    vital("committer", Committer { target, connection, memory }.run(inlet));
    Ok(writer)
}

/// A commit of a server that does not sync is no promise.
async fn warn_of_fsync(connection: &mut Connection) -> Result<(), StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        fsync: String,
    }
    let query = diesel::sql_query("SELECT current_setting('fsync') AS fsync");
    let setting: Setting = diesel_async::RunQueryDsl::get_result(query, connection).await?;
    if setting.fsync == "off" {
        tracing::warn!("PostgreSQL runs with fsync=off: a power cut loses what was answered as stored");
    }
    Ok(())
}

/// Why a batch was not committed.
enum Failure {
    /// The server is not there, or went away: whether it committed is not known.
    Away(StoreError),
    /// The server refused.
    Refused(Fault),
}

/// The one who commits, on a connection of its own.
struct Committer {
    target: Target,
    connection: Option<AsyncPgConnection>,
    memory: writing::Memory,
}

impl Committer {
    async fn run(mut self, mut inlet: Inlet) {
        while let Some(batch) = inlet.next().await {
            let (writes, done): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|Job { write, done }| (write, done)).unzip();
            let started = Instant::now();
            let outcomes = self.commit(&writes).await;
            inlet.committed(writes.len(), started);
            inlet.report(&writes, done, outcomes);
        }
    }

    /// Commits all of `writes`, or, if the server refuses that, each on its own.
    async fn commit(&mut self, writes: &[Write]) -> Vec<Result<Written, StoreError>> {
        if !writes.iter().any(Write::is_stored) {
            return writes.iter().map(|_| Ok(Written::Done)).collect();
        }
        match self.persist(writes, ATTEMPTS).await {
            Ok(written) => written.into_iter().map(Ok).collect(),
            Err(Failure::Refused(fault)) if writes.len() > 1 => {
                tracing::error!(%fault, writes = writes.len(), "a batch of writes failed; trying each alone");
                let mut outcomes = Vec::with_capacity(writes.len());
                let deadline = Instant::now() + PATIENCE;
                let mut is_away = false;
                for write in writes {
                    if is_away || Instant::now() > deadline {
                        outcomes
                            .push(Err(StoreError::Commit("the server took others for too long".to_owned())));
                        continue;
                    }
                    outcomes.push(match self.persist(std::slice::from_ref(write), 1).await {
                        Ok(mut written) => written.pop().ok_or(StoreError::Closed),
                        Err(Failure::Refused(fault)) => Err(fault.into()),
                        Err(Failure::Away(fault)) => {
                            is_away = true;
                            Err(fault)
                        }
                    });
                }
                outcomes
            }
            Err(failure) => {
                let told = || match &failure {
                    Failure::Refused(fault) => shared(fault),
                    Failure::Away(fault) => StoreError::Commit(fault.to_string()),
                };
                let fault = told();
                tracing::error!(
                    %fault,
                    writes = writes.len(),
                    "a commit failed; nothing of it was answered as stored"
                );
                writes.iter().map(|_| Err(told())).collect()
            }
        }
    }

    /// Tries until it is committed, refused again and again, or the server has been away for too long.
    async fn persist(&mut self, writes: &[Write], attempts: usize) -> Result<Vec<Written>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let (mut pause, mut refusals) = (PAUSES.0, 0);
        loop {
            let failure = match self.together(writes).await {
                Ok(written) => return Ok(written),
                Err(failure) => failure,
            };
            match &failure {
                Failure::Away(fault) => {
                    tracing::warn!(%fault, "the database went away; connecting again");
                    if Instant::now() + pause >= deadline {
                        return Err(failure);
                    }
                }
                Failure::Refused(fault) => {
                    refusals += 1;
                    if is_of_one_write(fault) || refusals >= attempts {
                        return Err(failure);
                    }
                    tracing::warn!(%fault, "a commit was refused; trying again");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn together(&mut self, writes: &[Write]) -> Result<Vec<Written>, Failure> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.connect().await.map_err(Failure::Away)?,
        };
        let transaction = connection
            .transaction(async |connection| writing::apply(connection, &mut self.memory, writes).await);
        let Ok(outcome) = tokio::time::timeout(LONGEST, transaction).await else {
            return Err(Failure::Away(StoreError::Unreachable("the server does not answer".to_owned())));
        };
        let is_left = match &outcome {
            // Another server may have taken over while this one stays up.
            Err(Fault::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)) => true,
            _ => connection.is_broken(),
        };
        if is_left {
            return outcome.map_err(|fault| Failure::Away(fault.into()));
        }
        self.connection = Some(connection);
        if outcome.is_err() {
            self.memory.listeners.forget();
        }
        outcome.map_err(Failure::Refused)
    }
}
