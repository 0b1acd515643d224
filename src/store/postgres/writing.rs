//! The write bodies, async; and whole batches in one statement each: a round trip costs more than a row.

macro_rules! wait {
    ($query:expr) => {
        $query.await
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access async fn $name $arguments -> $output $body
    };
}

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::{
    ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl, QueryResult,
};
use diesel_async::AsyncPgConnection as Connection;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::confirming::confirm;
use super::statements::{
    EarlierOf, InsertContents, InsertEntries, KnowRecipients, Record, ReservePlaces, SettlePlaces,
};
use crate::domain::{
    Deed, Hush, NewNotification, Notification, NotificationId, Place, Placed, Position, Preferences,
    Recipient, Timestamp, Wish,
};
use crate::store::audit::written;
use crate::store::facts::POSTGRES as DIALECT;
use crate::store::preferred;
use crate::store::schema::{expansions, inbox, recurring};
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
#[path = "../spreading.rs"]
mod spreading;
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
use spreading::{Due, one_chunk, reach, span};

/// What the writer knows without asking: nothing that other nodes change, but for who wants to be told what becomes of
/// notifications, for a second.
pub struct Memory {
    /// Types that nobody can mute.
    pub mandatory: Arc<[String]>,
    /// Who wants to be told.
    pub listeners: Listeners,
}

impl Memory {
    /// Nobody is remembered.
    fn disown(&self, _: &Recipient) {}

    async fn begin(&mut self, _: &mut Connection) -> QueryResult<()> {
        Ok(())
    }
}

/// Stores the contents; `None` for each whose idempotency key is taken.
async fn insert_all(
    connection: &mut Connection,
    _: &mut Memory,
    all: &[&NewNotification],
) -> QueryResult<Vec<Option<i64>>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let insert = InsertContents {
        uuids: all.iter().map(|new| UuidColumn(new.uuid)).collect(),
        tenants: all.iter().map(|new| new.tenant.as_str()).collect(),
        kinds: all.iter().map(|new| &*new.kind).collect(),
        topics: all.iter().map(|new| &*new.topic).collect(),
        titles: all.iter().map(|new| SealedStr(&new.title)).collect(),
        messages: all.iter().map(|new| SealedStr(&new.message)).collect(),
        datas: all.iter().map(|new| SealedStr(&new.data)).collect(),
        keys: all.iter().map(|new| new.idempotency.key.as_slice()).collect(),
        digests: all.iter().map(|new| new.idempotency.request.0.as_slice()).collect(),
        instants: all.iter().map(|new| At(new.created_at)).collect(),
        priorities: all.iter().map(|new| new.priority.level()).collect(),
        action_urls: all.iter().map(|new| new.action_url.as_deref().map(SealedStr)).collect(),
        senders: all.iter().map(|new| new.sender.as_deref()).collect(),
        ends: all.iter().map(|new| new.expires_at.map(At)).collect(),
        wishes: all.iter().map(|new| new.wish.as_ref().and_then(Wish::written).map(Sealed)).collect(),
        borrowed: PhantomData,
    };
    let inserted: Vec<(i64, UuidColumn)> = insert.load(connection).await?;
    let ids: HashMap<Uuid, i64> = inserted.into_iter().map(|(id, uuid)| (uuid.0, id)).collect();
    Ok(all.iter().map(|new| ids.get(&new.uuid).copied()).collect())
}

/// Gives each its place in its recipient's inbox. A recipient's row stays locked until the commit, so that
/// places are given in commit order, without gaps; all are locked in one order, so that two nodes do not
/// wait for each other.
async fn place_all(
    connection: &mut Connection,
    memory: &mut Memory,
    all: &[Wanted<'_>],
) -> QueryResult<Vec<Placed>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts: BTreeMap<&Recipient, i64> = BTreeMap::new();
    for wanted in all {
        *counts.entry(wanted.recipient).or_default() += 1;
    }
    let reserve = ReservePlaces {
        tenants: counts.keys().map(|recipient| recipient.tenant.as_str()).collect(),
        users: counts.keys().map(|recipient| recipient.user.as_str()).collect(),
        counts: counts.values().copied().collect(),
        borrowed: PhantomData,
    };
    let reserved: Vec<(i64, String, String, i64, Option<String>)> = reserve.load(connection).await?;
    let mut next: HashMap<(&str, &str), (i64, i64, Option<Arc<Preferences>>)> =
        HashMap::with_capacity(reserved.len());
    for (row, tenant, user, last, preferences) in &reserved {
        next.insert((tenant, user), (*row, *last, preferences.as_deref().map(preferred::read).map(Arc::new)));
    }
    for (recipient, many) in counts {
        if let Some((_, last, _)) = next.get_mut(&(recipient.tenant.as_str(), recipient.user.as_str())) {
            *last -= many;
        }
    }
    let mut places = Vec::with_capacity(all.len());
    for wanted in all {
        let Recipient { tenant, user } = wanted.recipient;
        let person = next.get_mut(&(tenant.as_str(), user.as_str()));
        let (row, last, preferences) = person.ok_or(diesel::result::Error::NotFound)?;
        *last += 1;
        let hush = wanted.hush(preferences.as_deref(), &memory.mandatory);
        places.push((Place { recipient: *row, position: *last }, hush));
    }
    let (hushes, reasons) = places.iter().map(|(_, hush)| hush.map(hush_columns).unzip()).unzip();
    let insert = InsertEntries {
        recipients: places.iter().map(|(place, _)| place.recipient).collect(),
        positions: places.iter().map(|(place, _)| place.position).collect(),
        notifications: all.iter().map(|wanted| wanted.notification.0).collect(),
        ends: all.iter().map(|wanted| wanted.expires_at.map(At)).collect(),
        hushes,
        reasons,
        borrowed: PhantomData,
    };
    insert.execute(connection).await?;
    let quiet: Vec<(Place, Hush)> =
        places.iter().filter_map(|(place, hush)| Some((*place, (*hush)?))).collect();
    defer(connection, &quiet).await?;
    Ok(places.into_iter().map(|(place, hush)| Placed { place, is_hushed: hush.is_some() }).collect())
}

