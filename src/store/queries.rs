//! Reads. Compiled twice, once for each database.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::{Notification, NotificationId, Position, Recipient, Tenant};
use crate::store::schema::{deployment, inbox, notifications, recipients};
use crate::store::types::At;
use crate::store::{Counts, Entry, Pending, StoreError};

/// Entries that are done and are passed over in each list; with more of them, the list is begun later.
const PASSED_OVER: i64 = 64;

/// See [`crate::store::Store::pending`].
pub async fn pending(
    connection: &mut Connection,
    recipient: &Recipient,
    limit: i64,
) -> Result<Pending, StoreError> {
    let person: Option<(i64, i64)> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select((recipients::id, recipients::pending_after))
        .first(connection)
        .await
        .optional()?;
    let Some((row, after)) = person else {
        return Ok(Pending { newest: Vec::new(), all: 0, settled: None });
    };
    let unsettled = inbox::table.filter(inbox::recipient_id.eq(row)).filter(inbox::position.gt(after));
    // Nothing that is committed later comes before this.
    let last: Option<i64> =
        unsettled.select(diesel::dsl::max(inbox::position)).get_result(connection).await?;
    let waiting = unsettled
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null());
    let entries: Vec<(i64, i64, String, String, String, At)> = waiting
        .inner_join(notifications::table)
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
    let mut settled = None;
    if all == limit {
        all = waiting.count().get_result(connection).await?;
    } else if let Some(last) = last {
        let upto = entries.last().map_or(last, |(oldest, ..)| oldest - 1);
        let done: i64 = unsettled.filter(inbox::position.le(upto)).count().get_result(connection).await?;
        settled = (done > PASSED_OVER).then_some((row, upto));
    }
    let newest = entries
        .into_iter()
        .map(|(position, id, kind, message, data, created_at)| {
            let id = NotificationId(id);
            (position, Notification { id, kind, message, data, created_at: created_at.0 })
        })
        .collect();
    Ok(Pending { newest, all, settled })
}

/// See [`crate::store::Store::counts`].
pub async fn counts(connection: &mut Connection) -> Result<Counts, StoreError> {
    let pending = inbox::table
        .inner_join(recipients::table)
        .filter(inbox::position.gt(recipients::pending_after))
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null())
        .count()
        .get_result(connection)
        .await?;
    Ok(Counts { notifications: super::total(connection).await?, pending })
}

/// See [`crate::store::Store::last_positions`].
pub async fn last_positions(
    connection: &mut Connection,
    people: &[Recipient],
) -> Result<HashMap<Recipient, Position>, StoreError> {
    let mut by_tenant: HashMap<&Tenant, Vec<&Recipient>> = HashMap::new();
    for recipient in people {
        by_tenant.entry(&recipient.tenant).or_default().push(recipient);
    }
    let mut positions = HashMap::with_capacity(people.len());
    for (tenant, people) in by_tenant {
        let users: Vec<&str> = people.iter().map(|recipient| recipient.user.as_str()).collect();
        let found: Vec<(String, i64)> = recipients::table
            .filter(recipients::tenant.eq(tenant.as_str()))
            .filter(recipients::user_id.eq_any(users))
            .select((recipients::user_id, recipients::last_position))
            .load(connection)
            .await?;
        let found: HashMap<String, i64> = found.into_iter().collect();
        for recipient in people {
            if let Some(last) = found.get(recipient.user.as_str()) {
                positions.insert(recipient.clone(), *last);
            }
        }
    }
    Ok(positions)
}

/// See [`crate::store::Store::after`].
pub async fn after(
    connection: &mut Connection,
    recipient: &Recipient,
    position: Position,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    type Columns = (i64, i64, Option<At>, Option<At>, (i64, String, String, String, At));
    let entries: Vec<Columns> = inbox::table
        .inner_join(recipients::table)
        .inner_join(notifications::table)
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .filter(inbox::position.gt(position))
        .order(inbox::position.asc())
        .limit(limit)
        .select((
            inbox::recipient_id,
            inbox::position,
            inbox::read_at,
            inbox::deleted_at,
            (
                notifications::id,
                notifications::kind,
                notifications::message,
                notifications::data,
                notifications::created_at,
            ),
        ))
        .load(connection)
        .await?;
    let entry = |(row, position, read_at, deleted_at, content): Columns| {
        let (id, kind, message, data, At(created_at)) = content;
        let notification = Notification { id: NotificationId(id), kind, message, data, created_at };
        let is_over = read_at.is_some() || deleted_at.is_some();
        Entry { row, position, notification: (!is_over).then_some(notification) }
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// See [`crate::store::Store::last_notification`].
pub async fn last_notification(connection: &mut Connection) -> Result<i64, StoreError> {
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    Ok(last.unwrap_or(0))
}

/// See [`crate::store::Store::deployment`].
pub async fn deployment_name(connection: &mut Connection) -> Result<String, StoreError> {
    Ok(deployment::table.select(deployment::name).get_result(connection).await?)
}

/// See [`crate::store::Store::ping`].
pub async fn ping(connection: &mut Connection) -> Result<(), StoreError> {
    // A row, so that the file is really read.
    recipients::table.select(recipients::id).limit(1).load::<i64>(connection).await?;
    Ok(())
}
