//! Where somebody has a notification. Compiled twice, once for each database.

use super::Connection;
use super::queries_body::{last_notification, row_of};
use crate::domain::{NotificationId, Position, Recipient};
use crate::store::StoreError;

/// See [`crate::store::Store::place_of`].
pub async fn place_of(
    connection: &mut Connection,
    recipient: &Recipient,
    id: NotificationId,
) -> Result<Option<Position>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(None) };
    super::position_of(connection, row, id).await
}

/// See [`crate::store::Store::place_behind`].
pub async fn place_behind(
    connection: &mut Connection,
    recipient: &Recipient,
    id: NotificationId,
) -> Result<Option<Position>, StoreError> {
    if id.0 <= 0 {
        return Ok(Some(0));
    }
    let row = row_of(connection, recipient).await?;
    if let Some(row) = row
        && let Some(place) = super::position_of(connection, row, id).await?
    {
        return Ok(Some(place));
    }
    if id.0 > last_notification(connection).await? {
        return Ok(None);
    }
    match row {
        Some(row) => super::position_after(connection, row, id).await.map(Some),
        None => Ok(Some(0)),
    }
}
