//! Why the database could not do it.

use super::UrlError;
use super::sealing::{Unopened, unopened};

/// Why the database could not do it. Callers never see the source: it goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The database could not be opened or reached.
    #[error("cannot reach the database: {0}")]
    Unreachable(String),
    /// A migration failed, or the schema is newer than this program.
    #[error("cannot bring the database up to date: {0}")]
    Migration(String),
    /// A database cannot be moved, or was not moved whole.
    #[error("{0}")]
    Transfer(String),
    /// Columns are encrypted by other keys than there are.
    #[error("{0}")]
    Keys(String),
    /// Another server encrypts by a key that this one lacks: its id.
    #[error("the key `{0}`, by which another server encrypts, is not among ENCRYPTION_KEYS of this one")]
    Lacking(String),
    /// A backup cannot be made, or not be put back.
    #[error("{0}")]
    Backup(String),
    /// What was asked for is encrypted, and does not open.
    #[error("what is stored cannot be read: {0}")]
    Unopened(#[from] Unopened),
    /// A query failed.
    #[error("a query failed: {0}")]
    Query(diesel::result::Error),
    /// A commit failed, and everything in it.
    #[error("the commit failed: {0}")]
    Commit(String),
    /// The disk has no room.
    #[error("the disk of the database has {0} bytes left; free some space")]
    Full(u64),
    /// Old rows of the audit log went again and again while it was looked through.
    #[error("the audit log is being shortened, and could not be looked through meanwhile; ask again")]
    Shortened,
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl From<diesel::result::Error> for StoreError {
    fn from(fault: diesel::result::Error) -> Self {
        match unopened(&fault) {
            Some(why) => Self::Unopened(why.clone()),
            None => Self::Query(fault),
        }
    }
}

/// The fault of each write of a batch that failed together.
pub(super) fn shared(fault: &diesel::result::Error) -> StoreError {
    match unopened(fault) {
        Some(why) => StoreError::Unopened(why.clone()),
        None => StoreError::Commit(fault.to_string()),
    }
}

/// Whether one write of a batch is at fault, rather than the disk, a lock or the line: then the others may do.
pub(super) fn is_of_one_write(fault: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind as Kind, Error as Fault};
    match fault {
        Fault::DatabaseError(kind, _) => matches!(
            kind,
            Kind::UniqueViolation | Kind::NotNullViolation | Kind::CheckViolation | Kind::ForeignKeyViolation
        ),
        Fault::SerializationError(_) | Fault::DeserializationError(_) | Fault::NotFound => true,
        _ => false,
    }
}
