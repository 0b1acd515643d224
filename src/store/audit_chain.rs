//! The chain of the audit log, as it is kept (decision 44): rows are written in the transactions of what they tell of, and
//! sealed afterwards, in the order of their numbers, up to a place behind which nobody can write any more.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::types::{At, Instant};
use super::{DatabaseUrl, Readers, Settings, Store, StoreError, on, postgres, sqlite};
use crate::domain::chain::{Link, Row};
use crate::domain::{Deed, Timestamp};

/// Rows that are sealed, or looked at, at once.
pub const SEALED_TOGETHER: i64 = 1_000;
/// Rows that are removed at once.
pub const REMOVED_TOGETHER: i64 = 2_000;
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
        /// Up to which.
        upto: i64,
        /// As it is written down; how many there were, and where the chain begins from now on, is added.
        deed: Deed,
    },
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
    #[diesel(sql_type = Nullable<Text>)]
    tenant: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    actor: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    action: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    subject: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
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
    /// When there is none, or it cannot be reached.
    pub fn open(settings: &Settings) -> Result<Self, StoreError> {
        Readers::open(settings).map(Self)
    }

    /// How the chain stands.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn chain(&self) -> Result<Chain, StoreError> {
        on!(&self.0, audit_chain())
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

    /// Up to which row all are from before `until`, of the next ones behind `after`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn older(&self, after: i64, upto: i64, until: Timestamp) -> Result<Option<i64>, StoreError> {
        on!(&self.0, audit_older(after, upto, until))
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
    /// When there is none, or it cannot be reached.
    pub(super) fn open(settings: &Settings) -> Result<Self, StoreError> {
        Ok(match settings.url.parse()? {
            DatabaseUrl::Sqlite(path) => {
                exists(&path)?;
                Self::Sqlite(sqlite::pool(&path, 1)?)
            }
            DatabaseUrl::Postgres(url) => Self::Postgres(postgres::pool(&postgres::Target::new(&url)?, 1)?),
        })
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
