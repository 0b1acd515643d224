//! Backups of an SQLite file, made while a server writes to it, and going back to one.
//!
//! Whatever time is gone back to, a number that people may have seen is never given to another notification: their devices
//! would take the new one for one they have, and ask for what came behind a place that is not theirs.

use std::path::Path;

use diesel::sql_types::BigInt;
use diesel::{ExpressionMethods as _, QueryableByName};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use serde_json::json;

use super::schema::audit_log;
use super::types::At;
use super::{DatabaseUrl, StoreError, migrate, postgres, sqlite, transfer};
use crate::domain::{Action, Clock as _, Deed, SystemClock, Tenant};

/// What stands in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Notifications.
    pub notifications: i64,
    /// The highest number that was ever given to one.
    pub last: i64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// What a database has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Notifications that are there now.
    pub notifications: i64,
    /// The next one gets a number above this.
    pub last: i64,
    /// Where what was there before is kept.
    pub kept: Option<std::path::PathBuf>,
}

/// Numbers that are left out if nobody can say which were given since the backup: more than a year of 30 a second.
pub(super) const LEFT_OUT: i64 = 1_000_000_000;
/// Tables whose numbers people see, or ask by. (In the audit log a gap would look like one that somebody made.)
pub(super) const NUMBERED: [&str; 6] =
    ["notifications", "recurring", "deliveries", "digests", "webhooks", "push_subscriptions"];

/// Copies the SQLite file of `url` as it is at one instant after this was called; whoever writes goes on. The copy takes the
/// name `to` when it is whole, checked and on disk.
///
/// # Errors
/// When there is no such file, `to` exists and may not be replaced, or there is no room.
pub async fn backup(url: &DatabaseUrl, to: &Path, may_replace: bool) -> Result<Copied, StoreError> {
    let DatabaseUrl::Sqlite(path) = url else {
        return Err(StoreError::Backup(
            "this is for SQLite files. PostgreSQL has tools of its own: pg_dump --format=custom --file=FILE DATABASE_URL for a \
             copy, or continuous archiving for any point in time (docs/OPERATIONS.md, `Back up`)"
                .to_owned(),
        ));
    };
    let (path, to) = (path.clone(), to.to_owned());
    beside(move || sqlite::copy::backup(&path, &to, may_replace)).await
}

/// Puts the backup `from` in the place of the SQLite file of `url`, which no server may be using, and keeps what was there.
/// On PostgreSQL, whose own tools put a backup back, `from` is none: only the numbers go on behind those that were given since.
///
/// # Errors
/// When a server is using it, or `from` is damaged, no backup, or newer than this program: nothing is changed then.
pub async fn restore(url: &DatabaseUrl, from: Option<&Path>) -> Result<Restored, StoreError> {
    match (url, from) {
        (DatabaseUrl::Sqlite(path), Some(from)) => {
            let (path, from) = (path.clone(), from.to_owned());
            beside(move || sqlite::copy::restore(&path, &from)).await
        }
        (DatabaseUrl::Sqlite(_), None) => {
            Err(StoreError::Backup("name the backup: carillon restore FILE".to_owned()))
        }
        (DatabaseUrl::Postgres(_), Some(_)) => Err(StoreError::Backup(
            "on PostgreSQL, pg_restore puts a backup back, or your provider does. Then run `carillon restore` without a FILE: it has \
             numbers go on behind those that were given since (docs/OPERATIONS.md, `Restore`)"
                .to_owned(),
        )),
        (DatabaseUrl::Postgres(address), None) => {
            migrate(url).await?;
            go_on(address).await
        }
    }
}

async fn beside<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|fault| StoreError::Backup(fault.to_string()))?
}

#[derive(QueryableByName)]
struct Given {
    #[diesel(sql_type = BigInt)]
    notifications: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

/// That a backup was put back, as it is written down. Nobody showed a token for it.
pub(super) fn restored(notifications: i64) -> Deed {
    Deed {
        at: SystemClock.now(),
        tenant: Tenant::default(),
        actor: None,
        action: Action::Restore,
        subject: None,
        detail: json!({"notifications": notifications}).to_string(),
        address: None,
    }
}

/// Leaves numbers out on PostgreSQL.
async fn go_on(address: &str) -> Result<Restored, StoreError> {
    let mut connection = postgres::Target::new(address)?.connect().await?;
    transfer::nobody_uses(&mut connection).await?;
    let leave_out: String = NUMBERED
        .iter()
        .map(|table| {
            format!(
                "PERFORM setval(pg_get_serial_sequence('{table}', 'id'), \
                 nextval(pg_get_serial_sequence('{table}', 'id')) + {LEFT_OUT});"
            )
        })
        .collect();
    let given = connection
        .transaction(async |connection| {
            diesel::sql_query(format!("DO $$ BEGIN {leave_out} END $$")).execute(connection).await?;
            let now = "SELECT (SELECT count(*) FROM notifications) AS notifications, \
                pg_sequence_last_value(pg_get_serial_sequence('notifications', 'id')::regclass) AS last";
            let given = diesel::sql_query(now).get_result::<Given>(connection).await?;
            let deed = restored(given.notifications);
            let row = (
                audit_log::at.eq(At(deed.at)),
                audit_log::tenant.eq(deed.tenant.as_str()),
                audit_log::action.eq(deed.action.name()),
                audit_log::detail.eq(&deed.detail),
            );
            diesel::insert_into(audit_log::table).values(row).execute(connection).await?;
            Ok::<_, diesel::result::Error>(given)
        })
        .await?;
    Ok(Restored { notifications: given.notifications, last: given.last, kept: None })
}
