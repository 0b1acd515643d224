//! Deliveries over channels that are not sockets: made in the commit that puts a notification into an inbox, and what
//! comes of them. Compiled twice, like `commit.rs`.
//!
//! Promise: what comes of an attempt counts only while no later one was begun.

use std::collections::HashSet;

use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::reaching::{of_devices, stop_numbers};
use super::recur::clock;
use super::{Connection, Memory, RunQueryDsl, insert_deliveries, note_tried, now, telling};
use crate::domain::{
    Channel, NotificationId, Place, Placed, Recipient, Tenant, Timestamp, WebhookEvent, Wish,
};
use crate::store::schema::{deliveries, inbox, notifications, push_subscriptions, recipients};
use crate::store::types::At;
use crate::store::{DeviceWrite, Outcome, RETRACTED_TOGETHER, State, Tried};

/// A push that was taken back.
const RETRACTED: i32 = 1;
/// A push that can never be taken back.
const SHOWN: i32 = 3;
/// What takes one back.
pub const RETRACTION: i32 = 2;
/// Where Safari's pushes go.
const SAFARI: &str = "https://web.push.apple.com/%";
/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

/// A delivery that is to be made.
pub struct NewDelivery<'a> {
    pub notification: NotificationId,
    pub tenant: &'a str,
    pub place: Place,
    pub channel: Channel,
    pub step: i32,
    pub due_at: Timestamp,
    /// When what it tells of came into the inbox.
    pub placed_at: Timestamp,
}

/// What is to go out of a notification that came into the inboxes at `places`, as its sender wants it.
pub fn asked<'a>(
    notification: NotificationId,
    tenant: &'a Tenant,
    wish: Option<&Wish>,
    placed_at: Timestamp,
    places: &[Placed],
) -> Vec<NewDelivery<'a>> {
    let Some(wish) = wish else { return Vec::new() };
    let tenant = tenant.as_str();
    let steps = wish.steps();
    let new = |placed: &Placed, (channel, step): (Channel, i32)| {
        let later = i64::from(step - 1).max(0) * i64::from(wish.escalation.after());
        let due_at = placed_at.plus_seconds(later);
        NewDelivery { notification, tenant, place: placed.place, channel, step, due_at, placed_at }
    };
    places.iter().flat_map(|placed| steps.iter().map(move |step| new(placed, *step))).collect()
}

