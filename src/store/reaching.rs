//! Writes of devices and contacts. Compiled twice, like `commit.rs`.

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use uuid::Uuid;

use super::capping::number_digests;
use super::commit::was_done;
use super::erasing::note_consent;
use super::opening::leave_to_others;
use super::outbox::{end, look_again, next_step};
use super::recur::clock;
use super::{Connection, Memory, RunQueryDsl, preferences_of, record, row_of, telling};
use crate::domain::{
    Channel, Consents, Contacts, NotificationId, Phone, Recipient, SaidBy, Tenant, Timestamp, UserId,
    WebhookEvent,
};
use crate::store::State;
use crate::store::content::open;
use crate::store::devices::{ContactsWrite, DeviceWrite, NewDevice, Said, WhichDevice};
use crate::store::schema::{
    consents, deliveries, delivery_attempts, push_subscriptions, recipients, stopped_numbers,
};
use crate::store::sealing::{Opening, Sealed, SealedBytes, as_blind};
use crate::store::types::{At, UuidColumn};
use crate::store::write::Written;

fn unwritable(fault: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(fault))
}

body! {
    /// Does something with devices.
    pub fn of_devices(
        connection: &mut Connection,
        memory: &mut Memory,
        write: &DeviceWrite,
    ) -> QueryResult<Written> {
        Ok(match write {
            DeviceWrite::Register { recipient, new, most, deed } => {
                let id = wait!(register(connection, memory, recipient, new, *most, At(deed.at)))?;
                if id.is_some() {
                    wait!(record(connection, std::slice::from_ref(deed)))?;
                }
                Written::Device(id)
            }
            DeviceWrite::Change { recipient, id, kinds, quiet_hours, deed } => {
                let row = wait!(row_of(connection, memory, recipient))?;
                let one = push_subscriptions::table
                    .filter(push_subscriptions::id.eq(*id))
                    .filter(push_subscriptions::recipient_id.eq(row));
                let mut changed: i64 = wait!(one.count().get_result(connection))?;
                if let Some(kinds) = kinds {
                    let text = kinds.as_ref().map(serde_json::to_string).transpose().map_err(unwritable)?;
                    let set = diesel::update(one).set(push_subscriptions::kinds.eq(text));
                    changed = changed.min(i64::try_from(wait!(set.execute(connection))?).unwrap_or(0));
                }
                if let Some(hours) = quiet_hours {
                    let text = hours.as_ref().map(serde_json::to_string).transpose().map_err(unwritable)?;
                    let set = diesel::update(one).set(push_subscriptions::quiet_hours.eq(text));
                    changed = changed.min(i64::try_from(wait!(set.execute(connection))?).unwrap_or(0));
                }
                if changed > 0 {
                    wait!(look_again(connection, row))?;
                    wait!(record(connection, std::slice::from_ref(deed)))?;
                }
                Written::Device((changed > 0).then_some(*id))
            }
            DeviceWrite::Remove { recipient, which, deed } => {
                if wait!(was_done(connection, deed))? {
                    return Ok(Written::Changed(1));
                }
                let row = wait!(row_of(connection, memory, recipient))?;
                let own = push_subscriptions::table.filter(push_subscriptions::recipient_id.eq(row));
                let removed = match which {
                    WhichDevice::Number(id) => {
                        let one = own.filter(push_subscriptions::id.eq(*id));
                        wait!(diesel::delete(one).execute(connection))?
                    }
                    WhichDevice::Endpoint(endpoint) => {
                        let one = own.filter(push_subscriptions::endpoint.eq(endpoint));
                        wait!(diesel::delete(one).execute(connection))?
                    }
                };
                if removed > 0 {
                    wait!(record(connection, std::slice::from_ref(deed)))?;
                }
                Written::Changed(removed)
            }
            DeviceWrite::Gone(ids) => {
                let these = push_subscriptions::table.filter(push_subscriptions::id.eq_any(ids));
                Written::Changed(wait!(diesel::delete(these).execute(connection))?)
            }
            DeviceWrite::Reached(ids, at) => {
                let these = push_subscriptions::table.filter(push_subscriptions::id.eq_any(ids));
                let well = (push_subscriptions::last_ok_at.eq(At(*at)), push_subscriptions::failures.eq(0));
                Written::Changed(wait!(diesel::update(these).set(well).execute(connection))?)
            }
            DeviceWrite::Failed(ids) => {
                let these = push_subscriptions::table.filter(push_subscriptions::id.eq_any(ids));
                let more = push_subscriptions::failures.eq(push_subscriptions::failures + 1);
                Written::Changed(wait!(diesel::update(these).set(more).execute(connection))?)
            }
        })
    }
}

