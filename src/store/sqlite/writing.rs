//! The write bodies, blocking.

macro_rules! wait {
    ($query:expr) => {
        $query
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access fn $name $arguments -> $output $body
    };
}

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::RunQueryDsl;
use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection as Connection;

use crate::domain::{
    Hush, NewNotification, NotificationId, Place, Placed, Position, Preferences, Recipient, Wish,
};
use crate::store::Sent;
use crate::store::facts::SQLITE as DIALECT;
use crate::store::preferred;
use crate::store::schema::{inbox, notifications, recipients, recurring};
use crate::store::sealing::{Sealed, SealedStr};
use crate::store::types::{At, Instant, UuidColumn};
use crate::store::webhooks::Listeners;

#[path = "../analytics_writes.rs"]
mod analytics_writes;
#[path = "../capping.rs"]
mod capping;
#[path = "../chaining.rs"]
mod chaining;
#[path = "../claiming.rs"]
mod claiming;
#[path = "../commit.rs"]
mod commit;
#[path = "../counting.rs"]
mod counting;
#[path = "../digesting.rs"]
mod digesting;
#[path = "../disclosing.rs"]
mod disclosing;
#[path = "../erasing.rs"]
mod erasing;
#[path = "hooked.rs"]
mod hooked;
#[path = "../leaving_out.rs"]
mod leaving_out;
#[path = "marking.rs"]
mod marking;
#[path = "../opening.rs"]
mod opening;
#[path = "../outbox.rs"]
mod outbox_body;
#[path = "outbox.rs"]
mod outbox_special;
#[path = "plans.rs"]
mod plans;
#[path = "../presence.rs"]
mod presence;
#[path = "quiet.rs"]
mod quiet;
#[path = "../reaching.rs"]
mod reaching;
#[path = "../release.rs"]
mod release;
#[path = "roles.rs"]
mod roles;
#[path = "spread.rs"]
mod spread;
#[path = "../spreading.rs"]
mod spreading;
#[path = "statements.rs"]
mod statements;
use analytics_writes::{came_late, keep_analytics};
use chaining::keep_chain;
use claiming::{DueDelivery, claim};
pub use commit::apply;
use commit::{Earlier, Marked};
use counting::{count_on, read_on};
use marking::{hold, hold_chain, keep_counts, keep_counts_of, mark, read_between, shift};
use outbox_body as outbox;
use outbox_body::NewDelivery;
use outbox_special::{held_entries, insert_deliveries, note_tried, take_due};
use quiet::{defer, deferred, digest_due, hush_all, keep_preferences, next_place, preferences_of};
use release::{Wanted, hush_columns};
use roles::{connect, unite_roles};
use sweeping::sweep;
#[path = "record.rs"]
mod record;
pub use record::record;
#[path = "../recur.rs"]
mod recur;
#[path = "../sweeping.rs"]
mod sweeping;
#[path = "../telling.rs"]
mod telling;
#[path = "../template_writes.rs"]
mod template_writes;
#[path = "../webhook_claims.rs"]
mod webhook_claims;
#[path = "../webhook_writes.rs"]
mod webhook_writes;
use spread::{free, have, next_spread, note_progress, spread};
use spreading::{Due, one_chunk, reach, span};
use statements::{ConfirmEntry, InsertContent, InsertEntry, NoteHanded, RememberNumber, SettlePlace};

diesel::table! {
    /// Where AUTOINCREMENT remembers the highest number it ever gave.
    sqlite_sequence (name) {
        name -> Text,
        seq -> BigInt,
    }
}

/// The last number that was given, to a notification or as a mere place.
#[diesel::dsl::auto_type]
pub fn last_number() -> _ {
    sqlite_sequence::table.filter(sqlite_sequence::name.eq("notifications")).select(sqlite_sequence::seq)
}

/// Bytes of memory for what is known of recipients, about; beyond them it starts anew.
const REMEMBERED: usize = 64 * 1024 * 1024;
/// What one of them takes, and how much more than its text what they prefer does.
const EACH: usize = 512;
const SPREAD_OUT: usize = 4;

