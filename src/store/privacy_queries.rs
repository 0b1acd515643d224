//! Reads of all that is kept of somebody. Compiled twice, once for each database.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::digest_queries::legible_digests;
use super::erasing_special::others_have;
use super::passing_over::{legibly, opened};
use super::queries_body::row_of;
use crate::domain::booker::is_booked_by;
use crate::domain::{
    BOOKING_KIND, Channel, Group, Notification, Position, Recipient, Timestamp, WebhookEvent,
};
use crate::store::content::{Content, content, notification};
use crate::store::digests::sent_columns;
use crate::store::privacy::{Audited, Elsewhere, EntryRow, WholeDelivery, WholeEntry, named, person_digests};
use crate::store::schema::{
    audit_log, audit_people, connections, deliveries, digests, expansions, inbox, notifications, recurring,
    roles, spent, template_versions, webhook_messages, webhooks,
};
use crate::store::sealing::{Opening, legible};
use crate::store::types::At;
use crate::store::{SentDigest, State, StoreError};

/// How an audience begins that names people.
const NAMED: &str = "{\"people\":%";

/// See [`crate::store::Store::person_row`].
pub async fn person_row(
    connection: &mut Connection,
    recipient: &Recipient,
) -> Result<Option<i64>, StoreError> {
    row_of(connection, recipient).await
}

/// See [`crate::store::Store::roles_of`].
pub async fn roles_of(connection: &mut Connection, row: i64) -> Result<Vec<String>, StoreError> {
    let theirs = roles::table.filter(roles::recipient_id.eq(row)).order(roles::role).select(roles::role);
    Ok(theirs.load(connection).await?)
}

/// See [`crate::store::Store::is_counted_on`].
pub async fn is_counted_on(connection: &mut Connection, person: &Recipient) -> Result<bool, StoreError> {
    let of_theirs = spent::table.filter(spent::person_digest.eq_any(person_digests(person)));
    let many: i64 = of_theirs.count().get_result(connection).await?;
    Ok(many > 0)
}

/// See [`crate::store::Store::whole_entries`].
pub async fn whole_entries(
    connection: &mut Connection,
    row: i64,
    after: Position,
    limit: i64,
) -> Result<Vec<WholeEntry>, StoreError> {
    let page = inbox::table
        .inner_join(notifications::table)
        .filter(inbox::recipient_id.eq(row))
        .filter(inbox::position.gt(after))
        .order(inbox::position)
        .limit(limit)
        .select((
            content(),
            (
                inbox::position,
                (notifications::sender, notifications::wish),
                (inbox::sent_at, inbox::confirmed_at, inbox::read_at, inbox::deleted_at),
                (inbox::confirmed_by, inbox::hush_reason),
            ),
        ));
    let rows: Vec<(Content, EntryRow)> = page.load(connection).await?;
    let (contents, rows): (Vec<Content>, Vec<EntryRow>) = rows.into_iter().unzip();
    let contents = legibly(connection, contents).await?;
    Ok(contents.into_iter().zip(rows).map(WholeEntry::from).collect())
}

/// See [`crate::store::Store::places_alone`].
pub async fn places_alone(
    connection: &mut Connection,
    recipient: &Recipient,
    row: i64,
    limit: i64,
) -> Result<(Vec<(i64, i64)>, Vec<i64>), StoreError> {
    let places: Vec<(i64, i64)> = inbox::table
        .filter(inbox::recipient_id.eq(row))
        .order(inbox::position)
        .limit(limit)
        .select((inbox::position, inbox::notification_id))
        .load(connection)
        .await?;
    let ids: Vec<i64> = places.iter().map(|(_, notification)| *notification).collect();
    if ids.is_empty() {
        return Ok((places, Vec::new()));
    }
    let mut others: HashSet<i64> = others_have(connection, recipient, row, &ids).await?;
    let spread: Vec<(i64, Opening)> = expansions::table
        .filter(expansions::notification_id.eq_any(&ids))
        .select((expansions::notification_id, expansions::audience))
        .load(connection)
        .await?;
    let is_theirs =
        |audience: &str| matches!(people(audience), Some(users) if users == [recipient.user.as_str()]);
    others.extend(
        spread
            .into_iter()
            .filter(|(_, audience)| !audience.0.as_deref().is_ok_and(is_theirs))
            .map(|(id, _)| id),
    );
    let alone = ids.into_iter().filter(|id| !others.contains(id)).collect();
    Ok((places, alone))
}

