//! Who does not want to be told now, and what they prefer.

use std::marker::PhantomData;
use std::sync::Arc;

use diesel::RunQueryDsl;
use diesel::prelude::*;

use super::statements::HushEntry;
use super::{Connection, Memory, burn, hush_columns, known, now, row_of};
use crate::domain::{Hush, Place, Preferences, Recipient, Timestamp};
use crate::store::digests::Row as WantsDigest;
use crate::store::schema::{deferrals, deployment, digest_subscriptions, recipients};
use crate::store::types::At;

/// Notes why these are not told by themselves, and whose quiet hours end when.
pub fn hush_all(connection: &mut Connection, all: &[(Place, Hush)]) -> QueryResult<()> {
    for (place, hush) in all {
        let (hush_as, reason) = hush_columns(*hush);
        let Place { recipient, position } = *place;
        HushEntry { hush: hush_as, reason: &reason, recipient, position, borrowed: PhantomData }
            .execute(connection)?;
        if let Hush::Quiet(until) = hush {
            defer(connection, recipient, *until)?;
        }
    }
    Ok(())
}

/// Something waits for the end of this person's quiet hours.
pub fn defer(connection: &mut Connection, recipient: i64, until: Timestamp) -> QueryResult<()> {
    diesel::insert_or_ignore_into(deferrals::table)
        .values((deferrals::recipient_id.eq(recipient), deferrals::due_at.eq(At(until))))
        .execute(connection)?;
    Ok(())
}

/// Those of `rows` whose quiet hours may be over.
pub fn deferred(connection: &mut Connection, rows: &[i64]) -> QueryResult<Vec<(i64, String, String)>> {
    deferrals::table
        .inner_join(recipients::table)
        .filter(deferrals::due_at.le(now()))
        .filter(deferrals::recipient_id.eq_any(rows))
        .order(deferrals::due_at)
        .select((recipients::id, recipients::tenant, recipients::user_id))
        .load(connection)
}

/// Who wants a digest, by their row, if it is due.
pub fn digest_due(connection: &mut Connection, row: i64) -> QueryResult<Option<WantsDigest>> {
    let this = digest_subscriptions::table.find(row);
    this.filter(digest_subscriptions::next_at.le(now().nullable())).get_result(connection).optional()
}

/// What `recipient` prefers; their row is this transaction's until the commit.
pub fn preferences_of(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
) -> QueryResult<Option<Arc<Preferences>>> {
    Ok(known(connection, memory, recipient)?.preferences)
}

/// Stores what `recipient` prefers now.
pub fn keep_preferences(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
    text: &str,
) -> QueryResult<i64> {
    let row = row_of(connection, memory, recipient)?;
    memory.recipients.remove(recipient);
    diesel::update(recipients::table.find(row)).set(recipients::preferences.eq(text)).execute(connection)?;
    Ok(row)
}

/// The place behind all that are in the inbox of row `recipient`.
pub fn next_place(connection: &mut Connection, memory: &mut Memory, _: i64) -> QueryResult<i64> {
    diesel::update(deployment::table)
        .set(deployment::burned.eq(deployment::burned + 1))
        .execute(connection)?;
    burn(connection, memory)
}
