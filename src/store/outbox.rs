//! Deliveries over channels that are not sockets: made in the commit that puts a notification into an inbox, taken by whoever
//! tries, and noted. Compiled twice, like `commit.rs`.
//!
//! Promise: what a delivery becomes is decided in the transaction that takes it, while nobody can confirm or read what it
//! tells of; and what comes of an attempt counts only while no later one was begun.

use std::collections::HashSet;

use diesel::prelude::*;

use super::{Connection, Memory, RunQueryDsl, held_entries, note_tried, take_due};
use crate::domain::{
    Channel, MOST_ATTEMPTS, Matter, NewNotification, NotificationId, Placed, Preferences, Recipient,
    Situation, Tenant, Timestamp, UserId, Verdict, Wish,
};
use crate::store::content::{Content, content, notification as shown};
use crate::store::preferred;
use crate::store::schema::{connections, deliveries, inbox, notifications, recipients};
use crate::store::types::At;
use crate::store::{Claimed, HELD_SECONDS, SUMMED_UP, State, Tried};

/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

/// A delivery that is due: its number, the entry's recipient and position, and its step.
pub type DueDelivery = (i64, i64, i64, i32);

body! {
    /// Notes what is to go out of `new`, which its recipients have at `places`.
    pub fn post(
        connection: &mut Connection,
        new: &NewNotification,
        id: NotificationId,
        places: &[Placed],
    ) -> QueryResult<()> {
        match &new.wish {
            Some(wish) => wait!(post_all(connection, wish, id, new.created_at, places)),
            None => Ok(()),
        }
    }
}

body! {
    /// The same, of what spreads.
    pub fn post_spread(
        connection: &mut Connection,
        id: NotificationId,
        wish: Option<&Wish>,
        at: Timestamp,
        places: &[Placed],
    ) -> QueryResult<()> {
        match wish {
            Some(wish) => wait!(post_all(connection, wish, id, at, places)),
            None => Ok(()),
        }
    }
}

