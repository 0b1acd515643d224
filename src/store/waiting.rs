//! What waits to go out, and what was asked for before.

use uuid::Uuid;

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{Group, Idempotency, Notification, NotificationId, Tenant, Timestamp, UserId};

/// How far something has spread (`expansions.reached`) that was taken back before it went out.
pub(crate) const TAKEN_BACK: i64 = -1;

/// One notification that is to go out later.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// What.
    pub notification: Notification,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// For whom.
    pub group: Group,
    /// When.
    pub due_at: Timestamp,
}

impl Store {
    /// What of `tenant` is to go out after `now`, of this sender, if one is named; those before the number `before`,
    /// from the highest, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn waiting(
        &self,
        tenant: &Tenant,
        sender: Option<&UserId>,
        now: Timestamp,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Waiting>, StoreError> {
        on!(&self.readers, waiting(tenant, sender, now, before, limit))
    }

    /// The number, the second name and the time of what the same request brought, not before `since`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn accepted_before(
        &self,
        same: &Idempotency,
        since: Timestamp,
    ) -> Result<Option<(NotificationId, Uuid, Timestamp)>, StoreError> {
        on!(&self.readers, accepted_before(same, since))
    }
}
