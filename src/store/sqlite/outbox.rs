//! Deliveries: one process writes, so nothing has to be kept from others.

use std::collections::HashSet;
use std::marker::PhantomData;

use diesel::prelude::*;

use super::statements::NoteDelivery;
use super::{Connection, DueDelivery, NewDelivery};
use crate::domain::{Channel, Timestamp};
use crate::store::schema::{deliveries, delivery_attempts};
use crate::store::types::At;
use crate::store::{State, Tried};

/// The deliveries over `channel` that are due.
pub fn take_due(
    connection: &mut Connection,
    channel: Channel,
    most: i64,
    now: Timestamp,
) -> QueryResult<Vec<DueDelivery>> {
    deliveries::table
        .filter(deliveries::channel.eq(channel.number()))
        .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state < 2"))
        .filter(deliveries::due_at.le(At(now)))
        .order(deliveries::due_at)
        .limit(most)
        .select((deliveries::id, deliveries::recipient_id, deliveries::position, deliveries::step))
        .load(connection)
}

/// The entries of these: nobody else changes them.
pub fn held_entries(_: &mut Connection, due: &[DueDelivery]) -> QueryResult<HashSet<(i64, i64)>> {
    Ok(due.iter().map(|(_, recipient, position, _)| (*recipient, *position)).collect())
}

/// Makes these deliveries.
pub fn insert_deliveries(connection: &mut Connection, all: &[NewDelivery<'_>]) -> QueryResult<()> {
    let row = |new: &NewDelivery<'_>| {
        (
            deliveries::notification_id.eq(new.notification.0),
            deliveries::recipient_id.eq(new.place.recipient),
            deliveries::position.eq(new.place.position),
            deliveries::tenant.eq(new.tenant.to_owned()),
            deliveries::channel.eq(new.channel.number()),
            deliveries::step.eq(new.step),
            deliveries::due_at.eq(At(new.due_at)),
            deliveries::created_at.eq(At(new.placed_at)),
        )
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    diesel::insert_into(deliveries::table).values(rows).execute(connection)?;
    Ok(())
}

/// Notes attempts that count; tells of which deliveries.
pub fn note_tried(connection: &mut Connection, all: &[Tried], now: Timestamp) -> QueryResult<HashSet<i64>> {
    let mut noted = HashSet::with_capacity(all.len());
    for one in all {
        let state = one.outcome.state();
        let due_at = one.outcome.again(now).unwrap_or(now);
        let finished_at = (state != State::Waiting).then_some(At(now));
        let note = NoteDelivery {
            state: state.number(),
            due_at: At(due_at),
            since: i32::from(!one.is_asked),
            reason: one.outcome.reason(),
            provider: one.provider,
            provider_id: one.outcome.provider_id(),
            finished_at,
            id: one.id,
            attempt: one.attempt,
            under_way: State::UnderWay.number(),
            borrowed: PhantomData,
        };
        let changed = note.execute(connection)?;
        if changed == 0 {
            continue;
        }
        noted.insert(one.id);
        if !one.is_asked {
            continue;
        }
        diesel::insert_into(delivery_attempts::table)
            .values((
                delivery_attempts::delivery_id.eq(one.id),
                delivery_attempts::attempt.eq(one.attempt),
                delivery_attempts::at.eq(At(one.at)),
                delivery_attempts::took_ms.eq(one.took_ms),
                delivery_attempts::provider.eq(one.provider),
                delivery_attempts::state.eq(state.number()),
                delivery_attempts::reason.eq(one.outcome.reason()),
            ))
            .execute(connection)?;
    }
    Ok(noted)
}
