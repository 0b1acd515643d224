//! What a person does with a notification: stored, then told to whoever cares.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::Error;
use crate::delivery::{Confirmations, Spreading};
use crate::domain::{NotificationId, Recipient, Standing, Status, Timestamp, UserId};
use crate::realtime::Hub;
use crate::store::{Before, Mark, Store, StoreError, Write, Written};
use crate::telemetry::traces::Span;
use crate::telemetry::{Metrics, Outcome};

/// What came of marking a notification.
#[derive(Clone, Debug)]
pub struct Marked {
    /// How it stands now.
    pub standing: Standing,
    /// Whether it stood otherwise before; then all of the person's connections were told.
    pub is_new: bool,
}

/// Called once, after the commit.
pub type OnMarked = Box<dyn FnOnce(Result<Marked, Error>) + Send>;

/// How a notification stands after this mark, and whether that is new.
fn standing(id: NotificationId, before: &Before, mark: Mark, at: Timestamp) -> Marked {
    let already = match (before.read_at, before.confirmed_at) {
        (Some(at), _) => (Status::Read, at),
        (None, Some(at)) => (Status::Delivered, at),
        (None, None) => (Status::Pending, at),
    };
    let ((status, at), is_new) = match (mark, already.0) {
        (Mark::Confirmed, Status::Pending) => ((Status::Delivered, at), true),
        (Mark::Read, Status::Pending | Status::Delivered) => ((Status::Read, at), true),
        (Mark::Unread, Status::Read) => ((Status::Delivered, at), true),
        (Mark::Deleted, _) => ((Status::Deleted, at), true),
        _ => (already, false),
    };
    Marked { standing: Standing { id, uuid: before.uuid, status, at, whose: None }, is_new }
}

/// One mark on its way.
pub struct Marking {
    /// Where it is stored.
    pub store: Arc<Store>,
    /// Who hears of it.
    pub hub: Arc<Hub>,
    /// What was handed to sockets, and is not confirmed.
    pub confirmations: Arc<Confirmations>,
    /// What may still bring what is to be marked.
    pub spreading: Arc<Spreading>,
    /// What is begun and to be ended before the server stops.
    pub tasks: TaskTracker,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
    /// When it was made.
    pub at: Timestamp,
}

impl Marking {
    /// Stores it; then those are told who care, and then `answer` is called.
    pub fn begin(self, recipient: Recipient, id: NotificationId, mark: Mark, answer: OnMarked) {
        self.attempt(recipient, id, mark, answer, true);
    }

    fn attempt(
        self,
        recipient: Recipient,
        id: NotificationId,
        mark: Mark,
        answer: OnMarked,
        may_be_on_its_way: bool,
    ) {
        let store = self.store.clone();
        let handed = match mark {
            Mark::Confirmed | Mark::Read => self.confirmations.handed(&recipient, id),
            Mark::Unread | Mark::Deleted => None,
        };
        let is_known = handed.is_some();
        let write = Write::Mark { recipient: recipient.clone(), notification: id, mark, at: self.at, handed };
        let done = move |written: Result<Written, StoreError>| match written {
            Ok(Written::Marked(Some(before))) => {
                if is_known && before.is_confirmed_now {
                    self.confirmations.settled(&recipient, id);
                }
                answer(Ok(self.marked(&recipient, id, mark, &before)));
            }
            Ok(_) if may_be_on_its_way => {
                let tasks = self.tasks.clone();
                tasks.spawn(self.again(recipient, id, mark, answer));
            }
            Ok(_) => answer(Err(Error::NotFound)),
            Err(fault) => answer(Err(fault.into())),
        };
        store.submit(write, Box::new(done));
    }

    /// They have no such one yet: perhaps it is on its way to them.
    async fn again(self, recipient: Recipient, id: NotificationId, mark: Mark, answer: OnMarked) {
        let reached = match self.store.spread_of(id).await {
            Ok(Some((_, false))) => self.spreading.reach(&recipient).await,
            Ok(_) => return answer(Err(Error::NotFound)),
            Err(fault) => Err(fault),
        };
        match reached {
            Ok(()) => self.attempt(recipient, id, mark, answer, false),
            Err(fault) => answer(Err(fault.into())),
        }
    }

    fn marked(&self, recipient: &Recipient, id: NotificationId, mark: Mark, before: &Before) -> Marked {
        if mark == Mark::Read && before.read_at.is_none() {
            self.metrics.notification(Outcome::Read);
        }
        let marked = standing(id, before, mark, self.at);
        if before.is_confirmed_now {
            self.metrics.notification(Outcome::Confirmed);
            self.metrics.traces.note(|| Span {
                notification: id.0,
                accepted: None,
                name: "confirm",
                start: self.at.as_micros(),
                end: self.at.as_micros(),
                facts: vec![("by", if mark == Mark::Read { "read" } else { "ack" }.to_owned())],
                is_failed: false,
            });
        }
        if before.is_beyond && marked.is_new && matches!(mark, Mark::Read | Mark::Deleted) {
            self.spreading.dispatch().retract(recipient.clone());
        }
        if marked.is_new {
            tell(&self.hub, recipient, before.sender.as_deref(), &marked.standing);
        }
        marked
    }
}

/// Tells the person where a notification stands, and whoever sent it.
fn tell(hub: &Hub, recipient: &Recipient, sender: Option<&str>, standing: &Standing) {
    hub.tell_standing(recipient, standing);
    // Who tidies up an inbox does not tell others.
    let sender = sender.filter(|_| standing.status != Status::Deleted);
    let sender = sender.and_then(|sender| UserId::new(sender).ok());
    if let Some(user) = sender.filter(|sender| *sender != recipient.user) {
        let sender = Recipient { tenant: recipient.tenant.clone(), user };
        let whose = Some(recipient.user.clone());
        hub.tell_standing(&sender, &Standing { whose, ..standing.clone() });
    }
}
