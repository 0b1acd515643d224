//! How many there are, and what is counted.

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Position, Priority, Recipient, Timestamp};

/// Entries of one person that [`super::Store::recent`] reads at once.
pub const AT_ONCE: i64 = 2_000;

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Notifications ever stored and still held.
    pub notifications: i64,
    /// Inbox entries neither confirmed nor read, but for what has expired, or is kept back by what people prefer.
    pub pending: i64,
}

/// Who is connected, on all nodes that share the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, diesel::QueryableByName)]
pub struct Roll {
    /// Connections of people: facilitator sessions.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub connections: i64,
    /// Different people among them. Not counted on SQLite.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub people: i64,
    /// Back ends. Not counted on SQLite.
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub senders: i64,
}

/// One entry of an inbox, in few words.
#[derive(Clone, Debug)]
pub struct Recent {
    /// Where it stands.
    pub position: Position,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Of which kind.
    pub kind: String,
    /// How much it matters.
    pub priority: Priority,
    /// Whether it was looked at.
    pub is_read: bool,
    /// Whether it is there still: neither deleted nor expired.
    pub is_held: bool,
}

impl Store {
    /// Of what kinds the last thousand notifications are that `recipient` was sent, each once.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn recent_kinds(&self, recipient: &Recipient) -> Result<Vec<String>, StoreError> {
        on!(&self.readers, recent_kinds(recipient))
    }
}

impl Store {
    /// Counts for `/stats`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        on!(&self.readers, counts(now))
    }

    /// Who is connected, on nodes that gave a sign of life within `lease` seconds.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn roll(&self, lease: i64) -> Result<Roll, StoreError> {
        on!(&self.readers, roll(lease))
    }
}
