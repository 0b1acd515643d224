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

/// Numbers for new notifications. This process writes alone, so it can count; asking each row for its
/// number (`RETURNING`) costs more than storing it.
struct Ids {
    last: i64,
}

impl Ids {
    fn begin(connection: &mut Connection) -> QueryResult<Self> {
        let last = sqlite_sequence::table
            .filter(sqlite_sequence::name.eq("notifications"))
            .select(sqlite_sequence::seq)
            .first(connection)
            .optional()?;
        Ok(Self { last: last.unwrap_or(0) })
    }
}

/// Stores the content; `None` if its idempotency key is taken.
fn insert(connection: &mut Connection, ids: &mut Ids, new: &NewNotification) -> QueryResult<Option<i64>> {
    let id = ids.last + 1;
    let stored = diesel::insert_into(notifications::table)
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
            notifications::request_digest
                .eq(new.idempotency.as_ref().map(|same| same.request.0.as_slice())),
            notifications::created_at.eq(At(new.created_at)),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    if stored == 0 {
        return Ok(None);
    }
    ids.last = id;
    Ok(Some(id))
}

/// Reserves `many` places for `recipient`: its row, and the last place taken before. In three plain
/// statements: an upsert is prepared anew each time, which costs more.
fn advance(connection: &mut Connection, recipient: &Recipient, many: usize) -> QueryResult<(i64, i64)> {
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    let known: Option<(i64, i64)> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select((recipients::id, recipients::last_position))
        .first(connection)
        .optional()?;
    if let Some((row, last)) = known {
        diesel::update(recipients::table.find(row))
            .set(recipients::last_position.eq(last + many))
            .execute(connection)?;
        return Ok((row, last));
    }
    let row = diesel::insert_into(recipients::table)
        .values((
            recipients::tenant.eq(recipient.tenant.as_str()),
            recipients::user_id.eq(recipient.user.as_str()),
            recipients::last_position.eq(many),
        ))
        .returning(recipients::id)
        .get_result(connection)?;
    Ok((row, 0))
}
