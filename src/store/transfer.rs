//! Moves an SQLite file into a PostgreSQL database: numbers, places and read states stay as they are.
//!
//! Rows are copied in the order of their keys, in transactions of their own: a move that was interrupted
//! goes on behind the last row that arrived. At the end both sides are read and compared. Counts stay behind: whoever
//! asks for them has them counted anew.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use sha2::{Digest as _, Sha256};

use super::backup::NUMBERED;
use super::schema::{deployment, inbox, nodes, notifications, recipients, roles, subscriptions};
use super::sealing::Sealed;
use super::types::{At, Instant, UuidColumn};
use super::{DatabaseUrl, LEASE_SECONDS, StoreError, migrate, postgres, sealing, sqlite};

mod whole;

/// Rows in one transaction.
const TOGETHER: i64 = 1_000;

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Notifications that are there now.
    pub notifications: i64,
    /// People.
    pub recipients: i64,
    /// Entries of their inboxes.
    pub entries: i64,
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = notifications)]
struct Content {
    id: i64,
    uuid: UuidColumn,
    tenant: String,
    kind: String,
    topic: String,
    title: Sealed,
    message: Sealed,
    data: Sealed,
    idempotency_key: Option<Vec<u8>>,
    request_digest: Option<Vec<u8>>,
    created_at: At,
    priority: i32,
    action_url: Option<Sealed>,
    sender: Option<String>,
    expires_at: Option<At>,
    wish: Option<Sealed>,
}

/// A topic that somebody hears of.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = subscriptions)]
struct Subscription {
    tenant: String,
    topic: String,
    recipient_id: i64,
}

/// A role that somebody has.
#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = roles)]
struct Role {
    tenant: String,
    role: String,
    recipient_id: i64,
}

#[derive(Clone, Queryable, Insertable, Debug)]
#[diesel(table_name = recipients)]
struct Person {
    id: i64,
    tenant: String,
    user_id: String,
    last_position: i64,
    pending_after: i64,
    preferences: Option<String>,
    contacts: Option<Sealed>,
}

#[derive(Queryable, Insertable, Debug)]
#[diesel(table_name = inbox)]
struct Place {
    recipient_id: i64,
    position: i64,
    notification_id: i64,
    sent_at: Option<At>,
    confirmed_at: Option<At>,
    confirmed_by: Option<String>,
    read_at: Option<At>,
    deleted_at: Option<At>,
    hush: Option<i32>,
    hush_reason: Option<String>,
    expires_at: Option<At>,
    sent_over: Option<String>,
}

/// Moves everything from `from`, which no server may be using, to `to`; `tell` hears how far it is.
///
/// # Errors
/// When either cannot be used, `to` holds notifications of another origin, or the two differ at the end.
pub async fn transfer(
    from: &DatabaseUrl,
    to: &DatabaseUrl,
    tell: impl Fn(&str),
) -> Result<Moved, StoreError> {
    let (DatabaseUrl::Sqlite(path), DatabaseUrl::Postgres(url)) = (from, to) else {
        let message = "a move begins at an SQLite file and ends in PostgreSQL: name the file by --database-url \
            sqlite:////path/to/carillon.db (DATABASE_URL may already be the new one), and --to postgres://…";
        return Err(StoreError::Transfer(message.to_owned()));
    };
    if !path.is_file() {
        return Err(StoreError::Unreachable(format!("{} is not there", path.display())));
    }
    migrate(from).await?;
    migrate(to).await?;
    sealing::hand_over(from, to).await?;
    let _alone = sqlite::FileLock::take(path)?;
    let pool = sqlite::pool(path, 1)?;
    let mut source = sqlite::checkout(&pool).await?;
    let mut target = postgres::Target::new(url)?.connect().await?;
    let mut moving = Moving { source: &mut source, target: &mut target };
    nobody_uses(moving.target).await?;
    moving.check_origin().await?;
    moving.note(Some("unfinished")).await?;
    moving.contents(&tell).await?;
    moving.inboxes(&tell).await?;
    whole::copy(moving.source, moving.target).await?;
    whole::copy_tries(moving.source, moving.target).await?;
    moving.sequences().await?;
    moving.deferrals().await?;
    tell("comparing both");
    let moved = moving.compare().await?;
    moving.note(None).await?;
    let mut file = sqlite::open_writer(path)?;
    diesel::RunQueryDsl::execute(
        diesel::update(deployment::table).set(deployment::transfer.eq("moved")),
        &mut file,
    )?;
    Ok(moved)
}