/// The database's own time: the clocks of nodes may differ.
pub fn now() -> SqlLiteral<Instant> {
    sql("now()")
}

/// So many seconds before it.
fn ago(seconds: i64) -> SqlLiteral<Instant> {
    sql(&format!("now() - make_interval(secs => {seconds})"))
}

/// What was accepted before under the keys of `news`.
async fn earlier(
    connection: &mut Connection,
    news: &[&NewNotification],
) -> QueryResult<Vec<Option<Earlier>>> {
    type Columns =
        (i64, i64, UuidColumn, Option<Vec<u8>>, At, Option<i64>, Option<i64>, Option<At>, Option<i32>);
    // Where it is asked for one person only.
    let only = news.iter().map(|new| match new.audience.named() {
        [one] => Some(one),
        _ => None,
    });
    let query = EarlierOf {
        keys: news.iter().map(|new| new.idempotency.key.as_slice()).collect(),
        tenants: only.clone().map(|one| one.map(|one| one.tenant.as_str())).collect(),
        users: only.map(|one| one.map(|one| one.user.as_str())).collect(),
        borrowed: PhantomData,
    };
    let rows: Vec<Columns> = query.load(connection).await?;
    let mut earlier: Vec<Option<Earlier>> = news.iter().map(|_| None).collect();
    for (which, id, UuidColumn(uuid), request, At(created_at), row, position, sent_at, hush) in rows {
        let is_hushed = hush.is_some();
        let placed = |(recipient, position)| Placed { place: Place { recipient, position }, is_hushed };
        let place = row.zip(position).map(placed);
        let delivered_at = sent_at.map(|at| at.0);
        let id = NotificationId(id);
        if let Some(earlier) = nth(&mut earlier, which) {
            *earlier = Some(Earlier { id, uuid, request, created_at, place, delivered_at });
        }
    }
    Ok(earlier)
}

/// What PostgreSQL counts as the `which`th, from one.
fn nth<T>(all: &mut [T], which: i64) -> Option<&mut T> {
    usize::try_from(which - 1).ok().and_then(|index| all.get_mut(index))
}

/// The rows of `people`, who are of one tenant; made when they are new.
async fn rows_of(connection: &mut Connection, _: &mut Memory, people: &[Recipient]) -> QueryResult<Vec<i64>> {
    let Some(tenant) = people.first().map(|recipient| recipient.tenant.as_str()) else {
        return Ok(Vec::new());
    };
    let mut users: Vec<&str> = people.iter().map(|recipient| recipient.user.as_str()).collect();
    // In one order, so that two nodes do not wait for each other.
    users.sort_unstable();
    let tenants = vec![tenant; users.len()];
    KnowRecipients { tenants, users, borrowed: PhantomData }.execute(connection).await?;
    let rows: HashMap<&Recipient, i64> =
        super::people::rows(connection, people).await?.map(|(recipient, row, _)| (recipient, row)).collect();
    let row = |recipient: &Recipient| rows.get(recipient).copied();
    people.iter().map(|recipient| row(recipient).ok_or(diesel::result::Error::NotFound)).collect()
}

/// The row of `recipient`, made when it is new.
async fn row_of(connection: &mut Connection, memory: &mut Memory, recipient: &Recipient) -> QueryResult<i64> {
    let rows = rows_of(connection, memory, std::slice::from_ref(recipient)).await?;
    rows.into_iter().next().ok_or(diesel::result::Error::NotFound)
}

