//! In whose traces notifications were sent: only what came with `traceparent` has a row.

use uuid::Uuid;

use super::{Readers, Store, StoreError, on, postgres, sqlite};

impl Store {
    /// The second names of these notifications, and in whose traces they were sent.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn traced(&self, ids: &[i64]) -> Result<Vec<(i64, Uuid, Option<String>)>, StoreError> {
        on!(&self.readers, traced(ids))
    }
}