body! {
    /// The device is the recipient's from now on: its number, or nothing, if they have too many. What its former owner
    /// chose for it is forgotten; what they chose themselves stays.
    fn register(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        new: &NewDevice,
        most: i64,
        at: At,
    ) -> QueryResult<Option<i64>> {
        // Theirs until the commit, so that two nodes do not count at once.
        wait!(preferences_of(connection, memory, recipient))?;
        let row = wait!(row_of(connection, memory, recipient))?;
        let tenant = recipient.tenant.as_str();
        let known: Option<(i64, i64)> = wait!(push_subscriptions::table
            .filter(push_subscriptions::tenant.eq(tenant))
            .filter(push_subscriptions::endpoint.eq(&new.device.endpoint))
            .select((push_subscriptions::id, push_subscriptions::recipient_id))
            .get_result(connection))
        .optional()?;
        let is_own = known.is_some_and(|(_, owner)| owner == row);
        if !is_own {
            let own = push_subscriptions::table.filter(push_subscriptions::recipient_id.eq(row));
            let many: i64 = wait!(own.count().get_result(connection))?;
            if many >= most {
                return Ok(None);
            }
        }
        let told = (
            push_subscriptions::recipient_id.eq(row),
            push_subscriptions::p256dh.eq(SealedBytes(new.device.p256dh.clone())),
            push_subscriptions::auth.eq(SealedBytes(new.device.auth.clone())),
            push_subscriptions::user_agent.eq(&new.user_agent),
            push_subscriptions::device_info.eq(&new.info),
            push_subscriptions::failures.eq(0),
        );
        let Some((id, _)) = known else {
            let place = (push_subscriptions::tenant.eq(tenant), push_subscriptions::endpoint.eq(&new.device.endpoint));
            let id = wait!(diesel::insert_into(push_subscriptions::table)
                .values((told, place, push_subscriptions::created_at.eq(at)))
                .returning(push_subscriptions::id)
                .get_result(connection))?;
            return Ok(Some(id));
        };
        let this = push_subscriptions::table.find(id);
        wait!(diesel::update(this).set(told).execute(connection))?;
        if !is_own {
            let anew = (
                push_subscriptions::kinds.eq(None::<String>),
                push_subscriptions::quiet_hours.eq(None::<String>),
                push_subscriptions::created_at.eq(at),
                push_subscriptions::last_ok_at.eq(None::<At>),
            );
            wait!(diesel::update(this).set(anew).execute(connection))?;
        }
        Ok(Some(id))
    }
}

body! {
    /// Does something with somebody's contacts.
    pub fn of_contacts(
        connection: &mut Connection,
        memory: &mut Memory,
        write: &ContactsWrite,
    ) -> QueryResult<Written> {
        match write {
            ContactsWrite::Change { recipient, change, deed } => {
                // Theirs until the commit.
                wait!(preferences_of(connection, memory, recipient))?;
                let row = wait!(row_of(connection, memory, recipient))?;
                let this = recipients::table.find(row);
                let stored: Option<Opening> = wait!(this.select(recipients::contacts).get_result(connection))?;
                let before = match open(stored) {
                    Ok(stored) => stored.as_deref().map(Contacts::from_stored).unwrap_or_default(),
                    Err(why) => {
                        wait!(leave_to_others(connection, &why))?;
                        // What is not said would be gone without anybody's saying so: whether they are a minor.
                        if !change.is_whole() {
                            return Ok(Written::Unreadable);
                        }
                        Contacts { consents: wait!(agreed(connection, row))?, ..Contacts::default() }
                    }
                };
                let after = before.changed(change.clone());
                let text = after.to_stored();
                wait!(diesel::update(this).set(recipients::contacts.eq(Sealed(text))).execute(connection))?;
                wait!(record(connection, std::slice::from_ref(deed)))?;
                Ok(Written::Reachable(after.into()))
            }
            ContactsWrite::Reported { provider, provider_id, key, said, at } => {
                let which = (*provider, provider_id.as_str(), *key);
                Ok(Written::Changed(wait!(reported(connection, memory, which, said, *at))?))
            }
        }
    }
}

