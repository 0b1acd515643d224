//! Reads. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::{Notification, NotificationId, Position, Recipient};
use crate::store::schema::{connections, inbox, notifications, recipients};
use crate::store::types::At;
use crate::store::{Counts, StoreError};

/// See [`crate::store::Store::pending`].
pub async fn pending(
    connection: &mut Connection,
    recipient: &Recipient,
    limit: i64,
) -> Result<(Vec<(Position, Notification)>, i64), StoreError> {
    let row: Option<i64> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .first(connection)
        .await
        .optional()?;
    let Some(row) = row else {
        return Ok((Vec::new(), 0));
    };
    let entries: Vec<(i64, i64, String, String, String, At)> = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null())
        .order(inbox::position.desc())
        .limit(limit)
        .select((
            inbox::position,
            notifications::id,
            notifications::kind,
            notifications::message,
            notifications::data,
            notifications::created_at,
        ))
        .load(connection)
        .await?;
    let mut all = i64::try_from(entries.len()).unwrap_or(limit);
    if all == limit {
        all = inbox::table
            .filter(inbox::recipient_id.eq(row))
            .filter(inbox::confirmed_at.is_null())
            .filter(inbox::read_at.is_null())
            .filter(inbox::deleted_at.is_null())
            .count()
            .get_result(connection)
            .await?;
    }
    let listed = entries
        .into_iter()
        .map(|(position, id, kind, message, data, created_at)| {
            let id = NotificationId(id);
            (position, Notification { id, kind, message, data, created_at: created_at.0 })
        })
        .collect();
    Ok((listed, all))
}

/// See [`crate::store::Store::counts`].
pub async fn counts(connection: &mut Connection) -> Result<Counts, StoreError> {
    let pending = inbox::table
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    Ok(Counts {
        notifications: super::total(connection).await?,
        pending,
        connections: connections::table.count().get_result(connection).await?,
    })
}

/// See [`crate::store::Store::last_notification`].
pub async fn last_notification(connection: &mut Connection) -> Result<i64, StoreError> {
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    Ok(last.unwrap_or(0))
}

/// See [`crate::store::Store::ping`].
pub async fn ping(connection: &mut Connection) -> Result<(), StoreError> {
    // A row, so that the file is really read.
    recipients::table.select(recipients::id).limit(1).load::<i64>(connection).await?;
    Ok(())
}
