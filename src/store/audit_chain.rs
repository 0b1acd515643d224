//! The chain of the audit log, as it is kept (decision 44): rows are written in the transactions of what they tell of, and
//! sealed afterwards, in the order of their numbers, up to a place behind which nobody can write any more.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::sealing::{Perhaps, keys, sign, signed};
use super::types::{At, Instant};
use super::{DatabaseUrl, Readers, Settings, Store, StoreError, on, postgres, sqlite};
use crate::domain::chain::{Link, Row};
use crate::domain::removal::{Removal, Signed, Told};
use crate::domain::{Action, DEFAULT_TENANT, Deed, Timestamp};

/// Rows that are sealed, or looked at, at once.
pub const SEALED_TOGETHER: i64 = 1_000;
/// Rows that are removed at once.
pub const REMOVED_TOGETHER: i64 = 2_000;
/// For what removals are signed.
const SIGNED: &str = "audit.shorten";
/// Bytes of a secret.
const SECRET: usize = 16;

/// How the chain stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The last row that is sealed.
    pub head: Link,
    /// How many ever were.
    pub many: i64,
    /// The last row that was removed.
    pub anchor: Link,
    /// How many ever were.
    pub gone: i64,
    /// How often somebody came into `audit_people`, or was forgotten.
    pub erasures: i64,
    /// The last row there is, sealed or not.
    pub last: i64,
}

/// What is done with the chain.
#[derive(Clone, Debug)]
pub enum ChainWrite {
    /// These rows are sealed, if the chain still stands so.
    Seal {
        /// As it stood.
        from: Chain,
        /// The rows and their seals.
        seals: Arc<[Link]>,
        /// Of whom there are pseudonyms from now on: tenant, name, secret.
        people: Arc<[(String, String, Vec<u8>)]>,
        /// The present.
        now: Timestamp,
    },
    /// Sealed rows up to this one are removed.
    Shorten {
        /// As it stood.
        from: Chain,
        /// The last of them.
        upto: Link,
        /// How many.
        rows: i64,
        /// As it is written down, in the same commit.
        deed: Deed,
    },
}

/// Rows from before some time, at the chain's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// The last of them.
    pub upto: Link,
    /// How many.
    pub rows: i64,
    /// When the newest was written.
    pub newest: Timestamp,
}

/// A row and its seal, as they stand.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The seal.
    pub seal: Link,
    /// The row; nothing, if it is gone.
    pub row: Option<Row>,
}

/// What is not sealed yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsealed {
    /// How many rows.
    pub many: i64,
    /// Since when.
    pub since: Option<Timestamp>,
}

#[derive(QueryableByName)]
pub(super) struct LogColumns {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Binary>)]
    hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Instant>)]
    at: Option<At>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    tenant: Option<String>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    actor: Option<String>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    action: Option<String>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    subject: Option<String>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Text>, deserialize_as = Perhaps)]
    address: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    actor_secret: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    subject_secret: Option<Vec<u8>>,
}

/// The columns of a row, and the secrets of those it names: `a` is the row.
const COLUMNS: &str = "a.at, a.tenant, a.actor, a.action, a.subject, a.detail, a.address, \
    (SELECT p.secret FROM audit_people AS p WHERE p.tenant = a.tenant AND p.name = a.actor) AS actor_secret, \
    (SELECT p.secret FROM audit_people AS p WHERE p.tenant = a.tenant AND p.name = a.subject) AS subject_secret";

/// Asks for rows behind one number, up to another.
pub(super) fn rows_behind(after: i64, upto: i64) -> String {
    format!(
        "SELECT a.id AS id, NULL AS hash, {COLUMNS} FROM audit_log AS a WHERE a.id > {after} AND a.id <= {upto} \
         ORDER BY a.id LIMIT {SEALED_TOGETHER}"
    )
}

/// Asks for seals behind one number, with their rows.
pub(super) fn seals_behind(after: i64) -> String {
    format!(
        "SELECT s.id AS id, s.hash AS hash, {COLUMNS} FROM audit_seals AS s LEFT JOIN audit_log AS a ON a.id = s.id \
         WHERE s.id > {after} ORDER BY s.id LIMIT {SEALED_TOGETHER}"
    )
}

/// Asks for rows that tell of removals, behind one number.
fn removals_behind(after: i64) -> String {
    let action = Action::AuditShorten.name();
    format!(
        "SELECT a.id AS id, NULL AS hash, {COLUMNS} FROM audit_log AS a WHERE a.id > {after} AND a.action = '{action}' \
         ORDER BY a.id"
    )
}

/// Asks for the last row that tells of a removal.
fn last_removal() -> String {
    let (action, tenant) = (Action::AuditShorten.name(), DEFAULT_TENANT);
    format!(
        "SELECT a.id AS id, NULL AS hash, {COLUMNS} FROM audit_log AS a \
         WHERE a.tenant = '{tenant}' AND a.action = '{action}' ORDER BY a.id DESC LIMIT 1"
    )
}