/// What the writer knows without asking: this process writes alone, so nobody else changes it. Forgotten
/// when a transaction fails. Asking each row for its number (`RETURNING`) costs more than storing it.
pub struct Memory {
    last_notification: Option<i64>,
    recipients: HashMap<Recipient, Known>,
    /// What they take; what was taken out counts on.
    remembered: usize,
    /// Types that nobody can mute.
    mandatory: Arc<[String]>,
    listeners: Listeners,
}

/// What is known of a recipient.
#[derive(Clone)]
struct Known {
    row: i64,
    preferences: Option<Arc<Preferences>>,
}

impl Memory {
    /// Nothing but the types that nobody can mute.
    pub fn new(mandatory: Arc<[String]>) -> Self {
        let (recipients, listeners) = (HashMap::new(), Listeners::default());
        Self { last_notification: None, recipients, remembered: 0, mandatory, listeners }
    }

    /// Nothing any more but those.
    pub fn forget(&mut self) {
        *self = Self::new(self.mandatory.clone());
    }

    /// Notes what is known of `recipient`, whose preferences have so many bytes as a text.
    fn remember(&mut self, recipient: &Recipient, known: Known, bytes: usize) {
        let takes = EACH + SPREAD_OUT * bytes;
        if self.remembered + takes > REMEMBERED {
            self.recipients.clear();
            self.remembered = 0;
        }
        self.remembered += takes;
        self.recipients.insert(recipient.clone(), known);
    }

    /// Nobody of this name is known any more.
    fn disown(&mut self, recipient: &Recipient) {
        self.recipients.remove(recipient);
    }

    fn begin(&mut self, connection: &mut Connection) -> QueryResult<()> {
        if self.last_notification.is_none() {
            let last: Option<i64> = last_number().get_result(connection).optional()?;
            self.last_notification = Some(last.unwrap_or(0));
        }
        Ok(())
    }
}

/// Stores the contents; `None` for each whose idempotency key is taken.
fn insert_all(
    connection: &mut Connection,
    memory: &mut Memory,
    all: &[&NewNotification],
) -> QueryResult<Vec<Option<i64>>> {
    all.iter().map(|new| insert(connection, memory, new)).collect()
}

fn insert(
    connection: &mut Connection,
    memory: &mut Memory,
    new: &NewNotification,
) -> QueryResult<Option<i64>> {
    let id = memory.last_notification.unwrap_or(0) + 1;
    // What no other is like has its UUID, and needs no key.
    let asked = (!new.idempotency.is_none()).then_some(&new.idempotency);
    let content = InsertContent {
        id,
        uuid: UuidColumn(new.uuid),
        tenant: new.tenant.as_str(),
        kind: &new.kind,
        topic: &new.topic,
        title: SealedStr(&new.title),
        message: SealedStr(&new.message),
        data: SealedStr(&new.data),
        key: asked.map(|asked| asked.key.as_slice()),
        digest: asked.map(|asked| asked.request.0.as_slice()),
        created_at: At(new.created_at),
        priority: new.priority.level(),
        action_url: new.action_url.as_deref().map(SealedStr),
        sender: new.sender.as_deref(),
        expires_at: new.expires_at.map(At),
        wish: new.wish.as_ref().and_then(Wish::written).map(Sealed),
        borrowed: PhantomData,
    };
    let stored = content.execute(connection)?;
    if stored == 0 {
        // SQLite counts the number as given.
        remember_number(connection, id - 1)?;
        return Ok(None);
    }
    memory.last_notification = Some(id);
    Ok(Some(id))
}

