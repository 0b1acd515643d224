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

use crate::domain::{NewNotification, Recipient};
use crate::store::schema::{notifications, recipients};
use crate::store::types::{At, UuidColumn};

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
    /// A recipient's row, and the last place taken in its inbox.
    recipients: HashMap<Recipient, (i64, i64)>,
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
        .values((
            notifications::id.eq(id),
            notifications::uuid.eq(UuidColumn(new.uuid)),
            notifications::tenant.eq(new.recipient.tenant.as_str()),
            notifications::kind.eq(new.kind),
            notifications::topic.eq(new.topic),
            notifications::title.eq(&new.title),
            notifications::message.eq(&new.message),
            notifications::data.eq(&new.data),
            notifications::idempotency_key.eq(new.idempotency.as_ref().map(|same| same.key.as_slice())),
            notifications::request_digest.eq(new.idempotency.as_ref().map(|same| same.request.0.as_slice())),
            notifications::created_at.eq(At(new.created_at)),
        ))
        .execute(connection)?;
    if stored == 0 {
        return Ok(None);
    }
    memory.last_notification = Some(id);
    Ok(Some(id))
}

/// Reserves `many` places for `recipient`: its row, and the last place taken before. Not one upsert:
/// diesel prepares that anew each time, which costs more than all of this.
fn advance(
    connection: &mut Connection,
    memory: &mut Memory,
    recipient: &Recipient,
    many: usize,
) -> QueryResult<(i64, i64)> {
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    if memory.recipients.len() >= REMEMBERED {
        memory.recipients.clear();
    }
    let known = match memory.recipients.get(recipient) {
        Some(known) => Some(*known),
        None => recipients::table
            .filter(recipients::tenant.eq(recipient.tenant.as_str()))
            .filter(recipients::user_id.eq(recipient.user.as_str()))
            .select((recipients::id, recipients::last_position))
            .get_result(connection)
            .optional()?,
    };
    let (row, last) = match known {
        Some((row, last)) => {
            diesel::update(recipients::table.find(row))
                .set(recipients::last_position.eq(last + many))
                .execute(connection)?;
            (row, last)
        }
        None => {
            let row = diesel::insert_into(recipients::table)
                .values((
                    recipients::tenant.eq(recipient.tenant.as_str()),
                    recipients::user_id.eq(recipient.user.as_str()),
                    recipients::last_position.eq(many),
                ))
                .returning(recipients::id)
                .get_result(connection)?;
            (row, 0)
        }
    };
    memory.recipients.insert(recipient.clone(), (row, last + many));
    Ok((row, last))
}
