//! Reads of deliveries. Compiled twice, like `queries.rs`.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use super::writing::now;
use crate::domain::{Channel, NotificationId, Recipient, Tenant, Timestamp, UserId};
use crate::store::schema::{deliveries, delivery_attempts, inbox, notifications, recipients};
use crate::store::sealing::{Opening, legible};
use crate::store::types::{At, Instant};
use crate::store::{Attempt, Delivery, State, StoreError};

/// See [`crate::store::Store::next_delivery`].
pub async fn next_delivery(
    connection: &mut Connection,
    channel: Channel,
) -> Result<Option<Duration>, StoreError> {
    // As the index `deliveries_due` has it.
    let unfinished = diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state < 2");
    let next: Option<(At, At)> = deliveries::table
        .filter(deliveries::channel.eq(channel.number()))
        .filter(unfinished)
        .order(deliveries::due_at)
        .select((deliveries::due_at, now()))
        .limit(1)
        .get_result(connection)
        .await
        .optional()?;
    let left = |(due, now): (At, At)| u64::try_from(due.0.as_micros() - now.0.as_micros()).unwrap_or(0);
    Ok(next.map(|both| Duration::from_micros(left(both))))
}

/// See [`crate::store::Store::pushed_too_late`].
pub async fn pushed_too_late(connection: &mut Connection, ids: &[i64]) -> Result<Vec<Recipient>, StoreError> {
    let entry =
        inbox::recipient_id.eq(deliveries::recipient_id).and(inbox::position.eq(deliveries::position));
    let people: Vec<(String, String)> = deliveries::table
        .inner_join(inbox::table.on(entry))
        .inner_join(recipients::table)
        .filter(deliveries::id.eq_any(ids))
        .filter(deliveries::channel.eq(Channel::Push.number()))
        .filter(deliveries::state.eq(State::Sent.number()))
        .filter(deliveries::retraction.eq(0))
        .filter(inbox::read_at.is_not_null().or(inbox::deleted_at.is_not_null()))
        .select((recipients::tenant, recipients::user_id))
        .distinct()
        .load(connection)
        .await?;
    let person = |(tenant, user): (String, String)| {
        Some(Recipient { tenant: Tenant::new(&tenant).ok()?, user: UserId::new(&user).ok()? })
    };
    Ok(people.into_iter().filter_map(person).collect())
}

type Columns = (
    i64,
    i64,
    (Opening, Opening),
    (i32, i32, Option<i64>, i32, i32, i32),
    At,
    i32,
    (Option<Opening>, Option<Opening>),
    At,
    Option<At>,
);

macro_rules! columns {
    () => {
        (
            deliveries::id,
            deliveries::notification_id,
            (notifications::kind, recipients::user_id),
            (
                deliveries::channel,
                deliveries::step,
                deliveries::device_id,
                deliveries::state,
                deliveries::retraction,
                deliveries::to_guardian,
            ),
            deliveries::due_at,
            deliveries::attempt,
            (deliveries::reason, deliveries::provider),
            deliveries::created_at,
            deliveries::finished_at,
        )
    };
}

fn delivery(columns: Columns) -> Delivery {
    let (id, notification, (kind, user), place, due_at, attempt, (reason, provider), created_at, finished_at) =
        columns;
    let (channel, step, device, state, retraction, to_guardian) = place;
    Delivery {
        id,
        notification: NotificationId(notification),
        kind: kind.legible(),
        user: user.legible(),
        channel: Channel::from_number(channel).unwrap_or(Channel::Email),
        step,
        device,
        is_retraction: retraction == 2,
        state: State::from_number(state),
        due_at: due_at.0,
        attempt,
        reason: legible(reason),
        provider: legible(provider),
        to_guardian: to_guardian == 1,
        created_at: created_at.0,
        finished_at: finished_at.map(|at| at.0),
    }
}

/// See [`crate::store::Store::deliveries_of`].
pub async fn deliveries_of(
    connection: &mut Connection,
    tenant: &Tenant,
    id: NotificationId,
    recipient: Option<&Recipient>,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let mut query = deliveries::table
        .inner_join(recipients::table)
        .inner_join(notifications::table)
        .filter(deliveries::notification_id.eq(id.0))
        .filter(recipients::tenant.eq(tenant.as_str()))
        .order(deliveries::id)
        .limit(limit)
        .select(columns!())
        .into_boxed();
    if let Some(recipient) = recipient {
        query = query.filter(recipients::user_id.eq(recipient.user.as_str()));
    }
    let found: Vec<Columns> = query.load(connection).await?;
    Ok(found.into_iter().map(delivery).collect())
}

