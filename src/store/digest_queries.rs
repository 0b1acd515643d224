//! Reads of digests. Compiled twice, once for each database.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::is_passed_over;
use super::queries_body::row_of;
use crate::domain::{Position, Recipient, Timestamp};
use crate::store::digests::{ItemColumns, SentColumns, TOGETHER, Wanting, sent, sent_columns};
use crate::store::schema::{digest_subscriptions, digests, inbox, notifications, recipients};
use crate::store::sealing::Opening;
use crate::store::types::At;
use crate::store::{SUMMED_UP, SentDigest, StoreError};

/// See [`crate::store::Store::due_digests`].
pub async fn due_digests(
    connection: &mut Connection,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let due: Vec<(i64, Option<At>)> = digest_subscriptions::table
        .filter(digest_subscriptions::next_at.le(At(until)))
        .order(digest_subscriptions::next_at)
        .limit(limit)
        .select((digest_subscriptions::recipient_id, digest_subscriptions::next_at))
        .load(connection)
        .await?;
    Ok(due.into_iter().filter_map(|(row, at)| Some((row, at?.0))).collect())
}

/// See [`crate::store::Store::subscriber`].
pub async fn digest_wanted(connection: &mut Connection, row: i64) -> Result<Option<Wanting>, StoreError> {
    let person = (recipients::tenant, recipients::user_id, recipients::preferences, recipients::contacts);
    let (tenant, user, preferences, contacts) = person;
    let found = digest_subscriptions::table
        .inner_join(recipients::table)
        .filter(digest_subscriptions::recipient_id.eq(row))
        .select((digest_subscriptions::all_columns, tenant, user, preferences, contacts))
        .get_result(connection)
        .await
        .optional()?;
    Ok(found)
}

/// See [`crate::store::Store::subscriber_named`].
pub async fn digest_wanted_by(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Option<Wanting>, StoreError> {
    match row_of(connection, recipient).await? {
        Some(row) => digest_wanted(connection, row).await,
        None => Ok(None),
    }
}

/// The last place in the inbox of this row.
pub async fn last_place(connection: &mut Connection, row: i64) -> Result<Option<Position>, StoreError> {
    let here = inbox::table.filter(inbox::recipient_id.eq(row));
    Ok(here.select(diesel::dsl::max(inbox::position)).get_result(connection).await?)
}

/// See [`crate::store::Store::first_waiting`]. Like `waiting` in `release.rs`, for the same index.
pub async fn first_waiting(
    connection: &mut Connection,
    row: i64,
    after: Position,
) -> Result<Option<Position>, StoreError> {
    let found = inbox::table
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.gt(after))
        .filter(sql::<Bool>("inbox.hush = 2"))
        .order(inbox::position)
        .limit(1)
        .select(inbox::position)
        .get_result(connection)
        .await
        .optional()?;
    Ok(found)
}

/// Entries behind one place and before another that were neither removed nor have expired, and that their recipient wants to
/// hear of, newest first: place, kind, priority, and whether it was read.
pub async fn lines(
    connection: &mut Connection,
    row: i64,
    after: Position,
    before: Position,
    now: Timestamp,
) -> Result<Vec<(i64, String, i32, bool)>, StoreError> {
    let lines = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.gt(after))
        .filter(inbox::position.lt(before))
        .filter(inbox::deleted_at.is_null())
        .filter(inbox::hush.is_null().or(inbox::hush.eq(SUMMED_UP)))
        .filter(inbox::expires_at.is_null().or(inbox::expires_at.gt(At(now))))
        .order(inbox::position.desc())
        .limit(TOGETHER)
        .select((
            inbox::position,
            notifications::kind,
            notifications::priority,
            inbox::read_at.is_not_null(),
        ));
    let lines: Vec<(i64, Opening, i32, bool)> = lines.load(connection).await?;
    Ok(lines.into_iter().map(|(at, kind, level, is_read)| (at, kind.legible(), level, is_read)).collect())
}

/// The entries of this row at these places.
pub async fn items(
    connection: &mut Connection,
    row: i64,
    places: &[Position],
) -> Result<Vec<ItemColumns>, StoreError> {
    let items = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.eq_any(places.to_vec()))
        .select((
            inbox::position,
            inbox::read_at,
            (
                notifications::id,
                notifications::uuid,
                notifications::kind,
                notifications::title,
                notifications::message,
                notifications::priority,
                notifications::action_url,
                notifications::created_at,
            ),
        ))
        .load(connection)
        .await?;
    Ok(items)
}

/// See [`crate::store::Store::digests`].
pub async fn digests_of(
    connection: &mut Connection,
    recipient: &Recipient,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<SentDigest>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let page = digests::table
        .filter(digests::recipient_id.eq(row))
        .filter(digests::id.lt(before.unwrap_or(i64::MAX)))
        .order(digests::id.desc())
        .limit(limit)
        .select(sent_columns());
    let rows = page.load(connection).await?;
    legible_digests(connection, rows).await
}

/// These, with a word in the place of what does not open.
pub async fn legible_digests(
    connection: &mut Connection,
    rows: Vec<SentColumns>,
) -> Result<Vec<SentDigest>, StoreError> {
    let mut all = Vec::with_capacity(rows.len());
    for (digest, why) in rows.into_iter().map(sent) {
        if let Some(why) = why {
            is_passed_over(connection, "a digest", digest.id, why).await?;
        }
        all.push(digest);
    }
    Ok(all)
}

/// See [`crate::store::Store::digest`].
pub async fn digest_one(
    connection: &mut Connection,
    recipient: &Recipient,
    id: i64,
) -> Result<Option<SentDigest>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(None) };
    let one = digests::table
        .filter(digests::recipient_id.eq(row))
        .filter(digests::id.eq(id))
        .select(sent_columns());
    let found: Option<SentColumns> = one.get_result(connection).await.optional()?;
    match found.map(sent) {
        Some((_, Some(why))) => Err(why.into()),
        found => Ok(found.map(|(digest, _)| digest)),
    }
}
