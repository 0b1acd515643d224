//! Finds what is old and done. Compiled twice, once for each database.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::{Connection, DIALECT};
use crate::store::StoreError;
use crate::store::facts;
use crate::store::retention::{FOUND, Found, LOOKED_AT, Until};
use crate::store::schema::{analytics_place, deliveries, expansions, notifications};
use crate::store::types::{At, Instant};

#[derive(QueryableByName)]
struct Entry {
    #[diesel(sql_type = BigInt)]
    recipient_id: i64,
    #[diesel(sql_type = BigInt)]
    position: i64,
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// See [`crate::store::Store::find_old`].
pub async fn find_old(connection: &mut Connection, after: i64, until: Until) -> Result<Found, StoreError> {
    // What is not counted yet stays; so does the last one, whose number tells how many there were.
    let counted: Option<i64> =
        analytics_place::table.select(analytics_place::counted).get_result(connection).await.optional()?;
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    let end = counted.unwrap_or(0).min(last.unwrap_or(0) - 1);
    let page: Vec<(i64, At)> = notifications::table
        .filter(notifications::id.gt(after))
        .filter(notifications::id.le(end))
        .order(notifications::id)
        .limit(LOOKED_AT)
        .select((notifications::id, notifications::created_at))
        .load(connection)
        .await?;
    let is_old = |(_, at): &&(i64, At)| at.0 < until.done;
    let (Some((upto, _)), true) = (page.last(), page.iter().any(|one| is_old(&one))) else {
        return Ok(Found::default());
    };
    let entries = diesel::sql_query(facts::done(&DIALECT, after, *upto, FOUND))
        .bind::<Instant, _>(At(until.done))
        .bind::<Instant, _>(At(until.now))
        .bind::<Instant, _>(At(until.pending));
    let entries: Vec<Entry> = entries.load(connection).await?;
    let entries: Vec<_> = entries.into_iter().map(|entry| (entry.recipient_id, entry.position)).collect();
    if entries.len() >= FOUND {
        // There may be more of the same.
        return Ok(Found { entries, notifications: Vec::new(), next: Some(after) });
    }
    let kept = diesel::sql_query(facts::kept(&DIALECT, after, *upto))
        .bind::<Instant, _>(At(until.done))
        .bind::<Instant, _>(At(until.now))
        .bind::<Instant, _>(At(until.pending));
    let kept: Vec<Kept> = kept.load(connection).await?;
    let mut kept: HashSet<i64> = kept.into_iter().map(|one| one.id).collect();
    let spreading: Vec<i64> = expansions::table
        .filter(expansions::notification_id.gt(after))
        .filter(expansions::notification_id.le(upto))
        .filter(expansions::finished_at.is_null())
        .select(expansions::notification_id)
        .load(connection)
        .await?;
    let waiting: Vec<i64> = deliveries::table
        .filter(deliveries::notification_id.gt(after))
        .filter(deliveries::notification_id.le(upto))
        .filter(deliveries::state.lt(2))
        .select(deliveries::notification_id)
        .distinct()
        .load(connection)
        .await?;
    kept.extend(spreading.into_iter().chain(waiting));
    let old = page.iter().filter(is_old).map(|(id, _)| *id).filter(|id| !kept.contains(id));
    Ok(Found { entries, notifications: old.collect(), next: Some(*upto) })
}
