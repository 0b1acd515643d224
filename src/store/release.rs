//! Places as loud as their recipients want them: what somebody prefers, and what waited for the end of their quiet
//! hours. Compiled twice, like `commit.rs`.

use std::sync::Arc;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::capping::decline;
use super::digesting::elsewhere;
use super::erasing::note_consent;
use super::opening::opened;
use super::recur::clock;
use super::{
    Connection, Memory, RunQueryDsl, deferred, hush_all, insert_all, keep_preferences, next_place, now,
    outbox, place_all, preferences_of, record, shift,
};
use crate::domain::{
    Action, Audience, Broken, Change, Channel, Contact, Contacts, Deed, Escalation, Hush, Idempotency,
    Matter, Muted, NewNotification, Notification, NotificationId, Place, Placed, Preferences, Priority,
    Recipient, SaidBy, Tenant, Timestamp, UserId, Wish, came_meanwhile,
};
use crate::store::content::{Content, content, notification as shown};
use crate::store::schema::{deferrals, inbox, notifications, recipients};
use crate::store::sealing::Opening;
use crate::store::types::At;
use crate::store::{MUTED, QUIET, SUMMED_UP, Spread};

/// [`QUIET`], as it is asked for.
const WAITS: &str = "inbox.hush = 2";

/// The kind of what tells that several came during quiet hours.
const SUMMARY: &str = "quiet_hours_summary";
/// Notifications that a summary names.
const NAMED: usize = 100;
/// Entries that are looked at in one query.
const TOGETHER: usize = 500;
/// Titles in its text.
const TITLES: usize = 5;

/// What is to get a place in an inbox.
pub struct Wanted<'a> {
    pub recipient: &'a Recipient,
    pub notification: NotificationId,
    pub matter: Matter<'a>,
    /// When its recipient would be told.
    pub at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Whether its sender wants it to go other ways only.
    pub is_unasked: bool,
}

impl<'a> Wanted<'a> {
    /// What spreads.
    pub fn of(
        notification: &'a Notification,
        recipient: &'a Recipient,
        at: Timestamp,
        is_unasked: bool,
    ) -> Self {
        let Notification { id, kind, topic, priority, expires_at, .. } = notification;
        let matter = Matter { kind, topic, priority: *priority };
        Self { recipient, notification: *id, matter, at, expires_at: *expires_at, is_unasked }
    }

    /// Why it is not to be told by itself, to whom prefers this.
    pub fn hush(&self, preferences: Option<&Preferences>, mandatory: &[String]) -> Option<Hush> {
        match self.is_unasked {
            true => Some(Hush::Muted(Muted::Unasked)),
            false => preferences?.hush(self.matter, Channel::Realtime, mandatory, self.at),
        }
    }
}

/// How a hush is stored: its number, and why.
pub fn hush_columns(hush: Hush) -> (i32, String) {
    match hush {
        Hush::Muted(muted) => (MUTED, muted.reason().to_owned()),
        Hush::Quiet(until) => (QUIET, format!("quiet hours until {until}")),
    }
}

body! {
    /// Changes what `recipient` prefers. What waits for the end of quiet hours is looked at again.
    pub fn prefer(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        change: &Change,
    ) -> QueryResult<Result<Arc<Preferences>, Broken>> {
        if change.is_by_link && !wait!(is_kept(connection, recipient))? {
            return wait!(ended_by_link(connection, recipient, change));
        }
        let before = wait!(preferences_of(connection, memory, recipient))?;
        let before = before.map(Arc::unwrap_or_clone).unwrap_or_default();
        let zone = before.time_zone;
        let after = match before.clone().changed(change.clone()) {
            Ok(after) => after,
            Err(broken) => return Ok(Err(broken)),
        };
        let text = serde_json::to_string(&after)
            .map_err(|fault| diesel::result::Error::SerializationError(Box::new(fault)))?;
        let row = wait!(keep_preferences(connection, memory, recipient, &text))?;
        let how = if change.is_by_link { SaidBy::OneClick } else { SaidBy::Preferences };
        for (channel, kind, is_given) in after.said_since(&before) {
            let said = (channel, kind.as_str(), is_given);
            wait!(note_consent(connection, recipient, row, said, how, (None, None)))?;
        }
        wait!(diesel::update(deferrals::table.find(row)).set(deferrals::due_at.eq(now())).execute(connection))?;
        wait!(outbox::look_again(connection, row))?;
        if change.time_zone.is_some() || change.quiet_hours.is_some() {
            wait!(elsewhere(connection, row, zone, &after))?;
        }
        let deed = Deed {
            at: wait!(clock(connection))?,
            tenant: recipient.tenant.clone(),
            actor: Some(recipient.user.as_str().to_owned()),
            action: Action::Preferences,
            subject: Some(recipient.user.as_str().to_owned()),
            detail: change.subjects().to_string(),
            address: None,
        };
        wait!(record(connection, &[deed]))?;
        Ok(Ok(Arc::new(after)))
    }
}

