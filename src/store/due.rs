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

impl Store {
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
