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
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection as Connection;

use crate::domain::{NewNotification, NotificationId, Position, Recipient};
use crate::store::schema::{connections, inbox, notifications, recipients};
use crate::store::types::{At, Instant, UuidColumn};
use crate::store::{Presence, Sent};

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;
use commit::{Earlier, Seen};

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

/// Stores the contents; `None` for each whose idempotency key is taken.
fn insert_all(
    connection: &mut Connection,
    memory: &mut Memory,
    all: &[&NewNotification],
) -> QueryResult<Vec<Option<i64>>> {
    all.iter().map(|new| insert(connection, memory, new)).collect()
}

fn insert(
    connection: &mut Connection,
    memory: &mut Memory,
    new: &NewNotification,
) -> QueryResult<Option<i64>> {
    let id = memory.last_notification.unwrap_or(0) + 1;
    let same = new.idempotency.as_ref();
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
            notifications::idempotency_key.eq(same.map(|same| same.key.as_slice())),
            notifications::request_digest.eq(same.map(|same| same.request.0.as_slice())),
            notifications::created_at.eq(At(new.created_at)),
        ))
        .execute(connection)?;
    if stored == 0 {
        return Ok(None);
    }
    memory.last_notification = Some(id);
    Ok(Some(id))
}

/// Puts each into its recipient's inbox. One writer gives out numbers in the order of commits: they are
/// positions, too. Counting per recipient would cost one more write for each notification.
fn place_all(
    connection: &mut Connection,
    memory: &mut Memory,
    all: &[(&Recipient, NotificationId)],
) -> QueryResult<Vec<(i64, i64)>> {
    let mut places = Vec::with_capacity(all.len());
    for (recipient, notification) in all {
        let place = (made(connection, memory, recipient)?, notification.0);
        diesel::insert_into(inbox::table)
            .values((
                inbox::recipient_id.eq(place.0),
                inbox::position.eq(place.1),
                inbox::notification_id.eq(notification.0),
            ))
            .execute(connection)?;
        places.push(place);
    }
    Ok(places)
}

/// The row of `recipient`, made when it is new.
fn made(connection: &mut Connection, memory: &mut Memory, recipient: &Recipient) -> QueryResult<i64> {
    if let Some(row) = memory.recipients.get(recipient) {
        return Ok(*row);
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
    Ok(row)
}

/// Notes confirmations; returns how many entries were not confirmed before.
fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
    let mut confirmed = 0;
    for entry in entries {
        confirmed += diesel::update(inbox::table.find((entry.recipient, entry.position)))
            .filter(inbox::confirmed_at.is_null())
            .set((
                inbox::sent_at.eq(At(entry.sent_at)),
                inbox::confirmed_at.eq(At(entry.confirmed_at)),
                inbox::confirmed_by.eq("heartbeat"),
            ))
            .execute(connection)?;
    }
    Ok(confirmed)
}

fn row(connection: &mut Connection, recipient: &Recipient) -> QueryResult<Option<i64>> {
    recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .get_result(connection)
        .optional()
}

/// The database's own time: the clocks of nodes may differ.
fn now() -> SqlLiteral<Instant> {
    sql("CAST(unixepoch('subsec') * 1000000 AS INTEGER)")
}

/// So many seconds before it.
fn ago(seconds: i64) -> SqlLiteral<Instant> {
    sql(&format!("CAST((unixepoch('subsec') - {seconds}) * 1000000 AS INTEGER)"))
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

/// What was accepted before under the keys of `news`.
fn earlier(connection: &mut Connection, news: &[&NewNotification]) -> QueryResult<Vec<Option<Earlier>>> {
    let one = |new: &&NewNotification| {
        type Columns = (i64, UuidColumn, Option<Vec<u8>>, At);
        let Some(same) = &new.idempotency else { return Ok(None) };
        let found: Option<Columns> = notifications::table
            .filter(notifications::idempotency_key.eq(same.key.as_slice()))
            .select((
                notifications::id,
                notifications::uuid,
                notifications::request_digest,
                notifications::created_at,
            ))
            .get_result(connection)
            .optional()?;
        let Some((id, UuidColumn(uuid), request, At(created_at))) = found else { return Ok(None) };
        let id = NotificationId(id);
        let place = place(connection, &new.recipient, id)?;
        let mut delivered_at = None;
        if let Some(place) = place {
            let (sent_at, confirmed_at) = inbox::table
                .find(place)
                .select((inbox::sent_at, inbox::confirmed_at))
                .get_result::<(Option<At>, Option<At>)>(connection)?;
            delivered_at = sent_at.or(confirmed_at).map(|at| at.0);
        }
        Ok(Some(Earlier { id, uuid, request, created_at, place, delivered_at }))
    };
    news.iter().map(one).collect()
}

/// Marks read; `false` for each that its recipient does not have.
fn mark_read(connection: &mut Connection, seen: &[Seen<'_>]) -> QueryResult<Vec<bool>> {
    let one = |seen: &Seen<'_>| {
        let Some(place) = place(connection, seen.recipient, seen.notification)? else { return Ok(false) };
        let unconfirmed = inbox::table.find(place).filter(inbox::confirmed_at.is_null());
        diesel::update(unconfirmed)
            .set((inbox::confirmed_at.eq(At(seen.at)), inbox::confirmed_by.eq("read")))
            .execute(connection)?;
        let unread = inbox::table.find(place).filter(inbox::read_at.is_null());
        diesel::update(unread).set(inbox::read_at.eq(At(seen.at))).execute(connection)?;
        Ok(true)
    };
    seen.iter().map(one).collect()
}

/// Nothing of these recipients (rows) is pending up to these places.
fn settle(connection: &mut Connection, settled: &[(i64, Position)]) -> QueryResult<()> {
    for (recipient, upto) in settled {
        diesel::update(recipients::table.find(recipient))
            .filter(recipients::pending_after.lt(upto))
            .set(recipients::pending_after.eq(upto))
            .execute(connection)?;
    }
    Ok(())
}

/// Notes who came, and who left.
fn note_presence(connection: &mut Connection, came: &[Presence], gone: &[String]) -> QueryResult<()> {
    for presence in came {
        diesel::replace_into(connections::table)
            .values((
                connections::socket_id.eq(&presence.socket_id),
                connections::node.eq(&presence.node),
                connections::tenant.eq(presence.recipient.tenant.as_str()),
                connections::user_id.eq(presence.recipient.user.as_str()),
                connections::connected_at.eq(At(presence.connected_at)),
            ))
            .execute(connection)?;
    }
    for socket_id in gone {
        diesel::delete(connections::table.find(socket_id)).execute(connection)?;
    }
    Ok(())
}
