//! What went out over channels that are not sockets: how far it is, what failed, and trying that again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Error;
use super::explain::{Step, UNASKED};
use crate::access::Principal;
use crate::delivery::Dispatch;
use crate::domain::{Action, Channel, Clock, Deed, NotificationId, Priority, Recipient, Tenant, Timestamp};
use crate::store::{Attempt, Delivery, State, Store, StoreError, TracedHush, Write, Written};

/// How often it is looked how far deliveries are.
const LOOK: Duration = Duration::from_millis(20);
/// Deliveries of one notification to one person that are told.
const MOST: i64 = 100;
/// Deliveries that are called back to life by one commit.
const TOGETHER: i64 = 500;
/// Whoever calls all back to life is answered by then: less than their own patience.
const PATIENCE: Duration = Duration::from_secs(4);

/// How far one channel has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The provider took it.
    Sent,
    /// It goes on, at this time or soon after.
    Queued(Timestamp),
    /// It went wrong for good.
    Failed(String),
    /// It could not or must not go this way.
    Skipped(String),
    /// It was not needed.
    Cancelled(String),
}

/// Deliveries, for those who ask about them.
pub struct Outgoing {
    store: Arc<Store>,
    dispatch: Arc<Dispatch>,
    clock: Arc<dyn Clock>,
}

impl Outgoing {
    /// Reads `store`; `dispatch` tries again.
    pub fn new(store: Arc<Store>, dispatch: Arc<Dispatch>, clock: Arc<dyn Clock>) -> Self {
        Self { store, dispatch, clock }
    }

