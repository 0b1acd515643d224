//! The write bodies, async; and whole batches in one statement each: a round trip costs more than a row.

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

use std::collections::{BTreeMap, HashMap};

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult, QueryableByName};
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::AsyncPgConnection as Connection;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::domain::{NewNotification, NotificationId, Recipient};
use crate::store::Sent;
use crate::store::schema::{inbox, recipients};
use crate::store::types::{At, Instant, Uuid128, UuidColumn};

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

#[derive(QueryableByName)]
struct Inserted {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Uuid128)]
    uuid: UuidColumn,
}

/// Stores the contents; `None` for each whose idempotency key is taken.
async fn insert_all(
    connection: &mut Connection,
    _: &mut Memory,
    all: &[&NewNotification],
) -> QueryResult<Vec<Option<i64>>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let texts = |of: fn(&NewNotification) -> &str| all.iter().map(|new| of(new)).collect::<Vec<_>>();
    let keys: Vec<_> =
        all.iter().map(|new| new.idempotency.as_ref().map(|same| same.key.as_slice())).collect();
    let digests: Vec<_> =
        all.iter().map(|new| new.idempotency.as_ref().map(|same| same.request.0.as_slice())).collect();
    let inserted: Vec<Inserted> = sql_query(
        "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, idempotency_key, \
         request_digest, created_at) \
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT DO NOTHING RETURNING id, uuid",
    )
    .bind::<Array<Uuid128>, _>(all.iter().map(|new| UuidColumn(new.uuid)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(texts(|new| new.recipient.tenant.as_str()))
    .bind::<Array<Text>, _>(texts(|new| new.kind))
    .bind::<Array<Text>, _>(texts(|new| new.topic))
    .bind::<Array<Text>, _>(texts(|new| &new.title))
    .bind::<Array<Text>, _>(texts(|new| &new.message))
    .bind::<Array<Text>, _>(texts(|new| &new.data))
    .bind::<Array<Nullable<Binary>>, _>(keys)
    .bind::<Array<Nullable<Binary>>, _>(digests)
    .bind::<Array<Instant>, _>(all.iter().map(|new| At(new.created_at)).collect::<Vec<_>>())
    .load(connection)
    .await?;
    let ids: HashMap<Uuid, i64> = inserted.into_iter().map(|row| (row.uuid.0, row.id)).collect();
    Ok(all.iter().map(|new| ids.get(&new.uuid).copied()).collect())
}

#[derive(QueryableByName)]
struct Reserved {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    tenant: String,
    #[diesel(sql_type = Text)]
    user_id: String,
    #[diesel(sql_type = BigInt)]
    last_position: i64,
}

/// Gives each its place in its recipient's inbox. A recipient's row stays locked until the commit, so that
/// places are given in commit order, without gaps; rows are locked in one order everywhere, so that two
/// nodes do not wait for each other.
async fn place_all(
    connection: &mut Connection,
    _: &mut Memory,
    all: &[(&Recipient, NotificationId)],
) -> QueryResult<Vec<(i64, i64)>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts: BTreeMap<&Recipient, i64> = BTreeMap::new();
    for (recipient, _) in all {
        *counts.entry(recipient).or_default() += 1;
    }
    let reserved: Vec<Reserved> = sql_query(
        "INSERT INTO recipients AS r (tenant, user_id, last_position) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (tenant, user_id) DO UPDATE SET last_position = r.last_position + excluded.last_position \
         RETURNING id, tenant, user_id, last_position",
    )
    .bind::<Array<Text>, _>(counts.keys().map(|recipient| recipient.tenant.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(counts.keys().map(|recipient| recipient.user.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(counts.values().copied().collect::<Vec<_>>())
    .load(connection)
    .await?;
    let mut next: HashMap<(&str, &str), (i64, i64)> = HashMap::with_capacity(reserved.len());
    for row in &reserved {
        next.insert((&row.tenant, &row.user_id), (row.id, row.last_position));
    }
    for (recipient, many) in counts {
        if let Some((_, last)) = next.get_mut(&(recipient.tenant.as_str(), recipient.user.as_str())) {
            *last -= many;
        }
    }
    let mut places = Vec::with_capacity(all.len());
    for (recipient, _) in all {
        let place = next.get_mut(&(recipient.tenant.as_str(), recipient.user.as_str()));
        let (row, last) = place.ok_or(diesel::result::Error::NotFound)?;
        *last += 1;
        places.push((*row, *last));
    }
    sql_query("INSERT INTO inbox (recipient_id, position, notification_id) SELECT * FROM unnest($1, $2, $3)")
        .bind::<Array<BigInt>, _>(places.iter().map(|(row, _)| *row).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(places.iter().map(|(_, position)| *position).collect::<Vec<_>>())
        .bind::<Array<BigInt>, _>(all.iter().map(|(_, notification)| notification.0).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(places)
}

/// Notes confirmations; returns how many entries were not confirmed before.
async fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
    sql_query(
        "UPDATE inbox SET sent_at = e.sent, confirmed_at = e.confirmed, confirmed_by = 'heartbeat' \
         FROM unnest($1, $2, $3, $4) AS e (recipient, place, sent, confirmed) \
         WHERE recipient_id = e.recipient AND position = e.place AND confirmed_at IS NULL",
    )
    .bind::<Array<BigInt>, _>(entries.iter().map(|entry| entry.recipient).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(entries.iter().map(|entry| entry.position).collect::<Vec<_>>())
    .bind::<Array<Instant>, _>(entries.iter().map(|entry| At(entry.sent_at)).collect::<Vec<_>>())
    .bind::<Array<Instant>, _>(entries.iter().map(|entry| At(entry.confirmed_at)).collect::<Vec<_>>())
    .execute(connection)
    .await
}

/// The database's own time: the clocks of nodes may differ.
fn now() -> SqlLiteral<Instant> {
    sql("now()")
}

/// So many seconds before it.
fn ago(seconds: i64) -> SqlLiteral<Instant> {
    sql(&format!("now() - make_interval(secs => {seconds})"))
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
