//! What is looked up for webhooks; what others could change meanwhile is held until the commit.

use std::marker::PhantomData;
use std::time::Duration;

use diesel::prelude::{ExpressionMethods, QueryDsl, QueryResult};
use diesel_async::RunQueryDsl;

use super::telling::Told;
use super::{Connection, Marked};
use crate::domain::Timestamp;
use crate::store::postgres::statements::{ToldAt, ToldOf};
use crate::store::schema::webhook_messages;
use crate::store::types::At;

/// So long after another node has changed who wants to be told, this one knows it.
pub const LONGEST: Duration = Duration::from_secs(1);

/// The entries at these places.
pub async fn entries_at(connection: &mut Connection, places: &[(i64, i64)]) -> QueryResult<Vec<Told>> {
    let at = ToldAt {
        recipients: places.iter().map(|(recipient, _)| *recipient).collect(),
        positions: places.iter().map(|(_, position)| *position).collect(),
        borrowed: PhantomData,
    };
    at.load(connection).await
}

/// The entries that are marked.
pub async fn entries_of(connection: &mut Connection, entries: &[&Marked<'_>]) -> QueryResult<Vec<Told>> {
    let of = ToldOf {
        tenants: entries.iter().map(|marked| marked.recipient.tenant.as_str()).collect(),
        users: entries.iter().map(|marked| marked.recipient.user.as_str()).collect(),
        notifications: entries.iter().map(|marked| marked.notification.0).collect(),
        borrowed: PhantomData,
    };
    of.load(connection).await
}

/// At most so many messages for an address whose turn has come and that no other node is at, the oldest first.
pub async fn due_messages(
    connection: &mut Connection,
    webhook: i64,
    most: i64,
    now: Timestamp,
) -> QueryResult<Vec<i64>> {
    let due = webhook_messages::table
        .filter(webhook_messages::webhook_id.eq(webhook))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("webhook_messages.state < 2"))
        .filter(webhook_messages::due_at.le(At(now)))
        .order(webhook_messages::due_at)
        .limit(most)
        .select(webhook_messages::id);
    due.for_update().skip_locked().load(connection).await
}
