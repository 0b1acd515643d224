//! What is old and done, and is removed (decision 36).

use std::sync::Arc;

use super::{Readers, Store, StoreError, Write, on, postgres, sqlite};
use crate::domain::Timestamp;

/// Notifications that are looked at together.
pub(super) const LOOKED_AT: i64 = 1_000;
/// Entries that are found together.
pub(super) const FOUND: usize = 4_096;
/// Rows that are removed in one transaction: others wait for them.
const TOGETHER: usize = 256;

/// Until when what is done is kept, and what nobody has had yet.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// The present.
    pub now: Timestamp,
    /// What was accepted before is removed once it is done.
    pub done: Timestamp,
    /// What was accepted before is removed, done or not.
    pub pending: Timestamp,
}

/// What was found behind a notification.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Entries that are to be removed: by their recipients' rows, and their positions.
    pub entries: Vec<(i64, i64)>,
    /// Notifications that nobody has any more after that.
    pub notifications: Vec<i64>,
    /// Where to go on; nothing, if nothing that stands behind is old.
    pub next: Option<i64>,
}

/// Rows to be removed.
#[derive(Clone, Debug)]
pub enum Sweep {
    /// Entries of inboxes: by their recipients' rows, and their positions.
    Entries(Arc<[(i64, i64)]>),
    /// Notifications that are in no inbox, and what tells of their deliveries.
    Notifications(Arc<[i64]>),
}

impl Store {
    /// Finds what is to be removed behind notification `after`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn find_old(&self, after: i64, until: Until) -> Result<Found, StoreError> {
        on!(&self.readers, find_old(after, until))
    }

    /// What removes that: a few rows in each transaction.
    pub fn sweeps(found: &Found) -> impl Iterator<Item = Write> {
        let entries = found.entries.chunks(TOGETHER).map(|some| Sweep::Entries(some.into()));
        let notifications =
            found.notifications.chunks(TOGETHER).map(|some| Sweep::Notifications(some.into()));
        entries.chain(notifications).map(Write::Sweep)
    }
}
