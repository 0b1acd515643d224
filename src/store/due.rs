//! What is done when its time has come, by nobody's request.

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::Timestamp;

/// What is done when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// What recurs becomes a notification. Its number is that of what recurs.
    Recur,
    /// A notification comes to one more chunk of its audience. Its number is the notification's.
    Spread,
    /// Somebody whose quiet hours are over hears of what waited for that. Its number is the person's row.
    Release,
}

impl Task {
    /// How many may be done in one transaction: others wait for them.
    pub const fn together(self) -> usize {
        match self {
            Self::Recur => 16,
            Self::Spread => 1,
            Self::Release => 32,
        }
    }
}

/// How many are told at once.
const MOST: i64 = 1_000;

/// People who get what spreads in one commit; and on SQLite while others write, too, who wait for it. (PostgreSQL takes a
/// few statements for a chunk, however large.)
const CHUNK: usize = 256;
const SMALL_CHUNK: usize = 32;

impl Store {
    /// To how many people something spreads in one commit.
    pub const fn chunk(&self, is_in_use: bool) -> usize {
        match &self.readers {
            Readers::Sqlite(_) if is_in_use => SMALL_CHUNK,
            _ => CHUNK,
        }
    }

    /// What of `task` is due until then: which, and when, the earliest first. There may be more than a thousand.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn due(&self, task: Task, until: Timestamp) -> Result<Vec<(i64, Timestamp)>, StoreError> {
        match task {
            Task::Recur => on!(&self.readers, due_rounds(until, MOST)),
            Task::Spread => on!(&self.readers, due_spreads(until, MOST)),
            Task::Release => on!(&self.readers, due_releases(until, MOST)),
        }
    }
}