/// The people that an audience names.
fn people(audience: &str) -> Option<Vec<String>> {
    match serde_json::from_str(audience) {
        Ok(Group::People(users)) => Some(users),
        _ => None,
    }
}

/// See [`crate::store::Store::whole_deliveries`].
pub async fn whole_deliveries(
    connection: &mut Connection,
    row: i64,
    ids: &[i64],
) -> Result<Vec<WholeDelivery>, StoreError> {
    type Row =
        ((i64, i64, i32, i32), Option<String>, (Option<String>, Option<String>), i32, (At, Option<At>));
    let rows: Vec<Row> = deliveries::table
        .filter(deliveries::recipient_id.eq(row))
        .filter(deliveries::notification_id.eq_any(ids))
        .order(deliveries::id)
        .select((
            (deliveries::id, deliveries::notification_id, deliveries::channel, deliveries::state),
            deliveries::reason,
            (deliveries::provider, deliveries::provider_id),
            deliveries::to_guardian,
            (deliveries::created_at, deliveries::finished_at),
        ))
        .load(connection)
        .await?;
    let whole =
        |((id, notification, channel, state), reason, provider, to_guardian, times): Row| WholeDelivery {
            id,
            notification,
            channel: Channel::from_number(channel).unwrap_or(Channel::Email),
            state,
            reason,
            provider,
            to_guardian: to_guardian == 1,
            times: (times.0.0, times.1.map(|at| at.0)),
        };
    Ok(rows.into_iter().map(whole).collect())
}

/// See [`crate::store::Store::whole_digests`].
pub async fn whole_digests(
    connection: &mut Connection,
    row: i64,
    after: i64,
    limit: i64,
) -> Result<Vec<SentDigest>, StoreError> {
    let page = digests::table
        .filter(digests::recipient_id.eq(row))
        .filter(digests::id.gt(after))
        .order(digests::id)
        .limit(limit)
        .select(sent_columns());
    let rows = page.load(connection).await?;
    legible_digests(connection, rows).await
}

/// See [`crate::store::Store::audited_of`].
pub async fn audited_of(
    connection: &mut Connection,
    person: &Recipient,
    after: i64,
    limit: i64,
) -> Result<Vec<Audited>, StoreError> {
    type Row = (i64, At, Option<Opening>, Opening, Option<Opening>, Opening, Option<Opening>);
    let user = person.user.as_str();
    let rows: Vec<Row> = audit_log::table
        .filter(audit_log::tenant.eq(person.tenant.as_str()))
        .filter(audit_log::id.gt(after))
        .filter(audit_log::actor.eq(user).or(audit_log::subject.eq(user)))
        .order(audit_log::id)
        .limit(limit)
        .select((
            audit_log::id,
            audit_log::at,
            audit_log::actor,
            audit_log::action,
            audit_log::subject,
            audit_log::detail,
            audit_log::address,
        ))
        .load(connection)
        .await?;
    let audited = |(id, At(at), actor, action, subject, detail, address): Row| Audited {
        id,
        at,
        actor: legible(actor),
        action: action.legible(),
        subject: legible(subject),
        detail: detail.legible_json(),
        address: legible(address),
    };
    Ok(rows.into_iter().map(audited).collect())
}