body! {
    /// Whether anything is kept of somebody of this name.
    fn is_kept(connection: &mut Connection, whom: &Recipient) -> QueryResult<bool> {
        let row: Option<i64> = wait!(recipients::table
            .filter(recipients::tenant.eq(whom.tenant.as_str()))
            .filter(recipients::user_id.eq(whom.user.as_str()))
            .select(recipients::id)
            .get_result(connection))
        .optional()?;
        Ok(row.is_some())
    }
}

body! {
    /// Somebody who was forgotten follows a link of an older message: that it is not to come again is all that is kept, and names
    /// nobody.
    fn ended_by_link(
        connection: &mut Connection,
        whom: &Recipient,
        change: &Change,
    ) -> QueryResult<Result<Arc<Preferences>, Broken>> {
        let before = Preferences::default();
        let after = match before.clone().changed(change.clone()) {
            Ok(after) => after,
            Err(broken) => return Ok(Err(broken)),
        };
        let now = wait!(clock(connection))?;
        for (channel, kind, _) in after.said_since(&before).into_iter().filter(|(.., is_given)| !is_given) {
            wait!(decline(connection, whom, &kind, channel, now))?;
        }
        Ok(Ok(Arc::new(after)))
    }
}

body! {
    /// Looks after those of `rows` whose quiet hours are over: one notification is told as it is, of several a summary
    /// tells. What was read or switched off meanwhile, or does not matter any more, is passed over. Tells how many people
    /// that were, and what they are told.
    pub fn release(
        connection: &mut Connection,
        memory: &mut Memory,
        rows: &[i64],
        present: Timestamp,
    ) -> QueryResult<(usize, Vec<Spread>)> {
        let people = wait!(deferred(connection, rows))?;
        let mut told = Vec::new();
        for (row, tenant, user) in &people {
            let recipient = named(tenant, user)?;
            told.extend(wait!(release_one(connection, memory, *row, recipient, present))?);
        }
        Ok((people.len(), told))
    }
}

