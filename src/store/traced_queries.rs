//! Reads of traces. Compiled twice, once for each database.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Connection;
use crate::store::StoreError;
use crate::store::schema::{notifications, traces};
use crate::store::types::UuidColumn;

/// See [`crate::store::Store::traced`].
pub async fn traced(
    connection: &mut Connection,
    ids: &[i64],
) -> Result<Vec<(i64, Uuid, Option<String>)>, StoreError> {
    let found: Vec<(i64, UuidColumn)> = notifications::table
        .filter(notifications::id.eq_any(ids))
        .select((notifications::id, notifications::uuid))
        .load(connection)
        .await?;
    let parents: Vec<(i64, String)> = traces::table
        .filter(traces::notification_id.eq_any(ids))
        .select((traces::notification_id, traces::parent))
        .load(connection)
        .await?;
    let mut parents: HashMap<i64, String> = parents.into_iter().collect();
    Ok(found.into_iter().map(|(id, uuid)| (id, uuid.0, parents.remove(&id))).collect())
}
