//! Deliveries over channels that are not sockets: made in the commit that puts a notification into an inbox, and what
//! comes of them. Compiled twice, like `commit.rs`.
//!
//! Promise: what comes of an attempt counts only while no later one was begun.

use std::collections::HashSet;

use diesel::prelude::*;

use super::reaching::{of_devices, stop_numbers};
use super::{Connection, Memory, RunQueryDsl, note_tried};
use crate::domain::{Channel, NewNotification, NotificationId, Placed, Tenant, Timestamp, Wish};
use crate::store::schema::{deliveries, notifications};
use crate::store::types::At;
use crate::store::{DeviceWrite, Outcome, State, Tried};

/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

body! {
    /// Notes what is to go out of `new`, which its recipients have at `places`.
    pub fn post(
        connection: &mut Connection,
        new: &NewNotification,
        id: NotificationId,
        places: &[Placed],
    ) -> QueryResult<()> {
        match &new.wish {
            Some(wish) => wait!(post_all(connection, &new.tenant, wish, id, new.created_at, places)),
            None => Ok(()),
        }
    }
}

body! {
    /// The same, of what spreads.
    pub fn post_spread(
        connection: &mut Connection,
        tenant: &Tenant,
        id: NotificationId,
        wish: Option<&Wish>,
        at: Timestamp,
        places: &[Placed],
    ) -> QueryResult<()> {
        match wish {
            Some(wish) => wait!(post_all(connection, tenant, wish, id, at, places)),
            None => Ok(()),
        }
    }
}

body! {
    fn post_all(
        connection: &mut Connection,
        tenant: &Tenant,
        wish: &Wish,
        id: NotificationId,
        at: Timestamp,
        places: &[Placed],
    ) -> QueryResult<()> {
        let steps = wish.steps();
        let row = |placed: &Placed, channel: Channel, step: i32| {
            let later = i64::from(step - 1).max(0) * i64::from(wish.escalation.after);
            (
                deliveries::notification_id.eq(id.0),
                deliveries::recipient_id.eq(placed.place.recipient),
                deliveries::position.eq(placed.place.position),
                deliveries::tenant.eq(tenant.as_str()),
                deliveries::channel.eq(channel.number()),
                deliveries::step.eq(step),
                deliveries::due_at.eq(At(at.plus_seconds(later))),
                deliveries::created_at.eq(At(at)),
            )
        };
        let rows: Vec<_> = places
            .iter()
            .flat_map(|placed| steps.iter().map(move |(channel, step)| row(placed, *channel, *step)))
            .collect();
        for some in rows.chunks(TOGETHER) {
            wait!(diesel::insert_into(deliveries::table).values(some.to_vec()).execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// What the sender of `id` wants beyond sockets.
    pub fn wish_of(connection: &mut Connection, id: NotificationId) -> QueryResult<Option<Wish>> {
        let wish: Option<String> =
            wait!(notifications::table.find(id.0).select(notifications::wish).get_result(connection))?;
        Ok(wish.as_deref().and_then(Wish::read))
    }
}

body! {
    /// Nothing more is to be done for this one.
    pub fn end(connection: &mut Connection, id: i64, state: State, why: &str, now: Timestamp) -> QueryResult<()> {
        wait!(diesel::update(deliveries::table.find(id))
            .set((
                deliveries::state.eq(state.number()),
                deliveries::reason.eq(why),
                deliveries::finished_at.eq(At(now)),
            ))
            .execute(connection))?;
        Ok(())
    }
}

body! {
    /// What was to follow this delivery follows at once, if it had a step.
    pub fn next_step(connection: &mut Connection, id: i64, now: Timestamp) -> QueryResult<()> {
        let (notification, recipient, step): (i64, i64, i32) = wait!(deliveries::table
            .find(id)
            .select((deliveries::notification_id, deliveries::recipient_id, deliveries::step))
            .get_result(connection))?;
        if step == 0 {
            return Ok(());
        }
        let of_entry = || {
            deliveries::table
                .filter(deliveries::notification_id.eq(notification))
                .filter(deliveries::recipient_id.eq(recipient))
        };
        // Other devices may have it, or get it.
        let others: i64 = wait!(of_entry()
            .filter(deliveries::step.eq(step))
            .filter(deliveries::state.lt(State::Failed.number()))
            .count()
            .get_result(connection))?;
        if others == 0 {
            let later = of_entry()
                .filter(deliveries::step.gt(step))
                .filter(deliveries::state.eq(State::Waiting.number()));
            wait!(diesel::update(later)
                .set((deliveries::step.eq(deliveries::step - 1), deliveries::due_at.eq(At(now))))
                .execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// Notes what came of attempts. Returns how many counted.
    pub fn tried(
        connection: &mut Connection,
        memory: &mut Memory,
        all: &[Tried],
        now: Timestamp,
    ) -> QueryResult<usize> {
        let noted: HashSet<i64> = wait!(note_tried(connection, all, now))?;
        let counted = |is_it: fn(&Outcome) -> bool| {
            all.iter().filter(move |one| is_it(&one.outcome)).filter(|one| noted.contains(&one.id))
        };
        let refused: Vec<i64> = counted(|what| matches!(what, Outcome::Gone(_))).map(|one| one.id).collect();
        if !refused.is_empty() {
            wait!(stop_numbers(connection, &refused))?;
        }
        let of = |is_it| -> Vec<i64> { counted(is_it).filter_map(|one| one.device).collect() };
        let (gone, failed) = (of(|what| matches!(what, Outcome::Gone(_))), of(|what| matches!(what, Outcome::Failed(_))));
        let reached = of(|what| matches!(what, Outcome::Sent(_)));
        for (devices, write) in [
            (gone.len(), DeviceWrite::Gone(gone)),
            (failed.len(), DeviceWrite::Failed(failed)),
            (reached.len(), DeviceWrite::Reached(reached, now)),
        ] {
            if devices > 0 {
                wait!(of_devices(connection, memory, &write))?;
            }
        }
        for one in all.iter().filter(|one| noted.contains(&one.id)) {
            if matches!(one.outcome.state(), State::Failed | State::Skipped) {
                wait!(next_step(connection, one.id, now))?;
            }
        }
        Ok(noted.len())
    }
}

body! {
    /// Calls failed deliveries of `tenant`'s back to life: the one of this number, or all.
    pub fn revive(
        connection: &mut Connection,
        tenant: &Tenant,
        id: Option<i64>,
        now: Timestamp,
    ) -> QueryResult<usize> {
        let failed = deliveries::table
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state = 4"))
            .filter(deliveries::tenant.eq(tenant.as_str()))
            .filter(deliveries::id.ge(id.unwrap_or(0)))
            .filter(deliveries::id.le(id.unwrap_or(i64::MAX)));
        wait!(diesel::update(failed)
            .set((
                deliveries::state.eq(State::Waiting.number()),
                deliveries::since.eq(deliveries::attempt),
                deliveries::due_at.eq(At(now)),
                deliveries::finished_at.eq(None::<At>),
            ))
            .execute(connection))
    }
}
