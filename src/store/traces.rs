//! Reads for those who ask why. Compiled twice, like `queries.rs`.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::device_queries::devices_of;
use super::passing_over::opened;
use crate::domain::{
    Contacts, Group, Idempotency, Notification, NotificationId, Position, Recipient, Tenant, Timestamp,
    UserId,
};
use crate::store::content::{Content, content, notification};
use crate::store::schema::{connections, expansions, inbox, notifications, recipients, roles, subscriptions};
use crate::store::sealing::{Opening, legible};
use crate::store::types::{At, UuidColumn};
use crate::store::{
    MUTED, Member, QUIET, Registered, StoreError, TAKEN_BACK, Trace, TracedEntry, TracedHush, TracedSpread,
    Waiting, preferred,
};

/// See [`crate::store::Store::trace`].
pub async fn trace(
    connection: &mut Connection,
    tenant: &Tenant,
    id: NotificationId,
    recipient: Option<&Recipient>,
) -> Result<Option<Trace>, StoreError> {
    type Columns = (UuidColumn, Opening, Opening, i32, Option<Opening>, At, Option<At>);
    let found: Option<Columns> = notifications::table
        .find(id.0)
        .filter(notifications::tenant.eq(tenant.as_str()))
        .select((
            notifications::uuid,
            notifications::kind,
            notifications::topic,
            notifications::priority,
            notifications::sender,
            notifications::created_at,
            notifications::expires_at,
        ))
        .get_result(connection)
        .await
        .optional()?;
    let Some((UuidColumn(uuid), kind, topic, level, sender, At(created_at), expires_at)) = found else {
        return Ok(None);
    };
    let spread = spread(connection, id).await?;
    let entry = match recipient {
        Some(recipient) => entry(connection, recipient, id).await?,
        None => None,
    };
    let priority = crate::domain::Priority::from_level(level);
    let expires_at = expires_at.map(|at| at.0);
    let (kind, topic, sender) = (kind.legible(), topic.legible(), legible(sender));
    Ok(Some(Trace { id, uuid, kind, topic, priority, sender, created_at, expires_at, spread, entry }))
}

async fn spread(connection: &mut Connection, id: NotificationId) -> Result<Option<TracedSpread>, StoreError> {
    type Columns = (String, At, i64, Option<At>, i64);
    let found: Option<Columns> = expansions::table
        .find(id.0)
        .select((
            expansions::audience,
            expansions::due_at,
            expansions::recipients,
            expansions::finished_at,
            expansions::reached,
        ))
        .get_result(connection)
        .await
        .optional()?;
    let Some((group, At(due_at), people, finished_at, reached)) = found else { return Ok(None) };
    let (group, finished_at) = (read_group(&group)?, finished_at.map(|at| at.0));
    Ok(Some(TracedSpread { group, due_at, people, finished_at, is_taken_back: reached == TAKEN_BACK }))
}

fn read_group(text: &str) -> Result<Group, diesel::result::Error> {
    serde_json::from_str(text).map_err(|fault| diesel::result::Error::DeserializationError(Box::new(fault)))
}