/// See [`crate::store::Store::attempts_of`].
pub async fn attempts_of(connection: &mut Connection, ids: &[i64]) -> Result<Vec<Attempt>, StoreError> {
    type Columns = (i64, At, i32, Opening, i32, Option<Opening>);
    let found: Vec<Columns> = delivery_attempts::table
        .filter(delivery_attempts::delivery_id.eq_any(ids))
        .order((delivery_attempts::delivery_id, delivery_attempts::attempt))
        .select((
            delivery_attempts::delivery_id,
            delivery_attempts::at,
            delivery_attempts::took_ms,
            delivery_attempts::provider,
            delivery_attempts::state,
            delivery_attempts::reason,
        ))
        .load(connection)
        .await?;
    let mut all: Vec<Attempt> = Vec::with_capacity(found.len());
    for (delivery, At(at), took_ms, provider, state, reason) in found {
        // Those between, which asked nobody, are not told.
        let number = all.last().filter(|last| last.delivery == delivery).map_or(1, |last| last.number + 1);
        let state = State::from_number(state);
        let (provider, reason) = (provider.legible(), legible(reason));
        all.push(Attempt { delivery, number, at, took_ms, provider, state, reason });
    }
    Ok(all)
}

/// See [`crate::store::Store::failed_deliveries`].
pub async fn failed_deliveries(
    connection: &mut Connection,
    tenant: &Tenant,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    // As the index `deliveries_failed` has it.
    let failed = diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state = 4");
    let found: Vec<Columns> = deliveries::table
        .inner_join(recipients::table)
        .inner_join(notifications::table)
        .filter(failed)
        .filter(deliveries::id.lt(before.unwrap_or(i64::MAX)))
        .filter(deliveries::tenant.eq(tenant.as_str()))
        .order(deliveries::id.desc())
        .limit(limit)
        .select(columns!())
        .load(connection)
        .await?;
    Ok(found.into_iter().map(delivery).collect())
}

/// See [`crate::store::Store::failed_numbers`].
pub async fn failed_numbers(
    connection: &mut Connection,
    tenant: &Tenant,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    // As the index `deliveries_failed` has it.
    let failed = diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state = 4");
    Ok(deliveries::table
        .filter(failed)
        .filter(deliveries::id.lt(before.unwrap_or(i64::MAX)))
        .filter(deliveries::tenant.eq(tenant.as_str()))
        .order(deliveries::id.desc())
        .limit(limit)
        .select(deliveries::id)
        .load(connection)
        .await?)
}

/// See [`crate::store::Store::texts_of_tenants`].
pub async fn texts_of_tenants(
    connection: &mut Connection,
    since: Timestamp,
    most: i64,
) -> Result<Vec<(String, i64)>, StoreError> {
    #[derive(QueryableByName)]
    struct Many {
        #[diesel(sql_type = Text)]
        tenant: String,
        #[diesel(sql_type = BigInt)]
        many: i64,
    }
    // As the index `deliveries_texts_of_tenant` has it; and what is kept of people who were forgotten.
    let texts = "SELECT tenant, CAST(sum(many) AS BIGINT) AS many FROM ( \
        SELECT tenant, count(*) AS many FROM deliveries \
        WHERE channel = 3 AND state >= 1 AND state <= 3 AND due_at > $1 GROUP BY tenant \
        UNION ALL SELECT tenant, count(*) AS many FROM spent WHERE channel = 3 AND at > $2 GROUP BY tenant \
        ) AS counted GROUP BY tenant HAVING sum(many) >= $3";
    let texts = diesel::sql_query(texts)
        .bind::<Instant, _>(At(since))
        .bind::<Instant, _>(At(since))
        .bind::<BigInt, _>(most);
    let all: Vec<Many> = texts.load(connection).await?;
    Ok(all.into_iter().map(|Many { tenant, many }| (tenant, many)).collect())
}