body! {
    fn release_one(
        connection: &mut Connection,
        memory: &mut Memory,
        row: i64,
        recipient: Recipient,
        present: Timestamp,
    ) -> QueryResult<Option<Spread>> {
        let preferences = wait!(preferences_of(connection, memory, &recipient))?.unwrap_or_default();
        if let Some(until) = preferences.quiet_until(Priority::Normal, present) {
            let at = deferrals::due_at.eq(At(until));
            wait!(diesel::update(deferrals::table.find(row)).set(at).execute(connection))?;
            return Ok(None);
        }
        wait!(diesel::delete(deferrals::table.find(row)).execute(connection))?;
        let mut places = wait!(wanted_still(connection, memory, row, &preferences, present))?;
        let (mut first, mut wishes, mut shut) = (Vec::new(), Vec::new(), Vec::new());
        for some in places.chunks(NAMED) {
            let named: Vec<(i64, Content, Option<Opening>)> = wait!(entries(row, some.to_vec())
                .inner_join(notifications::table)
                .order(inbox::position)
                .select((inbox::position, content(), notifications::wish))
                .load(connection))?;
            for (position, content, wish) in named {
                let id = content.0;
                match wait!(opened(connection, id, shown(content)))? {
                    Some(notification) => {
                        first.push((position, notification));
                        wishes.extend(wish.and_then(|wish| wish.0.ok()).as_deref().and_then(Wish::read));
                    }
                    None => shut.push(position),
                }
            }
            if !first.is_empty() {
                break;
            }
        }
        if !shut.is_empty() {
            // Once it is restored, it is missed like anything else.
            places.retain(|place| !shut.contains(place));
            wait!(diesel::update(entries(row, shut)).set(inbox::hush.eq(None::<i32>)).execute(connection))?;
        }
        let (notification, placed) = match (places.len(), first.pop()) {
            (_, None) => return Ok(None),
            (1, Some((position, notification))) => {
                let place = wait!(next_place(connection, memory, row))?;
                // Where it was it counts no longer; it was not read.
                wait!(shift(connection, Place { recipient: row, position }, -1, -1))?;
                wait!(diesel::update(inbox::table.find((row, position)))
                    .set((inbox::position.eq(place), inbox::hush.eq(None::<i32>)))
                    .execute(connection))?;
                wait!(outbox::follow(connection, notification.id, row, place))?;
                let place = Place { recipient: row, position: place };
                (notification, Placed { place, is_hushed: false })
            }
            (many, Some(last)) => {
                first.push(last);
                let all: Vec<_> = first.into_iter().map(|(_, notification)| notification).collect();
                let contacts: Option<Opening> =
                    wait!(recipients::table.find(row).select(recipients::contacts).get_result(connection))?;
                let contacts = contacts.and_then(|stored| stored.0.ok());
                let locale = contacts.as_deref().and_then(|stored| Contacts::from_stored(stored).language());
                let title = came_meanwhile(many, &locale.unwrap_or_default());
                let new = summary(&recipient, title, many, &all, together(&wishes), present);
                let id = wait!(insert_all(connection, memory, &[&new]))?.pop().flatten();
                let id = NotificationId(id.ok_or(diesel::result::Error::NotFound)?);
                let told = format!("a summary after quiet hours tells of it: notification {id}");
                for some in places.chunks(TOGETHER) {
                    wait!(diesel::update(entries(row, some.to_vec()))
                        .set((inbox::hush.eq(SUMMED_UP), inbox::hush_reason.eq(&told)))
                        .execute(connection))?;
                }
                let matter = Matter { kind: &new.kind, topic: &new.topic, priority: new.priority };
                let wanted =
                    Wanted { recipient: &recipient, notification: id, matter, at: present, expires_at: None, is_unasked: false };
                let placed = wait!(place_all(connection, memory, &[wanted]))?;
                let beyond = outbox::asked(id, &new.tenant, new.wish.as_ref(), present, &placed);
                wait!(outbox::post(connection, &beyond))?;
                let placed = placed.into_iter().next();
                (new.stored(id), placed.ok_or(diesel::result::Error::NotFound)?)
            }
        };
        Ok(Some(Spread { notification, places: vec![(recipient, placed)], is_finished: true }))
    }
}

/// Where something waits for the end of quiet hours in the inbox of row `recipient`. That it waits stands there as a
/// literal, and no other column is asked for: else SQLite walks the whole inbox instead of the index `inbox_quiet`.
#[diesel::dsl::auto_type]
pub fn waiting(recipient: i64) -> _ {
    let waits: SqlLiteral<Bool> = sql(WAITS);
    let here = inbox::table.filter(inbox::recipient_id.eq(recipient)).filter(waits);
    here.order(inbox::position).select(inbox::position)
}

/// The entries of row `recipient` at these places.
#[diesel::dsl::auto_type]
fn entries(recipient: i64, places: Vec<i64>) -> _ {
    inbox::table.filter(inbox::recipient_id.eq(recipient)).filter(inbox::position.eq_any(places))
}