/// Expansions that are due and not finished.
macro_rules! due {
    () => {
        expansions::table
            .filter(expansions::finished_at.is_null())
            .filter(expansions::due_at.le(now()))
            .order((expansions::due_at, expansions::notification_id))
            .select((
                expansions::notification_id,
                expansions::tenant,
                expansions::audience,
                expansions::reached,
                expansions::due_at,
                expansions::present,
            ))
    };
}

/// The expansion of this notification, if it is due and no other node is at it. It is this transaction's until the commit.
async fn next_spread(connection: &mut Connection, id: NotificationId) -> QueryResult<Option<Due>> {
    let this = due!().filter(expansions::notification_id.eq(id.0));
    this.for_update().skip_locked().get_result(connection).await.optional()
}

/// Those of `ids` that are due and that no other node is at: they are this transaction's, too. Nobody waits for another node
/// here, since it may wait for what is locked here.
async fn free(connection: &mut Connection, ids: &[i64]) -> QueryResult<Vec<Due>> {
    let these = due!().filter(expansions::notification_id.eq_any(ids));
    these.for_update().skip_locked().load(connection).await
}

/// Which of these recipients (rows) have it, and perhaps some others.
async fn have(
    connection: &mut Connection,
    notification: NotificationId,
    rows: &[i64],
) -> QueryResult<Vec<i64>> {
    let all = inbox::table.filter(inbox::notification_id.eq(notification.0)).select(inbox::recipient_id);
    match span(rows) {
        // With a list, all who have it would be gone through.
        Some((first, last)) => all.filter(inbox::recipient_id.between(first, last)).load(connection).await,
        None => all.filter(inbox::recipient_id.eq_any(rows)).load(connection).await,
    }
}

/// Which of `ids` recur and are due, and no other node is at. They are this transaction's until the commit.
async fn due_rounds(connection: &mut Connection, ids: &[i64]) -> QueryResult<Vec<i64>> {
    let due = recurring::table.filter(recurring::next_at.le(now().nullable()));
    let due = due.filter(recurring::id.eq_any(ids)).select(recurring::id);
    due.for_update().skip_locked().load(connection).await
}

/// Puts `notification` into the inboxes of `people`, behind all that is there.
async fn spread(
    connection: &mut Connection,
    memory: &mut Memory,
    people: &[(i64, Recipient)],
    notification: &Notification,
    at: Timestamp,
    is_unasked: bool,
) -> QueryResult<Vec<Placed>> {
    let people = people.iter().map(|(_, recipient)| recipient);
    let wanted: Vec<_> = people.map(|one| Wanted::of(notification, one, at, is_unasked)).collect();

    place_all(connection, memory, &wanted).await
}

/// Notes how far an expansion is, and that so many more have it.
async fn note_progress(
    connection: &mut Connection,
    id: NotificationId,
    (reached, present): (i64, Option<&str>),
    many: i64,
) -> QueryResult<()> {
    diesel::update(expansions::table.find(id.0))
        .set((
            expansions::reached.eq(reached),
            expansions::present.eq(present),
            expansions::recipients.eq(expansions::recipients + many),
            expansions::chunks.eq(expansions::chunks + i64::from(many > 0)),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

/// Nothing of these recipients (rows) is pending up to these places.
async fn settle(connection: &mut Connection, settled: &[(i64, Position)]) -> QueryResult<()> {
    // One row can be updated once.
    let furthest: BTreeMap<i64, Position> =
        settled.iter().copied().fold(BTreeMap::new(), |mut all, (row, upto)| {
            let place = all.entry(row).or_insert(upto);
            *place = upto.max(*place);
            all
        });
    if furthest.is_empty() {
        return Ok(());
    }
    let settle = SettlePlaces {
        recipients: furthest.keys().copied().collect(),
        places: furthest.values().copied().collect(),
        borrowed: PhantomData,
    };
    settle.execute(connection).await?;
    Ok(())
}

/// Writes down `deeds` in the audit log.
async fn record(connection: &mut Connection, deeds: &[Deed]) -> QueryResult<()> {
    if deeds.is_empty() {
        return Ok(());
    }
    let addresses: Vec<_> = deeds.iter().map(|deed| written(deed.address)).collect();
    let record = Record {
        instants: deeds.iter().map(|deed| At(deed.at)).collect(),
        tenants: deeds.iter().map(|deed| deed.tenant.as_str()).collect(),
        actors: deeds.iter().map(|deed| deed.actor.as_deref()).collect(),
        actions: deeds.iter().map(|deed| deed.action.name()).collect(),
        subjects: deeds.iter().map(|deed| deed.subject.as_deref()).collect(),
        details: deeds.iter().map(|deed| deed.detail.as_str()).collect(),
        addresses: addresses.iter().map(Option::as_deref).collect(),
        borrowed: PhantomData,
    };
    record.execute(connection).await?;
    Ok(())
}
