//! What is special to erasing where many nodes write.

use std::collections::HashSet;

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::domain::Recipient;
use crate::store::StoreError;
use crate::store::schema::inbox;

/// The number that the next transaction gets.
pub const BEGUN: &str = "pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
/// That of the oldest that is under way, of those that write.
pub const OLDEST: &str = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint";

/// Which of these notifications others have.
pub async fn others_have(
    connection: &mut AsyncPgConnection,
    _: &Recipient,
    row: i64,
    ids: &[i64],
) -> Result<HashSet<i64>, StoreError> {
    let others = inbox::table
        .filter(inbox::notification_id.eq_any(ids))
        .filter(inbox::recipient_id.ne(row))
        .select(inbox::notification_id)
        .distinct();
    let found: Vec<i64> = others.load(connection).await?;
    Ok(found.into_iter().collect())
}