body! {
    /// Makes these deliveries.
    pub fn post(connection: &mut Connection, all: &[NewDelivery<'_>]) -> QueryResult<()> {
        for some in all.chunks(TOGETHER) {
            wait!(insert_deliveries(connection, some))?;
        }
        Ok(())
    }
}

body! {
    /// `notification` has another place now in the inbox of row `recipient`: what is to go out of it may do so at once.
    pub fn follow(
        connection: &mut Connection,
        notification: NotificationId,
        recipient: i64,
        position: i64,
    ) -> QueryResult<()> {
        let all = || {
            deliveries::table
                .filter(deliveries::notification_id.eq(notification.0))
                .filter(deliveries::recipient_id.eq(recipient))
        };
        wait!(diesel::update(all()).set(deliveries::position.eq(position)).execute(connection))?;
        let waiting = all().filter(deliveries::state.eq(State::Waiting.number()));
        let waiting = waiting.filter(deliveries::attempt.eq(0));
        // Its steps begin anew: each is given its time.
        wait!(diesel::update(waiting)
            .set((deliveries::due_at.eq(now()), deliveries::steps_from.eq(now().nullable())))
            .execute(connection))?;
        Ok(())
    }
}

body! {
    /// What row `recipient` is to get and was put off is looked at anew, since when it is wanted may have changed.
    pub fn look_again(connection: &mut Connection, recipient: i64) -> QueryResult<()> {
        // As the index `deliveries_put_off` has it.
        let put_off = "deliveries.state = 0 AND deliveries.reason = 'put off'";
        let these = deliveries::table
            .filter(deliveries::recipient_id.eq(recipient))
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(put_off));
        wait!(diesel::update(these).set(deliveries::due_at.eq(now())).execute(connection))?;
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
    /// Nothing more is to be done for these.
    pub fn end(
        connection: &mut Connection,
        ids: &[i64],
        state: State,
        why: &str,
        now: Timestamp,
    ) -> QueryResult<()> {
        wait!(diesel::update(deliveries::table.filter(deliveries::id.eq_any(ids)))
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
    /// What was to follow this step of a notification's way to a recipient follows at once, unless other devices may have it, or
    /// get it, by the same step.
    pub fn next_step(
        connection: &mut Connection,
        notification: NotificationId,
        recipient: i64,
        step: i32,
        now: Timestamp,
    ) -> QueryResult<()> {
        if step == 0 {
            return Ok(());
        }
        let of_entry = || {
            deliveries::table
                .filter(deliveries::notification_id.eq(notification.0))
                .filter(deliveries::recipient_id.eq(recipient))
        };
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
    ) -> QueryResult<usize> {
        let now = wait!(clock(connection))?;
        let noted: HashSet<i64> = wait!(note_tried(connection, all, now))?;
        let counted = |is_it: fn(&Outcome) -> bool| {
            all.iter().filter(move |one| is_it(&one.outcome)).filter(|one| noted.contains(&one.id))
        };
        let refused: Vec<i64> = counted(|what| matches!(what, Outcome::Gone(_))).map(|one| one.id).collect();
        if !refused.is_empty() {
            wait!(stop_numbers(connection, &refused))?;
        }
        let unsure: Vec<i64> = counted(|what| matches!(what, Outcome::Unsure(..))).map(|one| one.id).collect();
        if !unsure.is_empty() {
            wait!(diesel::update(deliveries::table.filter(deliveries::id.eq_any(unsure)))
                .set(deliveries::unanswered.eq(deliveries::unanswered + 1))
                .execute(connection))?;
        }
        let of = |is_it| -> Vec<i64> { counted(is_it).filter_map(|one| one.device).collect() };
        let gone = of(|what| matches!(what, Outcome::Gone(_) | Outcome::Moot(_)));
        let failed = of(|what| matches!(what, Outcome::Failed(_)));
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
        let became = |state: State| -> Vec<i64> {
            let these = all.iter().filter(|one| noted.contains(&one.id) && one.outcome.state() == state);
            these.map(|one| one.id).collect()
        };
        for (state, event) in [(State::Sent, WebhookEvent::Sent), (State::Failed, WebhookEvent::Failed)] {
            wait!(telling::of_deliveries(connection, memory, &became(state), event, now))?;
        }
        for one in all.iter().filter(|one| noted.contains(&one.id)) {
            if matches!(one.outcome.state(), State::Failed | State::Skipped) {
                wait!(next_step(connection, one.notification, one.row, one.step, now))?;
            }
        }
        Ok(noted.len())
    }
}

/// A push that was sent: its number, notification, place and device.
type Pushed = (i64, i64, i64, Option<i64>);

body! {
    /// Takes back what was pushed to `recipient` of what they have read or removed since. Safari takes it amiss when a push shows
    /// nothing, so what went there stays. Returns how many are taken back; there may be more when they are
    /// [`RETRACTED_TOGETHER`].
    pub fn retract(connection: &mut Connection, recipient: &Recipient) -> QueryResult<usize> {
        let person = recipients::table
            .filter(recipients::tenant.eq(recipient.tenant.as_str()))
            .filter(recipients::user_id.eq(recipient.user.as_str()));
        let row: Option<i64> = wait!(person.select(recipients::id).get_result(connection)).optional()?;
        let Some(row) = row else { return Ok(0) };
        // As the index `deliveries_pushed` has it.
        let pushed = || {
            let is_shown = sql::<Bool>("deliveries.channel = 2 AND deliveries.state = 2 AND deliveries.retraction = 0");
            deliveries::table.filter(deliveries::recipient_id.eq(row)).filter(is_shown)
        };
        // What can never be taken back is not looked at again.
        let takes_back = push_subscriptions::table
            .filter(push_subscriptions::id.nullable().eq(deliveries::device_id))
            .filter(push_subscriptions::endpoint.not_like(SAFARI));
        wait!(diesel::update(pushed().filter(not(exists(takes_back))))
            .set(deliveries::retraction.eq(SHOWN))
            .execute(connection))?;
        let entry = inbox::recipient_id.eq(deliveries::recipient_id).and(inbox::position.eq(deliveries::position));
        let pushed: Vec<Pushed> = wait!(pushed()
            .inner_join(inbox::table.on(entry))
            .filter(inbox::read_at.is_not_null().or(inbox::deleted_at.is_not_null()))
            .order(deliveries::id)
            .limit(RETRACTED_TOGETHER as i64)
            .select((
                deliveries::id,
                deliveries::notification_id,
                deliveries::position,
                deliveries::device_id,
            ))
            .load(connection))?;
        if pushed.is_empty() {
            return Ok(0);
        }
        let now = wait!(clock(connection))?;
        let ids: Vec<i64> = pushed.iter().map(|(id, ..)| *id).collect();
        let these = deliveries::table.filter(deliveries::id.eq_any(ids));
        wait!(diesel::update(these).set(deliveries::retraction.eq(RETRACTED)).execute(connection))?;
        let new = |(_, notification, position, device): &Pushed| {
            (
                deliveries::notification_id.eq(*notification),
                deliveries::recipient_id.eq(row),
                deliveries::position.eq(*position),
                deliveries::tenant.eq(recipient.tenant.as_str().to_owned()),
                deliveries::channel.eq(Channel::Push.number()),
                deliveries::step.eq(0),
                deliveries::device_id.eq(*device),
                deliveries::due_at.eq(At(now)),
                deliveries::created_at.eq(At(now)),
                deliveries::retraction.eq(RETRACTION),
            )
        };
        let rows: Vec<_> = pushed.iter().map(new).collect();
        wait!(diesel::insert_into(deliveries::table).values(rows).execute(connection))?;
        Ok(pushed.len())
    }
}

body! {
    /// Calls failed deliveries of `tenant`'s back to life: those of these numbers.
    pub fn revive(connection: &mut Connection, tenant: &Tenant, ids: &[i64]) -> QueryResult<usize> {
        let now = wait!(clock(connection))?;
        let failed = deliveries::table
            .filter(deliveries::id.eq_any(ids))
            .filter(deliveries::state.eq(State::Failed.number()))
            .filter(deliveries::tenant.eq(tenant.as_str()));
        wait!(diesel::update(failed)
            .set((
                deliveries::state.eq(State::Waiting.number()),
                deliveries::since.eq(deliveries::attempt),
                deliveries::unanswered.eq(0),
                deliveries::due_at.eq(At(now)),
                deliveries::finished_at.eq(None::<At>),
            ))
            .execute(connection))
    }
}
