//! What a recipient has not seen yet, and marking it read.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Error;
use super::marking::{Marking, OnMarked};
use super::tally::{Tally, tally};
use crate::delivery::{CatchUp, Replays, Spreading};
use crate::domain::{
    Clock, Notification, NotificationId, Position, Priority, Recipient, Standing, Timestamp,
};
use crate::realtime::{Connection, Hub};
use crate::store::{
    Counted, Filter, Held, HeldCounts, Mark, Missed, Pending, Store, StoreError, Write, Written,
};
use crate::telemetry::{Metrics, Outcome};

/// Bytes of text in one list; older notifications follow when these have been read.
const LARGEST_LIST: usize = 32 * 1024 * 1024;

/// Pending notifications of one kind, newest first.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Those listed.
    pub notifications: Vec<Notification>,
    /// Older ones that did not fit; they come when these have been read.
    pub remaining: i64,
    /// Whether notifications of other kinds are pending, too, as far as is known.
    pub others: bool,
}

/// What somebody asks for who comes back.
#[derive(Clone, Debug)]
pub enum ReplayFrom {
    /// What is neither confirmed nor read.
    Unconfirmed,
    /// The same, and what was accepted at this instant or later.
    Time(Timestamp),
    /// What stands behind the notification of this name.
    Last(String),
    /// The same, or what came after the notification of this name if that was for others. With a number below the
    /// first, all there is.
    Sequence(String),
}

/// Entries in one page.
const MOST_LISTED: i64 = 100;

/// Which part of an inbox is asked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// What was not read.
    pub unread_only: bool,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this topic.
    pub topic: Option<String>,
    /// Of this priority.
    pub priority: Option<Priority>,
    /// What came before this one.
    pub before: Option<NotificationId>,
    /// How many of the newest are left out.
    pub skip: i64,
    /// How many are wanted, at most 100.
    pub limit: i64,
}

/// A part of an inbox.
#[derive(Clone, Debug)]
pub struct Page {
    /// Newest first.
    pub held: Vec<Held>,
    /// Of all that fits, whatever the page.
    pub counts: HeldCounts,
    /// Whether more follows.
    pub has_more: bool,
}

