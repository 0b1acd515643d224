//! The write bodies, async.

macro_rules! wait {
    ($query:expr) => {
        $query.await
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access async fn $name $arguments -> $output $body
    };
}

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult};
use diesel_async::AsyncPgConnection as Connection;
use diesel_async::RunQueryDsl;

use crate::domain::{NewNotification, NotificationId, Recipient};
use crate::store::schema::{inbox, notifications, recipients};

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;

/// What the writer knows without asking: nothing, since other nodes write too.
#[derive(Default)]
pub struct Memory;

impl Memory {
    async fn begin(&mut self, _: &mut Connection) -> QueryResult<()> {
        Ok(())
    }
}

/// Stores the content; `None` if its idempotency key is taken.
async fn insert(
    connection: &mut Connection,
    _: &mut Memory,
    new: &NewNotification,
) -> QueryResult<Option<i64>> {
    diesel::insert_into(notifications::table)
        .values(content!(new))
        .on_conflict_do_nothing()
        .returning(notifications::id)
        .get_result(connection)
        .await
        .optional()
}

/// Reserves `many` places for `recipient`: its row, and the last place taken before. The row stays
/// locked until the commit, so places are given in commit order.
async fn reserve(
    connection: &mut Connection,
    _: &mut Memory,
    recipient: &Recipient,
    many: usize,
) -> QueryResult<(i64, i64)> {
    let many = i64::try_from(many).unwrap_or(i64::MAX);
    let (row, last): (i64, i64) = diesel::insert_into(recipients::table)
        .values((
            recipients::tenant.eq(recipient.tenant.as_str()),
            recipients::user_id.eq(recipient.user.as_str()),
            recipients::last_position.eq(many),
        ))
        .on_conflict((recipients::tenant, recipients::user_id))
        .do_update()
        .set(recipients::last_position.eq(recipients::last_position + many))
        .returning((recipients::id, recipients::last_position))
        .get_result(connection)
        .await?;
    Ok((row, last - many))
}

/// Sequences commit out of order, so places are counted per recipient, in its locked row.
const fn next_position(last: &mut i64, _: NotificationId) -> i64 {
    *last += 1;
    *last
}

/// Where `recipient` has `notification`, if it does.
async fn place(
    connection: &mut Connection,
    recipient: &Recipient,
    notification: NotificationId,
) -> QueryResult<Option<(i64, i64)>> {
    inbox::table
        .inner_join(recipients::table)
        .filter(inbox::notification_id.eq(notification.0))
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .filter(inbox::deleted_at.is_null())
        .select((inbox::recipient_id, inbox::position))
        .get_result(connection)
        .await
        .optional()
}
