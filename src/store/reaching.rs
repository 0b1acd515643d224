//! Writes of devices and contacts. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::commit::was_done;
use super::{Connection, Memory, RunQueryDsl, preferences_of, record, row_of};
use crate::domain::{Contacts, Recipient};
use crate::store::devices::{ContactsWrite, DeviceWrite, NewDevice, WhichDevice};
use crate::store::schema::{push_subscriptions, recipients};
use crate::store::types::At;
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
            push_subscriptions::p256dh.eq(&new.device.p256dh),
            push_subscriptions::auth.eq(&new.device.auth),
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
        let row = match write {
            ContactsWrite::Change { recipient, .. } => {
                // Theirs until the commit.
                wait!(preferences_of(connection, memory, recipient))?;
                wait!(row_of(connection, memory, recipient))?
            }
            ContactsWrite::Stopped { recipient, .. } => *recipient,
        };
        let stored: Option<Option<String>> =
            wait!(recipients::table.find(row).select(recipients::contacts).get_result(connection)).optional()?;
        let before = stored.flatten().as_deref().map(Contacts::from_stored).unwrap_or_default();
        let after = match write {
            ContactsWrite::Change { change, deed, .. } => {
                wait!(record(connection, std::slice::from_ref(deed)))?;
                before.changed(change.clone())
            }
            ContactsWrite::Stopped { phone, .. } if before.phone.as_ref() == Some(phone) => {
                Contacts { has_stopped: true, ..before }
            }
            ContactsWrite::Stopped { .. } => return Ok(Written::Reachable(before.into())),
        };
        let text = after.to_stored();
        wait!(diesel::update(recipients::table.find(row)).set(recipients::contacts.eq(text)).execute(connection))?;
        Ok(Written::Reachable(after.into()))
    }
}
