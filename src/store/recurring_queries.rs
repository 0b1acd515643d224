//! Reads of what recurs. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::is_passed_over;
use crate::domain::Timestamp;
use crate::store::StoreError;
use crate::store::recurring::{Row, Seen, Whose};
use crate::store::schema::recurring;
use crate::store::types::At;

/// See [`crate::store::Store::recurring`]. A word stands in the place of what does not open.
pub async fn recurring_of(
    connection: &mut Connection,
    whose: &Whose,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Row>, StoreError> {
    let page = recurring::table
        .filter(recurring::tenant.eq(whose.tenant.as_str()))
        .filter(recurring::owner.eq(whose.owner()))
        .filter(recurring::id.lt(before.unwrap_or(i64::MAX)))
        .order(recurring::id.desc())
        .limit(limit);
    let seen: Vec<Seen> = page.load(connection).await?;
    let mut rows = Vec::with_capacity(seen.len());
    for (row, why) in seen.into_iter().map(Seen::row) {
        if let Some(why) = why {
            is_passed_over(connection, "a recurring notification", row.id, why).await?;
        }
        rows.push(row);
    }
    Ok(rows)
}

/// See [`crate::store::Store::recurring_one`].
pub async fn recurring_one(
    connection: &mut Connection,
    whose: &Whose,
    id: i64,
) -> Result<Option<Row>, StoreError> {
    let one = recurring::table
        .filter(recurring::tenant.eq(whose.tenant.as_str()))
        .filter(recurring::owner.eq(whose.owner()))
        .filter(recurring::id.eq(id));
    Ok(one.get_result(connection).await.optional()?)
}

/// See [`crate::store::Store::due`].
pub async fn due_rounds(
    connection: &mut Connection,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let due: Vec<(i64, Option<At>)> = recurring::table
        .filter(recurring::next_at.le(At(until)))
        .order((recurring::next_at, recurring::id))
        .limit(limit)
        .select((recurring::id, recurring::next_at))
        .load(connection)
        .await?;
    Ok(due.into_iter().filter_map(|(id, at)| Some((id, at?.0))).collect())
}
