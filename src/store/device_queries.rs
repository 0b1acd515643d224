//! Reads of devices and contacts. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::what_opens;
use super::queries_body::row_of;
use crate::domain::{Recipient, Timestamp};
use crate::store::StoreError;
use crate::store::devices::Row;
use crate::store::schema::{push_subscriptions, recipients, stopped_numbers};
use crate::store::types::At;

/// See [`crate::store::Store::devices`].
pub async fn devices(connection: &mut Connection, recipient: &Recipient) -> Result<Vec<Row>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    devices_of(connection, &[row]).await
}

/// The devices of the recipients of these rows. One whose keys do not open is passed over: its browser registers it anew.
pub async fn devices_of(connection: &mut Connection, rows: &[i64]) -> Result<Vec<Row>, StoreError> {
    let of = || {
        push_subscriptions::table
            .filter(push_subscriptions::recipient_id.eq_any(rows.to_vec()))
            .order(push_subscriptions::id)
    };
    Ok(what_opens!(connection, of(), push_subscriptions, "a device")?)
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
