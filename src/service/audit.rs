//! Reading the audit log. Who reads it stands in it, too.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::Error;
use crate::access::Principal;
use crate::domain::{Action, Clock, Deed};
use crate::store::{Recorded, Sought, Store, Write};

/// Rows in one page.
const MOST_LISTED: i64 = 100;

/// The audit log.
pub struct Audit {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl Audit {
    /// Kept in `store`.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Writes down that `who`, at `address`, did this; durable on return. For what administrators look at: it is written
    /// before they see it.
    ///
    /// # Errors
    /// When it could not be stored: then nothing is to be shown.
    pub async fn note(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        action: Action,
        subject: Option<String>,
        detail: &serde_json::Value,
    ) -> Result<(), Error> {
        let deed = Deed {
            at: self.clock.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject,
            detail: detail.to_string(),
            address,
        };
        self.store.write(Write::Audit(vec![deed])).await?;
        Ok(())
    }

    /// What was done in `who`'s tenant, newest first; and whether there is more.
    ///
    /// # Errors
    /// When `who` is no administrator, or the database cannot answer.
    pub async fn read(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        sought: &Sought,
        limit: i64,
    ) -> Result<(Vec<Recorded>, bool), Error> {
        if !who.is_admin() {
            return Err(Error::Forbidden("reading the audit log needs the role admin"));
        }
        // Whoever is forgotten must not stand in a detail: of whom was asked is the subject.
        let by = match (&sought.subject, &sought.actor) {
            (Some(_), Some(_)) => Some("both"),
            (Some(_), None) => Some("subject"),
            (None, Some(_)) => Some("actor"),
            (None, None) => None,
        };
        let detail = json!({
            "action": sought.action.map(Action::name),
            "by": by,
            "from": sought.from,
            "to": sought.to,
            "cursor": sought.before,
        });
        let of = sought.subject.as_ref().or(sought.actor.as_ref()).cloned();
        self.note(who, address, Action::AuditRead, of, &detail).await?;
        let limit = limit.clamp(1, MOST_LISTED);
        let mut page = self.store.audited(&who.tenant, sought, limit + 1).await?;
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }
}
