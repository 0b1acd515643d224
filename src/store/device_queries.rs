//! Reads of devices and contacts. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::is_passed_over;
use super::queries_body::row_of;
use crate::domain::{Recipient, Timestamp};
use crate::store::devices::Seen;
use crate::store::schema::{push_subscriptions, recipients, stopped_numbers};
use crate::store::types::At;
use crate::store::{Registered, StoreError};

/// See [`crate::store::Store::devices`].
pub async fn devices(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Vec<Registered>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    devices_of(connection, &[row]).await
}

/// The devices of the recipients of these rows. One whose keys do not open has none: its browser registers it anew.
pub async fn devices_of(connection: &mut Connection, rows: &[i64]) -> Result<Vec<Registered>, StoreError> {
    let of = push_subscriptions::table.filter(push_subscriptions::recipient_id.eq_any(rows.to_vec()));
    let rows: Vec<Seen> = of.order(push_subscriptions::id).load(connection).await?;
    let mut all = Vec::with_capacity(rows.len());
    for (device, why) in rows.into_iter().map(Seen::registered) {
        if let Some(why) = why {
            is_passed_over(connection, "a device's keys", device.device.id, why).await?;
        }
        all.push(device);
    }
    Ok(all)
}

/// See [`crate::store::Store::contacts`].
pub async fn contacts(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Option<String>, StoreError> {
    let stored: Option<Option<String>> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::contacts)
        .get_result(connection)
        .await
        .optional()?;
    Ok(stored.flatten())
}

/// See [`crate::store::Store::stopped`]: those of these digests that are known, and younger than that.
pub async fn stopped(
    connection: &mut Connection,
    digests: &[String],
    since: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let known = stopped_numbers::table
        .filter(stopped_numbers::number_digest.eq_any(digests))
        .filter(stopped_numbers::stopped_at.gt(At(since)))
        .select(stopped_numbers::number_digest);
    Ok(known.load(connection).await?)
}
