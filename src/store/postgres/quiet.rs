//! Who does not want to be told now, and what they prefer.

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::prelude::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
};
use diesel_async::RunQueryDsl;

use super::super::statements::{Defer, HushEntries};
use super::{Connection, Memory, hush_columns, now, row_of};
use crate::domain::{Hush, Place, Preferences, Recipient, Timestamp};
use crate::store::digests::Row as WantsDigest;
use crate::store::preferred;
use crate::store::schema::{deferrals, digest_subscriptions, recipients};
use crate::store::types::At;

/// Notes why these are not told by themselves, and whose quiet hours end when.
pub async fn hush_all(connection: &mut Connection, all: &[(Place, Hush)]) -> QueryResult<()> {
    let (hushes, reasons) = all.iter().map(|(_, hush)| hush_columns(*hush)).unzip();
    let hush = HushEntries {
        recipients: all.iter().map(|(place, _)| place.recipient).collect(),
        positions: all.iter().map(|(place, _)| place.position).collect(),
        hushes,
        reasons,
        borrowed: PhantomData,
    };
    hush.execute(connection).await?;
    defer(connection, all).await
}

/// Of those of these that wait for the end of quiet hours: when these end.
pub async fn defer(connection: &mut Connection, all: &[(Place, Hush)]) -> QueryResult<()> {
    let ends: BTreeMap<i64, Timestamp> = all
        .iter()
        .filter_map(|(place, hush)| match hush {
            Hush::Quiet(until) => Some((place.recipient, *until)),
            Hush::Muted(_) => None,
        })
        .collect();
    if ends.is_empty() {
        return Ok(());
    }
    let defer = Defer {
        recipients: ends.keys().copied().collect(),
        ends: ends.values().map(|at| At(*at)).collect(),
        borrowed: PhantomData,
    };
    defer.execute(connection).await?;
    Ok(())
}

/// Those of `rows` whose quiet hours may be over, if no other node is at them. Their rows are this transaction's until the
/// commit, like those of people who get something; it waits for none of them, so that nobody waits for another who waits
/// for them.
pub async fn deferred(connection: &mut Connection, rows: &[i64]) -> QueryResult<Vec<(i64, String, String)>> {
    let free: Vec<(i64, String, String)> = recipients::table
        .filter(recipients::id.eq_any(rows))
        .select((recipients::id, recipients::tenant, recipients::user_id))
        .for_update()
        .skip_locked()
        .load(connection)
        .await?;
    // Another node may have been faster.
    let due: Vec<i64> = deferrals::table
        .filter(deferrals::due_at.le(now()))
        .filter(deferrals::recipient_id.eq_any(free.iter().map(|(row, ..)| *row)))
        .order(deferrals::due_at)
        .select(deferrals::recipient_id)
        .load(connection)
        .await?;
    let mut free: HashMap<i64, _> = free.into_iter().map(|person| (person.0, person)).collect();
    Ok(due.iter().filter_map(|row| free.remove(row)).collect())
}

/// Who wants a digest, by their row, if it is due and nobody else is at it. Their row is this transaction's until the commit;
/// it waits for none, as above.
pub async fn digest_due(connection: &mut Connection, row: i64) -> QueryResult<Option<WantsDigest>> {
    let person = recipients::table.find(row).select(recipients::id).for_update().skip_locked();
    let free: Option<i64> = person.get_result(connection).await.optional()?;
    let Some(row) = free else { return Ok(None) };
    let this = digest_subscriptions::table.find(row);
    let due = this.filter(digest_subscriptions::next_at.le(now().nullable()));
    due.get_result(connection).await.optional()
}

/// What `recipient` prefers; their row is this transaction's until the commit.
pub async fn preferences_of(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
) -> QueryResult<Option<Arc<Preferences>>> {
    let row = row_of(connection, memory, recipient).await?;
    let stored: Option<String> = recipients::table
        .find(row)
        .select(recipients::preferences)
        .for_update()
        .get_result(connection)
        .await?;
    Ok(stored.as_deref().map(preferred::read).map(Arc::new))
}

/// Stores what `recipient` prefers now.
pub async fn keep_preferences(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
    text: &str,
) -> QueryResult<i64> {
    let row = row_of(connection, memory, recipient).await?;
    let person = diesel::update(recipients::table.find(row));
    person.set(recipients::preferences.eq(text)).execute(connection).await?;
    Ok(row)
}

/// The place behind all that are in the inbox of row `recipient`.
pub async fn next_place(connection: &mut Connection, _: &mut Memory, recipient: i64) -> QueryResult<i64> {
    diesel::update(recipients::table.find(recipient))
        .set(recipients::last_position.eq(recipients::last_position + 1))
        .returning(recipients::last_position)
        .get_result(connection)
        .await
}