body! {
    /// What somebody agrees to, by what they said last of each channel.
    fn agreed(connection: &mut Connection, row: i64) -> QueryResult<Consents> {
        let said: Vec<(i32, i32)> = wait!(consents::table
            .filter(consents::recipient_id.eq(row))
            .filter(consents::kind.eq(""))
            .order(consents::id)
            .select((consents::channel, consents::is_given))
            .load(connection))?;
        let said = said.into_iter().filter_map(|(channel, is_given)| Some((Channel::from_number(channel)?, is_given != 0)));
        Ok(said.collect())
    }
}

/// A delivery that a provider may speak of: its number, notification, recipient, step, state, attempt, and how the provider
/// called it last.
type Spoken = (i64, i64, i64, i32, i32, i32, Option<String>);

/// Whether what is `said` of a message that the provider calls `id` changes anything for this delivery. Where nobody knows yet
/// whether it was taken, that it is spoken of tells so; but not of an attempt that is over.
fn is_news(one: &Spoken, id: &str, said: &Said) -> bool {
    let is_last = one.6.as_deref().is_none_or(|known| known == id);
    match State::from_number(one.4) {
        State::Waiting | State::UnderWay => one.6.as_deref() != Some(id),
        State::Sent => *said == Said::Arrived || (*said != Said::Taken && is_last),
        _ => false,
    }
}

body! {
    /// Notes what a provider says of what it had taken, as far as nothing was known of that yet. Returns of how many deliveries
    /// it speaks.
    fn reported(
        connection: &mut Connection,
        memory: &mut Memory,
        (provider, provider_id, key): (&str, &str, Uuid),
        said: &Said,
        at: Timestamp,
    ) -> QueryResult<usize> {
        let columns = (
            deliveries::id,
            deliveries::notification_id,
            deliveries::recipient_id,
            deliveries::step,
            deliveries::state,
            deliveries::attempt,
            deliveries::provider_id,
        );
        let known = deliveries::table.filter(deliveries::parcel_key.eq(UuidColumn(key)));
        let mut all: Vec<Spoken> = wait!(known.select(columns).load(connection))?;
        if all.is_empty() {
            let named = deliveries::table
                .filter(deliveries::provider_id.eq(provider_id))
                .filter(deliveries::provider.eq(provider));
            all = wait!(named.select(columns).load(connection))?;
        }
        let news: Vec<&Spoken> = all.iter().filter(|one| is_news(one, provider_id, said)).collect();
        for (id, notification, recipient, step, state, attempt, _) in &news {
            if *state == State::UnderWay.number() {
                // Whoever asked has no say in it any more.
                wait!(diesel::insert_into(delivery_attempts::table)
                    .values((
                        delivery_attempts::delivery_id.eq(*id),
                        delivery_attempts::attempt.eq(*attempt),
                        delivery_attempts::at.eq(At(at)),
                        delivery_attempts::took_ms.eq(0),
                        delivery_attempts::provider.eq(provider),
                        delivery_attempts::state.eq(State::Sent.number()),
                    ))
                    .on_conflict_do_nothing()
                    .execute(connection))?;
            }
            let state = match said {
                Said::Taken => State::Sent,
                Said::Arrived => State::Delivered,
                Said::Failed(reason) | Said::Stopped(reason) => {
                    wait!(end(connection, &[*id], State::Failed, reason, at))?;
                    let notification = NotificationId(*notification);
                    wait!(next_step(connection, notification, *recipient, *step, at))?;
                    continue;
                }
            };
            wait!(diesel::update(deliveries::table.find(id))
                .set((
                    deliveries::state.eq(state.number()),
                    deliveries::reason.eq(None::<String>),
                    deliveries::provider.eq(provider),
                    deliveries::provider_id.eq(provider_id),
                    deliveries::finished_at.eq(At(at)),
                ))
                .execute(connection))?;
        }
        let event = match said {
            Said::Taken => WebhookEvent::Sent,
            Said::Arrived => WebhookEvent::Delivered,
            Said::Failed(_) | Said::Stopped(_) => WebhookEvent::Failed,
        };
        let ids: Vec<i64> = news.iter().map(|one| one.0).collect();
        wait!(telling::of_deliveries(connection, memory, &ids, event, at))?;
        if matches!(said, Said::Stopped(_)) {
            wait!(stop_numbers(connection, &ids))?;
        }
        Ok(all.len())
    }
}

