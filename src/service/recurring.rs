//! Notifications that go out again and again.

use std::sync::Arc;

use super::admission::later;
use super::schedule::may_take_back;
use super::{Error, Notify};
use crate::access::Principal;
use crate::delivery::Spreading;
use crate::domain::{Action, Broken, Deed, Digest, Draft, Idempotency, Recurrence, Timestamp, UserId};
use crate::store::{Kept, NewRecurring, Recurring, Store, StoreError, Whose, Write, Written};

/// Entries in one page.
const MOST_LISTED: i64 = 100;
/// Times to come that are shown of one.
const SHOWN: usize = 5;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct RecurringLimits {
    /// Of a tenant's services.
    pub of_tenant: i64,
    /// Of one person.
    pub of_user: i64,
}

/// What somebody wants to go out again and again.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What.
    pub draft: Draft,
    /// When, by the clocks of the time zone.
    pub cron: String,
    /// An IANA time zone.
    pub time_zone: String,
    /// Not before.
    pub starts_at: Option<Timestamp>,
    /// Then no longer.
    pub ends_at: Option<Timestamp>,
}

/// The recurring notifications of tenants' services and of people.
pub struct Recurrings {
    store: Arc<Store>,
    notify: Arc<Notify>,
    spreading: Arc<Spreading>,
    limits: RecurringLimits,
}

/// Whose recurring notifications `who` has to do with: services share those of their tenant, people have their own.
fn whose(who: &Principal) -> Result<Whose, Error> {
    let tenant = who.tenant.clone();
    if who.can_send || who.can_broadcast {
        return Ok(Whose { tenant, owner: None });
    }
    let nobody =
        "it names no user and no scope; send a token of a person, or one with the scope notifications:send";
    let owner = who.inbox().ok_or(Error::Forbidden(nobody))?;
    Ok(Whose { tenant, owner: Some(owner.user) })
}

impl Recurrings {
    /// Kept in `store`; what goes out keeps the rules of `notify`, and is spread by `spreading`.
    pub fn new(
        store: Arc<Store>,
        notify: Arc<Notify>,
        spreading: Arc<Spreading>,
        limits: RecurringLimits,
    ) -> Self {
        Self { store, notify, spreading, limits }
    }

    /// Keeps a new one, or puts it in the place of the one of number `id`. Returns its number, and when it is due.
    ///
    /// # Errors
    /// When it breaks a rule, the token does not allow it, there is none of that number or there are too many.
    pub async fn keep(
        &self,
        who: &Principal,
        id: Option<i64>,
        wanted: Wanted,
    ) -> Result<(i64, Timestamp), Error> {
        let new = Arc::new(self.admit(who, wanted)?);
        if let Some(id) = id {
            self.may_stop(who, &new.whose, id).await?;
        }
        let most = new.most;
        match self.store.write(Write::Keep { id, new }).await? {
            Written::Kept(Kept::Due(id, next_at)) => {
                self.spreading.wake();
                Ok((id, next_at))
            }
            Written::Kept(Kept::Never) => {
                Err(Broken { field: "ends_at", expected: "later than the next time that cron says" }.into())
            }
            Written::Kept(Kept::TooMany) => Err(Error::TooManyRecurring(most)),
            Written::Kept(Kept::KeyReused) => Err(Error::KeyReused),
            Written::Kept(Kept::Unknown) => Err(Error::NoSuchRecurring),
            _ => Err(Error::Store(StoreError::Closed)),
        }
    }

    fn admit(&self, who: &Principal, wanted: Wanted) -> Result<NewRecurring, Error> {
        let whose = whose(who)?;
        let mut recurrence = Recurrence::new(&wanted.cron, &wanted.time_zone)?;
        if whose.owner.is_some() && recurrence.has_seconds() {
            let expected = "five fields; six, with seconds, are for services";
            return Err(Broken { field: "cron", expected }.into());
        }
        (recurrence.starts_at, recurrence.ends_at) = (wanted.starts_at, wanted.ends_at);
        let key = wanted.draft.idempotency_key.clone();
        let mut notification = self.notify.admit(who, wanted.draft)?;
        notification.audience = later(notification.audience);
        let idempotency = match key {
            None => Idempotency::none(notification.uuid),
            Some(key) => {
                // What the notification would be recognised by, and when it is due.
                let parts = format!("{:?}{recurrence:?}", notification.idempotency.request.0);
                let owner = whose.owner.as_ref().map(UserId::as_str).unwrap_or_default();
                let tenant = format!("{}\u{1f}{owner}", whose.tenant);
                Idempotency::keyed("recurring", &tenant, &key, Digest::of(&[&parts]))
            }
        };
        let most = if whose.owner.is_some() { self.limits.of_user } else { self.limits.of_tenant };
        Ok(NewRecurring { whose, recurrence, notification, idempotency, most })
    }

    /// Those of `who` before the number `before`, newest first; and whether there are more.
    ///
    /// # Errors
    /// When the token is nobody's, or the database cannot answer.
    pub async fn list(
        &self,
        who: &Principal,
        before: Option<i64>,
        limit: i64,
    ) -> Result<(Vec<Recurring>, bool), Error> {
        let limit = limit.clamp(1, MOST_LISTED);
        let mut page = self.store.recurring(&whose(who)?, before, limit + 1).await?;
        let has_more = i64::try_from(page.len()).is_ok_and(|many| many > limit);
        page.truncate(usize::try_from(limit).unwrap_or(0));
        Ok((page, has_more))
    }

    /// One of `who`'s, and the next times at which it is due.
    ///
    /// # Errors
    /// When they have none of this number.
    pub async fn find(&self, who: &Principal, id: i64) -> Result<(Recurring, Vec<Timestamp>), Error> {
        let found = self.store.recurring_one(&whose(who)?, id).await?.ok_or(Error::NoSuchRecurring)?;
        let after = |at: &Timestamp| found.recurrence.next_after(*at);
        let upcoming = std::iter::successors(found.next_at, after).take(SHOWN).collect();
        Ok((found, upcoming))
    }

    /// Whether `who` may take back what goes out: whoever may send it.
    async fn may_stop(&self, who: &Principal, whose: &Whose, id: i64) -> Result<(), Error> {
        let kept = self.store.recurring_one(whose, id).await?.ok_or(Error::NoSuchRecurring)?;
        may_take_back(who, &kept.group)
    }

    /// One of `who`'s goes out no more.
    ///
    /// # Errors
    /// When they have none of this number, or may not send to all that it is for.
    pub async fn cease(&self, who: &Principal, id: i64) -> Result<(), Error> {
        let whose = whose(who)?;
        self.may_stop(who, &whose, id).await?;
        let deed = Deed {
            at: self.notify.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action: Action::RecurNoMore,
            subject: Some(format!("recurring:{id}")),
            detail: "{}".to_owned(),
            address: None,
        };
        match self.store.write(Write::Cease { whose, id, deed }).await? {
            Written::Changed(1..) => Ok(()),
            _ => Err(Error::NoSuchRecurring),
        }
    }
}
