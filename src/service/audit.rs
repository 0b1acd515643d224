//! Reading the audit log. Who reads it stands in it, too.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::json;

use super::Error;
use crate::access::Principal;
use crate::domain::{Action, Clock, Deed, NotificationId, UserId};
use crate::store::{PrivacyWrite, Recorded, Sought, Store, Write};

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
        let about = deed.subject.clone().filter(|about| action.is_disclosure() && *about != who.name());
        let write = match about {
            Some(about) => Write::Privacy(Arc::new(PrivacyWrite::Seen { deed, about: vec![about] })),
            None => Write::Audit(vec![deed]),
        };
        self.store.write(write).await?;
        Ok(())
    }

    /// The same, of what tells of several people: each of them can see who saw it.
    ///
    /// # Errors
    /// When it could not be stored: then nothing is to be shown.
    pub async fn note_seen(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        action: Action,
        people: BTreeSet<String>,
        detail: &serde_json::Value,
    ) -> Result<(), Error> {
        let deed = Deed {
            at: self.clock.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject: None,
            detail: detail.to_string(),
            address,
        };
        let about: Vec<String> = people.into_iter().filter(|one| one != who.name()).collect();
        let write = match about.is_empty() {
            true => Write::Audit(vec![deed]),
            false => Write::Privacy(Arc::new(PrivacyWrite::Seen { deed, about })),
        };
        self.store.write(write).await?;
        Ok(())
    }

    /// Writes down that `who`, at `address`, looked at the way of this notification to somebody; nothing, if it is their own.
    ///
    /// # Errors
    /// As [`Audit::note`].
    pub async fn timeline_read(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        id: NotificationId,
        of: Option<&UserId>,
    ) -> Result<(), Error> {
        if of.is_some() && of == who.inbox().map(|own| own.user).as_ref() {
            return Ok(());
        }
        let subject = of.map(|user| user.as_str().to_owned());
        self.note(who, address, Action::TimelineRead, subject, &json!({"notification_id": id})).await
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
