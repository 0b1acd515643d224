//! The audit log: rows are added in the transaction of what they tell of, and read by administrators.

use std::net::IpAddr;

use serde_json::json;

use super::{Readers, Store, StoreError, on, postgres, sqlite};
use crate::domain::{
    Action, Audience, BACKEND, Deed, Group, NewNotification, NotificationId, Tenant, Timestamp,
};

/// What one actor sent in one batch, as far as it is alike.
struct Alike<'a> {
    first: &'a NewNotification,
    action: Action,
    subject: Option<String>,
    numbers: (i64, i64),
    notifications: usize,
    people: usize,
}

/// What a batch accepted: one row for all that one actor sent to people, and one for each audience. Under load that is
/// far less than a row for each notification.
pub(super) fn of_batch(fresh: &[(usize, &NewNotification, NotificationId)]) -> Vec<Deed> {
    let mut all: Vec<Alike<'_>> = Vec::new();
    for (_, new, id) in fresh {
        let (action, subject) = new.audience.deed(new.due_at.is_some());
        let is_like = |alike: &&mut Alike<'_>| {
            alike.action == action
                && alike.first.tenant == new.tenant
                && alike.first.sender == new.sender
                && alike.subject == subject
        };
        let people = match &new.audience {
            Audience::Whoever(_, Group::People(users)) => users.len(),
            audience => audience.named().len(),
        };
        // Whoever sends much sends it in a row.
        match all.iter_mut().rev().find(is_like) {
            Some(alike) => {
                alike.numbers.1 = id.0;
                alike.notifications += 1;
                alike.people += people;
            }
            None => {
                let numbers = (id.0, id.0);
                all.push(Alike { first: new, action, subject, numbers, notifications: 1, people });
            }
        }
    }
    all.into_iter().map(Alike::deed).collect()
}

impl Alike<'_> {
    fn deed(self) -> Deed {
        let (first, last) = self.numbers;
        let mut detail = json!({"notifications": self.notifications, "first_id": first, "last_id": last});
        if self.people > 0 {
            detail["recipients"] = json!(self.people);
        }
        if let (Some(at), 1) = (self.first.due_at, self.notifications) {
            detail["scheduled_at"] = json!(at);
        }
        Deed {
            at: self.first.created_at,
            tenant: self.first.tenant.clone(),
            actor: Some(actor(self.first.sender.as_deref())),
            action: self.action,
            subject: self.subject,
            detail: detail.to_string(),
            address: None,
        }
    }
}

/// Who sent something.
pub(super) fn actor(sender: Option<&str>) -> String {
    sender.unwrap_or(BACKEND).to_owned()
}

/// One row of the log.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its number: later ones are higher.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Option<String>,
    /// What was done, by name.
    pub action: String,
    /// Of what, or about whom.
    pub subject: Option<String>,
    /// A JSON object.
    pub detail: String,
    /// From where.
    pub address: Option<String>,
}

/// Which part of the log.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// Only this action.
    pub action: Option<Action>,
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only of this, or about this person.
    pub subject: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Before this row.
    pub before: Option<i64>,
}

/// An address as it is stored.
pub(super) fn written(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_canonical().to_string())
}

impl Store {
    /// What was done in `tenant`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn audited(
        &self,
        tenant: &Tenant,
        sought: &Sought,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        on!(&self.readers, audited(tenant, sought, limit))
    }
}