/// Puts each into its recipient's inbox. One writer gives out numbers in the order of commits: they are
/// positions, too. Counting per recipient would cost one more write for each notification.
fn place_all(
    connection: &mut Connection,
    memory: &mut Memory,
    all: &[Wanted<'_>],
) -> QueryResult<Vec<Placed>> {
    let mut places = Vec::with_capacity(all.len());
    for wanted in all {
        let Known { row, preferences } = known(connection, memory, wanted.recipient)?;
        let hush = wanted.hush(preferences.as_deref(), &memory.mandatory);
        let place = Place { recipient: row, position: wanted.notification.0 };
        places.push(put(connection, place, wanted, hush)?);
    }
    Ok(places)
}

/// A number that no notification will have.
fn burn(connection: &mut Connection, memory: &mut Memory) -> QueryResult<i64> {
    let position = memory.last_notification.unwrap_or(0) + 1;
    remember_number(connection, position)?;
    memory.last_notification = Some(position);
    Ok(position)
}

/// The last number that was given, after a restart too.
fn remember_number(connection: &mut Connection, number: i64) -> QueryResult<()> {
    RememberNumber { number, borrowed: PhantomData }.execute(connection)?;
    Ok(())
}

fn put(
    connection: &mut Connection,
    place: Place,
    wanted: &Wanted<'_>,
    hush: Option<Hush>,
) -> QueryResult<Placed> {
    let (hushed, reason) = hush.map(hush_columns).unzip();
    let entry = InsertEntry {
        recipient: place.recipient,
        position: place.position,
        notification: wanted.notification.0,
        expires_at: wanted.expires_at.map(At),
        hush: hushed,
        reason: reason.as_deref(),
        borrowed: PhantomData,
    };
    entry.execute(connection)?;
    if let Some(Hush::Quiet(until)) = hush {
        defer(connection, place.recipient, until)?;
    }
    Ok(Placed { place, is_hushed: hush.is_some() })
}

/// Which of `ids` recur and are due.
fn due_rounds(connection: &mut Connection, ids: &[i64]) -> QueryResult<Vec<i64>> {
    let due = recurring::table.filter(recurring::next_at.le(now().nullable()));
    due.filter(recurring::id.eq_any(ids)).select(recurring::id).load(connection)
}

/// The row of `recipient`, made when it is new.
fn row_of(connection: &mut Connection, memory: &mut Memory, recipient: &Recipient) -> QueryResult<i64> {
    Ok(known(connection, memory, recipient)?.row)
}

/// The rows of `people`, made when they are new.
fn rows_of(connection: &mut Connection, memory: &mut Memory, people: &[Recipient]) -> QueryResult<Vec<i64>> {
    people.iter().map(|recipient| row_of(connection, memory, recipient)).collect()
}

/// What is known of `recipient`, whose row is made when it is new.
fn known(connection: &mut Connection, memory: &mut Memory, recipient: &Recipient) -> QueryResult<Known> {
    if let Some(known) = memory.recipients.get(recipient) {
        return Ok(known.clone());
    }
    let found: Option<(i64, Option<String>)> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select((recipients::id, recipients::preferences))
        .get_result(connection)
        .optional()?;
    let bytes = found.as_ref().and_then(|(_, stored)| stored.as_ref()).map_or(0, String::len);
    let known = match found {
        Some((row, stored)) => {
            Known { row, preferences: stored.as_deref().map(preferred::read).map(Arc::new) }
        }
        None => {
            let row = diesel::insert_into(recipients::table)
                .values((
                    recipients::tenant.eq(recipient.tenant.as_str()),
                    recipients::user_id.eq(recipient.user.as_str()),
                ))
                .returning(recipients::id)
                .get_result(connection)?;
            Known { row, preferences: None }
        }
    };
    memory.remember(recipient, known.clone(), bytes);
    Ok(known)
}

/// Notes confirmations; returns how many entries were not confirmed before.
fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
    let mut confirmed = 0;
    for entry in entries {
        let Place { recipient, position } = entry.place;
        let (sent_at, over, borrowed) = (At(entry.handed.at), entry.handed.way(), PhantomData);
        let (sent_over, confirmed_at) = (over.as_str(), At(entry.confirmed_at));
        let changed = ConfirmEntry { sent_at, sent_over, confirmed_at, recipient, position, borrowed }
            .execute(connection)?;
        confirmed += changed;
        if changed == 0 {
            // It was confirmed where nobody knew when it had been handed out.
            NoteHanded { sent_at, sent_over, recipient, position, borrowed }.execute(connection)?;
        }
    }
    Ok(confirmed)
}

/// The row of `recipient`, if there is one.
pub fn row(connection: &mut Connection, recipient: &Recipient) -> QueryResult<Option<i64>> {
    recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .get_result(connection)
        .optional()
}

