//! What becomes of notifications, written down for those who want to be told: in the transaction in which it becomes true.
//! Compiled twice, like `commit.rs`.
//!
//! Promise: where nobody wants to be told, nothing is asked or written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::hooked::{LONGEST, entries_at, entries_of};
use super::outbox::RETRACTION;
use super::recur::clock;
use super::{Connection, Marked, Memory, RunQueryDsl};
use crate::domain::{Channel, Position, Timestamp, WebhookEvent};
use crate::store::schema::{deliveries, inbox, notifications, recipients, webhook_messages, webhooks};
use crate::store::sealing::{Opening, legible};
use crate::store::types::{At, UuidColumn};
use crate::store::webhooks::Listener;
use crate::store::{MUTED, Mark, Sent};

/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

/// An entry: where, when it was confirmed and read, what, and whose it is.
pub type Told = (i64, i64, Option<At>, Option<At>, About, Opening);
/// A notification: its number, name, tenant, kind and topic.
pub type About = (i64, UuidColumn, Opening, Opening, Opening);

/// Something that has become true.
struct Fact {
    event: WebhookEvent,
    tenant: String,
    at: Timestamp,
    data: Value,
}

/// What there is to say of any of them.
fn about((id, UuidColumn(uuid), _, kind, topic): &About, user: &Opening) -> Value {
    let text = |stored: &Opening| stored.clone().legible();
    let (kind, topic, user) = (text(kind), text(topic), text(user));
    json!({"notification_id": id, "notification_uuid": uuid, "type": kind, "topic": topic, "user_id": user})
}

/// What became of an entry that is marked so at that time.
fn of_entry(entry: &Told, at: Timestamp, by: &str) -> Vec<Fact> {
    let (_, _, confirmed_at, read_at, notification, user) = entry;
    let mut facts = Vec::new();
    let mut add =
        |event, data| facts.push(Fact { event, tenant: notification.2.clone().legible(), at, data });
    if confirmed_at.is_none() {
        let mut data = about(notification, user);
        (data["channel"], data["confirmed_by"]) = (json!("in_app"), json!(by));
        add(WebhookEvent::Delivered, data);
    }
    if by == "read" && read_at.is_none() {
        add(WebhookEvent::Read, about(notification, user));
    }
    facts
}

body! {
    /// Who wants to be told anything.
    fn listeners(connection: &mut Connection, memory: &mut Memory) -> QueryResult<Arc<[Listener]>> {
        if let Some(known) = memory.listeners.known(LONGEST) {
            return Ok(known);
        }
        let rows: Vec<(i64, Opening, Option<Opening>)> = wait!(webhooks::table
            .filter(webhooks::is_enabled.eq(1))
            .select((webhooks::id, webhooks::tenant, webhooks::events))
            .load(connection))?;
        let all: Arc<[Listener]> = rows
            .into_iter()
            .map(|(id, tenant, events)| Listener::new((id, tenant.legible(), legible(events))))
            .collect();
        memory.listeners.remember(all.clone());
        Ok(all)
    }
}