/// See [`crate::store::Store::messages_of`].
pub async fn messages_of(
    connection: &mut Connection,
    person: &Recipient,
    after: i64,
    limit: i64,
) -> Result<Vec<Elsewhere>, StoreError> {
    let rows: Vec<(i64, Opening, Opening, At)> = webhook_messages::table
        .inner_join(webhooks::table)
        .filter(webhooks::tenant.eq(person.tenant.as_str()))
        .filter(webhook_messages::id.gt(after))
        .filter(
            webhook_messages::data.like(named("user_id", person.user.as_str())).escape('\\').or(
                // Whose doing an alert is about.
                webhook_messages::event
                    .eq(WebhookEvent::SecurityAlert.name())
                    .and(webhook_messages::data.like(named("source", person.user.as_str())).escape('\\')),
            ),
        )
        .order(webhook_messages::id)
        .limit(limit)
        .select((
            webhook_messages::id,
            webhook_messages::event,
            webhook_messages::data,
            webhook_messages::happened_at,
        ))
        .load(connection)
        .await?;
    let elsewhere = |(id, what, content, At(at)): (i64, Opening, Opening, At)| Elsewhere {
        id,
        what: what.legible(),
        content: content.legible_json(),
        at: Some(at),
    };
    Ok(rows.into_iter().map(elsewhere).collect())
}