struct Moving<'a> {
    source: &'a mut sqlite::ReadConnection,
    target: &'a mut AsyncPgConnection,
}

/// One page of a table behind a key, from either side.
macro_rules! page {
    ($connection:expr, contents, $after:expr) => {
        notifications::table
            .filter(notifications::id.gt($after))
            .order(notifications::id)
            .limit(TOGETHER)
            .load::<Content>($connection)
            .await
    };
    ($connection:expr, people, $after:expr) => {
        recipients::table
            .filter(recipients::id.gt($after))
            .order(recipients::id)
            .limit(TOGETHER)
            .load::<Person>($connection)
            .await
    };
    ($connection:expr, places, $recipient:expr, $after:expr) => {
        inbox::table
            .filter(inbox::recipient_id.eq($recipient))
            .filter(inbox::position.gt($after))
            .order(inbox::position)
            .limit(TOGETHER)
            .load::<Place>($connection)
            .await
    };
    ($connection:expr, topics, $recipient:expr) => {
        subscriptions::table
            .filter(subscriptions::recipient_id.eq($recipient))
            .order(subscriptions::topic)
            .load::<Subscription>($connection)
            .await
    };
    ($connection:expr, roles, $recipient:expr) => {
        roles::table
            .filter(roles::recipient_id.eq($recipient))
            .order(roles::role)
            .load::<Role>($connection)
            .await
    };
}

/// A digest of everything on one side, and how much that is.
macro_rules! summary {
    ($side:ident, $tries:ident, $connection:expr) => {{
        let (mut digest, mut moved) = (Sha256::new(), Moved::default());
        let mut after = 0;
        loop {
            let rows = page!($connection, contents, after)?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            moved.notifications += rows.len() as i64;
            rows.iter().for_each(|row| digest.update(format!("{row:?}")));
        }
        let mut after = 0;
        loop {
            let people = page!($connection, people, after)?;
            let Some(last) = people.last() else { break };
            after = last.id;
            moved.recipients += people.len() as i64;
            for person in &people {
                // On SQLite the last place is not counted.
                digest.update(format!("{:?}", Person { last_position: 0, ..person.clone() }));
                digest.update(format!("{:?}", page!($connection, topics, person.id)?));
                digest.update(format!("{:?}", page!($connection, roles, person.id)?));
                let mut position = 0;
                loop {
                    let rows = page!($connection, places, person.id, position)?;
                    let Some(last) = rows.last() else { break };
                    position = last.position;
                    moved.entries += rows.len() as i64;
                    rows.iter().for_each(|row| digest.update(format!("{row:?}")));
                }
            }
        }
        whole::$side($connection, &mut digest).await?;
        whole::$tries($connection, &mut digest).await?;
        (digest.finalize(), moved)
    }};
}

/// Nobody may be using the target.
pub(super) async fn nobody_uses(target: &mut AsyncPgConnection) -> Result<(), StoreError> {
    let lease = format!("now() - interval '{LEASE_SECONDS} seconds'");
    let alive = nodes::seen_at.gt(diesel::dsl::sql::<Instant>(&lease));
    let servers: i64 = nodes::table.filter(alive).count().get_result(target).await?;
    if servers == 0 {
        return Ok(());
    }
    Err(StoreError::Transfer(format!(
        "a server is using the PostgreSQL database; stop it, do this, and start it then (one that was killed counts for \
         {LEASE_SECONDS} seconds)"
    )))
}

