//! What recipients do with their entries, blocking; what was counted of them follows.

use diesel::RunQueryDsl;
use diesel::dsl::{case_when, exists};
use diesel::prelude::*;

use super::{Connection, Marked, place, row};
use crate::domain::{Place, Position, Recipient, Timestamp};
use crate::store::schema::{counts, inbox, notifications};
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
        let (UuidColumn(uuid), sender, confirmed_at, read_at) = entry
            .inner_join(notifications::table)
            .select((notifications::uuid, notifications::sender, inbox::confirmed_at, inbox::read_at))
            .get_result::<(UuidColumn, Option<String>, Option<At>, Option<At>)>(connection)?;
        let is_unread = i64::from(read_at.is_none());
        let (total, unread) = match mark {
            Mark::Confirmed => (0, 0),
            Mark::Read => (0, -is_unread),
            Mark::Unread => (0, 1 - is_unread),
            Mark::Deleted => (-1, -is_unread),
        };
        shift(connection, Place { recipient, position }, total, unread)?;
        let before = Before {
            uuid,
            sender,
            confirmed_at: confirmed_at.map(|at| at.0),
            read_at: read_at.map(|at| at.0),
        };
        let at = At(marked.at);
        let by = match mark {
            Mark::Read => Some("read"),
            Mark::Confirmed => Some("ack"),
            Mark::Unread | Mark::Deleted => None,
        };
        if let Some(by) = by {
            diesel::update(entry.filter(inbox::confirmed_at.is_null()))
                .set((inbox::confirmed_at.eq(at), inbox::confirmed_by.eq(by)))
                .execute(connection)?;
        }
        match mark {
            Mark::Confirmed => 0,
            Mark::Read => diesel::update(entry.filter(inbox::read_at.is_null()))
                .set(inbox::read_at.eq(at))
                .execute(connection)?,
            Mark::Unread => diesel::update(entry).set(inbox::read_at.eq(None::<At>)).execute(connection)?,
            Mark::Deleted => diesel::update(entry).set(inbox::deleted_at.eq(at)).execute(connection)?,
        };
        Ok(Some(before))
    };
    entries.iter().map(one).collect()
}

/// Marks everything read; returns how much was not.
pub fn read_all(connection: &mut Connection, recipient: &Recipient, at: Timestamp) -> QueryResult<usize> {
    let Some(row) = row(connection, recipient)? else { return Ok(0) };
    let unread = inbox::table
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null());
    diesel::update(unread.filter(inbox::confirmed_at.is_null()))
        .set((inbox::confirmed_at.eq(At(at)), inbox::confirmed_by.eq("read")))
        .execute(connection)?;
    let read = diesel::update(unread).set(inbox::read_at.eq(At(at))).execute(connection)?;
    diesel::update(counts::table.filter(counts::recipient_id.eq(row)))
        .set((counts::unread.eq(0), counts::read_upto.eq(counts::upto)))
        .execute(connection)?;
    Ok(read)
}

/// One writer alone: nothing is counted while it marks.
pub fn keep_counts(_: &mut Connection, _: &[Write]) -> QueryResult<()> {
    Ok(())
}

/// Nor is anything else written while it counts.
pub fn hold(_: &mut Connection, _: &Recipient) -> QueryResult<bool> {
    Ok(true)
}

/// The entry at `place` changes: so many more (or fewer) are held, and unread, of what was counted with it.
pub fn shift(connection: &mut Connection, place: Place, total: i64, unread: i64) -> QueryResult<()> {
    if (total, unread) == (0, 0) {
        return Ok(());
    }
    let counted = counts::table
        .filter(counts::recipient_id.eq(place.recipient))
        .filter(counts::upto.ge(place.position))
        .filter(exists(
            inbox::table
                .inner_join(notifications::table)
                .filter(inbox::recipient_id.eq(place.recipient))
                .filter(inbox::position.eq(place.position))
                .filter(inbox::hush.is_null().or(inbox::hush.ne(MUTED)))
                .filter(inbox::expires_at.is_null().or(inbox::expires_at.gt(counts::counted_at.nullable())))
                .filter(counts::kind.eq("").or(counts::kind.eq(notifications::kind)))
                .filter(counts::topic.eq("").or(counts::topic.eq(notifications::topic)))
                .filter(counts::priority.eq(-1).or(counts::priority.eq(notifications::priority))),
        ));
    let read_upto = if unread > 0 { place.position - 1 } else { Position::MAX };
    diesel::update(counted)
        .set((
            counts::total.eq(counts::total + total),
            counts::unread.eq(counts::unread + unread),
            counts::read_upto.eq(case_when((counts::unread + unread).eq(0), counts::upto)
                .when(counts::read_upto.gt(read_upto), read_upto)
                .otherwise(counts::read_upto)),
        ))
        .execute(connection)?;
    Ok(())
}
