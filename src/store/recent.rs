//! What came of late. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use super::queries_body::row_of;
use crate::domain::{Position, Priority, Recipient, Timestamp};
use crate::store::counts::AT_ONCE;
use crate::store::schema::{inbox, notifications};
use crate::store::sealing::Opening;
use crate::store::types::At;
use crate::store::{MUTED, Recent, StoreError};

/// Of what kinds the last entries of the inbox of row `$1` are.
const KINDS: &str = "SELECT DISTINCT n.kind FROM (\
    SELECT notification_id FROM inbox WHERE recipient_id = $1 ORDER BY position DESC LIMIT 1000) AS i \
    JOIN notifications AS n ON n.id = i.notification_id";

#[derive(QueryableByName)]
struct OfKind {
    #[diesel(sql_type = Text, deserialize_as = Opening)]
    kind: String,
}

/// See [`crate::store::Store::recent_kinds`].
pub async fn recent_kinds(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Vec<String>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let kinds: Vec<OfKind> = diesel::sql_query(KINDS).bind::<BigInt, _>(row).load(connection).await?;
    Ok(kinds.into_iter().map(|of| of.kind).collect())
}

/// See [`crate::store::Store::recent`].
pub async fn recent(
    connection: &mut Connection,
    recipient: &Recipient,
    before: Position,
    now: Timestamp,
) -> Result<Vec<Recent>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let entries: Vec<(i64, At, Opening, i32, Option<At>, Option<At>, Option<At>)> = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.lt(before))
        .filter(inbox::hush.is_null().or(inbox::hush.ne(MUTED)))
        .order(inbox::position.desc())
        .limit(AT_ONCE)
        .select((
            inbox::position,
            notifications::created_at,
            notifications::kind,
            notifications::priority,
            notifications::expires_at,
            inbox::read_at,
            inbox::deleted_at,
        ))
        .load(connection)
        .await?;
    let recent = |(position, At(created_at), kind, priority, expires_at, read_at, deleted_at)| {
        let expires_at: Option<At> = expires_at;
        let (read_at, deleted_at): (Option<At>, Option<At>) = (read_at, deleted_at);
        let is_held = deleted_at.is_none() && expires_at.is_none_or(|At(at)| at > now);
        let priority = Priority::from_level(priority);
        Recent {
            position,
            created_at,
            kind: Opening::legible(kind),
            priority,
            is_read: read_at.is_some(),
            is_held,
        }
    };
    Ok(entries.into_iter().map(recent).collect())
}