body! {
    /// Writes down facts for those who want them.
    fn post(connection: &mut Connection, listeners: &[Listener], facts: Vec<Fact>) -> QueryResult<()> {
        let due_at = match facts.is_empty() {
            true => return Ok(()),
            false => At(wait!(clock(connection))?),
        };
        let mut rows = Vec::new();
        for Fact { event, tenant, at, data } in facts {
            let (uuid, data) = (UuidColumn(Uuid::now_v7()), data.to_string());
            let wanting = listeners.iter().filter(|one| one.wants(event, &tenant));
            rows.extend(wanting.map(|one| {
                (
                    webhook_messages::uuid.eq(uuid),
                    webhook_messages::webhook_id.eq(one.webhook),
                    webhook_messages::event.eq(event.name()),
                    webhook_messages::data.eq(data.clone()),
                    webhook_messages::happened_at.eq(At(at)),
                    webhook_messages::due_at.eq(due_at),
                )
            }));
        }
        for some in rows.chunks(TOGETHER) {
            wait!(diesel::insert_into(webhook_messages::table).values(some.to_vec()).execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// Something is alarming in this tenant.
    pub fn of_alert(
        connection: &mut Connection,
        memory: &mut Memory,
        tenant: &str,
        at: Timestamp,
        data: &Value,
    ) -> QueryResult<()> {
        let listeners = wait!(listeners(connection, memory))?;
        let event = WebhookEvent::SecurityAlert;
        if !listeners.iter().any(|one| one.wants(event, tenant)) {
            return Ok(());
        }
        let fact = Fact { event, tenant: tenant.to_owned(), at, data: data.clone() };
        wait!(post(connection, &listeners, vec![fact]))
    }
}

body! {
    /// These entries are about to be confirmed, since the sockets that got them live.
    pub fn of_confirmed(connection: &mut Connection, memory: &mut Memory, entries: &[Sent]) -> QueryResult<()> {
        let listeners = wait!(listeners(connection, memory))?;
        if !listeners.iter().any(|one| one.wants(WebhookEvent::Delivered, &one.tenant)) {
            return Ok(());
        }
        let times: HashMap<(i64, i64), Timestamp> = entries
            .iter()
            .map(|entry| ((entry.place.recipient, entry.place.position), entry.confirmed_at))
            .collect();
        let mut places: Vec<(i64, i64)> = times.keys().copied().collect();
        places.sort_unstable();
        let found = wait!(entries_at(connection, &places))?;
        let at = |entry: &Told| times.get(&(entry.0, entry.1)).copied();
        let facts = found.iter().filter_map(|entry| Some(of_entry(entry, at(entry)?, "heartbeat")));
        wait!(post(connection, &listeners, facts.flatten().collect()))
    }
}

body! {
    /// These entries are about to be marked.
    pub fn of_marked(
        connection: &mut Connection,
        memory: &mut Memory,
        mark: Mark,
        entries: &[&Marked<'_>],
    ) -> QueryResult<()> {
        let by = match mark {
            Mark::Confirmed => "ack",
            Mark::Read => "read",
            Mark::Unread | Mark::Deleted => return Ok(()),
        };
        let listeners = wait!(listeners(connection, memory))?;
        let entries: Vec<&Marked<'_>> = entries
            .iter()
            .copied()
            .filter(|one| listeners.iter().any(|listener| listener.tenant == one.recipient.tenant.as_str()))
            .collect();
        let [first, ..] = entries.as_slice() else { return Ok(()) };
        let at = first.at;
        let found = wait!(entries_of(connection, &entries))?;
        let mut seen = HashSet::new();
        let facts = found.iter().filter(|entry| seen.insert((entry.0, entry.1)));
        let facts = facts.flat_map(|entry| of_entry(entry, at, by)).collect();
        wait!(post(connection, &listeners, facts))
    }
}

body! {
    /// What row `recipient` has behind one place and up to another is about to be marked read.
    pub fn of_read(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: i64,
        at: Timestamp,
        (after, upto): (Position, Position),
    ) -> QueryResult<()> {
        let listeners = wait!(listeners(connection, memory))?;
        if listeners.is_empty() {
            return Ok(());
        }
        let is_listed = inbox::hush.is_null().or(inbox::hush.ne(MUTED));
        let is_valid = inbox::expires_at.is_null().or(inbox::expires_at.gt(At(at)));
        let entries: Vec<Told> = wait!(inbox::table
            .inner_join(recipients::table)
            .inner_join(notifications::table)
            .filter(inbox::recipient_id.eq(recipient))
            .filter(inbox::position.gt(after))
            .filter(inbox::position.le(upto))
            .filter(inbox::read_at.is_null())
            .filter(inbox::deleted_at.is_null())
            .filter(is_listed)
            .filter(is_valid)
            .order(inbox::position)
            .select(told())
            .load(connection))?;
        let facts = entries.iter().flat_map(|entry| of_entry(entry, at, "read")).collect();
        wait!(post(connection, &listeners, facts))
    }
}

body! {
    /// This has become of deliveries over channels that are not sockets.
    pub fn of_deliveries(
        connection: &mut Connection,
        memory: &mut Memory,
        ids: &[i64],
        event: WebhookEvent,
        at: Timestamp,
    ) -> QueryResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let listeners = wait!(listeners(connection, memory))?;
        if listeners.is_empty() {
            return Ok(());
        }
        type Row = (i64, i32, Option<i64>, Option<Opening>, Option<Opening>, About, Opening);
        let rows: Vec<Row> = wait!(deliveries::table
            .inner_join(recipients::table)
            .inner_join(notifications::table)
            .filter(deliveries::id.eq_any(ids))
            // What takes a push back tells nobody anything.
            .filter(deliveries::retraction.ne(RETRACTION))
            .order(deliveries::id)
            .select((
                deliveries::id,
                deliveries::channel,
                deliveries::device_id,
                deliveries::provider,
                deliveries::reason,
                about_columns(),
                recipients::user_id,
            ))
            .load(connection))?;
        let fact = |(id, channel, device, provider, reason, notification, user): Row| {
            let mut data = about(&notification, &user);
            data["channel"] = json!(Channel::from_number(channel).map(Channel::name));
            (data["delivery_id"], data["provider"]) = (json!(id), json!(legible(provider)));
            if let Some(device) = device {
                data["device_id"] = json!(device);
            }
            if event == WebhookEvent::Failed {
                data["reason"] = json!(legible(reason));
            }
            Fact { event, tenant: notification.2.legible(), at, data }
        };
        wait!(post(connection, &listeners, rows.into_iter().map(fact).collect()))
    }
}

type AboutColumns = (
    notifications::id,
    notifications::uuid,
    notifications::tenant,
    notifications::kind,
    notifications::topic,
);
type ToldColumns = (
    inbox::recipient_id,
    inbox::position,
    inbox::confirmed_at,
    inbox::read_at,
    AboutColumns,
    recipients::user_id,
);

/// The columns of an [`About`].
const fn about_columns() -> AboutColumns {
    use notifications::*;
    (id, uuid, tenant, kind, topic)
}

/// The columns of a [`Told`].
pub const fn told() -> ToldColumns {
    use inbox::*;
    (recipient_id, position, confirmed_at, read_at, about_columns(), recipients::user_id)
}