body! {
    /// Where something waits that is wanted still. What was seen or removed, or has expired, waits no longer; what was
    /// switched off meanwhile is muted, as if it came now.
    fn wanted_still(
        connection: &mut Connection,
        memory: &mut Memory,
        row: i64,
        preferences: &Preferences,
        present: Timestamp,
    ) -> QueryResult<Vec<i64>> {
        type Columns = (i64, Option<At>, Option<At>, Option<At>, Option<At>, Opening, Opening, i32);
        let places: Vec<i64> = wait!(waiting(row).load(connection))?;
        let mut wanted = Vec::with_capacity(places.len());
        for some in places.chunks(TOGETHER) {
            let (mut over, mut unwanted) = (Vec::new(), Vec::new());
            let all: Vec<Columns> = wait!(entries(row, some.to_vec())
                .inner_join(notifications::table)
                .order(inbox::position)
                .select((
                    inbox::position,
                    inbox::confirmed_at,
                    inbox::read_at,
                    inbox::deleted_at,
                    inbox::expires_at,
                    notifications::kind,
                    notifications::topic,
                    notifications::priority,
                ))
                .load(connection))?;
            for (position, confirmed_at, read_at, deleted_at, end, kind, topic, level) in &all {
                let is_expired = end.is_some_and(|end| end.0 <= present);
                let (kind, topic) = (kind.clone().legible(), topic.clone().legible());
                let matter = Matter { kind: &kind, topic: &topic, priority: Priority::from_level(*level) };
                let place = Place { recipient: row, position: *position };
                if is_expired || confirmed_at.or(*read_at).or(*deleted_at).is_some() {
                    over.push(*position);
                } else if let Some(hush) =
                    preferences.hush(matter, Channel::Realtime, &memory.mandatory, present)
                {
                    // It counts no longer; it was not read.
                    wait!(shift(connection, place, -1, -1))?;
                    unwanted.push((place, hush));
                } else {
                    wanted.push(*position);
                }
            }
            if !over.is_empty() {
                let over = diesel::update(entries(row, over)).set(inbox::hush.eq(None::<i32>));
                wait!(over.execute(connection))?;
            }
            if !unwanted.is_empty() {
                wait!(hush_all(connection, &unwanted))?;
            }
        }
        Ok(wanted)
    }
}

fn named(tenant: &str, user: &str) -> QueryResult<Recipient> {
    let unreadable = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
    let tenant = Tenant::new(tenant).map_err(unreadable)?;
    Ok(Recipient { tenant, user: UserId::new(user).map_err(unreadable)? })
}

/// What goes over each channel over which one of these was to go; nothing, if all were for sockets only.
fn together(wishes: &[Wish]) -> Option<Wish> {
    let asked = |channel: &Channel| wishes.iter().any(|wish| wish.channels.contains(channel));
    let channels: Vec<Channel> = Channel::BEYOND.into_iter().filter(asked).collect();
    let given = |one: fn(&Wish) -> &Option<Contact>| wishes.iter().rev().find_map(|wish| one(wish).clone());
    (!channels.is_empty()).then(|| Wish {
        channels: channels.into_iter().chain([Channel::Realtime]).collect(),
        email: given(|wish| &wish.email),
        phone: given(|wish| &wish.phone),
        escalation: Escalation {
            after: wishes.iter().filter_map(|wish| wish.escalation.after).max(),
            ..Escalation::default()
        },
        ..Wish::default()
    })
}

/// What tells that `many` came, and which were the `first`.
fn summary(
    recipient: &Recipient,
    title: String,
    many: usize,
    first: &[crate::domain::Notification],
    wish: Option<Wish>,
    present: Timestamp,
) -> NewNotification {
    let titles = first.iter().map(|one| if one.title.is_empty() { &one.message } else { &one.title });
    let mut message: Vec<&str> =
        titles.take(TITLES).map(|title| title.lines().next().unwrap_or("")).collect();
    if many > TITLES {
        message.push("…");
    }
    let which = first.iter().map(|one| {
        serde_json::json!({"id": one.uuid, "notification_id": one.id, "type": one.kind, "title": one.title})
    });
    let data = serde_json::json!({"count": many, "notifications": which.collect::<Vec<_>>()});
    let uuid = Uuid::now_v7();
    NewNotification {
        tenant: recipient.tenant.clone(),
        audience: Audience::One(recipient.clone()),
        kind: SUMMARY.into(),
        topic: "".into(),
        title,
        message: message.join("\n"),
        data: data.to_string(),
        priority: first.iter().map(|one| one.priority).max().unwrap_or_default(),
        action_url: None,
        sender: None,
        expires_at: None,
        wish,
        due_at: None,
        idempotency: Idempotency::none(uuid),
        uuid,
        created_at: present,
    }
}
