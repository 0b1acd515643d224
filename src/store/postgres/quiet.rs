//! Who does not want to be told now, and what they prefer.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult};
use diesel_async::RunQueryDsl;

use super::super::statements::{Defer, HushEntries};
use super::{Connection, Memory, hush_columns, now, release, row_of};
use crate::domain::{Hush, Place, Preferences, Recipient, Timestamp};
use crate::store::schema::{deferrals, recipients};
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

/// Whose quiet hours are over since the longest time, and their row: it is this transaction's until the commit,
/// like those of people who get something, so that nobody waits for another who waits for them.
pub async fn next_deferral(connection: &mut Connection) -> QueryResult<Option<(i64, String, String)>> {
    let due = deferrals::table.filter(deferrals::due_at.le(now())).select(deferrals::recipient_id);
    let next: Option<(i64, String, String)> = recipients::table
        .filter(recipients::id.eq_any(due))
        .limit(1)
        .select((recipients::id, recipients::tenant, recipients::user_id))
        .for_update()
        .skip_locked()
        .get_result(connection)
        .await
        .optional()?;
    let Some(next) = next else { return Ok(None) };
    // Another node may have been faster.
    let due = deferrals::table.find(next.0).filter(deferrals::due_at.le(now()));
    let is_due: i64 = due.count().get_result(connection).await?;
    Ok((is_due > 0).then_some(next))
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
    release::read(stored.as_deref())
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
