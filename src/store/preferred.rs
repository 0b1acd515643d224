//! What was stored of somebody's preferences.

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Preferences, Recipient};

/// As much of it as can be read: a newer release may have stored what this one does not know, and nobody goes without
/// their notifications for that.
pub fn read(stored: &str) -> Preferences {
    let (preferences, is_all) = Preferences::read(stored);
    if !is_all {
        tracing::warn!("somebody's preferences cannot be read whole; what can be read is heeded");
    }
    preferences
}

impl Store {
    /// What `recipient` prefers; nothing, if they never said.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn preferences(&self, recipient: &Recipient) -> Result<Option<Preferences>, StoreError> {
        let stored = on!(&self.readers, preferences(recipient))?;
        Ok(stored.as_deref().map(read))
    }
}
