//! Taking deliveries whose turn has come. Compiled twice, like `commit.rs`.
//!
//! Promise: what becomes of a delivery is decided in the transaction that takes it, while nobody can confirm or read what it
//! tells of. What cannot be opened holds up nothing else: it is given up with the reason, or left to a node that has its key.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

use super::capping::{ended as ended_by, to_address, to_number};
use super::opening::{Row, ShutDevice, devices, given_up, looked_at};
use super::outbox::{RETRACTION, end, next_step};
use super::recur::clock;
use super::{Connection, Memory, RunQueryDsl, held_entries, take_due, telling};
use crate::domain::{
    Channel, Contacts, Matter, NotificationId, Place, Preferences, Recipient, Situation, Tenant, Timestamp,
    UserId, Verdict, WebhookEvent, Wish,
};
use crate::store::preferred;
use crate::store::schema::{connections, deliveries};
use crate::store::types::At;
use crate::store::{Claimed, HELD_SECONDS, PUT_OFF, QUIET, Registered, SUMMED_UP, SmsCaps, State};

/// A delivery that is due: its number, the entry's recipient and position, and its step.
pub type DueDelivery = (i64, i64, i64, i32);

body! {
    /// Takes at most `most` deliveries over `channel` whose turn has come. Also tells how many were looked at: some wait
    /// longer, some are not needed any more.
    pub fn claim(
        connection: &mut Connection,
        memory: &mut Memory,
        channel: Channel,
        most: i64,
        caps: SmsCaps,
    ) -> QueryResult<(Vec<Claimed>, usize)> {
        // That of the database: nodes whose clocks go wrong take nothing from each other.
        let now = wait!(clock(connection))?;
        let due: Vec<DueDelivery> = wait!(take_due(connection, channel, most, now))?;
        let looked = due.len();
        // What ends an escalation is not to happen meanwhile.
        let held: HashSet<(i64, i64)> = wait!(held_entries(connection, &due))?;
        let ids: Vec<i64> = due.iter().map(|(id, ..)| *id).collect();
        if ids.is_empty() {
            return Ok((Vec::new(), looked));
        }
        let (rows, mut locked) = wait!(looked_at(connection, &ids))?;
        let found: HashSet<i64> = rows.iter().map(|row| row.delivery.0).chain(locked.iter().map(|one| one.0)).collect();
        let lost: Vec<i64> = ids.into_iter().filter(|id| !found.contains(id)).collect();
        let mut ended = HashMap::from([((State::Cancelled.number(), "what it tells of is kept no more".into()), lost)]);
        let rows: Vec<Row> = rows.into_iter().filter(|row| held.contains(&(row.person.0, row.delivery.1))).collect();
        let here = wait!(present(connection, &rows))?;
        let (devices, locked_devices) = wait!(devices(connection, channel, &rows))?;
        let whose = rows.iter().map(|row| Ok((recipient_of(&row.person.1, &row.person.2)?, row.notification.kind.clone())));
        let ended_since = wait!(ended_by(connection, &whose.collect::<QueryResult<Vec<_>>>()?, channel))?;
        let mut claimed = Vec::with_capacity(rows.len());
        let mut passed_over = Vec::new();
        for row in rows {
            let is_own = row.sender.as_deref() == Some(row.person.2.as_str());
            let is_here = here.contains(&(row.person.1.clone(), row.person.2.clone()));
            let (mut verdict, mut delivery, preferences) = judge(row, channel, is_here, &memory.mandatory, now)?;
            let consents = delivery.contacts.consents;
            if let (Verdict::Go, false, Some(why)) =
                (&verdict, delivery.is_retraction, consents.refusal(channel, caps.consent))
            {
                verdict = Verdict::Skip(why.into());
            }
            // Whoever was forgotten and ended it then has not agreed anew.
            let matter = (delivery.recipient.clone(), delivery.notification.kind.clone());
            let may_be_ended = !delivery.is_retraction && !memory.mandatory.contains(&delivery.notification.kind);
            let has_ended = consents.of(channel) != Some(true) && ended_since.contains(&matter);
            if verdict == Verdict::Go && may_be_ended && has_ended {
                verdict = Verdict::Skip("unsubscribed: its recipient has ended messages of this type".into());
            }
            if verdict == Verdict::Go {
                verdict = match channel {
                    Channel::Push => {
                        let own = devices.get(&delivery.place.recipient).map(Vec::as_slice).unwrap_or_default();
                        let shut = |device: &&ShutDevice| device.recipient == delivery.place.recipient;
                        let shut: Vec<&ShutDevice> = locked_devices.iter().filter(shut).collect();
                        match delivery.device_id {
                            Some(id) => match shut.iter().find(|device| device.id == id) {
                                Some(device) => {
                                    locked.push((delivery.id, device.why.clone()));
                                    continue;
                                }
                                None => to_device(&mut delivery, own, id, preferences.as_ref(), now),
                            },
                            None if own.is_empty() && shut.is_empty() => Verdict::Skip("no_subscription".into()),
                            None => {
                                let own = own.iter().map(|device| device.device.id);
                                let all: Vec<i64> = own.chain(shut.iter().map(|device| device.id)).collect();
                                wait!(divide(connection, &delivery, &all, now))?;
                                continue;
                            }
                        }
                    }
                    Channel::Sms => wait!(to_number(connection, &mut delivery, caps, now))?,
                    Channel::Email | Channel::Realtime => {
                        wait!(to_address(connection, &delivery, is_own, caps.mails_to_oneself, now))?
                    }
                };
            }
            let (state, why) = match verdict {
                Verdict::Go => {
                    wait!(guarded(connection, &delivery))?;
                    claimed.push(delivery);
                    continue;
                }
                Verdict::Wait(until) | Verdict::Quiet(until) => {
                    let from = if matches!(verdict, Verdict::Quiet(_)) { until } else { delivery.steps_from };
                    wait!(diesel::update(deliveries::table.find(delivery.id))
                        .set((
                            deliveries::due_at.eq(At(until)),
                            deliveries::steps_from.eq(At(from)),
                            deliveries::reason.eq(PUT_OFF),
                        ))
                        .execute(connection))?;
                    continue;
                }
                Verdict::Over(why) => (State::Cancelled, why),
                Verdict::Skip(why) => (State::Skipped, why),
                Verdict::Fail(why) => (State::Failed, why.into()),
            };
            ended.entry((state.number(), why)).or_default().push(delivery.id);
            if state != State::Cancelled {
                passed_over.push((delivery.notification.id, delivery.place.recipient, delivery.step));
            }
        }
        for (id, notification, recipient, step, why) in wait!(given_up(connection, locked, &held, now))? {
            ended.entry((State::Failed.number(), why.into())).or_default().push(id);
            passed_over.push((NotificationId(notification), recipient, step));
        }
        for ((state, why), ids) in ended.iter().filter(|(_, ids)| !ids.is_empty()) {
            wait!(end(connection, ids, State::from_number(*state), why, now))?;
            if *state == State::Failed.number() {
                wait!(telling::of_deliveries(connection, memory, ids, WebhookEvent::Failed, now))?;
            }
        }
        for (notification, recipient, step) in passed_over {
            wait!(next_step(connection, notification, recipient, step, now))?;
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

body! {
    /// Notes that it goes to the guardian of a minor, if it does.
    fn guarded(connection: &mut Connection, delivery: &Claimed) -> QueryResult<()> {
        if delivery.contacts.is_minor && delivery.channel != Channel::Push {
            let this = diesel::update(deliveries::table.find(delivery.id));
            wait!(this.set(deliveries::to_guardian.eq(1)).execute(connection))?;
        }
        Ok(())
    }
}

/// What becomes of a delivery.
fn judge(
    row: Row,
    channel: Channel,
    is_here: bool,
    mandatory: &[String],
    now: Timestamp,
) -> QueryResult<(Verdict, Claimed, Option<Preferences>)> {
    let Row {
        delivery, entry, person: (recipient, tenant, user, stored), contacts, wish, notification, ..
    } = row;
    let (id, position, step, attempt, since, device, placed_at, retraction, (state, unanswered, from)) =
        delivery;
    let (confirmed_at, read_at, deleted_at, hush) = entry;
    let wish = wish.as_deref().and_then(Wish::read).unwrap_or_default();
    let preferences: Option<Preferences> = stored.as_deref().map(preferred::read);
    // Quiet hours may have ended sooner than it was thought.
    let steps_from = from.map_or(placed_at.0, |from| from.0.min(now));
    // Whoever had it before said nothing any more.
    let unanswered = unanswered + i32::from(state == State::UnderWay.number());
    let situation = Situation {
        channel,
        step,
        steps_from,
        after: wish.escalation.after(),
        until: wish.escalation.until,
        is_here,
        is_begun: attempt > 0 || device.is_some(),
        confirmed_at: confirmed_at.map(|at| at.0),
        read_at: read_at.map(|at| at.0),
        is_deleted: deleted_at.is_some(),
        is_deferred: hush == Some(QUIET),
        is_summed_up: hush == Some(SUMMED_UP),
        begun: attempt - since,
        unanswered,
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
    let is_retraction = retraction == RETRACTION;
    let verdict = if is_retraction { situation.afterwards() } else { situation.verdict() };
    let claimed = Claimed {
        id,
        attempt: attempt + 1,
        since,
        channel,
        step,
        device_id: device,
        is_retraction,
        device: None,
        phone: None,
        place: Place { recipient, position },
        recipient: recipient_of(&tenant, &user)?,
        contacts: contacts.as_deref().map(Contacts::from_stored).unwrap_or_default(),
        time_zone: preferences.as_ref().map(|all| all.time_zone).unwrap_or_default(),
        placed_at: placed_at.0,
        steps_from,
        unanswered,
        notification,
        wish,
    };
    Ok((verdict, claimed, preferences))
}

fn recipient_of(tenant: &str, user: &str) -> QueryResult<Recipient> {
    let unreadable = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
    let tenant = Tenant::new(tenant).map_err(unreadable)?;
    Ok(Recipient { tenant, user: UserId::new(user).map_err(unreadable)? })
}

body! {
    /// Who of those whom the rows are for has a socket. Asked only where that decides.
    fn present(connection: &mut Connection, rows: &[Row]) -> QueryResult<HashSet<(String, String)>> {
        let asked = rows.iter().filter(|row| row.delivery.2 > 0 && row.delivery.3 == 0 && row.delivery.5.is_none());
        let mut people: HashMap<&str, HashSet<&str>> = HashMap::new();
        for row in asked {
            people.entry(&row.person.1).or_default().insert(&row.person.2);
        }
        let mut here = HashSet::new();
        for (tenant, users) in people {
            let found: Vec<String> = wait!(connections::table
                .filter(connections::tenant.eq(tenant))
                .filter(connections::user_id.eq_any(users))
                .select(connections::user_id)
                .distinct()
                .load(connection))?;
            here.extend(found.into_iter().map(|user| (tenant.to_owned(), user)));
        }
        Ok(here)
    }
}

body! {
    /// Makes a delivery for each of these devices.
    fn divide(
        connection: &mut Connection,
        delivery: &Claimed,
        devices: &[i64],
        now: Timestamp,
    ) -> QueryResult<()> {
        let row = |device: &i64| {
            (
                deliveries::notification_id.eq(delivery.notification.id.0),
                deliveries::recipient_id.eq(delivery.place.recipient),
                deliveries::position.eq(delivery.place.position),
                deliveries::tenant.eq(delivery.recipient.tenant.as_str().to_owned()),
                deliveries::channel.eq(Channel::Push.number()),
                deliveries::step.eq(delivery.step),
                deliveries::device_id.eq(*device),
                deliveries::due_at.eq(At(now)),
                deliveries::created_at.eq(At(delivery.placed_at)),
            )
        };
        let rows: Vec<_> = devices.iter().map(row).collect();
        wait!(diesel::insert_into(deliveries::table).values(rows).execute(connection))?;
        let many = format!("to {} devices", devices.len());
        wait!(end(connection, &[delivery.id], State::Divided, &many, now))
    }
}

/// Whether this device gets it now.
fn to_device(
    delivery: &mut Claimed,
    devices: &[Registered],
    id: i64,
    preferences: Option<&Preferences>,
    now: Timestamp,
) -> Verdict {
    let Some(device) = devices.iter().find(|one| one.device.id == id) else {
        return Verdict::Skip("no_subscription: this device is not registered any more".into());
    };
    if delivery.is_retraction {
        delivery.device = Some(device.device.clone());
        return Verdict::Go;
    }
    let notification = &delivery.notification;
    if !device.wants(&notification.kind) {
        return Verdict::Skip("this device does not take this type".into());
    }
    let zone = preferences.map(|all| all.time_zone).unwrap_or_default();
    if let Some(until) = device.quiet_until(notification.priority, now, zone) {
        return Verdict::Wait(until);
    }
    delivery.device = Some(device.device.clone());
    Verdict::Go
}