body! {
    /// The numbers that these text messages went to want no more, whoever they are given for; where they are still somebody's,
    /// that is shown.
    pub fn stop_numbers(connection: &mut Connection, ids: &[i64]) -> QueryResult<()> {
        let now = At(wait!(clock(connection))?);
        type Row = (i64, String, String, Option<String>, Option<Opening>, Option<String>);
        // As it is stored: what is sealed is never the same twice.
        let as_stored = diesel::dsl::sql::<Nullable<Text>>("recipients.contacts");
        let all: Vec<Row> = wait!(deliveries::table
            .inner_join(recipients::table)
            .filter(deliveries::id.eq_any(ids))
            .filter(deliveries::channel.eq(Channel::Sms.number()))
            .select((
                recipients::id,
                recipients::tenant,
                recipients::user_id,
                deliveries::number_digest,
                recipients::contacts,
                as_stored,
            ))
            .load(connection))?;
        for (row, tenant, user, number, stored, as_stored) in all {
            if let Some(number) = &number {
                let number = as_blind(number);
                let stopped = (stopped_numbers::number_digest.eq(number), stopped_numbers::stopped_at.eq(now));
                wait!(diesel::insert_into(stopped_numbers::table)
                    .values(stopped)
                    .on_conflict(stopped_numbers::number_digest)
                    .do_update()
                    .set(stopped_numbers::stopped_at.eq(now))
                    .execute(connection))?;
            }
            // Where contacts do not open, nothing is sent by them either.
            let Some(Opening(Ok(stored))) = stored else { continue };
            let contacts = Contacts::from_stored(&stored);
            let is_of = |phone: &Option<Phone>| {
                let own = phone.as_ref().map(number_digests).zip(number.as_ref());
                own.is_some_and(|(own, number)| own.contains(number))
            };
            let is_guardians = contacts.is_minor && is_of(&contacts.guardian.phone);
            if !is_guardians && (contacts.has_stopped || !is_of(&contacts.phone)) {
                continue;
            }
            let unreadable = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
            let whom = Recipient {
                tenant: Tenant::new(&tenant).map_err(unreadable)?,
                user: UserId::new(&user).map_err(unreadable)?,
            };
            let said = (Channel::Sms, "", false);
            wait!(note_consent(connection, &whom, row, said, SaidBy::Stop, (None, None)))?;
            let stopped = match is_guardians {
                true => Contacts { consents: contacts.consents.with(Channel::Sms, false), ..contacts },
                false => Contacts { has_stopped: true, ..contacts },
            };
            let stopped = stopped.to_stored();
            // Unless they have just changed.
            let unchanged = diesel::dsl::sql::<Nullable<Text>>("recipients.contacts").eq(as_stored);
            let same = recipients::table.find(row).filter(unchanged);
            wait!(diesel::update(same).set(recipients::contacts.eq(Sealed(stopped))).execute(connection))?;
        }
        Ok(())
    }
}
