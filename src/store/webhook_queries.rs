//! Reads of webhooks. Compiled twice, once for each database.

use std::collections::HashMap;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::writing::now;
use crate::domain::{Tenant, Timestamp};
use crate::store::schema::{webhook_attempts, webhook_messages, webhooks};
use crate::store::sealing::{Opening, Sealed, legible, unopened};
use crate::store::types::At;
use crate::store::webhooks::{AttemptRow, MessageRow, MessagesSought, Row, ToldMessage};
use crate::store::{Attempt, State, StoreError};

/// See [`crate::store::Store::webhooks`].
pub async fn webhooks_of(connection: &mut Connection, tenant: &Tenant) -> Result<Vec<Row>, StoreError> {
    let all = || webhooks::table.filter(webhooks::tenant.eq(tenant.as_str())).order(webhooks::id);
    let rows: QueryResult<Vec<Row>> = all().load(connection).await;
    match rows {
        Err(fault) if unopened(&fault).is_some() => {}
        rows => return Ok(rows?),
    }
    let ids: Vec<i64> = all().select(webhooks::id).load(connection).await?;
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(webhook_one(connection, tenant, id).await?);
    }
    Ok(rows)
}

/// See [`crate::store::Store::webhook`]. One that cannot be opened says so in the place of its address: it can be removed, or be given
/// another.
pub async fn webhook_one(
    connection: &mut Connection,
    tenant: &Tenant,
    id: i64,
) -> Result<Option<Row>, StoreError> {
    let one = || webhooks::table.filter(webhooks::tenant.eq(tenant.as_str())).filter(webhooks::id.eq(id));
    let row: QueryResult<Row> = one().get_result(connection).await;
    let why = match row.optional() {
        Err(fault) => unopened(&fault).map(ToString::to_string).ok_or(fault)?,
        row => return Ok(row?),
    };
    type Times = (Option<At>, Option<At>, At, At);
    type Open = (Opening, Option<Opening>, i32, Option<Opening>, Times);
    let (description, events, is_enabled, disabled_why, times): Open = one()
        .select((
            webhooks::description,
            webhooks::events,
            webhooks::is_enabled,
            webhooks::disabled_why,
            (webhooks::former_until, webhooks::failing_since, webhooks::created_at, webhooks::updated_at),
        ))
        .get_result(connection)
        .await?;
    let (former_until, failing_since, created_at, updated_at) = times;
    Ok(Some(Row {
        id,
        tenant: tenant.as_str().to_owned(),
        url: Sealed(format!("(its address or secret cannot be read: {why})")),
        description: description.legible(),
        events: legible(events),
        is_enabled,
        disabled_why: legible(disabled_why),
        secret: Sealed(String::new()),
        former_secret: None,
        former_until,
        failing_since,
        created_at,
        updated_at,
    }))
}

/// See [`crate::store::Store::webhook_messages`].
pub async fn webhook_messages_of(
    connection: &mut Connection,
    webhook: i64,
    sought: MessagesSought,
    limit: i64,
) -> Result<Vec<ToldMessage>, StoreError> {
    let mut page = webhook_messages::table
        .filter(webhook_messages::webhook_id.eq(webhook))
        .filter(webhook_messages::id.lt(sought.before.unwrap_or(i64::MAX)))
        .order(webhook_messages::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(state) = sought.state {
        page = page.filter(webhook_messages::state.eq(state.number()));
    }
    let rows: Vec<MessageRow> = page.load(connection).await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let tries: Vec<AttemptRow> = webhook_attempts::table
        .filter(webhook_attempts::message_id.eq_any(ids))
        .order(webhook_attempts::id)
        .load(connection)
        .await?;
    let mut attempts: HashMap<i64, Vec<Attempt>> = HashMap::new();
    for row in tries {
        let known = attempts.entry(row.message_id).or_default();
        known.push(Attempt {
            delivery: row.message_id,
            number: i32::try_from(known.len() + 1).unwrap_or(i32::MAX),
            at: row.at.0,
            took_ms: row.took_ms,
            provider: String::new(),
            state: State::from_number(row.state),
            reason: row.reason,
        });
    }
    let shown = |row: MessageRow| ToldMessage {
        id: row.id,
        uuid: row.uuid.0,
        event: row.event,
        data: row.data,
        happened_at: row.happened_at.0,
        state: State::from_number(row.state),
        due_at: row.due_at.0,
        reason: row.reason,
        attempts: attempts.remove(&row.id).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// See [`crate::store::Store::due_webhooks`].
pub async fn due_webhooks(connection: &mut Connection) -> Result<Vec<i64>, StoreError> {
    // As the index `webhook_messages_due` has it.
    let unfinished = diesel::dsl::sql::<diesel::sql_types::Bool>("webhook_messages.state < 2");
    let due = webhook_messages::table
        .filter(webhook_messages::webhook_id.eq(webhooks::id))
        .filter(unfinished)
        .filter(webhook_messages::due_at.le(now()));
    let these = webhooks::table.filter(webhooks::is_enabled.eq(1)).filter(exists(due));
    Ok(these.order(webhooks::id).select(webhooks::id).load(connection).await?)
}

/// See [`crate::store::Store::failed_messages`].
pub async fn failed_messages(
    connection: &mut Connection,
    webhook: i64,
    since: Timestamp,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    Ok(webhook_messages::table
        .filter(webhook_messages::webhook_id.eq(webhook))
        .filter(webhook_messages::id.lt(before.unwrap_or(i64::MAX)))
        .filter(webhook_messages::state.eq(State::Failed.number()))
        .filter(webhook_messages::happened_at.ge(At(since)))
        .order(webhook_messages::id.desc())
        .limit(limit)
        .select(webhook_messages::id)
        .load(connection)
        .await?)
}
