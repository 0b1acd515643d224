//! Who has a notification.

use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;

use super::Connection;
use crate::domain::{NotificationId, Position, Tenant};
use crate::store::StoreError;
use crate::store::schema::{inbox, recipients};

/// Which of `tenant`'s people have `id`, and where: those whose rows come behind `after`; and where to go on, if there are more.
pub async fn places_of(
    connection: &mut Connection,
    tenant: &Tenant,
    id: NotificationId,
    after: i64,
    limit: i64,
) -> Result<(Vec<(i64, Position)>, Option<i64>), StoreError> {
    let found = inbox::table
        .inner_join(recipients::table)
        .filter(inbox::notification_id.eq(id.0))
        .filter(inbox::recipient_id.gt(after))
        .filter(recipients::tenant.eq(tenant.as_str()))
        .order(inbox::recipient_id)
        .limit(limit.saturating_add(1))
        .select((inbox::recipient_id, inbox::position));
    let mut found: Vec<(i64, Position)> = found.load(connection).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|many| many > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let next = found.last().map(|(row, _)| *row).filter(|_| has_more);
    Ok((found, next))
}
