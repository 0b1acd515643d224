//! Reads of what is counted of notifications. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Text};
use diesel_async::RunQueryDsl;

use super::{Connection, DIALECT};
use crate::domain::Tenant;
use crate::store::StoreError;
use crate::store::analytics::{CountedUpto, OfDay, Tallied};
use crate::store::facts;
use crate::store::schema::{analytics_place, notifications};

/// See [`crate::store::Store::counted_upto`].
pub async fn counted_upto(connection: &mut Connection) -> Result<CountedUpto, StoreError> {
    let place: Option<(i64, i64)> = analytics_place::table
        .select((analytics_place::counted, analytics_place::announced))
        .get_result(connection)
        .await
        .optional()?;
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    let (counted, announced) = place.unwrap_or_default();
    Ok(CountedUpto { counted, announced, last: last.unwrap_or(0) })
}

/// See [`crate::store::Store::analytics`].
pub async fn analytics(
    connection: &mut Connection,
    tenant: &Tenant,
    days: &[(i64, i64)],
) -> Result<Vec<OfDay>, StoreError> {
    let query = diesel::sql_query(facts::of_days(&DIALECT, days)).bind::<Text, _>(tenant.as_str());
    Ok(query.load(connection).await?)
}

/// What is to be counted of the next `most` notifications, and up to which that is.
pub async fn count_next(
    connection: &mut Connection,
    after: i64,
    upto: i64,
    most: i64,
) -> Result<(i64, Vec<Tallied>), StoreError> {
    let last: Option<i64> = notifications::table
        .filter(notifications::id.gt(after))
        .filter(notifications::id.le(upto))
        .order(notifications::id)
        .offset(most - 1)
        .limit(1)
        .select(notifications::id)
        .get_result(connection)
        .await
        .optional()?;
    let upto = last.unwrap_or(upto);
    let all = diesel::sql_query(facts::of_range(&DIALECT, after, upto)).load(connection).await?;
    Ok((upto, all))
}

/// See [`crate::store::Store::connected`].
pub async fn connected(
    connection: &mut Connection,
    tenant: &Tenant,
    lease: i64,
) -> Result<(i64, i64), StoreError> {
    #[derive(QueryableByName)]
    struct Here {
        #[diesel(sql_type = BigInt)]
        connections: i64,
        #[diesel(sql_type = BigInt)]
        people: i64,
    }
    let here = diesel::sql_query(facts::connected(&DIALECT)).bind::<Text, _>(tenant.as_str());
    let here: Here = here.bind::<Double, _>(lease as f64).get_result(connection).await?;
    Ok((here.connections, here.people))
}
