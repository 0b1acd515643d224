//! Reads. Compiled twice, once for each database.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::passing_over::opened;
use crate::domain::{BOOKING_KIND, Group, NotificationId, Place, Position, Recipient, Tenant, Timestamp};
use crate::store::content::{Content, content, is_given_up, notification};
use crate::store::schema::{
    deferrals, deployment, expansions, inbox, notifications, recipients, roles, sealing, subscriptions,
};
use crate::store::sealing::Unopened;
use crate::store::tally::{Tallied, Tally};
use crate::store::types::{At, UuidColumn};
use crate::store::{
    Counted, Counts, Filter, Gap, Held, Line, MUTED, Missed, Pending, QUIET, SUMMED_UP, StoreError,
};

/// What its recipient wants to have at all.
macro_rules! unmuted {
    () => {
        inbox::hush.is_null().or(inbox::hush.ne(MUTED))
    };
}

/// Entries that are done and are passed over in each list; with more of them, the list is begun later.
const PASSED_OVER: i64 = 64;

/// See [`crate::store::Store::pending`].
pub async fn pending(
    connection: &mut Connection,
    recipient: &Recipient,
    kind: &str,
    limit: i64,
) -> Result<Pending, StoreError> {
    let person: Option<(i64, i64)> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select((recipients::id, recipients::pending_after))
        .first(connection)
        .await
        .optional()?;
    let Some((row, after)) = person else {
        return Ok(Pending { newest: Vec::new(), all: 0, others: false, settled: None });
    };
    let unsettled = inbox::table.filter(inbox::recipient_id.eq(row)).filter(inbox::position.gt(after));
    // Nothing that is committed later comes before this.
    let last: Option<i64> =
        unsettled.select(diesel::dsl::max(inbox::position)).get_result(connection).await?;
    // What is of the kind waits though a summary told of it, and will when quiet hours are over.
    let waiting = unsettled
        .inner_join(notifications::table)
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null())
        .filter(inbox::hush.is_null().or(inbox::hush.ne(MUTED).and(notifications::kind.eq(kind))));
    type Waiting = (i64, Option<i32>, Content);
    let mut entries: Vec<Waiting> = waiting
        .order(inbox::position.desc())
        .limit(limit)
        .select((inbox::position, inbox::hush, content()))
        .load(connection)
        .await?;
    // Nearly always all are, and all fit.
    let is_of_kind = |(_, _, (_, _, (found, ..), ..)): &Waiting| found.0.as_deref() == Ok(kind);
    let is_listed = |entry: &Waiting| is_of_kind(entry) && entry.1 != Some(QUIET);
    let others = !entries.iter().all(is_of_kind);
    let fits = i64::try_from(entries.len()).is_ok_and(|many| many < limit);
    let mut settled = None;
    if let Some(last) = last.filter(|_| fits) {
        let upto = entries.last().map_or(last, |(oldest, ..)| oldest - 1);
        let done: i64 = unsettled.filter(inbox::position.le(upto)).count().get_result(connection).await?;
        settled = (done > PASSED_OVER).then_some((row, upto));
    }
    let listed =
        waiting.filter(notifications::kind.eq(kind)).filter(inbox::hush.is_null().or(inbox::hush.ne(QUIET)));
    if !fits && !entries.iter().all(is_listed) {
        entries = listed
            .order(inbox::position.desc())
            .limit(limit)
            .select((inbox::position, inbox::hush, content()))
            .load(connection)
            .await?;
    }
    entries.retain(is_listed);
    let all = match fits {
        true => i64::try_from(entries.len()).unwrap_or(limit),
        false => listed.count().get_result(connection).await?,
    };
    let newest = entries.into_iter().map(|(position, _, content)| {
        let id = content.0;
        (id, notification(content).map(|notification| (position, notification)))
    });
    let newest: Vec<_> = opened(connection, newest).await?;
    let all = all - newest.iter().filter(|one| one.is_none()).count() as i64;
    Ok(Pending { newest: newest.into_iter().flatten().collect(), all, others: others || !fits, settled })
}

