//! Who has a notification.

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;

use super::Connection;
use crate::domain::{NotificationId, Position, Tenant};
use crate::store::StoreError;

/// People who are looked at for one page of those who have a notification.
const LOOKED_AT: i64 = 50_000;

/// Which of `tenant`'s people have `id`, and where: those whose rows come behind `after`; and where to go on, if there may be
/// more. To whom it came is not written beside a number (decision 9): inboxes are looked at, a bounded number of them.
pub async fn places_of(
    connection: &mut Connection,
    tenant: &Tenant,
    id: NotificationId,
    after: i64,
    limit: i64,
) -> Result<(Vec<(i64, Position)>, Option<i64>), StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = BigInt)]
        recipient: i64,
        #[diesel(sql_type = BigInt)]
        position: i64,
    }
    #[derive(QueryableByName)]
    struct Looked {
        #[diesel(sql_type = Nullable<BigInt>)]
        last: Option<i64>,
        #[diesel(sql_type = BigInt)]
        many: i64,
    }
    let people =
        format!("SELECT id FROM recipients WHERE id > ?1 AND tenant = ?2 ORDER BY id LIMIT {LOOKED_AT}");
    let looked = sql_query(format!("SELECT max(id) AS last, count(*) AS many FROM ({people})"))
        .bind::<BigInt, _>(after)
        .bind::<Text, _>(tenant.as_str());
    let looked: Looked = looked.get_result(connection).await?;
    let Some(last) = looked.last else { return Ok((Vec::new(), None)) };
    // What was spread has another place than its number.
    let found = sql_query(format!(
        "SELECT recipient_id AS recipient, position FROM (\
           SELECT i.recipient_id, i.position FROM ({people}) AS r CROSS JOIN inbox AS i \
             WHERE i.recipient_id = r.id AND i.position = ?3 AND i.notification_id = ?3 \
           UNION ALL SELECT i.recipient_id, i.position FROM inbox AS i CROSS JOIN recipients AS r \
             WHERE i.notification_id = ?3 AND i.position <> i.notification_id AND i.recipient_id > ?1 \
               AND i.recipient_id <= ?4 AND r.id = i.recipient_id AND r.tenant = ?2) \
         ORDER BY recipient_id LIMIT ?5"
    ))
    .bind::<BigInt, _>(after)
    .bind::<Text, _>(tenant.as_str())
    .bind::<BigInt, _>(id.0)
    .bind::<BigInt, _>(last)
    .bind::<BigInt, _>(limit.saturating_add(1));
    let mut found: Vec<Found> = found.load(connection).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|many| many > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let next = match has_more {
        true => found.last().map(|one| one.recipient),
        false => Some(last).filter(|_| looked.many >= LOOKED_AT),
    };
    Ok((found.into_iter().map(|one| (one.recipient, one.position)).collect(), next))
}