body! {
    fn post_all(
        connection: &mut Connection,
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

/// What is looked at when a delivery's turn has come.
type Row = (
    (i64, i32, i32, i32, Option<i64>, At),
    (Option<At>, Option<At>, Option<At>, Option<i32>),
    (i64, String, String, Option<String>),
    Option<String>,
    Content,
);

body! {
    /// Takes at most `most` deliveries over `channel` whose turn has come. Also tells how many were looked at: some wait
    /// longer, some are not needed any more.
    pub fn claim(
        connection: &mut Connection,
        memory: &mut Memory,
        channel: Channel,
        most: i64,
        now: Timestamp,
    ) -> QueryResult<(Vec<Claimed>, usize)> {
        let due: Vec<DueDelivery> = wait!(take_due(connection, channel, most, now))?;
        let looked = due.len();
        // What ends an escalation is not to happen meanwhile.
        let held: HashSet<(i64, i64)> = wait!(held_entries(connection, &due))?;
        let ids: Vec<i64> =
            due.iter().filter(|(_, row, place, _)| held.contains(&(*row, *place))).map(|(id, ..)| *id).collect();
        if ids.is_empty() {
            return Ok((Vec::new(), looked));
        }
        let entry = inbox::recipient_id.eq(deliveries::recipient_id).and(inbox::position.eq(deliveries::position));
        let rows: Vec<Row> = wait!(deliveries::table
            .inner_join(inbox::table.on(entry))
            .inner_join(recipients::table)
            .inner_join(notifications::table)
            .filter(deliveries::id.eq_any(ids))
            .order(deliveries::id)
            .select((
                (
                    deliveries::id,
                    deliveries::step,
                    deliveries::attempt,
                    deliveries::since,
                    deliveries::device_id,
                    deliveries::created_at,
                ),
                (inbox::confirmed_at, inbox::read_at, inbox::deleted_at, inbox::hush),
                (recipients::id, recipients::tenant, recipients::user_id, recipients::preferences),
                notifications::wish,
                content(),
            ))
            .load(connection))?;
        let here = wait!(present(connection, &rows))?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let is_here = here.contains(&(row.2.1.clone(), row.2.2.clone()));
            let (verdict, delivery) = judge(row, channel, is_here, &memory.mandatory, now)?;
            match verdict {
                Verdict::Go => claimed.push(delivery),
                Verdict::Wait(until) => {
                    wait!(diesel::update(deliveries::table.find(delivery.id))
                        .set(deliveries::due_at.eq(At(until)))
                        .execute(connection))?;
                }
                Verdict::Over(why) => {
                    wait!(end(connection, delivery.id, State::Cancelled, &why, now))?;
                }
                Verdict::Skip(why) => {
                    let state = if why == NEVER_FINISHED { State::Failed } else { State::Skipped };
                    wait!(end(connection, delivery.id, state, &why, now))?;
                    wait!(next_step(connection, delivery.id, now))?;
                }
            }
        }
        let taken: Vec<i64> = claimed.iter().map(|one| one.id).collect();
        if !taken.is_empty() {
            wait!(diesel::update(deliveries::table.filter(deliveries::id.eq_any(taken)))
                .set((
                    deliveries::state.eq(State::UnderWay.number()),
                    deliveries::attempt.eq(deliveries::attempt + 1),
                    deliveries::due_at.eq(At(now.plus_seconds(HELD_SECONDS))),
                ))
                .execute(connection))?;
        }
        Ok((claimed, looked))
    }
}

/// Why something that was begun again and again is not tried any more.
const NEVER_FINISHED: &str = "it was begun as often as it may be, and never finished";

/// What becomes of a delivery.
fn judge(
    row: Row,
    channel: Channel,
    is_here: bool,
    mandatory: &[String],
    now: Timestamp,
) -> QueryResult<(Verdict, Claimed)> {
    let (delivery, entry, (recipient, tenant, user, stored), wish, content) = row;
    let (id, step, attempt, since, device, placed_at) = delivery;
    let (confirmed_at, read_at, deleted_at, hush) = entry;
    let notification = shown(content);
    let wish = wish.as_deref().and_then(Wish::read).unwrap_or_default();
    let preferences: Option<Preferences> = stored.as_deref().map(preferred::read);
    let situation = Situation {
        channel,
        step,
        placed_at: placed_at.0,
        after: wish.escalation.after,
        until: wish.escalation.until,
        is_here,
        is_begun: attempt > 0 || device.is_some(),
        confirmed_at: confirmed_at.map(|at| at.0),
        read_at: read_at.map(|at| at.0),
        is_deleted: deleted_at.is_some(),
        is_summed_up: hush == Some(SUMMED_UP),
        expires_at: notification.expires_at,
        matter: Matter {
            kind: &notification.kind,
            topic: &notification.topic,
            priority: notification.priority,
        },
        preferences: preferences.as_ref(),
        mandatory,
        now,
    };
    let verdict = match situation.verdict() {
        Verdict::Go if attempt - since >= MOST_ATTEMPTS => Verdict::Skip(NEVER_FINISHED.into()),
        verdict => verdict,
    };
    let recipient_of = |tenant: &str, user: &str| {
        let unreadable = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
        let tenant = Tenant::new(tenant).map_err(unreadable)?;
        Ok::<_, diesel::result::Error>(Recipient { tenant, user: UserId::new(user).map_err(unreadable)? })
    };
    let claimed = Claimed {
        id,
        attempt: attempt + 1,
        since,
        channel,
        device,
        row: recipient,
        recipient: recipient_of(&tenant, &user)?,
        notification,
        wish,
    };
    Ok((verdict, claimed))
}

body! {
    /// Who of those whom the rows are for has a socket. Asked only where that decides.
    fn present(connection: &mut Connection, rows: &[Row]) -> QueryResult<HashSet<(String, String)>> {
        let asked = rows.iter().filter(|row| row.0.1 > 0 && row.0.2 == 0 && row.0.4.is_none());
        let people: HashSet<(&str, &str)> = asked.map(|row| (row.2.1.as_str(), row.2.2.as_str())).collect();
        if people.is_empty() {
            return Ok(HashSet::new());
        }
        let users: Vec<&str> = people.iter().map(|(_, user)| *user).collect();
        let here: Vec<(String, String)> = wait!(connections::table
            .filter(connections::user_id.eq_any(users))
            .select((connections::tenant, connections::user_id))
            .distinct()
            .load(connection))?;
        Ok(here.into_iter().collect())
    }
}

body! {
    fn end(connection: &mut Connection, id: i64, state: State, why: &str, now: Timestamp) -> QueryResult<()> {
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
    fn next_step(connection: &mut Connection, id: i64, now: Timestamp) -> QueryResult<()> {
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
    pub fn tried(connection: &mut Connection, all: &[Tried], now: Timestamp) -> QueryResult<usize> {
        let noted: HashSet<i64> = wait!(note_tried(connection, all, now))?;
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
        let own = recipients::table.filter(recipients::tenant.eq(tenant.as_str())).select(recipients::id);
        let failed = deliveries::table
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("deliveries.state = 4"))
            .filter(deliveries::recipient_id.eq_any(own))
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