/// The database's own time: the clocks of nodes may differ.
pub fn now() -> SqlLiteral<Instant> {
    sql("CAST(unixepoch('subsec') * 1000000 AS INTEGER)")
}

/// So many seconds before it.
fn ago(seconds: i64) -> SqlLiteral<Instant> {
    sql(&format!("CAST((unixepoch('subsec') - {seconds}) * 1000000 AS INTEGER)"))
}

/// Where `recipient` has `notification`, if it does.
pub fn place(
    connection: &mut Connection,
    recipient: &Recipient,
    notification: NotificationId,
) -> QueryResult<Option<Place>> {
    let Some(recipient) = row(connection, recipient)? else {
        return Ok(None);
    };
    let here = inbox::table.filter(inbox::recipient_id.eq(recipient)).filter(inbox::deleted_at.is_null());
    let mut position: Option<i64> = here
        .filter(inbox::position.eq(notification.0))
        .select(inbox::position)
        .get_result(connection)
        .optional()?;
    if position.is_none() {
        // What was spread has another place.
        position = here
            .filter(inbox::notification_id.eq(notification.0))
            .filter(inbox::position.ne(inbox::notification_id))
            .select(inbox::position)
            .get_result(connection)
            .optional()?;
    }
    Ok(position.map(|position| Place { recipient, position }))
}

/// What was accepted before under the keys of `news`.
fn earlier(connection: &mut Connection, news: &[&NewNotification]) -> QueryResult<Vec<Option<Earlier>>> {
    let one = |new: &&NewNotification| {
        type Columns = (i64, UuidColumn, Option<Vec<u8>>, At);
        let columns = (
            notifications::id,
            notifications::uuid,
            notifications::request_digest,
            notifications::created_at,
        );
        let found: Option<Columns> = match new.idempotency.is_none() {
            true => notifications::table
                .filter(notifications::uuid.eq(UuidColumn(new.uuid)))
                .select(columns)
                .get_result(connection),
            false => notifications::table
                .filter(notifications::idempotency_key.eq(new.idempotency.key.as_slice()))
                .select(columns)
                .get_result(connection),
        }
        .optional()?;
        let Some((id, UuidColumn(uuid), request, At(created_at))) = found else { return Ok(None) };
        let id = NotificationId(id);
        let mut delivered_at = None;
        let mut place_of_one = None;
        if let [recipient] = new.audience.named()
            && let Some(found) = place(connection, recipient, id)?
        {
            let (sent_at, confirmed_at, hush) = inbox::table
                .find((found.recipient, found.position))
                .select((inbox::sent_at, inbox::confirmed_at, inbox::hush))
                .get_result::<(Option<At>, Option<At>, Option<i32>)>(connection)?;
            delivered_at = sent_at.or(confirmed_at).map(|at| at.0);
            place_of_one = Some(Placed { place: found, is_hushed: hush.is_some() });
        }
        Ok(Some(Earlier { id, uuid, request, created_at, place: place_of_one, delivered_at }))
    };
    news.iter().map(one).collect()
}

/// Nothing of these recipients (rows) is pending up to these places.
fn settle(connection: &mut Connection, settled: &[(i64, Position)]) -> QueryResult<()> {
    for (recipient, upto) in settled {
        SettlePlace { upto: *upto, recipient: *recipient, borrowed: PhantomData }.execute(connection)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Tenant, UserId};

    #[test]
    fn what_is_remembered_is_bounded_by_its_size() {
        let most_after = |bytes: usize| {
            let mut memory = Memory::new(Vec::new().into());
            let mut most = 0;
            for number in 0..200_000 {
                let user = UserId::new(&number.to_string()).unwrap();
                let recipient = Recipient { tenant: Tenant::new("t").unwrap(), user };
                memory.remember(&recipient, Known { row: number, preferences: None }, bytes);
                most = most.max(memory.recipients.len());
            }
            most
        };
        assert!(most_after(0) > 100_000);
        // Five hundred rules of the longest names.
        assert!(most_after(90_000) < 200);
    }
}
