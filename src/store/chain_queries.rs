//! Reads of the audit log's chain. Compiled twice, once for each database.

use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::Timestamp;
use crate::domain::chain::Link;
use crate::store::StoreError;
use crate::store::audit_chain::{Chain, LogColumns, Old, REMOVED_TOGETHER, Unsealed};
use crate::store::schema::{audit_chain as chain, audit_log, audit_seals};
use crate::store::types::At;

/// See [`crate::store::AuditLog::chain`].
pub async fn audit_chain(connection: &mut Connection) -> Result<Chain, StoreError> {
    type Place = (i64, Vec<u8>, i64, i64, Vec<u8>, i64, i64);
    let place: Option<Place> = chain::table
        .select((
            chain::sealed,
            chain::head,
            chain::many,
            chain::removed,
            chain::anchor,
            chain::gone,
            chain::erasures,
        ))
        .get_result(connection)
        .await
        .optional()?;
    let (sealed, head, many, removed, anchor, gone, erasures) = place.unwrap_or_default();
    let last: Option<i64> = audit_log::table.select(max(audit_log::id)).get_result(connection).await?;
    let (head, anchor) = (Link { id: sealed, hash: head }, Link { id: removed, hash: anchor });
    Ok(Chain { head, many, anchor, gone, erasures, last: last.unwrap_or(0) })
}

/// The versions of all migrations that were applied, if `is_there` counts their table.
pub async fn schema_versions(connection: &mut Connection, is_there: &str) -> Result<Vec<String>, StoreError> {
    #[derive(QueryableByName)]
    struct Many {
        #[diesel(sql_type = BigInt)]
        many: i64,
    }
    #[derive(QueryableByName)]
    struct Version {
        #[diesel(sql_type = Text)]
        version: String,
    }
    let there: Many = diesel::sql_query(is_there).get_result(connection).await?;
    if there.many == 0 {
        return Ok(Vec::new());
    }
    let query = "SELECT CAST(version AS TEXT) AS version FROM __diesel_schema_migrations ORDER BY version";
    let all: Vec<Version> = diesel::sql_query(query).load(connection).await?;
    Ok(all.into_iter().map(|one| one.version).collect())
}

/// Rows with what their seals are made of: see [`crate::store::AuditLog::rows`] and [`crate::store::AuditLog::sealed`].
pub async fn audit_rows(connection: &mut Connection, query: &str) -> Result<Vec<LogColumns>, StoreError> {
    Ok(diesel::sql_query(query).load(connection).await?)
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = Nullable<BigInt>)]
    id: Option<i64>,
}

/// See [`crate::store::AuditLog::given`].
pub async fn audit_given(connection: &mut Connection) -> Result<i64, StoreError> {
    let given: Option<First> =
        diesel::sql_query(super::AUDIT_GIVEN).get_result(connection).await.optional()?;
    Ok(given.and_then(|given| given.id).unwrap_or(0))
}

/// See [`crate::store::AuditLog::unsealed`].
pub async fn audit_unsealed(
    connection: &mut Connection,
    after: i64,
    upto: i64,
) -> Result<Option<i64>, StoreError> {
    let query = format!(
        "SELECT min(a.id) AS id FROM audit_log AS a WHERE a.id > ({after}) AND a.id <= {upto} \
         AND NOT EXISTS (SELECT 1 FROM audit_seals AS s WHERE s.id = a.id)"
    );
    let first: First = diesel::sql_query(query).get_result(connection).await?;
    Ok(first.id)
}

/// See [`crate::store::AuditLog::waiting`].
pub async fn audit_waiting(connection: &mut Connection) -> Result<Unsealed, StoreError> {
    let sealed: Option<i64> = chain::table.select(chain::sealed).get_result(connection).await.optional()?;
    let behind = || audit_log::table.filter(audit_log::id.gt(sealed.unwrap_or(0)));
    let many: i64 = behind().count().get_result(connection).await?;
    let since: Option<At> = behind()
        .order(audit_log::id)
        .select(audit_log::at)
        .limit(1)
        .get_result(connection)
        .await
        .optional()?;
    Ok(Unsealed { many, since: since.map(|at| at.0) })
}

/// See [`crate::store::AuditLog::older`].
pub async fn audit_older(
    connection: &mut Connection,
    after: i64,
    upto: i64,
    until: Timestamp,
) -> Result<Option<Old>, StoreError> {
    let mut next: Vec<(i64, At)> = audit_log::table
        .filter(audit_log::id.gt(after))
        .filter(audit_log::id.le(upto))
        .order(audit_log::id)
        .limit(REMOVED_TOGETHER)
        .select((audit_log::id, audit_log::at))
        .load(connection)
        .await?;
    next.truncate(next.iter().take_while(|(_, at)| at.0 < until).count());
    let (Some((id, _)), Some(newest)) = (next.last(), next.iter().map(|(_, at)| at.0).max()) else {
        return Ok(None);
    };
    let seal = audit_seals::table.find(*id).select(audit_seals::hash);
    // Without its seal it is no beginning: that is damage, and told as such.
    let seal: Option<Vec<u8>> = seal.get_result(connection).await.optional()?;
    let rows = i64::try_from(next.len()).unwrap_or(0);
    Ok(seal.map(|hash| Old { upto: Link { id: *id, hash }, rows, newest }))
}
