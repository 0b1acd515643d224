//! What opens of deliveries whose turn has come, and of what spreads. Compiled twice, like `commit.rs`.
//!
//! Promise: what cannot be opened holds up nothing else. It is given up with the reason, or left to a node that has its key.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::{Connection, RunQueryDsl};
use crate::domain::{Channel, Notification, Timestamp};
use crate::store::Registered;
use crate::store::content::{Content, content, notification as shown, open};
use crate::store::devices::Seen;
use crate::store::schema::{deliveries, inbox, notifications, push_subscriptions, recipients, sealing};
use crate::store::sealing::{KEY, Opening, Unopened, legible};
use crate::store::types::At;

/// Seconds after which one that another node can open is looked at again here.
pub const ELSEWHERE: i64 = 5;

/// A device whose keys cannot be opened.
pub struct ShutDevice {
    pub id: i64,
    pub recipient: i64,
    pub why: Unopened,
}

/// What is looked at when a delivery's turn has come.
pub struct Row {
    pub delivery: (i64, i64, i32, i32, i32, Option<i64>, At, i32, (i32, i32, Option<At>)),
    pub entry: (Option<At>, Option<At>, Option<At>, Option<i32>),
    pub person: (i64, String, String, Option<String>),
    pub contacts: Option<String>,
    pub wish: Option<String>,
    pub sender: Option<String>,
    pub notification: Notification,
}

type Columns = (
    (i64, i64, i32, i32, i32, Option<i64>, At, i32, (i32, i32, Option<At>)),
    (Option<At>, Option<At>, Option<At>, Option<i32>),
    (i64, Opening, Opening, Option<Opening>),
    (Option<Opening>, Option<Opening>, Option<Opening>),
    Content,
);

/// What opens of it.
fn row(
    (delivery, entry, (number, tenant, user, preferences), (contacts, wish, sender), content): Columns,
) -> Result<Row, (i64, Unopened)> {
    let shut = |why| (delivery.0, why);
    let (contacts, wish) = (open(contacts).map_err(shut)?, open(wish).map_err(shut)?);
    let person = (number, tenant.0.map_err(shut)?, user.0.map_err(shut)?, legible(preferences));
    let sender = legible(sender);
    let notification = shown(content).map_err(shut)?;
    Ok(Row { delivery, entry, person, contacts, wish, sender, notification })
}

body! {
    /// These, and those of them that cannot be opened.
    pub fn looked_at(connection: &mut Connection, ids: &[i64]) -> QueryResult<(Vec<Row>, Vec<(i64, Unopened)>)> {
        let entry =
            inbox::recipient_id.eq(deliveries::recipient_id).and(inbox::position.eq(deliveries::position));
        let all: Vec<Columns> = wait!(
            deliveries::table
                .inner_join(inbox::table.on(entry))
                .inner_join(recipients::table)
                .inner_join(notifications::table)
                .filter(deliveries::id.eq_any(ids))
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
                    (recipients::id, recipients::tenant, recipients::user_id, recipients::preferences),
                    (recipients::contacts, notifications::wish, notifications::sender),
                    content(),
                ))
                .load(connection)
        )?;
        let (mut open, mut locked) = (Vec::with_capacity(all.len()), Vec::new());
        for one in all {
            match row(one) {
                Ok(row) => open.push(row),
                Err(shut) => locked.push(shut),
            }
        }
        Ok((open, locked))
    }
}

body! {
    /// This notification, if it opens; nothing if it is damaged: the log names it. It is a fault where another server can open it.
    pub fn opened(
        connection: &mut Connection,
        id: i64,
        one: Result<Notification, Unopened>,
    ) -> QueryResult<Option<Notification>> {
        let Err(why) = one else { return Ok(one.ok()) };
        wait!(leave_to_others(connection, &why))?;
        tracing::error!(
            notification.id = id,
            fault = %why,
            "what is stored of a notification cannot be read: it comes to nobody"
        );
        Ok(None)
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

body! {
    /// It is a fault, and no damage, if another server can open what this one cannot.
    pub fn leave_to_others(connection: &mut Connection, why: &Unopened) -> QueryResult<()> {
        match wait!(is_of_others(connection, why))? {
            true => Err(diesel::result::Error::DeserializationError(Box::new(why.clone()))),
            false => Ok(()),
        }
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
        let people: HashSet<i64> = rows.iter().map(|row| row.person.0).collect();
        let theirs = push_subscriptions::table.filter(push_subscriptions::recipient_id.eq_any(people));
        let found: Vec<Seen> = wait!(theirs.order(push_subscriptions::id).load(connection))?;
        for (device, why) in found.into_iter().map(Seen::registered) {
            match why {
                Some(why) => shut.push(ShutDevice { id: device.device.id, recipient: device.recipient, why }),
                None => devices.entry(device.recipient).or_default().push(device),
            }
        }
        Ok((devices, shut))
    }
}
