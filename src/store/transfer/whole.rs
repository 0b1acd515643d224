//! Tables that are moved row by row in the order of their keys, and nothing else.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest as _, Sha256};

use super::TOGETHER;
use crate::store::schema::{audit_log, expansions, push_subscriptions, recurrences, recurring};
use crate::store::types::At;
use crate::store::{StoreError, sqlite};

/// What spreads, or has spread.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = expansions)]
struct Expansion {
    notification_id: i64,
    tenant: String,
    audience: String,
    due_at: At,
    reached: i64,
    recipients: i64,
    chunks: i64,
    finished_at: Option<At>,
    present: Option<String>,
}

/// A notification that was made of what recurs.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = recurrences)]
struct Made {
    notification_id: i64,
    recurring_id: i64,
    due_at: At,
}

/// What somebody did.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit_log)]
struct Recorded {
    id: i64,
    at: At,
    tenant: String,
    actor: Option<String>,
    action: String,
    subject: Option<String>,
    detail: String,
    address: Option<String>,
}

/// One page of a table behind a key, from either side.
macro_rules! page {
    ($connection:expr, $table:ident, $key:ident, $row:ty, $after:expr) => {
        $table::table
            .filter($table::$key.gt($after))
            .order($table::$key)
            .limit(TOGETHER)
            .load::<$row>($connection)
            .await?
    };
}

macro_rules! whole {
    ($($table:ident by $key:ident: $row:ty;)*) => {
        /// Copies what `target` does not have yet.
        pub async fn copy(
            source: &mut sqlite::ReadConnection,
            target: &mut AsyncPgConnection,
        ) -> Result<(), StoreError> {
            $({
                let last: Option<i64> =
                    $table::table.select(diesel::dsl::max($table::$key)).get_result(target).await?;
                let mut after = last.unwrap_or(0);
                loop {
                    let rows = page!(source, $table, $key, $row, after);
                    let Some(last) = rows.last() else { break };
                    after = last.$key;
                    diesel::insert_into($table::table).values(&rows).execute(target).await?;
                }
            })*
            Ok(())
        }

        digest!(source: sqlite::ReadConnection, $($table by $key: $row;)*);
        digest!(target: AsyncPgConnection, $($table by $key: $row;)*);
    };
}

macro_rules! digest {
    ($side:ident: $connection:ty, $($table:ident by $key:ident: $row:ty;)*) => {
        /// Adds all rows of this side.
        pub async fn $side(connection: &mut $connection, digest: &mut Sha256) -> Result<(), StoreError> {
            $({
                let mut after = 0;
                loop {
                    let rows = page!(connection, $table, $key, $row, after);
                    let Some(last) = rows.last() else { break };
                    after = last.$key;
                    rows.iter().for_each(|row| digest.update(format!("{row:?}")));
                }
            })*
            Ok(())
        }
    };
}

whole! {
    expansions by notification_id: Expansion;
    recurring by id: crate::store::recurring::Row;
    recurrences by notification_id: Made;
    audit_log by id: Recorded;
    push_subscriptions by id: crate::store::devices::Row;
}