    /// How far each channel is, once nothing of it is due or `patience` has run out. It is durable: not to know is no fault.
    pub async fn settled(
        &self,
        tenant: &Tenant,
        id: NotificationId,
        recipient: &Recipient,
        patience: Duration,
    ) -> HashMap<Channel, Progress> {
        let until = Instant::now() + patience;
        loop {
            let all = self.store.deliveries_of(tenant, id, Some(recipient), MOST).await;
            let now = self.clock.now();
            let is_moving = |one: &Delivery| match one.state {
                State::UnderWay => true,
                State::Waiting => one.due_at <= now,
                _ => false,
            };
            match all {
                Ok(all) if Instant::now() >= until || !all.iter().any(is_moving) => return progress(&all),
                Err(_) if Instant::now() >= until => return HashMap::new(),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Why no socket of `recipient`'s was told of a notification that is in their inbox, if they want it so: it goes on when their
    /// quiet hours end, or is muted. It is durable: not to know is no fault.
    pub async fn hushed(&self, id: NotificationId, recipient: &Recipient) -> Option<Progress> {
        let trace = self.store.trace(&recipient.tenant, id, Some(recipient)).await.ok().flatten()?;
        let (hush, why) = trace.entry?.hush?;
        match hush {
            TracedHush::Muted => Some(Progress::Skipped(why)),
            TracedHush::Waits => {
                let preferences = self.store.preferences(recipient).await.ok().flatten()?;
                let now = self.clock.now();
                Some(Progress::Queued(preferences.quiet_until(Priority::Normal, now).unwrap_or(now)))
            }
            TracedHush::SummedUp | TracedHush::Over => None,
        }
    }

    /// The steps of a notification's way to `recipient` beyond sockets.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn steps(
        &self,
        tenant: &Tenant,
        id: NotificationId,
        recipient: &Recipient,
        priority: Priority,
    ) -> Result<Vec<Step>, StoreError> {
        let preferences = self.store.preferences(recipient).await?;
        let quiet = |at| preferences.as_ref().and_then(|all| all.quiet_until(priority, at));
        let all = self.store.deliveries_of(tenant, id, Some(recipient), MOST).await?;
        let ids: Vec<i64> = all.iter().map(|one| one.id).collect();
        let attempts = match ids.is_empty() {
            true => Vec::new(),
            false => self.store.attempts_of(&ids).await?,
        };
        let mut steps = Vec::new();
        for channel in Channel::BEYOND {
            let mut own = all.iter().filter(|one| one.channel == channel).peekable();
            if own.peek().is_none() {
                steps.push(Step::not("sent", UNASKED).by(channel));
            }
            for one in own {
                let tries = attempts.iter().filter(|attempt| attempt.delivery == one.id);
                steps.extend(tries.map(|attempt| tried(one, attempt)));
                steps.extend(stands(one, quiet(one.due_at)));
            }
        }
        Ok(steps)
    }

    /// What of the tenant's has failed, the latest first; for administrators.
    ///
    /// # Errors
    /// When the token does not allow it, or the database cannot answer.
    pub async fn failed(
        &self,
        who: &Principal,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<(Delivery, Vec<Attempt>)>, Error> {
        if !(who.can_broadcast || who.can_watch()) {
            return Err(MAY_NOT);
        }
        let failed = self.store.failed_deliveries(&who.tenant, before, limit).await?;
        let ids: Vec<i64> = failed.iter().map(|one| one.id).collect();
        let mut attempts: HashMap<i64, Vec<Attempt>> = HashMap::new();
        if !ids.is_empty() {
            for attempt in self.store.attempts_of(&ids).await? {
                attempts.entry(attempt.delivery).or_default().push(attempt);
            }
        }
        Ok(failed
            .into_iter()
            .map(|one| {
                let tries = attempts.remove(&one.id);
                (one, tries.unwrap_or_default())
            })
            .collect())
    }

    /// Tries the one of this number again, which has failed.
    ///
    /// # Errors
    /// When there is none for whom the token allows it, or it could not be stored.
    pub async fn retry(&self, who: &Principal, address: Option<IpAddr>, id: i64) -> Result<usize, Error> {
        if !who.can_retry() {
            return Err(Error::NoSuchDelivery);
        }
        match self.revive(vec![id], self.retried(who, address, Some(id))).await? {
            0 => Err(Error::NoSuchDelivery),
            revived => Ok(revived),
        }
    }

    /// Tries all again that has failed before the one of this number, the latest first, as many as can be in a few seconds. So
    /// that others are not held up, a bounded number is stored by one commit. Returns how many these were, and behind which
    /// number to go on, if some may be left.
    ///
    /// # Errors
    /// When the token does not allow it, or it could not be stored.
    pub async fn retry_all(
        &self,
        who: &Principal,
        address: Option<IpAddr>,
        mut before: Option<i64>,
    ) -> Result<(usize, Option<i64>), Error> {
        if !who.can_retry() {
            return Err(MAY_NOT);
        }
        let (until, deed) = (Instant::now() + PATIENCE, self.retried(who, address, None));
        let mut all = 0;
        loop {
            let some = self.store.failed_numbers(&who.tenant, before, TOGETHER).await?;
            let is_last = i64::try_from(some.len()).is_ok_and(|many| many < TOGETHER);
            before = some.last().copied().or(before);
            if !some.is_empty() {
                all += self.revive(some, deed.clone()).await?;
            }
            if is_last || Instant::now() >= until {
                return Ok((all, before.filter(|_| !is_last)));
            }
        }
    }

    /// Calls what has failed back to life. Returns how many that were.
    async fn revive(&self, ids: Vec<i64>, deed: Deed) -> Result<usize, Error> {
        let write = Write::Revive { tenant: deed.tenant.clone(), ids: ids.into(), deed };
        let Written::Changed(revived) = self.store.write(write).await? else {
            return Err(StoreError::Closed.into());
        };
        self.dispatch.wake();
        Ok(revived)
    }

    fn retried(&self, who: &Principal, address: Option<IpAddr>, id: Option<i64>) -> Deed {
        Deed {
            at: self.clock.now(),
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action: Action::Retry,
            subject: id.map(|id| format!("delivery:{id}")),
            detail: json!({}).to_string(),
            address,
        }
    }
}

const MAY_NOT: Error = Error::Forbidden(
    "failed deliveries are for administrators, and services that may broadcast; with the role viewer they are looked \
     at, with the role operator tried again, too",
);

/// How far each channel is. What goes to several devices has arrived when one has it.
fn progress(all: &[Delivery]) -> HashMap<Channel, Progress> {
    let mut channels: HashMap<Channel, Progress> = HashMap::new();
    for one in all.iter().filter(|one| one.state != State::Divided && !one.is_retraction) {
        let reason = one.reason.clone().unwrap_or_default();
        let this = match one.state {
            State::Sent | State::Delivered => Progress::Sent,
            State::Failed => Progress::Failed(reason),
            State::Skipped => Progress::Skipped(reason),
            State::Cancelled => Progress::Cancelled(reason),
            State::Waiting | State::UnderWay | State::Divided => Progress::Queued(one.due_at),
        };
        let rank = |progress: &Progress| match progress {
            Progress::Sent => 4,
            Progress::Queued(_) => 3,
            Progress::Failed(_) => 2,
            Progress::Cancelled(_) => 1,
            Progress::Skipped(_) => 0,
        };
        let known = channels.entry(one.channel).or_insert_with(|| this.clone());
        if rank(&this) > rank(known) {
            *known = this;
        }
    }
    channels
}

fn tried(delivery: &Delivery, attempt: &Attempt) -> Step {
    let device = delivery.device.map(|id| format!(" for device {id}")).unwrap_or_default();
    let Attempt { number, provider, took_ms, .. } = attempt;
    let what = if delivery.is_retraction { "taking it back, " } else { "" };
    let whom = if delivery.to_guardian { " to the guardian's contact" } else { "" };
    let took = format!("{what}attempt {number} by {provider}{device}{whom}, {took_ms} ms");
    let step = match (attempt.state, &attempt.reason) {
        (State::Sent | State::Delivered, _) => Step::done("sent", Some(attempt.at), format!("{took}: taken")),
        (State::Waiting, reason) => Step {
            at: Some(attempt.at),
            ..Step::not("sent", format!("{took}: {}; it is tried again", words(reason)))
        },
        (_, reason) => {
            Step { at: Some(attempt.at), ..Step::not("sent", format!("{took}: {}", words(reason))) }
        }
    };
    step.by(delivery.channel)
}

fn words(reason: &Option<String>) -> &str {
    reason.as_deref().unwrap_or("no reason was given")
}

/// How a delivery stands, where its attempts do not say so; its turn comes in quiet hours, perhaps, which end then.
fn stands(one: &Delivery, quiet: Option<Timestamp>) -> Option<Step> {
    let step = match one.state {
        State::Sent | State::Divided => return None,
        State::Waiting | State::UnderWay if one.is_retraction => {
            Step::unknown("sent", "it was read elsewhere; the push is being taken back")
        }
        State::Delivered => Step::done("confirmed", one.finished_at, "the provider says that it arrived"),
        State::Waiting if one.step > 0 && one.attempt == 0 => {
            let when = match quiet {
                Some(end) => format!("when quiet hours are over, at {end} or in its turn after that"),
                None => format!("at {}", one.due_at),
            };
            Step::not("sent", format!("it goes out {when}, unless that is not needed any more by then"))
        }
        State::Waiting => Step::not("sent", format!("it is tried at {}", one.due_at)),
        State::UnderWay => Step::unknown("sent", "it is being handed over"),
        State::Failed => {
            Step::not("sent", format!("given up: {}; an administrator may try it again", words(&one.reason)))
        }
        State::Skipped => Step::not("sent", words(&one.reason)),
        State::Cancelled => Step::not("sent", format!("not needed any more: {}", words(&one.reason))),
    };
    Some(step.by(one.channel))
}
