//! What is looked at of deliveries whose turn has come. Compiled twice, like `commit.rs`.
//!
//! Promise: what cannot be opened holds up nothing else. It is given up with the reason, or left to a node that has its key.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::{Connection, RunQueryDsl};
use crate::domain::{Channel, Timestamp};
use crate::store::content::{Content, content};
use crate::store::schema::{deliveries, inbox, notifications, push_subscriptions, recipients, sealing};
use crate::store::sealing::{KEY, Unopened, unopened};
use crate::store::types::At;
use crate::store::{Registered, RegisteredRow};

/// Seconds after which one that another node can open is looked at again here.
pub const ELSEWHERE: i64 = 5;

/// What is looked at when a delivery's turn has come.
pub type Row = (
    (i64, i64, i32, i32, i32, Option<i64>, At, i32, (i32, i32, Option<At>)),
    (Option<At>, Option<At>, Option<At>, Option<i32>),
    (i64, String, String, Option<String>, Option<String>),
    (Option<String>, Option<String>),
    Content,
);

/// A device whose keys cannot be opened.
pub struct ShutDevice {
    pub id: i64,
    pub recipient: i64,
    pub why: Unopened,
}

/// What is looked at of the deliveries for which this holds.
macro_rules! rows {
    ($connection:expr, $which:expr) => {{
        let entry =
            inbox::recipient_id.eq(deliveries::recipient_id).and(inbox::position.eq(deliveries::position));
        let rows: QueryResult<Vec<Row>> = wait!(
            deliveries::table
                .inner_join(inbox::table.on(entry))
                .inner_join(recipients::table)
                .inner_join(notifications::table)
                .filter($which)
                .order(deliveries::id)
                .select((
                    (
                        deliveries::id,
                        deliveries::position,
                        deliveries::step,
                        deliveries::attempt,
                        deliveries::since,
                        deliveries::device_id,
                        deliveries::created_at,
                        deliveries::retraction,
                        (deliveries::state, deliveries::unanswered, deliveries::steps_from),
                    ),
                    (inbox::confirmed_at, inbox::read_at, inbox::deleted_at, inbox::hush),
                    (
                        recipients::id,
                        recipients::tenant,
                        recipients::user_id,
                        recipients::preferences,
                        recipients::contacts,
                    ),
                    (notifications::wish, notifications::sender),
                    content(),
                ))
                .load($connection)
        );
        rows
    }};
}

body! {
    /// These, and those of them that cannot be opened.
    pub fn looked_at(connection: &mut Connection, ids: &[i64]) -> QueryResult<(Vec<Row>, Vec<(i64, Unopened)>)> {
        match rows!(connection, deliveries::id.eq_any(ids)) {
            Err(fault) if unopened(&fault).is_some() => {}
            all => return Ok((all?, Vec::new())),
        }
        let (mut all, mut locked) = (Vec::new(), Vec::new());
        for id in ids {
            match rows!(connection, deliveries::id.eq(*id)) {
                Ok(one) => all.extend(one),
                Err(fault) => match unopened(&fault) {
                    Some(why) => locked.push((*id, why.clone())),
                    None => return Err(fault),
                },
            }
        }
        Ok((all, locked))
    }
}

body! {
    /// Whether another server can open what this one cannot: the database remembers its key.
    pub fn is_of_others(connection: &mut Connection, why: &Unopened) -> QueryResult<bool> {
        let Unopened::NoKey(key) = why else { return Ok(false) };
        let known = sealing::table.filter(sealing::name.eq(format!("{KEY}{key}")));
        let many: i64 = wait!(known.count().get_result(connection))?;
        Ok(many > 0)
    }
}

/// A delivery that is given up: its number, notification, recipient and step, and why.
pub type GivenUp = (i64, i64, i64, i32, String);

body! {
    /// Which of those that cannot be opened are given up. One whose key another node has is left to it.
    pub fn given_up(
        connection: &mut Connection,
        locked: Vec<(i64, Unopened)>,
        held: &HashSet<(i64, i64)>,
        now: Timestamp,
    ) -> QueryResult<Vec<GivenUp>> {
        let mut all = Vec::new();
        for (id, why) in locked {
            let this = deliveries::table.find(id);
            let columns = (deliveries::notification_id, deliveries::recipient_id, deliveries::position, deliveries::step);
            let (notification, recipient, position, step): (i64, i64, i64, i32) =
                wait!(this.select(columns).get_result(connection))?;
            if wait!(is_of_others(connection, &why))? {
                let later = deliveries::due_at.eq(At(now.plus_seconds(ELSEWHERE)));
                wait!(diesel::update(this).set(later).execute(connection))?;
            } else if held.contains(&(recipient, position)) {
                all.push((id, notification, recipient, step, why.to_string()));
            }
        }
        Ok(all)
    }
}

body! {
    /// The devices of those whom the rows are for, and those that cannot be opened.
    pub fn devices(
        connection: &mut Connection,
        channel: Channel,
        rows: &[Row],
    ) -> QueryResult<(HashMap<i64, Vec<Registered>>, Vec<ShutDevice>)> {
        let (mut devices, mut shut): (HashMap<i64, Vec<Registered>>, _) = (HashMap::new(), Vec::new());
        if channel != Channel::Push || rows.is_empty() {
            return Ok((devices, shut));
        }
        let people: HashSet<i64> = rows.iter().map(|row| row.2.0).collect();
        let theirs = push_subscriptions::table.filter(push_subscriptions::recipient_id.eq_any(people));
        let theirs = theirs.order(push_subscriptions::id);
        let found: QueryResult<Vec<RegisteredRow>> = wait!(theirs.clone().load(connection));
        let found = match found {
            Err(fault) if unopened(&fault).is_some() => {
                let columns = (push_subscriptions::id, push_subscriptions::recipient_id);
                let all: Vec<(i64, i64)> = wait!(theirs.select(columns).load(connection))?;
                let mut found = Vec::new();
                for (id, recipient) in all {
                    let one: QueryResult<RegisteredRow> =
                        wait!(push_subscriptions::table.find(id).get_result(connection));
                    match one {
                        Ok(one) => found.push(one),
                        Err(fault) => match unopened(&fault) {
                            Some(why) => shut.push(ShutDevice { id, recipient, why: why.clone() }),
                            None => return Err(fault),
                        },
                    }
                }
                found
            }
            found => found?,
        };
        for device in found.into_iter().map(Registered::from) {
            devices.entry(device.recipient).or_default().push(device);
        }
        Ok((devices, shut))
    }
}
