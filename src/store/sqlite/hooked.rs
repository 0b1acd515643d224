//! What is looked up for webhooks, blocking: one process writes, so nothing has to be kept from others.

use std::time::Duration;

use diesel::RunQueryDsl;
use diesel::prelude::*;

use super::telling::{Told, told};
use super::{Connection, Marked, place};
use crate::domain::Timestamp;
use crate::store::schema::{inbox, notifications, recipients, webhook_messages};
use crate::store::types::At;

/// Nobody else changes who wants to be told.
pub const LONGEST: Duration = Duration::MAX;

/// The entries at these places.
pub fn entries_at(connection: &mut Connection, places: &[(i64, i64)]) -> QueryResult<Vec<Told>> {
    let mut found = Vec::with_capacity(places.len());
    for (recipient, position) in places {
        let entry: Option<Told> = inbox::table
            .inner_join(recipients::table)
            .inner_join(notifications::table)
            .filter(inbox::recipient_id.eq(recipient))
            .filter(inbox::position.eq(position))
            .select(told())
            .get_result(connection)
            .optional()?;
        found.extend(entry);
    }
    Ok(found)
}

/// The entries that are marked.
pub fn entries_of(connection: &mut Connection, entries: &[&Marked<'_>]) -> QueryResult<Vec<Told>> {
    let mut places = Vec::with_capacity(entries.len());
    for one in entries {
        let place = place(connection, one.recipient, one.notification)?;
        places.extend(place.map(|place| (place.recipient, place.position)));
    }
    entries_at(connection, &places)
}

/// At most so many messages for an address whose turn has come, the oldest first.
pub fn due_messages(
    connection: &mut Connection,
    webhook: i64,
    most: i64,
    now: Timestamp,
) -> QueryResult<Vec<i64>> {
    webhook_messages::table
        .filter(webhook_messages::webhook_id.eq(webhook))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("webhook_messages.state < 2"))
        .filter(webhook_messages::due_at.le(At(now)))
        .order(webhook_messages::due_at)
        .limit(most)
        .select(webhook_messages::id)
        .load(connection)
}
