//! The write bodies, blocking.

macro_rules! wait {
    ($query:expr) => {
        $query
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access fn $name $arguments -> $output $body
    };
}

use std::collections::HashMap;

use diesel::RunQueryDsl;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection as Connection;

use crate::domain::{NewNotification, NotificationId, Recipient};
use crate::store::schema::{inbox, notifications, recipients};

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;

diesel::table! {
    /// Where AUTOINCREMENT remembers the highest number it ever gave.
    sqlite_sequence (name) {
        name -> Text,
        seq -> BigInt,
    }
}

/// Recipients remembered at most; beyond them it starts anew.
const REMEMBERED: usize = 100_000;

/// What the writer knows without asking: this process writes alone, so nobody else changes it. Forgotten
/// when a transaction fails. Asking each row for its number (`RETURNING`) costs more than storing it.
#[derive(Default)]
pub struct Memory {
    last_notification: Option<i64>,
    recipients: HashMap<Recipient, i64>,
}

impl Memory {
    fn begin(&mut self, connection: &mut Connection) -> QueryResult<()> {
        if self.last_notification.is_none() {
            let last: Option<i64> = sqlite_sequence::table
                .filter(sqlite_sequence::name.eq("notifications"))
                .select(sqlite_sequence::seq)
                .get_result(connection)
                .optional()?;
            self.last_notification = Some(last.unwrap_or(0));
        }
        Ok(())
    }
}

/// Stores the content; `None` if its idempotency key is taken.
fn insert(
    connection: &mut Connection,
    memory: &mut Memory,
    new: &NewNotification,
) -> QueryResult<Option<i64>> {
    let id = memory.last_notification.unwrap_or(0) + 1;
    let stored = diesel::insert_or_ignore_into(notifications::table)
        .values((notifications::id.eq(id), content!(new)))
        .execute(connection)?;
    if stored == 0 {
        return Ok(None);
    }
    memory.last_notification = Some(id);
    Ok(Some(id))
}

/// The row of `recipient`, made when it is new.
fn reserve(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
    _: usize,
) -> QueryResult<(i64, i64)> {
    if let Some(row) = memory.recipients.get(recipient) {
        return Ok((*row, 0));
    }
    let row = match row(connection, recipient)? {
        Some(row) => row,
        None => diesel::insert_into(recipients::table)
            .values((
                recipients::tenant.eq(recipient.tenant.as_str()),
                recipients::user_id.eq(recipient.user.as_str()),
            ))
            .returning(recipients::id)
            .get_result(connection)?,
    };
    if memory.recipients.len() >= REMEMBERED {
        memory.recipients.clear();
    }
    memory.recipients.insert(recipient.clone(), row);
    Ok((row, 0))
}

fn row(connection: &mut Connection, recipient: &Recipient) -> QueryResult<Option<i64>> {
    recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .get_result(connection)
        .optional()
}

/// One writer gives out numbers in the order of commits: they are positions, too. Counting per recipient
/// would cost one more write for each notification.
const fn next_position(_: &mut i64, id: NotificationId) -> i64 {
    id.0
}

/// Where `recipient` has `notification`, if it does.
fn place(
    connection: &mut Connection,
    recipient: &Recipient,
    notification: NotificationId,
) -> QueryResult<Option<(i64, i64)>> {
    let Some(row) = row(connection, recipient)? else {
        return Ok(None);
    };
    inbox::table
        .find((row, notification.0))
        .filter(inbox::deleted_at.is_null())
        .select((inbox::recipient_id, inbox::position))
        .get_result(connection)
        .optional()
}