/// As many of these as fit into one list.
fn listing(pending: Pending) -> Listing {
    let mut left = LARGEST_LIST;
    let fits = |notification: &Notification| {
        let size = notification.data.len() + notification.message.len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    let Pending { newest, all, others, .. } = pending;
    let notifications: Vec<_> =
        newest.into_iter().map(|(_, notification)| notification).take_while(fits).collect();
    let remaining = all - i64::try_from(notifications.len()).unwrap_or(all);
    Listing { notifications, remaining, others }
}

/// One person's notifications.
pub struct Inbox {
    store: Arc<Store>,
    hub: Arc<Hub>,
    catch_up: CatchUp,
    replays: Arc<Replays>,
    spreading: Arc<Spreading>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limit: i64,
    counting: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Inbox {
    /// How many sockets `recipient` has on this node.
    pub fn sockets(&self, recipient: &Recipient) -> usize {
        self.hub.connections_of(recipient)
    }

    /// Lists one at a time, unless [`Inbox::listing`] says more.
    pub fn new(
        store: Arc<Store>,
        hub: Arc<Hub>,
        catch_up: CatchUp,
        replays: Arc<Replays>,
        spreading: Arc<Spreading>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counting = Arc::new(Semaphore::new(1));
        let tasks = TaskTracker::new();
        Self { store, hub, catch_up, replays, spreading, clock, metrics, limit: 1, counting, tasks }
    }

    /// Lists at most `limit` at once.
    pub fn listing(self, limit: i64) -> Self {
        Self { limit: limit.max(1), ..self }
    }

    /// Whoever waits for `tasks` waits for marks, too, that are looked into once more.
    pub fn tracked(self, tasks: TaskTracker) -> Self {
        Self { tasks, ..self }
    }

    /// What of this `kind` `recipient` has neither confirmed nor read.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn pending(&self, recipient: &Recipient, kind: &str) -> Result<Listing, Error> {
        // What this person marked read just before does not come back.
        self.store.drain().await;
        Ok(listing(self.store.pending(recipient, kind, self.limit).await?))
    }

    /// The same, for a connection that has just joined: without what it was already sent live.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn missed(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        kind: &str,
    ) -> Result<Listing, Error> {
        self.catch_up.ready(recipient).await;
        // Known before the list is read: a place that is found later may lie behind what the list has.
        let unknown = || StoreError::Unreachable("it is not known yet where this inbox stands".to_owned());
        self.hub.served(recipient).ok_or_else(unknown)?;
        let mut pending = self.store.pending(recipient, kind, self.limit).await?;
        let read = pending.newest.len();
        // What this node stored, and the query saw, is pushed live before this barrier is passed, if it
        // ever will be. What another node stored is behind the place served so far, and follows.
        self.store.drain().await;
        // Without a place nobody could say what is still to come.
        let served = self.hub.served(recipient).ok_or_else(unknown)?;
        let first_live = connection.first_live();
        if pending.newest.first().is_some_and(|(newest, _)| *newest > served) {
            self.catch_up.behind(recipient);
        }
        pending.newest.retain(|(position, _)| *position < first_live && *position <= served);
        pending.all -= i64::try_from(read - pending.newest.len()).unwrap_or(0);
        Ok(listing(pending))
    }

    /// Hands `connection` what its person missed, as notifications, oldest first; live ones wait behind it.
    /// Returns how many.
    ///
    /// # Errors
    /// [`Error::NotFound`] if `from` names a notification that they do not have: nothing happened then. When
    /// the database cannot answer: live ones wait on.
    pub async fn replay(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        from: &ReplayFrom,
    ) -> Result<usize, Error> {
        let (missed, after) = match from {
            ReplayFrom::Unconfirmed => (Missed::Unconfirmed, 0),
            ReplayFrom::Time(at) => (Missed::Since(*at), 0),
            ReplayFrom::Last(name) => {
                let last = self.number_of(name).await?;
                (Missed::Everything, self.place_of(recipient, last).await?)
            }
            ReplayFrom::Sequence(name) => {
                let last = self.number_of(name).await?;
                let place = self.store.place_behind(recipient, last).await?.ok_or(Error::NotFound)?;
                (Missed::Everything, place)
            }
        };
        Ok(self.replays.run(recipient, connection, missed, after).await?)
    }

    /// Hands `connection`, which hears live already, what its person missed of other kinds than this one.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn replay_others(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        kind: &'static str,
    ) -> Result<usize, Error> {
        let missed = Missed::UnconfirmedBut(kind);
        Ok(self.replays.beside_live(recipient, connection, missed).await?)
    }

    /// What `query` asks for, newest first.
    ///
    /// # Errors
    /// When its cursor is unknown, or the database cannot answer.
    pub async fn list(&self, recipient: &Recipient, query: &Query) -> Result<Page, Error> {
        let mut filter = Filter {
            unread_only: query.unread_only,
            kind: query.kind.clone(),
            topic: query.topic.clone(),
            priority: query.priority,
            ..Filter::all(self.clock.now())
        };
        let Counted { mut counts, upto, read_upto, .. } = self.counted(recipient, &filter).await?;
        if query.unread_only {
            counts.total = counts.unread;
            filter.after = read_upto;
        }
        // What has come since it was counted is on another page, so there are no more than were counted.
        filter.before = Some(match query.before {
            Some(cursor) => self.place_of(recipient, cursor).await?,
            None => upto.saturating_add(1),
        });
        let (limit, skip) = (query.limit.clamp(1, MOST_LISTED), query.skip.max(0));
        if counts.total <= skip {
            return Ok(Page { held: Vec::new(), counts, has_more: false });
        }
        let wanted = (limit + 1).min(counts.total - skip);
        loop {
            let mut lines = self.store.held(recipient, &filter, skip, wanted).await?;
            let has_more = i64::try_from(lines.len()).is_ok_and(|many| many > limit);
            lines.truncate(usize::try_from(limit).unwrap_or(0));
            let last = lines.last().map(|line| line.position);
            let held: Vec<Held> = lines.into_iter().filter_map(|line| line.held).collect();
            match last {
                // Nothing of this page can be read: it begins behind it. Whoever counts how much to skip goes on by themselves.
                Some(last) if held.is_empty() && has_more && skip == 0 => filter.before = Some(last),
                _ => return Ok(Page { held, counts, has_more }),
            }
        }
    }

    /// Where `recipient` has the notification that a cursor names, or had it before it was deleted.
    ///
    /// # Errors
    /// When they never had one of that number.
    pub async fn place_of(&self, recipient: &Recipient, cursor: NotificationId) -> Result<Position, Error> {
        self.store.place_of(recipient, cursor).await?.ok_or(Error::NotFound)
    }

    /// How much of it there is, and how much of that was not read.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn counts(&self, recipient: &Recipient) -> Result<HeldCounts, Error> {
        Ok(self.counted(recipient, &Filter::all(self.clock.now())).await?.counts)
    }

    /// The same, of what fits. What takes long is counted meanwhile, for the next who asks: one inbox at a time.
    async fn counted(&self, recipient: &Recipient, filter: &Filter) -> Result<Counted, Error> {
        let mut counted = self.store.held_counts(recipient, filter).await?.unwrap_or_default();
        if counted.is_owed {
            self.spreading.reach(recipient).await?;
            counted = self.store.held_counts(recipient, filter).await?.unwrap_or_default();
        }
        if counted.is_long
            && let Ok(turn) = self.counting.clone().try_acquire_owned()
        {
            let (store, recipient) = (self.store.clone(), recipient.clone());
            let (which, now) = (filter.which(), filter.now);
            tokio::spawn(async move {
                while store.count_on(&recipient, &which, now).await.is_ok_and(|goes_on| goes_on) {}
                drop(turn);
            });
        }
        Ok(counted)
    }

    /// What `recipient` was sent in the last `days`, today being the last.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn tally(&self, recipient: &Recipient, days: u16) -> Result<Tally, Error> {
        tally(&self.store, recipient, days, self.clock.now()).await
    }

    /// One notification of `recipient`'s.
    ///
    /// # Errors
    /// [`Error::NotFound`] if they have no such one.
    pub async fn find(&self, recipient: &Recipient, id: NotificationId) -> Result<Held, Error> {
        if let Some(held) = self.store.find(recipient, id).await? {
            return Ok(held);
        }
        if !self.reached_only_now(recipient, id).await? {
            return Err(Error::NotFound);
        }
        self.store.find(recipient, id).await?.ok_or(Error::NotFound)
    }

    /// Whether `id` may have been on its way to `recipient` until now.
    async fn reached_only_now(&self, recipient: &Recipient, id: NotificationId) -> Result<bool, Error> {
        let is_on_its_way = matches!(self.store.spread_of(id).await?, Some((_, false)));
        if is_on_its_way {
            self.spreading.reach(recipient).await?;
        }
        Ok(is_on_its_way)
    }

    /// One notification of `recipient`'s, by what a client calls it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if they have no such one.
    pub async fn named(&self, recipient: &Recipient, name: &str) -> Result<Held, Error> {
        self.find(recipient, self.number_of(name).await?).await
    }

    /// Marks the one that a client calls `name`; returns how it stands now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if `recipient` has no such one.
    pub async fn change(&self, recipient: &Recipient, name: &str, mark: Mark) -> Result<Held, Error> {
        let id = self.number_of(name).await?;
        self.mark(recipient, id, mark).await?;
        self.find(recipient, id).await
    }

    /// Takes the one that a client calls `name` out of sight.
    ///
    /// # Errors
    /// [`Error::NotFound`] if `recipient` has no such one.
    pub async fn delete(&self, recipient: &Recipient, name: &str) -> Result<(), Error> {
        self.mark(recipient, self.number_of(name).await?, Mark::Deleted).await
    }

    /// The number behind what a client calls a notification: its number, or its second name.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is neither.
    pub async fn number_of(&self, name: &str) -> Result<NotificationId, Error> {
        if let Ok(number) = name.parse::<i64>() {
            return Ok(NotificationId(number));
        }
        let uuid = Uuid::try_parse(name).map_err(|_| Error::NotFound)?;
        self.store.number_of(&uuid).await?.ok_or(Error::NotFound)
    }

    /// Marks one; durable on return.
    ///
    /// # Errors
    /// [`Error::NotFound`] if `recipient` has no such one.
    pub async fn mark(&self, recipient: &Recipient, id: NotificationId, mark: Mark) -> Result<(), Error> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.mark_then(recipient.clone(), id, mark, Box::new(move |marked| drop(tell.send(marked))));
        told.await.unwrap_or(Err(Error::Store(StoreError::Closed))).map(drop)
    }

    /// Marks everything read, some of it in each commit, and tells the person's sockets; returns how much was not.
    ///
    /// # Errors
    /// When it could not be stored, all or some of it.
    pub async fn read_all(&self, recipient: &Recipient) -> Result<usize, Error> {
        let (mut read, mut after, mut upto, at) = (0, 0, None, self.clock.now());
        loop {
            let write = Write::ReadAll { recipient: recipient.clone(), at, after, upto };
            let Written::Read { many, confirmed, rest } = self.store.write(write).await? else { break };
            self.metrics.notifications_by(Outcome::Read, many as u64);
            self.metrics.notifications_by(Outcome::Confirmed, confirmed as u64);
            read += many;
            match rest {
                Some((next, last)) => (after, upto) = (next, Some(last)),
                None => break,
            }
        }
        if read > 0 {
            self.spreading.dispatch().retract(recipient.clone());
            self.hub.tell_standing(recipient, &Standing::all_read(at));
        }
        Ok(read)
    }

    /// Like [`Inbox::mark_then`], of what the client of `connection` calls `name`: what it asks for first happens first.
    pub fn mark_named_then(
        self: &Arc<Self>,
        connection: &Connection,
        recipient: Recipient,
        name: String,
        mark: Mark,
        answer: OnMarked,
    ) {
        // Asked for here, so that turns come in the order of marks.
        let mut turn = Box::pin(connection.marks().clone().lock_owned());
        let taken = turn.as_mut().now_or_never();
        if let (Some(_), Ok(number)) = (&taken, name.parse()) {
            return self.mark_then(recipient, NotificationId(number), mark, answer);
        }
        let inbox = self.clone();
        self.tasks.spawn(async move {
            let _turn = match taken {
                Some(turn) => turn,
                None => turn.await,
            };
            match inbox.number_of(&name).await {
                Ok(id) => inbox.mark_then(recipient, id, mark, answer),
                Err(error) => answer(Err(error)),
            }
        });
    }

    /// Marks one; after the commit those are told who care, and then `answer` is called, with
    /// [`Error::NotFound`] if `recipient` has no such notification.
    pub fn mark_then(&self, recipient: Recipient, id: NotificationId, mark: Mark, answer: OnMarked) {
        let marking = Marking {
            store: self.store.clone(),
            hub: self.hub.clone(),
            confirmations: self.replays.confirmations().clone(),
            spreading: self.spreading.clone(),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
            at: self.clock.now(),
        };
        marking.begin(recipient, id, mark, answer);
    }
}
