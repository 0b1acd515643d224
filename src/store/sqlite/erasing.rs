//! What is special to erasing from a file.

use std::collections::HashSet;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel::sqlite::SqliteConnection;

use super::{BUSY_TIMEOUT, ReadConnection};
use crate::domain::Recipient;
use crate::store::StoreError;

/// One process writes, in order: nothing is under way beside it.
pub const BEGUN: &str = "0";
/// The same.
pub const OLDEST: &str = "0";

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct Busy {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// Which of these notifications others of the tenant have. What is for one person has its number as its place; to whom it came
/// is not written beside its number (decision 9), so each inbox is looked at in these places.
pub async fn others_have(
    connection: &mut ReadConnection,
    recipient: &Recipient,
    row: i64,
    ids: &[i64],
) -> Result<HashSet<i64>, StoreError> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { return Ok(HashSet::new()) };
    let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let query = format!(
        "SELECT i.notification_id AS id FROM recipients AS r CROSS JOIN inbox AS i \
         WHERE (r.tenant || '') = $1 AND i.recipient_id = r.id AND r.id <> {row} \
         AND i.position BETWEEN {first} AND {last} AND i.position = i.notification_id \
         AND i.notification_id IN ({list}) \
         UNION SELECT notification_id FROM inbox \
         WHERE notification_id IN ({list}) AND position <> notification_id AND recipient_id <> {row}"
    );
    let query = diesel::sql_query(query).bind::<Text, _>(recipient.tenant.as_str().to_owned());
    let found: Vec<Id> = diesel_async::RunQueryDsl::load(query, connection).await?;
    Ok(found.into_iter().map(|one| one.id).collect())
}

/// Writes the file anew, if it has at most so many bytes and is to be, and empties its log, unless somebody reads there: what
/// was removed, and what pages were left behind when rows moved, is nowhere any more. Tells whether the log is empty. What is
/// removed is overwritten in any case (`secure_delete`).
pub fn scrub(connection: &mut SqliteConnection, most: Option<u64>) -> bool {
    let size = "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()";
    let size = diesel::RunQueryDsl::get_result::<Size>(diesel::sql_query(size), connection);
    let bytes = size.map_or(u64::MAX, |size| u64::try_from(size.bytes).unwrap_or(u64::MAX));
    if most.is_some_and(|most| bytes <= most) {
        // A file, where there may be one: all of the database need not fit into memory.
        let in_file = connection.batch_execute("PRAGMA temp_store = FILE; VACUUM;");
        connection.batch_execute("PRAGMA temp_store = MEMORY;").ok();
        if let Err(fault) = in_file.or_else(|_| connection.batch_execute("VACUUM;")) {
            tracing::warn!(%fault, "the database file could not be written anew; what was removed is overwritten");
        }
    } else if most.is_some() {
        tracing::info!(
            bytes,
            "somebody was forgotten; the file is larger than privacy.vacuum_mb and is not written anew: what was removed \
             is overwritten, and VACUUM on the stopped file takes away what moved before"
        );
    }
    // Others wait for this connection: it waits for nobody.
    connection.batch_execute("PRAGMA busy_timeout = 0").ok();
    let pragma = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)");
    let emptied = diesel::RunQueryDsl::get_result::<Busy>(pragma, connection);
    connection.batch_execute(BUSY_TIMEOUT).ok();
    matches!(emptied, Ok(Busy { busy: 0 }))
}
