//! Accepting a notification: durable first, then delivered, then answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Error;
use super::admission::accepted_at;
use crate::access::Principal;
use crate::delivery::{Dispatch, Live, Spreading};
use crate::domain::{
    Accepted, Audience, Channel, Clock, Draft, NewNotification, NotificationId, Timestamp, USUAL_AFTER,
    UserId, Wish, is_over,
};
use crate::store::{Store, StoreError, Write, Written};
use crate::telemetry::traces::{self, Parent, Span};
use crate::telemetry::{Metrics, Outcome};

/// A sender is answered by then, however large the audience.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked how far a notification has spread.
const LOOK: Duration = Duration::from_millis(20);

/// How a resend is recognised for: 24 hours.
const IDEMPOTENCY_SECONDS: i64 = 24 * 60 * 60;

/// Proof that a notification is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its number.
    pub id: NotificationId,
    /// Its second name.
    pub uuid: Uuid,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// How far it got.
    pub reached: Reached,
}

/// What is known of a notification for several when its sender is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Proof that it is durable.
    pub receipt: Receipt,
    /// How many people it is for.
    pub people: i64,
    /// In how many inboxes it is; the others get it soon.
    pub reached: i64,
}

/// How far a notification got before its sender was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It waits for its recipient to come back; stored at this time.
    Stored(Timestamp),
    /// It was handed to a live socket at this time.
    Sent(Timestamp),
    /// It was to go out at this time.
    Scheduled(Timestamp),
    /// The same, but it was taken back since.
    TakenBack(Timestamp),
}

/// Called once, after the commit.
pub type Answer = Box<dyn FnOnce(Result<Receipt, Error>) + Send>;

/// The way in for every notification.
pub struct Notify {
    pub(super) store: Arc<Store>,
    live: Arc<Live>,
    pub(super) spreading: Arc<Spreading>,
    dispatch: Arc<Dispatch>,
    /// Where notifications go whose senders do not say.
    usual: Vec<Channel>,
    after: u32,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Notify {
    /// Stores in `store`, delivers through `live`, to audiences by `spreading`, beyond sockets by `dispatch`.
    pub fn new(
        store: Arc<Store>,
        live: Arc<Live>,
        spreading: Arc<Spreading>,
        dispatch: Arc<Dispatch>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            live,
            spreading,
            dispatch,
            usual: vec![Channel::Realtime],
            after: USUAL_AFTER,
            clock,
            metrics,
        }
    }

    /// The same; what says nothing of channels goes by `usual` ones, and each step is given so many seconds.
    #[must_use]
    pub fn usually(mut self, usual: Vec<Channel>, after: u32) -> Self {
        self.usual = usual;
        self.after = after;
        self
    }

    /// Where what has this wish goes.
    pub fn channels(&self, wish: Option<&Wish>) -> Vec<Channel> {
        let named = wish.map(|wish| wish.channels.clone()).filter(|named| !named.is_empty());
        named.unwrap_or_else(|| self.usual.clone())
    }

    /// What is wanted beyond sockets, if anything is.
    pub(super) fn wish(&self, asked: Option<Wish>) -> Option<Wish> {
        let mut wish = asked.unwrap_or_default();
        wish.channels = self.channels(Some(&wish));
        wish.escalation.after.get_or_insert(self.after);
        (wish.channels != [Channel::Realtime] || wish.template.is_some()).then_some(wish)
    }

    /// The time to write on a new notification.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the database takes what is sent. It may take as long as the database does.
    pub async fn is_ready(&self) -> bool {
        self.store.ping().await.is_ok()
    }

    /// Counts one that was refused before it came this far.
    pub fn rejected(&self) {
        self.metrics.notification(Outcome::Rejected);
    }

    /// The same, on the way out: counts what `given` refuses.
    ///
    /// # Errors
    /// What `given` was refused with.
    pub fn counted<T, E>(&self, given: Result<T, E>) -> Result<T, E> {
        given.inspect_err(|_| self.rejected())
    }

    /// Accepts what `who` asks for, and waits for the commit.
    ///
    /// # Errors
    /// When it breaks a rule, the token does not allow it, or it could not be stored.
    pub async fn send(&self, who: &Principal, draft: Draft) -> Result<Receipt, Error> {
        let asked = draft.scheduled_at;
        let new = self.admit_again(who, draft).inspect_err(|_| self.rejected())?;
        self.commit(new, asked).await
    }

