//! What was sent for later, until it goes out.

use serde_json::json;

use super::{Error, Notify};
use crate::access::Principal;
use crate::domain::{Action, Deed, Group, NotificationId, Tenant, Timestamp, time_to_come};
use crate::store::{Waiting, Write, Written};

/// Entries in one page.
const MOST_LISTED: i64 = 100;

/// Whether `who` may take back what is for `group`: whoever may send it.
pub(super) fn may_take_back(who: &Principal, group: &Group) -> Result<(), Error> {
    match group {
        Group::People(_) => Ok(()),
        _ if who.can_broadcast => Ok(()),
        _ => Err(Error::Forbidden(
            "it is for everybody who fits, and to change or take that back needs the scope notifications:broadcast",
        )),
    }
}

impl Notify {
    /// What waits to go out, those with higher numbers first: of `who`'s tenant, or, for whoever may not send, what they
    /// sent themselves. Those before the number `before`; and whether there are more.
    ///
    /// # Errors
    /// When the token is nobody's, or the database cannot answer.
    pub async fn scheduled(
        &self,
        who: &Principal,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(Vec<Waiting>, bool), Error> {
        let sender = match (who.can_send, &who.user) {
            (true, _) => None,
            (false, Some(user)) => Some(user),
            (false, None) => return Err(Error::Forbidden("it names no user; send a token of a person")),
        };
        let limit = limit.clamp(1, MOST_LISTED);
        let mut page = self.store.waiting(&who.tenant, sender, self.now(), before, limit + 1).await?;
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }

    /// Lets a notification that has not gone out yet go out at another time: of `who`'s tenant, or, for whoever may not
    /// send, one that they sent themselves.
    ///
    /// # Errors
    /// When that is no time to come, nothing of that number waits for this caller, or it is for more people than they
    /// may send to.
    pub async fn put_off(
        &self,
        who: &Principal,
        notification: NotificationId,
        due_at: Option<Timestamp>,
    ) -> Result<Timestamp, Error> {
        let due_at = time_to_come(due_at, self.now())?;
        self.reschedule(who, notification, Some(due_at)).await?;
        Ok(due_at)
    }

    /// Takes back a notification that has not gone out yet.
    ///
    /// # Errors
    /// As [`Notify::put_off`].
    pub async fn take_back(&self, who: &Principal, notification: NotificationId) -> Result<(), Error> {
        self.reschedule(who, notification, None).await
    }

    async fn reschedule(
        &self,
        who: &Principal,
        notification: NotificationId,
        due_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let trace = self.store.trace(&who.tenant, notification, None).await?.ok_or(Error::NotScheduled)?;
        // To others it does not exist.
        if !who.can_send && !who.is_sender(trace.sender.as_deref()) {
            return Err(Error::NotScheduled);
        }
        may_take_back(who, &trace.spread.ok_or(Error::NotScheduled)?.group)?;
        let (action, detail) = match due_at {
            Some(at) => (Action::Reschedule, json!({"scheduled_at": at})),
            None => (Action::TakeBack, json!({})),
        };
        let deed = Deed {
            at: self.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action,
            subject: Some(subject(notification)),
            detail: detail.to_string(),
            address: None,
        };
        let write = Write::Reschedule { tenant: who.tenant.clone(), notification, due_at, deed };
        match self.store.write(write).await? {
            Written::Changed(1..) => {
                self.spreading.wake();
                Ok(())
            }
            _ => Err(Error::NotScheduled),
        }
    }

    pub(super) async fn is_taken_back(&self, tenant: &Tenant, id: NotificationId) -> Result<bool, Error> {
        let trace = self.store.trace(tenant, id, None).await?;
        Ok(trace.and_then(|trace| trace.spread).is_some_and(|spread| spread.is_taken_back))
    }
}

/// By what name it is written down.
pub(super) fn subject(notification: NotificationId) -> String {
    format!("notification:{notification}")
}
