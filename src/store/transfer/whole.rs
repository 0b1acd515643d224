//! Tables that are moved row by row in the order of their keys, and nothing else.

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use sha2::{Digest as _, Sha256};

use super::TOGETHER;
use crate::store::schema::{
    analytics, analytics_changes, analytics_latencies, analytics_place, audit_chain, audit_log, audit_people,
    audit_seals, consents, declined, deliveries, delivery_attempts, digest_subscriptions, digests,
    disclosures, expansions, push_subscriptions, recurrences, recurring, spent, stopped_numbers,
    template_versions, templates, webhook_attempts, webhook_messages, webhooks,
};
use crate::store::types::{At, UuidColumn};
use crate::store::{StoreError, sqlite};

/// What spreads, or has spread.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = expansions)]
struct Expansion {
    notification_id: i64,
    tenant: String,
    audience: String,
    due_at: At,
    reached: i64,
    recipients: i64,
    chunks: i64,
    finished_at: Option<At>,
    present: Option<String>,
}

/// A notification that was made of what recurs.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = recurrences)]
struct Made {
    notification_id: i64,
    recurring_id: i64,
    due_at: At,
}

/// What somebody did.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit_log)]
struct Recorded {
    id: i64,
    at: At,
    tenant: String,
    actor: Option<String>,
    action: String,
    subject: Option<String>,
    detail: String,
    address: Option<String>,
}

/// The seal of a row of the audit log.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit_seals)]
struct Seal {
    id: i64,
    hash: Vec<u8>,
}

/// How far it is sealed.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit_chain)]
struct Chain {
    id: i64,
    sealed: i64,
    head: Vec<u8>,
    many: i64,
    sealed_at: At,
    removed: i64,
    anchor: Vec<u8>,
    gone: i64,
    erasures: i64,
    told: i64,
}

/// What goes out over a channel that is not a socket.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = deliveries)]
struct Delivery {
    id: i64,
    notification_id: i64,
    recipient_id: i64,
    position: i64,
    tenant: String,
    channel: i32,
    step: i32,
    device_id: Option<i64>,
    state: i32,
    due_at: At,
    attempt: i32,
    since: i32,
    reason: Option<String>,
    provider: Option<String>,
    provider_id: Option<String>,
    number_digest: Option<String>,
    created_at: At,
    finished_at: Option<At>,
    retraction: i32,
    steps_from: Option<At>,
    unanswered: i32,
    parcel_key: Option<UuidColumn>,
    to_guardian: i32,
}

/// What somebody agreed to, or no longer.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = consents)]
struct Consent {
    id: i64,
    tenant: String,
    recipient_id: i64,
    channel: i32,
    kind: String,
    is_given: i32,
    at: At,
    how: String,
    actor: Option<String>,
    note: Option<String>,
}

/// Who saw what about whom.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = disclosures)]
struct Disclosure {
    id: i64,
    tenant: String,
    at: At,
    about: String,
    recipient: String,
    actor: Option<String>,
    action: String,
    notification_id: Option<i64>,
    kind: String,
}

/// What pseudonyms of somebody are made of.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = audit_people)]
struct Named {
    id: i64,
    tenant: String,
    name: String,
    secret: Vec<u8>,
}

/// A number that wants no more.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = stopped_numbers)]
struct Stopped {
    id: i64,
    number_digest: String,
    stopped_at: At,
}

/// What went out to somebody who was forgotten.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = spent)]
struct Spent {
    id: i64,
    tenant: String,
    channel: i32,
    number_digest: Option<String>,
    person_digest: String,
    at: At,
}

/// What somebody who was forgotten has ended.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = declined)]
struct Declined {
    id: i64,
    person_digest: String,
    at: At,
}

/// A try.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = delivery_attempts)]
struct Attempt {
    delivery_id: i64,
    attempt: i32,
    at: At,
    took_ms: i32,
    provider: String,
    state: i32,
    reason: Option<String>,
}

/// What was counted.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = analytics)]
struct Part {
    id: i64,
    tenant: String,
    hour: i64,
    channel: i32,
    kind: String,
    outcome: i32,
    many: i64,
    millis: i64,
}

/// How long it took.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = analytics_latencies)]
struct Latency {
    id: i64,
    tenant: String,
    hour: i64,
    channel: i32,
    class: i32,
    many: i64,
}

/// Up to where it was counted.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = analytics_place)]
struct CountedUpto {
    id: i64,
    counted: i64,
    announced: i64,
    candidate: i64,
    candidate_at: At,
}

/// What changed since.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = analytics_changes)]
struct Change {
    id: i64,
    notification_id: i64,
    tenant: String,
    hour: i64,
    channel: i32,
    kind: String,
    outcome: i32,
    millis: Option<i64>,
    many: i64,
}