/// See [`crate::store::Store::missed`].
pub async fn missed(
    connection: &mut Connection,
    recipient: &Recipient,
    gap: &Gap,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let person: Option<(i64, i64)> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select((recipients::id, recipients::pending_after))
        .get_result(connection)
        .await
        .optional()?;
    let Some((row, settled)) = person else { return Ok(Vec::new()) };
    let all_from = gap.all_from.unwrap_or(Position::MAX);
    let after = match gap.missed {
        Missed::Unconfirmed | Missed::UnconfirmedBut(_) => gap.after.max(settled.min(all_from - 1)),
        Missed::Since(_) | Missed::Everything => gap.after,
    };
    let mut entries = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.gt(after))
        .filter(inbox::deleted_at.is_null())
        // What waits is told when quiet hours are over, by itself or by a summary; who comes back hears no more of it.
        .filter(inbox::hush.is_null())
        .filter(notifications::expires_at.is_null().or(notifications::expires_at.gt(At(now))))
        .order(inbox::position.asc())
        .limit(limit)
        .select((
            (inbox::position, inbox::confirmed_at, inbox::read_at, content()),
            diesel::dsl::sql::<diesel::sql_types::Bool>("FALSE"),
        ))
        .into_boxed();
    let unconfirmed = || {
        let unseen = inbox::confirmed_at.is_null().and(inbox::read_at.is_null());
        unseen.or(inbox::position.ge(all_from))
    };
    entries = match gap.missed {
        Missed::Unconfirmed => entries.filter(unconfirmed()),
        Missed::UnconfirmedBut(kind) => entries.filter(unconfirmed().and(notifications::kind.ne(kind))),
        Missed::Since(at) => entries.filter(unconfirmed().or(notifications::created_at.ge(At(at)))),
        Missed::Everything => entries,
    };
    // How they stand is not told.
    let entries: Vec<(HeldColumns, bool)> = entries.load(connection).await?;
    lines(connection, row, entries).await
}

/// See [`crate::store::Store::preferences`].
pub async fn preferences(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Option<String>, StoreError> {
    let stored: Option<Option<String>> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::preferences)
        .get_result(connection)
        .await
        .optional()?;
    Ok(stored.flatten())
}

/// See [`crate::store::Store::counts`].
pub async fn counts(connection: &mut Connection, now: Timestamp) -> Result<Counts, StoreError> {
    let booking =
        notifications::table.find(inbox::notification_id).filter(notifications::kind.eq(BOOKING_KIND));
    let is_told = inbox::hush.is_null().or(inbox::hush.eq(SUMMED_UP).and(exists(booking)));
    let pending = inbox::table
        .inner_join(recipients::table)
        .filter(inbox::position.gt(recipients::pending_after))
        .filter(inbox::confirmed_at.is_null())
        .filter(inbox::read_at.is_null())
        .filter(inbox::deleted_at.is_null())
        .filter(is_told)
        .filter(inbox::expires_at.is_null().or(inbox::expires_at.gt(At(now))))
        .count()
        .get_result(connection)
        .await?;
    Ok(Counts { notifications: super::total(connection).await?, pending })
}

type HeldColumns = (i64, Option<At>, Option<At>, Content);

fn entry_held(
    row: i64,
    ((position, confirmed_at, read_at, content), is_given_up): (HeldColumns, bool),
) -> Result<Held, Unopened> {
    Ok(Held {
        place: Place { recipient: row, position },
        notification: notification(content)?,
        confirmed_at: confirmed_at.map(|at| at.0),
        read_at: read_at.map(|at| at.0),
        is_given_up,
    })
}

async fn lines(
    connection: &mut Connection,
    row: i64,
    entries: Vec<(HeldColumns, bool)>,
) -> Result<Vec<Line>, StoreError> {
    let places: Vec<Position> = entries.iter().map(|((position, ..), _)| *position).collect();
    let entries = entries.into_iter().map(|entry| (entry.0.3.0, entry_held(row, entry)));
    let held = opened(connection, entries).await?;
    Ok(places.into_iter().zip(held).map(|(position, held)| Line { position, held }).collect())
}

/// The row of `recipient`, who may never have got anything.
pub(super) async fn row_of(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Option<i64>, StoreError> {
    let row = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .get_result(connection)
        .await
        .optional()?;
    Ok(row)
}

/// See [`crate::store::Store::held`].
pub async fn held(
    connection: &mut Connection,
    recipient: &Recipient,
    filter: &Filter,
    skip: i64,
    limit: i64,
) -> Result<Vec<Line>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let mut entries = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.gt(filter.after))
        .filter(inbox::deleted_at.is_null())
        .filter(unmuted!())
        .filter(notifications::expires_at.is_null().or(notifications::expires_at.gt(At(filter.now))))
        .order(inbox::position.desc())
        .offset(skip)
        .limit(limit)
        .select(((inbox::position, inbox::confirmed_at, inbox::read_at, content()), is_given_up()))
        .into_boxed();
    if let Some(before) = filter.before {
        entries = entries.filter(inbox::position.lt(before));
    }
    if filter.unread_only {
        entries = entries.filter(inbox::read_at.is_null());
    }
    if let Some(kind) = &filter.kind {
        entries = entries.filter(notifications::kind.eq(kind));
    }
    if let Some(topic) = &filter.topic {
        entries = entries.filter(notifications::topic.eq(topic));
    }
    if let Some(priority) = filter.priority {
        entries = entries.filter(notifications::priority.eq(priority.level()));
    }
    let entries: Vec<(HeldColumns, bool)> = entries.load(connection).await?;
    lines(connection, row, entries).await
}

/// See [`crate::store::Store::held_counts`].
pub async fn held_counts(
    connection: &mut Connection,
    recipient: &Recipient,
    filter: &Filter,
) -> Result<Option<Counted>, StoreError> {
    let which = filter.which();
    let tallied: Option<Tallied> =
        Tally::new(recipient, &which, filter.now).get_result(connection).await.optional()?;
    Ok(tallied.map(|tallied| {
        let counted = tallied.counted();
        Counted { is_long: counted.is_long && tallied.may_be_kept(&which), ..counted }
    }))
}

