//! What recipients do with their entries, blocking; what was counted of them follows.

use std::marker::PhantomData;

use diesel::RunQueryDsl;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::statements::{ConfirmMarked, DeleteEntry, ReadEntry, ShiftCounts};
use super::{Connection, Marked, place};
use crate::domain::{Handed, Place, Position, Recipient, Timestamp};
use crate::store::schema::{inbox, notifications};
use crate::store::types::{At, UuidColumn};
use crate::store::{Before, MUTED, Mark, Write};

/// Marks entries; tells how each stood before, and nothing of those that their recipients do not have.
pub fn mark(
    connection: &mut Connection,
    mark: Mark,
    entries: &[&Marked<'_>],
) -> QueryResult<Vec<Option<Before>>> {
    let one = |marked: &&Marked<'_>| {
        let Some(Place { recipient, position }) = place(connection, marked.recipient, marked.notification)?
        else {
            return Ok(None);
        };
        let entry = inbox::table.find((recipient, position));
        let (UuidColumn(uuid), sender, confirmed_at, read_at, is_beyond) = entry
            .inner_join(notifications::table)
            .select((
                notifications::uuid,
                notifications::sender,
                inbox::confirmed_at,
                inbox::read_at,
                notifications::wish.is_not_null(),
            ))
            .get_result::<(UuidColumn, Option<String>, Option<At>, Option<At>, bool)>(connection)?;
        let is_unread = i64::from(read_at.is_none());
        let (total, unread) = match mark {
            Mark::Confirmed => (0, 0),
            Mark::Read => (0, -is_unread),
            Mark::Unread => (0, 1 - is_unread),
            Mark::Deleted => (-1, -is_unread),
        };
        shift(connection, Place { recipient, position }, total, unread)?;
        let mut before = Before {
            uuid,
            sender,
            confirmed_at: confirmed_at.map(|at| at.0),
            read_at: read_at.map(|at| at.0),
            is_beyond,
            is_confirmed_now: false,
        };
        let at = At(marked.at);
        let by = match mark {
            Mark::Read => Some("read"),
            Mark::Confirmed => Some("ack"),
            Mark::Unread | Mark::Deleted => None,
        };
        let borrowed = PhantomData;
        if let Some(by) = by {
            let over = marked.handed.map(Handed::way);
            let (sent_at, sent_over) = (marked.handed.map(|handed| At(handed.at)), over.as_deref());
            let confirm = ConfirmMarked { at, by, sent_at, sent_over, recipient, position, borrowed };
            before.is_confirmed_now = confirm.execute(connection)? > 0;
        }
        match mark {
            Mark::Confirmed => 0,
            Mark::Read => ReadEntry { at: Some(at), recipient, position, borrowed }.execute(connection)?,
            Mark::Unread => ReadEntry { at: None, recipient, position, borrowed }.execute(connection)?,
            Mark::Deleted => DeleteEntry { at, recipient, position, borrowed }.execute(connection)?,
        };
        Ok(Some(before))
    };
    entries.iter().map(one).collect()
}

/// What is unread of what was counted between two places is so no longer.
const READ_BETWEEN: &str = "UPDATE counts AS c SET unread = c.unread - d.many, \
         read_upto = CASE WHEN c.unread = d.many THEN c.upto ELSE c.read_upto END \
     FROM (SELECT k.kind, k.topic, k.priority, count(*) AS many FROM counts AS k \
         JOIN inbox AS i ON i.recipient_id = k.recipient_id AND i.position > ?2 AND i.position <= ?3 \
             AND i.position <= k.upto AND i.read_at IS NULL AND i.deleted_at IS NULL \
             AND (i.hush IS NULL OR i.hush <> 1) AND (i.expires_at IS NULL OR i.expires_at > k.counted_at) \
         JOIN notifications AS n ON n.id = i.notification_id AND k.kind IN ('', n.kind) \
             AND k.topic IN ('', n.topic) AND k.priority IN (-1, n.priority) \
         WHERE k.recipient_id = ?1 GROUP BY k.kind, k.topic, k.priority) AS d \
     WHERE c.recipient_id = ?1 AND c.kind = d.kind AND c.topic = d.topic AND c.priority = d.priority";

/// Marks what row `recipient` has behind one place and up to another read; returns how much was not, of what is
/// listed, and how much was not confirmed.
pub fn read_between(
    connection: &mut Connection,
    recipient: i64,
    at: Timestamp,
    (after, upto): (Position, Position),
) -> QueryResult<(usize, usize)> {
    diesel::sql_query(READ_BETWEEN)
        .bind::<BigInt, _>(recipient)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(upto)
        .execute(connection)?;
    let unread = inbox::table
        .filter(inbox::recipient_id.eq(recipient))
        .filter(inbox::position.gt(after))
        .filter(inbox::position.le(upto))
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null());
    let confirmed = diesel::update(unread.filter(inbox::confirmed_at.is_null()))
        .set((inbox::confirmed_at.eq(At(at)), inbox::confirmed_by.eq("read")))
        .execute(connection)?;
    let is_listed = inbox::hush.is_null().or(inbox::hush.ne(MUTED));
    let is_over = inbox::expires_at.is_not_null().and(inbox::expires_at.le(At(at)));
    let others = unread.filter(diesel::dsl::not(is_listed).or(is_over));
    diesel::update(others).set(inbox::read_at.eq(At(at))).execute(connection)?;
    Ok((diesel::update(unread).set(inbox::read_at.eq(At(at))).execute(connection)?, confirmed))
}

/// One writer alone: nothing is counted while it marks.
pub fn keep_counts(_: &mut Connection, _: &[Write]) -> QueryResult<()> {
    Ok(())
}

/// The same of these rows.
pub fn keep_counts_of(_: &mut Connection, _: &[i64]) -> QueryResult<()> {
    Ok(())
}

/// Nor is anything else written while it counts.
pub fn hold(_: &mut Connection, _: &Recipient) -> QueryResult<bool> {
    Ok(true)
}

/// Nor does anybody else seal.
pub fn hold_chain(_: &mut Connection) -> QueryResult<bool> {
    Ok(true)
}

/// The entry at `place` changes: so many more (or fewer) are held, and unread, of what was counted with it.
pub fn shift(connection: &mut Connection, place: Place, total: i64, unread: i64) -> QueryResult<()> {
    if (total, unread) == (0, 0) {
        return Ok(());
    }
    let read_upto = if unread > 0 { place.position - 1 } else { Position::MAX };
    let Place { recipient, position } = place;
    ShiftCounts { total, unread, read_upto, recipient, position, borrowed: PhantomData }
        .execute(connection)?;
    Ok(())
}
