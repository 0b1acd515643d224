//! Reads of what recurs. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::Timestamp;
use crate::store::StoreError;
use crate::store::recurring::{Row, Whose};
use crate::store::schema::recurring;
use crate::store::types::At;

/// See [`crate::store::Store::recurring`].
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
    Ok(page.load(connection).await?)
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

/// When the next one is due.
pub async fn next_round(connection: &mut Connection) -> Result<Option<Timestamp>, StoreError> {
    let due: Option<Option<At>> = recurring::table
        .filter(recurring::next_at.is_not_null())
        .order(recurring::next_at)
        .select(recurring::next_at)
        .limit(1)
        .get_result(connection)
        .await
        .optional()?;
    Ok(due.flatten().map(|at| at.0))
}