/// See [`crate::store::Store::expansions_of`].
pub async fn expansions_of(
    connection: &mut Connection,
    person: &Recipient,
    after: i64,
    limit: i64,
) -> Result<Vec<Elsewhere>, StoreError> {
    type Row = (i64, Opening, At, Opening, Opening);
    let user = person.user.as_str().to_owned();
    let (mut found, mut after) = (Vec::new(), after);
    loop {
        let rows: Vec<Row> = expansions::table
            .inner_join(notifications::table)
            .filter(expansions::tenant.eq(person.tenant.as_str()))
            .filter(expansions::notification_id.gt(after))
            .filter(expansions::audience.like(NAMED))
            .order(expansions::notification_id)
            .limit(limit)
            .select((
                expansions::notification_id,
                expansions::audience,
                expansions::due_at,
                notifications::title,
                notifications::message,
            ))
            .load(connection)
            .await?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.0;
        for (id, audience, At(at), title, message) in rows {
            if people(&audience.legible()).is_some_and(|users| users.contains(&user)) {
                let (title, message) = (title.legible(), message.legible());
                found.push(Elsewhere { id, what: title, content: message, at: Some(at) });
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
}

/// See [`crate::store::Store::recurring_for`].
pub async fn recurring_for(
    connection: &mut Connection,
    person: &Recipient,
) -> Result<Vec<Elsewhere>, StoreError> {
    type Row = (i64, Opening, Opening, Opening, (Opening, Opening), Option<At>);
    let user = person.user.as_str();
    let rows: Vec<Row> = recurring::table
        .filter(recurring::tenant.eq(person.tenant.as_str()))
        .filter(
            recurring::owner
                .eq(user)
                .or(recurring::sender.eq(user).assume_not_null())
                .or(recurring::audience.like(NAMED)),
        )
        .order(recurring::id)
        .select((
            recurring::id,
            recurring::owner,
            recurring::audience,
            recurring::cron,
            (recurring::title, recurring::message),
            recurring::next_at,
        ))
        .load(connection)
        .await?;
    let names = |audience: &str| people(audience).is_some_and(|users| users.iter().any(|one| one == user));
    let theirs = rows.into_iter().filter(|(_, owner, audience, ..)| {
        owner.0.as_deref().is_ok_and(|owner| owner == user) || audience.0.as_deref().is_ok_and(names)
    });
    let elsewhere = |(id, _, _, cron, (title, message), at): Row| Elsewhere {
        id,
        what: cron.legible(),
        content: format!("{}\n{}", title.legible(), message.legible()),
        at: at.map(|at| at.0),
    };
    Ok(theirs.map(elsewhere).collect())
}

/// See [`crate::store::Store::sent_by`].
pub async fn sent_by(
    connection: &mut Connection,
    person: &Recipient,
    after: i64,
    window: i64,
) -> Result<(Vec<Notification>, Option<i64>), StoreError> {
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    let (upto, last) = (after.saturating_add(window), last.unwrap_or(0));
    let sent: Vec<Content> = notifications::table
        .filter(notifications::id.gt(after))
        .filter(notifications::id.le(upto))
        .filter(notifications::tenant.eq(person.tenant.as_str()))
        .filter(notifications::sender.eq(person.user.as_str()))
        .order(notifications::id)
        .select(content())
        .load(connection)
        .await?;
    Ok((legibly(connection, sent).await?, (upto < last).then_some(upto)))
}

/// See [`crate::store::Store::booked_by`]. One that cannot be opened is passed over.
pub async fn booked_by(
    connection: &mut Connection,
    person: &Recipient,
    after: i64,
    window: i64,
) -> Result<(Vec<Notification>, Option<i64>), StoreError> {
    let user = person.user.as_str();
    let bookings = || {
        notifications::table
            .filter(notifications::tenant.eq(person.tenant.as_str()))
            .filter(notifications::kind.eq(BOOKING_KIND))
    };
    let last: Option<i64> =
        notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection).await?;
    let (upto, last) = (after.saturating_add(window), last.unwrap_or(0));
    let rows: Vec<Content> = bookings()
        .filter(notifications::id.gt(after))
        .filter(notifications::id.le(upto))
        .order(notifications::id)
        .select(content())
        .load(connection)
        .await?;
    let rows = rows.into_iter().map(|content| (content.0, notification(content)));
    let all = opened(connection, rows).await?.into_iter().flatten();
    let theirs = all.filter(|one| is_booked_by(&one.data, user)).collect();
    Ok((theirs, (upto < last).then_some(upto)))
}

/// See [`crate::store::Store::written_by`].
pub async fn written_by(
    connection: &mut Connection,
    person: &Recipient,
) -> Result<Vec<(String, i64)>, StoreError> {
    let theirs = template_versions::table
        .filter(template_versions::tenant.eq(person.tenant.as_str()))
        .filter(template_versions::author.eq(person.user.as_str()))
        .order(template_versions::id)
        .select((template_versions::name, template_versions::version));
    let theirs: Vec<(Opening, i64)> = theirs.load(connection).await?;
    Ok(theirs.into_iter().map(|(name, version)| (name.legible(), version)).collect())
}

/// See [`crate::store::Store::sockets_of`].
pub async fn sockets_of(
    connection: &mut Connection,
    person: &Recipient,
) -> Result<Vec<(Timestamp, String)>, StoreError> {
    let rows: Vec<(At, Opening)> = connections::table
        .filter(connections::tenant.eq(person.tenant.as_str()))
        .filter(connections::user_id.eq(person.user.as_str()))
        .select((connections::connected_at, connections::node))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(|(At(at), node)| (at, node.legible())).collect())
}

/// See [`crate::store::Store::secret_of`].
pub async fn secret_of(
    connection: &mut Connection,
    person: &Recipient,
) -> Result<Option<Vec<u8>>, StoreError> {
    let one = audit_people::table
        .filter(audit_people::tenant.eq(person.tenant.as_str()))
        .filter(audit_people::name.eq(person.user.as_str()))
        .select(audit_people::secret);
    Ok(one.get_result(connection).await.optional()?)
}

/// See [`crate::store::Store::is_under_way`].
pub async fn is_under_way(connection: &mut Connection, id: i64, attempt: i32) -> Result<bool, StoreError> {
    let this = deliveries::table
        .filter(deliveries::id.eq(id))
        .filter(deliveries::attempt.eq(attempt))
        .filter(deliveries::state.eq(State::UnderWay.number()));
    let many: i64 = this.count().get_result(connection).await?;
    Ok(many > 0)
}

/// A number that grows with each transaction, now.
pub async fn begun(connection: &mut Connection) -> Result<i64, StoreError> {
    number(connection, super::erasing_special::BEGUN).await
}

/// The same, of the oldest that is under way; the present one, if none is.
pub async fn oldest(connection: &mut Connection) -> Result<i64, StoreError> {
    number(connection, super::erasing_special::OLDEST).await
}

async fn number(connection: &mut Connection, of: &str) -> Result<i64, StoreError> {
    Ok(diesel::select(sql::<BigInt>(of)).get_result(connection).await?)
}
