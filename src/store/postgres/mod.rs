//! PostgreSQL: the same bodies over an async connection, without libpq.

use std::sync::Arc;
use std::time::Instant;

use diesel_async::pooled_connection::deadpool::{Object, Pool as Deadpool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection as _, AsyncPgConnection};

use super::writer::{Inlet, Job, Writer, queue};
use super::{StoreError, Write, Written};
use crate::telemetry::Metrics;

/// The readers.
pub type Pool = Deadpool<AsyncPgConnection>;

use AsyncPgConnection as Connection;

#[path = "../queries.rs"]
mod queries_body;

/// The query bodies, for this database.
pub mod queries {
    pub use super::queries_body::{counts, last_notification, pending, ping};
}

mod writing;

/// How many notifications are stored.
async fn total(connection: &mut Connection) -> Result<i64, StoreError> {
    use diesel::QueryDsl as _;
    let counted = crate::store::schema::notifications::table.count();
    Ok(diesel_async::RunQueryDsl::get_result(counted, connection).await?)
}

/// Connections for reading; made when first needed.
pub fn pool(url: &str, readers: usize) -> Result<Pool, StoreError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    Deadpool::builder(manager)
        .max_size(readers.max(1))
        .build()
        .map_err(|fault| StoreError::Unreachable(fault.to_string()))
}

/// A reader from the pool.
pub async fn checkout(pool: &Pool) -> Result<Object<AsyncPgConnection>, StoreError> {
    pool.get().await.map_err(|fault| StoreError::Unreachable(fault.to_string()))
}

/// Starts the writer.
pub async fn start_writer(url: &str, batch: usize, metrics: Arc<Metrics>) -> Result<Writer, StoreError> {
    let connection = AsyncPgConnection::establish(url)
        .await
        .map_err(|fault| StoreError::Unreachable(fault.to_string()))?;
    let (writer, inlet) = queue(batch, metrics);
    tokio::spawn(write(connection, inlet));
    Ok(writer)
}

async fn write(mut connection: AsyncPgConnection, mut inlet: Inlet) {
    while let Some(batch) = inlet.next().await {
        let (writes, done): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|Job { write, done }| (write, done)).unzip();
        let started = Instant::now();
        let outcomes = commit(&mut connection, &writes).await;
        inlet.committed(writes.len(), started);
        inlet.report(done.into_iter().zip(outcomes).collect());
    }
}

/// Commits all of `writes`, or, if that fails, each on its own.
async fn commit(connection: &mut AsyncPgConnection, writes: &[Write]) -> Vec<Result<Written, StoreError>> {
    match together(connection, writes).await {
        Ok(written) => written.into_iter().map(Ok).collect(),
        Err(fault) => {
            tracing::error!(%fault, writes = writes.len(), "a batch of writes failed; trying each alone");
            let mut outcomes = Vec::with_capacity(writes.len());
            for write in writes {
                outcomes.push(match together(connection, std::slice::from_ref(write)).await {
                    Ok(mut written) => written.pop().ok_or(StoreError::Closed),
                    Err(fault) => Err(fault.into()),
                });
            }
            outcomes
        }
    }
}

async fn together(
    connection: &mut AsyncPgConnection,
    writes: &[Write],
) -> Result<Vec<Written>, diesel::result::Error> {
    connection
        .transaction(async |connection| writing::apply(connection, &mut writing::Memory, writes).await)
        .await
}