impl LogColumns {
    fn split(self) -> Sealed {
        let row = match (self.at, self.tenant, self.action, self.detail) {
            (Some(At(at)), Some(tenant), Some(action), Some(detail)) => Some(Row {
                id: self.id,
                at,
                tenant,
                actor: self.actor,
                action,
                subject: self.subject,
                detail,
                address: self.address,
                actor_secret: self.actor_secret,
                subject_secret: self.subject_secret,
            }),
            _ => None,
        };
        Sealed { seal: Link { id: self.id, hash: self.hash.unwrap_or_default() }, row }
    }
}

/// A secret of somebody's; nothing, if there are no random bytes.
pub fn secret() -> Option<Vec<u8>> {
    let mut bytes = vec![0; SECRET];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The audit log, for reading alone: a server may run on the same database meanwhile, or none.
#[derive(Clone)]
pub struct AuditLog(Readers);

impl AuditLog {
    /// Opens that of the database of `settings`; changes nothing there.
    ///
    /// # Errors
    /// When there is none, it cannot be reached, or is newer than this program.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        Readers::open(settings).await.map(Self)
    }

    /// How the chain stands.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn chain(&self) -> Result<Chain, StoreError> {
        on!(&self.0, audit_chain())
    }

    /// The highest number that was given out to a row, and whether that row was committed for sure.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn given(&self) -> Result<(i64, bool), StoreError> {
        let given = on!(&self.0, audit_given())?;
        Ok((given, matches!(self.0, Readers::Sqlite(_))))
    }

    /// The next seals behind `after`, with their rows.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn sealed(&self, after: i64) -> Result<Vec<Sealed>, StoreError> {
        let found: Vec<LogColumns> = on!(&self.0, audit_rows(&seals_behind(after)))?;
        Ok(found.into_iter().map(LogColumns::split).collect())
    }

    /// The first row behind `after`, up to `upto`, that has no seal.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn unsealed(&self, after: i64, upto: i64) -> Result<Option<i64>, StoreError> {
        on!(&self.0, audit_unsealed(after, upto))
    }

    /// What waits to be sealed.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn waiting(&self) -> Result<Unsealed, StoreError> {
        on!(&self.0, audit_waiting())
    }

    /// The next rows behind `after`, up to `upto`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn rows(&self, after: i64, upto: i64) -> Result<Vec<Row>, StoreError> {
        let found: Vec<LogColumns> = on!(&self.0, audit_rows(&rows_behind(after, upto)))?;
        Ok(found.into_iter().filter_map(|found| found.split().row).collect())
    }

    /// Whose transactions may have written rows that nobody sees yet. None on SQLite, where one writes.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn writers(&self) -> Result<HashSet<String>, StoreError> {
        on!(&self.0, audit_writers())
    }

    /// Those from before `until`, of the next ones behind `after`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn older(&self, after: i64, upto: i64, until: Timestamp) -> Result<Option<Old>, StoreError> {
        on!(&self.0, audit_older(after, upto, until))
    }

    /// The rows behind `after` that tell of removals, sealed or not.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn removals(&self, after: i64) -> Result<Vec<Row>, StoreError> {
        let found: Vec<LogColumns> = on!(&self.0, audit_rows(&removals_behind(after)))?;
        Ok(found.into_iter().filter_map(|found| found.split().row).collect())
    }

    /// The last row that tells of a removal.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn last_removal(&self) -> Result<Option<Row>, StoreError> {
        let found: Vec<LogColumns> = on!(&self.0, audit_rows(&last_removal()))?;
        Ok(found.into_iter().find_map(|found| found.split().row))
    }

    /// What a row that tells of a removal tells.
    pub fn told(row: &Row) -> Told {
        let removal = Removal::read(&row.detail);
        let signed = match &removal {
            Some(removal) => signed(SIGNED, &removal.words, removal.signature.as_deref()),
            None => Signed::Not,
        };
        Told { row: row.id, at: row.at, removal, signed }
    }

    /// Signs what is told of a removal, if there are keys.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn sign(removal: &mut Removal) -> Result<(), StoreError> {
        removal.signature = sign(SIGNED, &removal.words)?;
        Ok(())
    }

    /// Whether there are keys, by which removals are signed.
    pub fn has_keys() -> bool {
        keys().is_some()
    }
}

impl Store {
    /// Its audit log.
    pub fn audit_log(&self) -> AuditLog {
        AuditLog(self.readers.clone())
    }
}

impl Readers {
    /// Reads the database of `settings`, as it is.
    ///
    /// # Errors
    /// When there is none, it cannot be reached, or is newer than this program.
    pub(super) async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let readers = match settings.url.parse()? {
            DatabaseUrl::Sqlite(path) => {
                exists(&path)?;
                Self::Sqlite(sqlite::pool(&path, 1)?)
            }
            DatabaseUrl::Postgres(url) => Self::Postgres(postgres::pool(&postgres::Target::new(&url)?, 1)?),
        };
        readers.check().await?;
        Ok(readers)
    }
}

fn exists(path: &Path) -> Result<(), StoreError> {
    let missing = |fault| {
        StoreError::Unreachable(format!(
            "{} ({fault}); say where the database is by --database-url",
            path.display()
        ))
    };
    std::fs::metadata(path).map(|_| ()).map_err(missing)
}