impl Moving<'_> {
    /// Lets servers know how far the move is.
    async fn note(&mut self, state: Option<&str>) -> Result<(), StoreError> {
        diesel::update(deployment::table).set(deployment::transfer.eq(state)).execute(self.target).await?;
        Ok(())
    }

    /// What is in the target already must have come from here.
    async fn check_origin(&mut self) -> Result<(), StoreError> {
        let last: Option<(i64, UuidColumn)> = notifications::table
            .order(notifications::id.desc())
            .select((notifications::id, notifications::uuid))
            .first(self.target)
            .await
            .optional()?;
        let Some((id, uuid)) = last else { return Ok(()) };
        let same: Option<UuidColumn> =
            notifications::table.find(id).select(notifications::uuid).first(self.source).await.optional()?;
        if same.map(|same| same.0) == Some(uuid.0) {
            return Ok(());
        }
        Err(StoreError::Transfer(
            "the PostgreSQL database holds notifications that are not from this file; name an empty one"
                .to_owned(),
        ))
    }

    async fn contents(&mut self, tell: &impl Fn(&str)) -> Result<(), StoreError> {
        let last: Option<i64> =
            notifications::table.select(diesel::dsl::max(notifications::id)).get_result(self.target).await?;
        let mut after = last.unwrap_or(0);
        loop {
            let rows = page!(self.source, contents, after)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.id;
            diesel::insert_into(notifications::table).values(&rows).execute(self.target).await?;
            tell(&format!("notifications up to number {after}"));
        }
    }

    /// Each person together with all of their entries.
    async fn inboxes(&mut self, tell: &impl Fn(&str)) -> Result<(), StoreError> {
        let last: Option<i64> =
            recipients::table.select(diesel::dsl::max(recipients::id)).get_result(self.target).await?;
        let mut after = last.unwrap_or(0);
        loop {
            let people = page!(self.source, people, after)?;
            let Some(last) = people.last() else { return Ok(()) };
            after = last.id;
            for person in people {
                let source = &mut *self.source;
                self.target.transaction(async |target| move_person(source, target, person).await).await?;
            }
            tell(&format!("people up to number {after}"));
        }
    }

    /// Whose quiet hours something waits for; when they end, is looked up there.
    async fn deferrals(&mut self) -> Result<(), StoreError> {
        let waiting = "INSERT INTO deferrals (recipient_id, due_at) \
            SELECT DISTINCT recipient_id, now() FROM inbox WHERE hush = 2 ON CONFLICT DO NOTHING";
        diesel::sql_query(waiting).execute(self.target).await?;
        Ok(())
    }

    /// New rows get numbers behind those that were moved, and behind those that were left out when a backup was put back.
    async fn sequences(&mut self) -> Result<(), StoreError> {
        let tables = [
            "notifications",
            "recipients",
            "recurring",
            "audit_log",
            "audit_people",
            "consents",
            "disclosures",
            "deliveries",
            "stopped_numbers",
            "spent",
            "declined",
            "push_subscriptions",
            "digests",
            "templates",
            "template_versions",
            "webhooks",
            "webhook_messages",
            "webhook_attempts",
            "analytics",
            "analytics_latencies",
            "analytics_changes",
        ];
        for table in tables {
            // In the other tables a gap would say that something is missing.
            let given = if NUMBERED.contains(&table) { self.given(table).await? } else { 0 };
            diesel::sql_query(format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(max(id), {given}, 1), \
                 greatest(max(id), {given}) > 0) FROM {table}"
            ))
            .execute(self.target)
            .await?;
        }
        Ok(())
    }

    /// The highest number that the file has given, or left out; 0: none.
    async fn given(&mut self, table: &str) -> Result<i64, StoreError> {
        let question = format!("SELECT max(seq) FROM sqlite_sequence WHERE name = '{table}'");
        let given = diesel::dsl::sql::<Nullable<BigInt>>(&format!("({question})"));
        let given: Option<i64> = diesel::select(given).get_result(self.source).await?;
        Ok(given.unwrap_or(0))
    }

    /// Counts and digests of both sides.
    async fn compare(&mut self) -> Result<Moved, StoreError> {
        let (digest, _) = summary!(source, source_tries, self.source);
        let (copied, moved) = summary!(target, target_tries, self.target);
        if digest == copied {
            return Ok(moved);
        }
        Err(StoreError::Transfer(
            "the two databases differ after the move; drop the PostgreSQL one, and begin again with an empty one".to_owned(),
        ))
    }
}

async fn move_person(
    source: &mut sqlite::ReadConnection,
    target: &mut AsyncPgConnection,
    mut person: Person,
) -> Result<(), diesel::result::Error> {
    // On SQLite a place is a notification's number, and the last one is not counted.
    let last: Option<i64> = inbox::table
        .filter(inbox::recipient_id.eq(person.id))
        .select(diesel::dsl::max(inbox::position))
        .get_result(source)
        .await?;
    person.last_position = last.unwrap_or(0);
    let id = person.id;
    diesel::insert_into(recipients::table).values(&person).execute(target).await?;
    let (topics, held) = (page!(source, topics, id)?, page!(source, roles, id)?);
    diesel::insert_into(subscriptions::table).values(&topics).execute(target).await?;
    diesel::insert_into(roles::table).values(&held).execute(target).await?;
    let mut after = 0;
    loop {
        let rows = page!(source, places, id, after)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.position;
        diesel::insert_into(inbox::table).values(&rows).execute(target).await?;
    }
}
