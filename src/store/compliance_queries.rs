//! Reads of what people agree to, who saw what about whom, and how many of each there are. Compiled twice, once for each
//! database.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::Connection;
use super::queries_body::row_of;
use crate::domain::{Channel, Recipient, Tenant, Timestamp};
use crate::store::StoreError;
use crate::store::people::{COUNTED_TOGETHER, People};
use crate::store::privacy::{Consent, Disclosure, DisclosureRow, Figure};
use crate::store::schema::{audit_log, consents, disclosures, recipients};
use crate::store::sealing::{Opening, legible};
use crate::store::types::At;

/// See [`crate::store::Store::consents_of`].
pub async fn consents_of(
    connection: &mut Connection,
    recipient: &Recipient,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Consent>, StoreError> {
    type Row = (i64, i32, Opening, i32, At, Opening, Option<Opening>, Option<Opening>);
    let Some(row) = row_of(connection, recipient).await? else { return Ok(Vec::new()) };
    let rows: Vec<Row> = consents::table
        .filter(consents::recipient_id.eq(row))
        .filter(consents::id.lt(before.unwrap_or(i64::MAX)))
        .order(consents::id.desc())
        .limit(limit)
        .select((
            consents::id,
            consents::channel,
            consents::kind,
            consents::is_given,
            consents::at,
            consents::how,
            consents::actor,
            consents::note,
        ))
        .load(connection)
        .await?;
    let consent = |(id, channel, kind, is_given, At(at), how, actor, note): Row| Consent {
        id,
        channel: Channel::from_number(channel).unwrap_or(Channel::Email),
        kind: kind.legible(),
        is_given: is_given == 1,
        at,
        how: how.legible(),
        actor: legible(actor),
        note: legible(note),
    };
    Ok(rows.into_iter().map(consent).collect())
}

/// See [`crate::store::Store::disclosures_of`].
pub async fn disclosures_of(
    connection: &mut Connection,
    about: &Recipient,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Disclosure>, StoreError> {
    let rows: Vec<DisclosureRow> = disclosures::table
        .filter(disclosures::tenant.eq(about.tenant.as_str()))
        .filter(disclosures::about.eq(about.user.as_str()))
        .filter(disclosures::id.lt(before.unwrap_or(i64::MAX)))
        .order(disclosures::id.desc())
        .limit(limit)
        .select((
            disclosures::id,
            disclosures::at,
            disclosures::about,
            disclosures::recipient,
            disclosures::actor,
            disclosures::action,
            disclosures::notification_id,
            disclosures::kind,
        ))
        .load(connection)
        .await?;
    Ok(rows.into_iter().map(Disclosure::from).collect())
}

/// See [`crate::store::Store::figures`].
pub async fn figures(
    connection: &mut Connection,
    tenant: &Tenant,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Figure>, StoreError> {
    let (tenant, from, to) = (tenant.as_str(), At(from), At(to));
    let mut all = Vec::new();
    let mut add = |section, counted: Vec<(String, i64)>| {
        all.extend(counted.into_iter().map(|(name, many)| Figure { section, name, many }));
    };
    let audited: Vec<(Opening, i64)> = audit_log::table
        .filter(audit_log::tenant.eq(tenant))
        .filter(audit_log::at.ge(from))
        .filter(audit_log::at.lt(to))
        .group_by(audit_log::action)
        .order(audit_log::action)
        .select((audit_log::action, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    add("audit", audited.into_iter().map(|(name, many)| (name.legible(), many)).collect());
    let said: Vec<(i32, i32, i64)> = consents::table
        .filter(consents::tenant.eq(tenant))
        .filter(consents::at.ge(from))
        .filter(consents::at.lt(to))
        .group_by((consents::channel, consents::is_given))
        .order((consents::channel, consents::is_given.desc()))
        .select((consents::channel, consents::is_given, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    let said = said.into_iter().map(|(channel, is_given, many)| {
        let channel = Channel::from_number(channel).map_or("", Channel::name);
        (format!("{channel} {}", if is_given == 1 { "given" } else { "withdrawn" }), many)
    });
    add("consent", said.collect());
    let seen: Vec<(Opening, i64)> = disclosures::table
        .filter(disclosures::tenant.eq(tenant))
        .filter(disclosures::at.ge(from))
        .filter(disclosures::at.lt(to))
        .group_by(disclosures::action)
        .order(disclosures::action)
        .select((disclosures::action, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    add("disclosure", seen.into_iter().map(|(name, many)| (name.legible(), many)).collect());
    Ok(all)
}

/// See [`crate::store::Store::standing`]: the next people behind `after`. What cannot be opened is counted, and ends nothing.
pub async fn people(connection: &mut Connection, tenant: &Tenant, after: i64) -> Result<People, StoreError> {
    let page = || {
        // As the index of tenants has it.
        recipients::table
            .filter(sql::<Text>("recipients.tenant || ''").eq(tenant.as_str()))
            .filter(recipients::id.gt(after))
            .order(recipients::id)
            .limit(COUNTED_TOGETHER)
    };
    let ids: Vec<i64> = page().select(recipients::id).load(connection).await?;
    let Some(last) = ids.last() else { return Ok(People::default()) };
    let mut people = People::of(&ids);
    let rows: Vec<Option<Opening>> = page()
        .filter(recipients::id.le(*last))
        .filter(recipients::contacts.is_not_null())
        .select(recipients::contacts)
        .load(connection)
        .await?;
    for Opening(stored) in rows.into_iter().flatten() {
        match stored {
            Ok(stored) => people.note(&stored),
            Err(_) => people.shut += 1,
        }
    }
    Ok(people)
}