/// See [`crate::store::Store::find`].
pub async fn find(
    connection: &mut Connection,
    recipient: &Recipient,
    id: NotificationId,
) -> Result<Option<Held>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(None) };
    let Some(position) = super::position_of(connection, row, id).await? else { return Ok(None) };
    let entry: Option<(HeldColumns, bool)> = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.eq(position))
        .filter(inbox::deleted_at.is_null())
        .select(((inbox::position, inbox::confirmed_at, inbox::read_at, content()), is_given_up()))
        .get_result(connection)
        .await
        .optional()?;
    Ok(entry.map(|entry| entry_held(row, entry)).transpose()?)
}

/// See [`crate::store::Store::audience`].
pub async fn audience(
    connection: &mut Connection,
    tenant: &Tenant,
    group: &Group,
) -> Result<i64, StoreError> {
    let tenant = tenant.as_str();
    Ok(match group {
        Group::Everyone => {
            recipients::table.filter(recipients::tenant.eq(tenant)).count().get_result(connection).await?
        }
        Group::Topic(topic) => {
            subscriptions::table
                .filter(subscriptions::tenant.eq(tenant))
                .filter(subscriptions::topic.eq(topic))
                .count()
                .get_result(connection)
                .await?
        }
        Group::People(users) => i64::try_from(users.len()).unwrap_or(i64::MAX),
        Group::Role(role) => {
            roles::table
                .filter(roles::tenant.eq(tenant))
                .filter(roles::role.eq(role))
                .count()
                .get_result(connection)
                .await?
        }
    })
}

/// See [`crate::store::Store::spread_of`].
pub async fn spread_of(
    connection: &mut Connection,
    id: NotificationId,
) -> Result<Option<(i64, bool)>, StoreError> {
    let found: Option<(i64, Option<At>)> = expansions::table
        .find(id.0)
        .select((expansions::recipients, expansions::finished_at))
        .get_result(connection)
        .await
        .optional()?;
    Ok(found.map(|(many, finished_at)| (many, finished_at.is_some())))
}

/// See [`crate::store::Store::number_of`].
pub async fn number_of(
    connection: &mut Connection,
    uuid: &uuid::Uuid,
) -> Result<Option<NotificationId>, StoreError> {
    let id: Option<i64> = notifications::table
        .filter(notifications::uuid.eq(UuidColumn(*uuid)))
        .select(notifications::id)
        .get_result(connection)
        .await
        .optional()?;
    Ok(id.map(NotificationId))
}

/// See [`crate::store::Store::topics`].
pub async fn topics(connection: &mut Connection, recipient: &Recipient) -> Result<Vec<String>, StoreError> {
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let topics = subscriptions::table
        .filter(subscriptions::recipient_id.eq(row))
        .order(subscriptions::topic)
        .select(subscriptions::topic)
        .load(connection)
        .await?;
    Ok(topics)
}

/// See [`crate::store::Store::due`].
pub async fn due_spreads(
    connection: &mut Connection,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let due: Vec<(i64, At)> = expansions::table
        .filter(expansions::finished_at.is_null())
        .filter(expansions::due_at.le(At(until)))
        .order((expansions::due_at, expansions::notification_id))
        .limit(limit)
        .select((expansions::notification_id, expansions::due_at))
        .load(connection)
        .await?;
    Ok(due.into_iter().map(|(id, at)| (id, at.0)).collect())
}

/// See [`crate::store::Store::due`].
pub async fn due_releases(
    connection: &mut Connection,
    until: Timestamp,
    limit: i64,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let due: Vec<(i64, At)> = deferrals::table
        .filter(deferrals::due_at.le(At(until)))
        .order(deferrals::due_at)
        .limit(limit)
        .select((deferrals::recipient_id, deferrals::due_at))
        .load(connection)
        .await?;
    Ok(due.into_iter().map(|(row, at)| (row, at.0)).collect())
}

/// See [`crate::store::Store::last_notification`].
pub async fn last_notification(connection: &mut Connection) -> Result<i64, StoreError> {
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    Ok(last.unwrap_or(0))
}

/// See [`crate::store::Store::deployment`].
pub async fn deployment_name(connection: &mut Connection) -> Result<String, StoreError> {
    Ok(deployment::table.select(deployment::name).get_result(connection).await?)
}

/// What a move of this database, from or to elsewhere, left to be known.
pub async fn transfer_state(connection: &mut Connection) -> Result<Option<String>, StoreError> {
    Ok(deployment::table.select(deployment::transfer).get_result(connection).await?)
}

/// See [`crate::store::Store::ping`]. The names of the keys by which the database is encrypted.
pub async fn ping(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    // A row, so that the file is really read.
    recipients::table.select(recipients::id).limit(1).load::<i64>(connection).await?;
    Ok(sealing::table.select(sealing::name).load(connection).await?)
}