    /// The same, for an administrator.
    ///
    /// # Errors
    /// As [`Notify::send`], and when the token does not allow broadcasts.
    pub async fn broadcast(&self, who: &Principal, draft: Draft) -> Result<Broadcast, Error> {
        if !who.can_broadcast {
            self.rejected();
            return Err(Error::Forbidden(
                "broadcasting needs the scope notifications:broadcast or the role admin",
            ));
        }
        self.send_and_count(who, draft).await
    }

    /// The same as [`Notify::send`]; tells how many it is for, and how many have it after a second at most.
    ///
    /// # Errors
    /// As [`Notify::send`].
    pub async fn send_and_count(&self, who: &Principal, draft: Draft) -> Result<Broadcast, Error> {
        let asked = draft.scheduled_at;
        let new = self.admit_again(who, draft).inspect_err(|_| self.rejected())?;
        let Audience::Whoever(tenant, group) = &new.audience else {
            let people = i64::try_from(new.audience.named().len()).unwrap_or(i64::MAX);
            return Ok(Broadcast { receipt: self.commit(new, asked).await?, people, reached: people });
        };
        let people = self.store.audience(tenant, group).await?;
        let receipt = self.commit(new, asked).await?;
        if let Reached::Scheduled(_) | Reached::TakenBack(_) = receipt.reached {
            return Ok(Broadcast { receipt, people, reached: 0 });
        }
        let reached = self.reached(receipt.id).await;
        Ok(Broadcast { receipt, people: people.max(reached), reached })
    }