/// See [`crate::store::Store::waiting`].
pub async fn waiting(
    connection: &mut Connection,
    tenant: &Tenant,
    sender: Option<&UserId>,
    now: Timestamp,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Waiting>, StoreError> {
    let mut query = expansions::table
        .inner_join(notifications::table)
        .filter(expansions::tenant.eq(tenant.as_str()))
        .filter(expansions::finished_at.is_null())
        .filter(expansions::due_at.gt(At(now)))
        .filter(expansions::notification_id.lt(before.unwrap_or(i64::MAX)))
        .order(expansions::notification_id.desc())
        .limit(limit)
        .select((expansions::audience, expansions::due_at, notifications::sender, content()))
        .into_boxed();
    if let Some(sender) = sender {
        query = query.filter(notifications::sender.eq(sender.as_str()));
    }
    let found: Vec<(Opening, At, Option<Opening>, Content)> = query.load(connection).await?;
    let mut rows = Vec::with_capacity(found.len());
    let mut contents = Vec::with_capacity(found.len());
    for (group, At(due_at), sender, content) in found {
        // One whom it is for cannot be read goes to nobody.
        let Ok(group) = read_group(&group.legible()) else { continue };
        rows.push((group, due_at, legible(sender)));
        contents.push((content.0, notification(content)));
    }
    let contents = opened(connection, contents).await?;
    let one = |((group, due_at, sender), notification): (_, Option<Notification>)| {
        Some(Waiting { notification: notification?, sender, group, due_at })
    };
    Ok(rows.into_iter().zip(contents).filter_map(one).collect())
}

/// See [`crate::store::Store::accepted_before`].
pub async fn accepted_before(
    connection: &mut Connection,
    same: &Idempotency,
    since: Timestamp,
) -> Result<Option<(NotificationId, uuid::Uuid, Timestamp)>, StoreError> {
    let found: Option<(i64, UuidColumn, At)> = notifications::table
        .filter(notifications::idempotency_key.eq(&same.key))
        .filter(notifications::request_digest.eq(same.request.0.as_slice()))
        .filter(notifications::created_at.ge(At(since)))
        .select((notifications::id, notifications::uuid, notifications::created_at))
        .get_result(connection)
        .await
        .optional()?;
    Ok(found.map(|(id, UuidColumn(uuid), At(at))| (NotificationId(id), uuid, at)))
}

async fn entry(
    connection: &mut Connection,
    recipient: &Recipient,
    id: NotificationId,
) -> Result<Option<TracedEntry>, StoreError> {
    let row: Option<i64> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .get_result(connection)
        .await
        .optional()?;
    let Some(row) = row else { return Ok(None) };
    let Some(position) = super::position_of(connection, row, id).await? else { return Ok(None) };
    Ok(Some(entry_at(connection, row, position).await?))
}

async fn entry_at(
    connection: &mut Connection,
    row: i64,
    position: Position,
) -> Result<TracedEntry, StoreError> {
    type Over = (Option<At>, Option<Opening>);
    type Columns = (Over, Option<At>, Option<Opening>, Option<At>, Option<At>, Option<i32>, Option<Opening>);
    let ((sent_at, sent_over), confirmed_at, confirmed_by, read_at, deleted_at, hush, reason): Columns =
        inbox::table
            .find((row, position))
            .select((
                (inbox::sent_at, inbox::sent_over),
                inbox::confirmed_at,
                inbox::confirmed_by,
                inbox::read_at,
                inbox::deleted_at,
                inbox::hush,
                inbox::hush_reason,
            ))
            .get_result(connection)
            .await?;
    let at = |column: Option<At>| column.map(|at| at.0);
    let hush = legible(reason).map(|reason| {
        let state = match hush {
            Some(MUTED) => TracedHush::Muted,
            Some(QUIET) => TracedHush::Waits,
            Some(_) => TracedHush::SummedUp,
            None => TracedHush::Over,
        };
        (state, reason)
    });
    Ok(TracedEntry {
        sent_at: at(sent_at),
        sent_over: legible(sent_over),
        confirmed_at: at(confirmed_at),
        confirmed_by: legible(confirmed_by),
        read_at: at(read_at),
        deleted_at: at(deleted_at),
        hush,
    })
}

/// See [`crate::store::Store::holders`].
pub async fn holders(
    connection: &mut Connection,
    tenant: &Tenant,
    id: NotificationId,
    after: i64,
    limit: i64,
) -> Result<(Vec<(UserId, TracedEntry)>, Option<i64>), StoreError> {
    let (found, next) = super::places_of(connection, tenant, id, after, limit).await?;
    let mut all = Vec::with_capacity(found.len());
    for (row, position) in found {
        let user: Opening =
            recipients::table.find(row).select(recipients::user_id).get_result(connection).await?;
        let odd = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
        all.push((UserId::new(&user.legible()).map_err(odd)?, entry_at(connection, row, position).await?));
    }
    Ok((all, next))
}

/// See [`crate::store::Store::members`].
pub async fn members(
    connection: &mut Connection,
    tenant: &Tenant,
    group: &Group,
    limit: i64,
) -> Result<Vec<Member>, StoreError> {
    type Columns = (i64, Opening, Option<Opening>, Option<Opening>);
    let name = tenant.as_str();
    let found: Vec<Columns> = match group {
        Group::Everyone => {
            recipients::table
                .filter(recipients::tenant.eq(name))
                .order(recipients::id)
                .limit(limit)
                .select((recipients::id, recipients::user_id, recipients::preferences, recipients::contacts))
                .load(connection)
                .await?
        }
        Group::Topic(topic) => {
            subscriptions::table
                .inner_join(recipients::table)
                .filter(subscriptions::tenant.eq(name))
                .filter(subscriptions::topic.eq(topic))
                .order(recipients::id)
                .limit(limit)
                .select((recipients::id, recipients::user_id, recipients::preferences, recipients::contacts))
                .load(connection)
                .await?
        }
        Group::Role(role) => {
            roles::table
                .inner_join(recipients::table)
                .filter(roles::tenant.eq(name))
                .filter(roles::role.eq(role))
                .order(recipients::id)
                .limit(limit)
                .select((recipients::id, recipients::user_id, recipients::preferences, recipients::contacts))
                .load(connection)
                .await?
        }
        Group::People(users) => {
            let some: Vec<&String> = users.iter().take(usize::try_from(limit).unwrap_or(0)).collect();
            let known: Vec<Columns> = recipients::table
                .filter(recipients::tenant.eq(name))
                .filter(recipients::user_id.eq_any(&some))
                .select((recipients::id, recipients::user_id, recipients::preferences, recipients::contacts))
                .load(connection)
                .await?;
            // Whoever never had anything has no row, and no preferences.
            let mut known: HashMap<String, Columns> =
                known.into_iter().map(|columns| (columns.1.clone().legible(), columns)).collect();
            let nobody = |user: &String| (0, Opening(Ok(user.clone())), None, None);
            some.into_iter().map(|user| known.remove(user).unwrap_or_else(|| nobody(user))).collect()
        }
    };
    let rows: Vec<i64> = found.iter().map(|(row, ..)| *row).collect();
    let mut devices: HashMap<i64, Vec<Registered>> = HashMap::new();
    for device in devices_of(connection, &rows).await? {
        devices.entry(device.recipient).or_default().push(device);
    }
    let users: Vec<&String> = found.iter().filter_map(|(_, user, ..)| user.0.as_ref().ok()).collect();
    let here: HashSet<String> = connections::table
        .filter(connections::tenant.eq(name))
        .filter(connections::user_id.eq_any(users))
        .select(connections::user_id)
        .load(connection)
        .await?
        .into_iter()
        .collect();
    let member = |(row, user, stored, contacts): Columns| {
        let (user, stored) = (user.legible(), legible(stored));
        let is_online = here.contains(&user);
        let odd = |fault| diesel::result::Error::DeserializationError(Box::new(fault));
        Ok(Member {
            user: UserId::new(&user).map_err(odd)?,
            preferences: stored.as_deref().map(preferred::read),
            is_online,
            is_shut: contacts.as_ref().is_some_and(|stored| stored.0.is_err()),
            contacts: contacts
                .and_then(|stored| stored.0.ok())
                .as_deref()
                .map(Contacts::from_stored)
                .unwrap_or_default(),
            devices: devices.remove(&row).unwrap_or_default(),
        })
    };
    found.into_iter().map(member).collect()
}

/// See [`crate::store::Store::is_member`].
pub async fn is_member(
    connection: &mut Connection,
    recipient: &Recipient,
    group: &Group,
) -> Result<bool, StoreError> {
    let (tenant, user) = (recipient.tenant.as_str(), recipient.user.as_str());
    let row = recipients::table.filter(recipients::tenant.eq(tenant)).filter(recipients::user_id.eq(user));
    let many: i64 = match group {
        Group::Everyone => row.count().get_result(connection).await?,
        Group::Topic(topic) => {
            let rows = subscriptions::table
                .filter(subscriptions::tenant.eq(tenant))
                .filter(subscriptions::topic.eq(topic));
            rows.filter(subscriptions::recipient_id.eq_any(row.select(recipients::id)))
                .count()
                .get_result(connection)
                .await?
        }
        Group::Role(role) => {
            let rows = roles::table.filter(roles::tenant.eq(tenant)).filter(roles::role.eq(role));
            rows.filter(roles::recipient_id.eq_any(row.select(recipients::id)))
                .count()
                .get_result(connection)
                .await?
        }
        Group::People(users) => i64::from(users.iter().any(|one| one == user)),
    };
    Ok(many > 0)
}

/// See [`crate::store::Store::is_owed`].
pub async fn is_owed(
    connection: &mut Connection,
    recipient: &Recipient,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(row) = super::queries_body::row_of(connection, recipient).await? else { return Ok(false) };
    let due: Vec<(i64, String)> = expansions::table
        .filter(expansions::tenant.eq(recipient.tenant.as_str()))
        .filter(expansions::finished_at.is_null())
        .filter(expansions::due_at.le(At(now)))
        .select((expansions::notification_id, expansions::audience))
        .load(connection)
        .await?;
    for (id, group) in due {
        let Ok(group) = serde_json::from_str(&group) else { continue };
        if is_member(connection, recipient, &group).await?
            && super::position_of(connection, row, NotificationId(id)).await?.is_none()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