/// One page of a table behind a key, from either side.
macro_rules! page {
    ($connection:expr, $table:ident, $key:ident, $row:ty, $after:expr) => {
        $table::table
            .filter($table::$key.gt($after))
            .order($table::$key)
            .limit(TOGETHER)
            .load::<$row>($connection)
            .await?
    };
}

macro_rules! whole {
    ($($table:ident by $key:ident: $row:ty;)*) => {
        /// Copies what `target` does not have yet.
        pub async fn copy(
            source: &mut sqlite::ReadConnection,
            target: &mut AsyncPgConnection,
        ) -> Result<(), StoreError> {
            $({
                let last: Option<i64> =
                    $table::table.select(diesel::dsl::max($table::$key)).get_result(target).await?;
                let mut after = last.unwrap_or(0);
                loop {
                    let rows = page!(source, $table, $key, $row, after);
                    let Some(last) = rows.last() else { break };
                    after = last.$key;
                    diesel::insert_into($table::table).values(&rows).execute(target).await?;
                }
            })*
            Ok(())
        }

        digest!(source: sqlite::ReadConnection, $($table by $key: $row;)*);
        digest!(target: AsyncPgConnection, $($table by $key: $row;)*);
    };
}

macro_rules! digest {
    ($side:ident: $connection:ty, $($table:ident by $key:ident: $row:ty;)*) => {
        /// Adds all rows of this side.
        pub async fn $side(connection: &mut $connection, digest: &mut Sha256) -> Result<(), StoreError> {
            $({
                let mut after = 0;
                loop {
                    let rows = page!(connection, $table, $key, $row, after);
                    let Some(last) = rows.last() else { break };
                    after = last.$key;
                    rows.iter().for_each(|row| digest.update(format!("{row:?}")));
                }
            })*
            Ok(())
        }
    };
}

whole! {
    expansions by notification_id: Expansion;
    recurring by id: crate::store::recurring::Row;
    recurrences by notification_id: Made;
    audit_log by id: Recorded;
    audit_seals by id: Seal;
    audit_people by id: Named;
    audit_chain by id: Chain;
    consents by id: Consent;
    disclosures by id: Disclosure;
    deliveries by id: Delivery;
    stopped_numbers by id: Stopped;
    spent by id: Spent;
    declined by id: Declined;
    push_subscriptions by id: crate::store::devices::Row;
    digest_subscriptions by recipient_id: crate::store::digests::Row;
    digests by id: crate::store::digests::SentRow;
    templates by id: crate::store::templates::Row;
    template_versions by id: crate::store::templates::VersionRow;
    webhooks by id: crate::store::webhooks::Row;
    webhook_messages by id: crate::store::webhooks::MessageRow;
    webhook_attempts by id: crate::store::webhooks::AttemptRow;
    analytics by id: Part;
    analytics_latencies by id: Latency;
    analytics_changes by id: Change;
    analytics_place by id: CountedUpto;
}

/// The tries of a page of deliveries, from either side.
macro_rules! tries {
    ($connection:expr, $after:expr, $upto:expr) => {
        delivery_attempts::table
            .filter(delivery_attempts::delivery_id.gt($after))
            .filter(delivery_attempts::delivery_id.le($upto))
            .order((delivery_attempts::delivery_id, delivery_attempts::attempt))
            .load::<Attempt>($connection)
            .await?
    };
}

macro_rules! digest_tries {
    ($name:ident, $connection:ty) => {
        /// Adds all tries of this side.
        pub async fn $name(connection: &mut $connection, digest: &mut Sha256) -> Result<(), StoreError> {
            let mut after = 0;
            loop {
                let page = page!(connection, deliveries, id, Delivery, after);
                let Some(last) = page.last() else { return Ok(()) };
                let rows = tries!(connection, after, last.id);
                rows.iter().for_each(|row| digest.update(format!("{row:?}")));
                after = last.id;
            }
        }
    };
}
digest_tries!(source_tries, sqlite::ReadConnection);
digest_tries!(target_tries, AsyncPgConnection);

/// Copies the tries that `target` does not have yet; those of a page of deliveries come together.
pub async fn copy_tries(
    source: &mut sqlite::ReadConnection,
    target: &mut AsyncPgConnection,
) -> Result<(), StoreError> {
    let last = diesel::dsl::max(delivery_attempts::delivery_id);
    let last: Option<i64> = delivery_attempts::table.select(last).get_result(target).await?;
    let mut after = last.unwrap_or(0);
    loop {
        let page = page!(source, deliveries, id, Delivery, after);
        let Some(last) = page.last() else { return Ok(()) };
        let rows = tries!(source, after, last.id);
        diesel::insert_into(delivery_attempts::table).values(&rows).execute(target).await?;
        after = last.id;
    }
}