    /// How many have it, once all do or the sender has waited long enough. It is durable: not to know is no fault.
    async fn reached(&self, id: NotificationId) -> i64 {
        // No read is left half-done: on one thread its connection could not be given back.
        let until = Instant::now() + PATIENCE;
        let mut reached = 0;
        while let Ok(Some((many, is_finished))) = self.store.spread_of(id).await {
            reached = many;
            if is_finished || Instant::now() >= until {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        reached
    }

    /// Stores `new`; `asked` is when its sender wants it to go out.
    async fn commit(&self, new: NewNotification, asked: Option<Timestamp>) -> Result<Receipt, Error> {
        let (uuid, tenant) = (new.uuid, new.tenant.clone());
        let over = is_over(new.expires_at, new.created_at);
        let mut receipt = match over {
            Err(broken) => self.earlier(&new).await?.ok_or(broken).inspect_err(|_| self.rejected())?,
            Ok(()) => {
                let (tell, told) = tokio::sync::oneshot::channel();
                self.accept(new, Box::new(move |outcome| drop(tell.send(outcome))));
                told.await.unwrap_or(Err(Error::Store(StoreError::Closed)))?
            }
        };
        let accepted_at = accepted_at(&receipt.uuid);
        if let Some(at) = asked.filter(|at| receipt.uuid != uuid && *at > accepted_at) {
            // It came before. What goes out is dated anew; the first answer was not.
            receipt.created_at = accepted_at;
            let is_taken_back = self.is_taken_back(&tenant, receipt.id).await?;
            receipt.reached = if is_taken_back { Reached::TakenBack(at) } else { Reached::Scheduled(at) };
        }
        Ok(receipt)
    }

    /// What was accepted before by the same request.
    async fn earlier(&self, new: &NewNotification) -> Result<Option<Receipt>, Error> {
        let since = new.created_at.plus_seconds(-IDEMPOTENCY_SECONDS);
        let Some((id, uuid, created_at)) = self.store.accepted_before(&new.idempotency, since).await? else {
            return Ok(None);
        };
        self.metrics.notification(Outcome::Duplicate);
        let reached = self.live.sent_at(id, &new.audience).map_or(Reached::Stored(created_at), Reached::Sent);
        Ok(Some(Receipt { id, uuid, created_at, reached }))
    }

    /// Accepts `new`; `answer` is called in commit order, after delivery was tried.
    pub fn accept(&self, new: NewNotification, answer: Answer) {
        let new = Arc::new(new);
        let write = Write::Accept {
            notification: new.clone(),
            window_start: new.created_at.plus_seconds(-IDEMPOTENCY_SECONDS),
        };
        let (live, metrics) = (self.live.clone(), self.metrics.clone());
        let traced = metrics.traces.is_on().then(|| Traced::begin(self, &new));
        let spreading = matches!(new.audience, Audience::Whoever(..)).then(|| self.spreading.clone());
        let dispatch = new.wish.is_some().then(|| self.dispatch.clone());
        self.store.submit(
            write,
            Box::new(move |written| {
                let answer = match traced {
                    Some(traced) => traced.committed(answer),
                    None => answer,
                };
                committed(&live, &metrics, &new, written, answer);
                if let Some(dispatch) = dispatch {
                    dispatch.wake();
                }
                if let Some(spreading) = spreading {
                    spreading.wake();
                }
            }),
        );
    }
}

/// An acceptance that is told of.
struct Traced {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    uuid: Uuid,
    parent: Option<Parent>,
    began: Timestamp,
}

impl Traced {
    fn begin(notify: &Notify, new: &NewNotification) -> Self {
        Self {
            store: notify.store.clone(),
            metrics: notify.metrics.clone(),
            clock: notify.clock.clone(),
            uuid: new.uuid,
            parent: traces::parent(),
            began: notify.clock.now(),
        }
    }

    /// It was committed now; what is to be called when it is answered.
    fn committed(self, answer: Answer) -> Answer {
        let committed = self.clock.now();
        Box::new(move |outcome| {
            // Of a resend it is known what happened.
            if let Ok(Receipt { id, uuid, reached, .. }) = &outcome
                && *uuid == self.uuid
            {
                if let Some(parent) = &self.parent {
                    self.store.submit(Write::Traced(*id, parent.written()), Box::new(|_| ()));
                }
                let reached = match reached {
                    Reached::Stored(_) => "stored",
                    Reached::Sent(_) => "sent",
                    Reached::Scheduled(_) | Reached::TakenBack(_) => "scheduled",
                };
                let now = self.clock.now();
                let spans = [
                    ("accept", self.began, now),
                    ("commit", self.began, committed),
                    ("dispatch", committed, now),
                ];
                for (name, start, end) in spans {
                    self.metrics.traces.note(|| Span {
                        notification: id.0,
                        accepted: Some((self.uuid, self.parent)),
                        name,
                        start: start.as_micros(),
                        end: end.as_micros(),
                        facts: vec![("outcome", reached.to_owned())],
                        is_failed: false,
                    });
                }
            }
            answer(outcome);
        })
    }
}

fn committed(
    live: &Arc<Live>,
    metrics: &Metrics,
    new: &NewNotification,
    written: Result<Written, StoreError>,
    answer: Answer,
) {
    match written {
        Ok(Written::Accepted(Accepted::New { id, places })) => {
            let (user, uuid, created_at) = (first(new), new.uuid, new.created_at);
            if let Some(at) = new.due_at {
                return answer(Ok(Receipt { id, uuid, created_at, reached: Reached::Scheduled(at) }));
            }
            live.deliver(new, id, &places, move |sent_at| {
                let user = user.as_ref().map(UserId::as_str);
                let reached = match sent_at {
                    Some(at) => {
                        tracing::debug!(user.id = user, notification.id = %id, "Real-time notification sent to facilitator");
                        Reached::Sent(at)
                    }
                    None => {
                        tracing::debug!(user.id = user, notification.id = %id, "Notification stored for offline facilitator");
                        Reached::Stored(created_at)
                    }
                };
                answer(Ok(Receipt { id, uuid, created_at, reached }));
            });
        }
        Ok(Written::Accepted(Accepted::Duplicate { id, uuid, created_at, delivered_at })) => {
            metrics.notification(Outcome::Duplicate);
            let sent_at = live.sent_at(id, &new.audience).or(delivered_at);
            let reached = sent_at.map_or(Reached::Stored(created_at), Reached::Sent);
            live.in_order(move || answer(Ok(Receipt { id, uuid, created_at, reached })));
        }
        Ok(Written::Accepted(Accepted::KeyReused)) => {
            metrics.notification(Outcome::Rejected);
            live.in_order(move || answer(Err(Error::KeyReused)));
        }
        Ok(_) => answer(Err(Error::Store(StoreError::Closed))),
        Err(fault) => {
            // Whoever sent it, by whatever door, is told, and there it is logged.
            metrics.notification(Outcome::Failed);
            live.in_order(move || answer(Err(fault.into())));
        }
    }
}

/// Whom it is for, if that is one person.
fn first(new: &NewNotification) -> Option<UserId> {
    match new.audience.named() {
        [one] => Some(one.user.clone()),
        _ => None,
    }
}
