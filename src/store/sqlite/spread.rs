//! How far what is for an audience has come, and who has it, blocking.

use std::marker::PhantomData;

use diesel::RunQueryDsl;
use diesel::prelude::*;

use super::statements::NoteProgress;
use super::{Connection, Due, Memory, Wanted, burn, known, now, put, span};
use crate::domain::{Notification, NotificationId, Place, Placed, Recipient, Timestamp};
use crate::store::schema::{expansions, inbox};

/// Expansions that are due and not finished.
macro_rules! due {
    () => {
        expansions::table
            .filter(expansions::finished_at.is_null())
            .filter(expansions::due_at.le(now()))
            .order((expansions::due_at, expansions::notification_id))
            .select((
                expansions::notification_id,
                expansions::tenant,
                expansions::audience,
                expansions::reached,
                expansions::due_at,
                expansions::present,
            ))
    };
}

/// The expansion of this notification, if it is due.
pub fn next_spread(connection: &mut Connection, id: NotificationId) -> QueryResult<Option<Due>> {
    due!().filter(expansions::notification_id.eq(id.0)).get_result(connection).optional()
}

/// Those of `ids` that are due. Nobody else is at any of them.
pub fn free(connection: &mut Connection, ids: &[i64]) -> QueryResult<Vec<Due>> {
    due!().filter(expansions::notification_id.eq_any(ids)).load(connection)
}

/// Which of these recipients (rows) have what was spread, and perhaps some others. Its places are not its number.
pub fn have(
    connection: &mut Connection,
    notification: NotificationId,
    rows: &[i64],
) -> QueryResult<Vec<i64>> {
    let all = inbox::table
        .filter(inbox::notification_id.eq(notification.0))
        .filter(inbox::position.ne(inbox::notification_id))
        .select(inbox::recipient_id);
    match span(rows) {
        Some((first, last)) => all.filter(inbox::recipient_id.between(first, last)).load(connection),
        // A list has to be prepared anew each time.
        None => all.filter(inbox::recipient_id.eq_any(rows)).load(connection),
    }
}

/// Puts `notification` into the inboxes of `people`, behind all that is there: at a number of its own.
pub fn spread(
    connection: &mut Connection,
    memory: &mut Memory,
    people: &[(i64, Recipient)],
    notification: &Notification,
    at: Timestamp,
    is_unasked: bool,
) -> QueryResult<Vec<Placed>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let position = burn(connection, memory)?;
    let mut places = Vec::with_capacity(people.len());
    for (row, recipient) in people {
        let wanted = Wanted::of(notification, recipient, at, is_unasked);
        let hush =
            wanted.hush(known(connection, memory, recipient)?.preferences.as_deref(), &memory.mandatory);
        places.push(put(connection, Place { recipient: *row, position }, &wanted, hush)?);
    }
    Ok(places)
}

/// Notes how far an expansion is, and that so many more have it.
pub fn note_progress(
    connection: &mut Connection,
    id: NotificationId,
    (reached, present): (i64, Option<&str>),
    many: i64,
) -> QueryResult<()> {
    let chunks = i64::from(many > 0);
    let notification = id.0;
    NoteProgress { reached, present, many, chunks, notification, borrowed: PhantomData }
        .execute(connection)?;
    Ok(())
}
