//! Open connections: how many there are, of whom, and which of them make room for whoever comes. Those on which nothing is
//! being asked do: they have said nothing yet, or have been answered; HTTP lets a server close those at any time. If there are
//! none, those do that wait for their clients, to read an answer or to send the rest of a request; and those that are held back for
//! wrong tokens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::candidates::{Candidates, Exit};
use crate::realtime::Line;
use crate::telemetry::{Metrics, Refusal};

/// So many are asked to make room for one.
const ASKED: u32 = 3;
/// And all of them together have so long to do so: nobody else is let in meanwhile.
const LEAVING: Duration = Duration::from_millis(48);

/// Why there is no place for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many as may be.
    Everybody,
    /// Its address has as many as it may, and all of them are busy.
    Address,
}

/// Places for connections.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// In all.
    pub all: usize,
    /// Of one address.
    pub per_address: usize,
}

impl Places {
    /// So many in all, and for so many sockets of one address: a polling client has two connections at once.
    pub fn new(all: usize, sockets_per_address: usize) -> Self {
        Self { all, per_address: sockets_per_address.saturating_mul(2) }
    }
}

/// Open connections, by address.
#[derive(Default)]
pub struct Open {
    here: Mutex<Here>,
    /// Somebody has gone.
    left: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Here {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    candidates: Candidates,
}

/// One open connection, until dropped.
pub struct Opened {
    open: Arc<Open>,
    key: IpAddr,
    exit: Arc<Exit>,
}

impl Open {
    /// None yet; `metrics` tell how many they are.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { metrics, ..Self::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A place for one more of `key`, for which another one may have to go. `is_counted` says whether its address is limited.
    ///
    /// # Errors
    /// When there is none, and nobody can go.
    pub async fn place(
        self: &Arc<Self>,
        places: Places,
        key: IpAddr,
        is_counted: bool,
    ) -> Result<Opened, Full> {
        let mut asked = 0;
        for round in 0.. {
            let left = self.left.notified();
            let full = match self.one_more(places, key, is_counted) {
                Ok(opened) => return Ok(opened),
                Err(full) => full,
            };
            if round == ASKED {
                return Err(full);
            }
            let of = (full == Full::Address).then_some(key);
            asked += u32::from(self.ask_to_leave(of));
            if asked == 0 {
                return Err(full);
            }
            timeout(LEAVING / ASKED, left).await.ok();
        }
        Err(Full::Everybody)
    }

    /// Has one go, if there is one that can, so that what it takes can be used. Whether that was so.
    pub async fn make_room(&self) -> bool {
        for round in 0..ASKED {
            let left = self.left.notified();
            if !self.ask_to_leave(None) && round == 0 {
                return false;
            }
            if timeout(LEAVING / ASKED, left).await.is_ok() {
                return true;
            }
        }
        false
    }

    fn one_more(self: &Arc<Self>, places: Places, key: IpAddr, is_counted: bool) -> Result<Opened, Full> {
        let mut here = self.lock();
        if is_counted && here.by_address.get(&key).is_some_and(|count| *count >= places.per_address) {
            return Err(Full::Address);
        }
        if here.all >= places.all {
            return Err(Full::Everybody);
        }
        here.all += 1;
        *here.by_address.entry(key).or_default() += 1;
        self.metrics.tcp_connections.inc();
        Ok(Opened { open: self.clone(), key, exit: Arc::default() })
    }

    /// Asks one on which nothing is asked, of this address or else of all; or cuts off one that waits. Whether there was one.
    fn ask_to_leave(&self, of: Option<IpAddr>) -> bool {
        let mut here = self.lock();
        if let Some(exit) = here.candidates.next_idle(of) {
            exit.is_to_leave.store(true, Ordering::Release);
            exit.leave.notify_one();
            return true;
        }
        let Some(exit) = here.candidates.next_waiting(of) else { return false };
        drop(here);
        exit.is_to_leave.store(true, Ordering::Release);
        exit.line.cut();
        true
    }
}

impl Opened {
    /// Its valve.
    pub fn line(&self) -> &Arc<Line> {
        &self.exit.line
    }

    /// The same connection as one that can make room.
    pub fn guest(&self) -> Arc<Guest> {
        let guest = Guest {
            open: self.open.clone(),
            key: self.key,
            doing: Mutex::default(),
            was_asked: AtomicBool::new(false),
            exit: self.exit.clone(),
        };
        guest.is_idle();
        Arc::new(guest)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut here = self.open.lock();
        here.all -= 1;
        if let Some(count) = here.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                here.by_address.remove(&self.key);
            }
        }
        drop(here);
        self.open.metrics.tcp_connections.dec();
        if self.exit.is_to_leave.load(Ordering::Acquire) {
            self.open.metrics.refused(Refusal::Idle);
        }
        self.open.left.notify_waiters();
    }
}

/// A connection that makes room for others while nothing is asked on it, or it waits for its client.
pub struct Guest {
    open: Arc<Open>,
    key: IpAddr,
    doing: Mutex<Doing>,
    was_asked: AtomicBool,
    exit: Arc<Exit>,
}

/// What a guest does.
#[derive(Default)]
struct Doing {
    is_asked: bool,
    /// Since when an answer waits to be read.
    unread: Option<Instant>,
    /// Since when a request has not been worked on: the rest of it is to come, or its sender is held back.
    paused: Option<Instant>,
    row: Row,
}

/// Where a guest stands among those that make room.
#[derive(Clone, Copy, Default)]
enum Row {
    /// Nowhere.
    #[default]
    None,
    /// In this silence.
    Idle(u64),
    /// In this wait.
    Waiting(u64),
}

impl Guest {
    fn now(&self, change: impl FnOnce(&mut Doing)) {
        let mut doing = self.doing.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        change(&mut doing);
        let mut here = self.open.lock();
        let was_told = self.exit.is_to_leave.load(Ordering::Acquire);
        let waits = doing.unread.into_iter().chain(doing.paused).min();
        let is_idle = waits.is_none() && !doing.is_asked && !was_told;
        match doing.row {
            Row::None if waits.is_none() && !is_idle => return,
            Row::Idle(_) if is_idle => return,
            Row::Waiting(_) if waits.is_some() => return,
            Row::None => {}
            Row::Idle(nth) => here.candidates.forget_idle(self.key, nth),
            Row::Waiting(nth) => here.candidates.forget_waiting(nth),
        }
        let exit = self.exit.clone();
        doing.row = match waits {
            Some(since) => Row::Waiting(here.candidates.add_waiting(self.key, since, exit)),
            None if is_idle => Row::Idle(here.candidates.add_idle(self.key, exit)),
            None => Row::None,
        };
    }

    /// Nothing is asked now.
    fn is_idle(&self) {
        self.now(|doing| doing.is_asked = false);
    }

    /// Something is asked now.
    pub fn is_busy(&self) {
        self.was_asked.store(true, Ordering::Release);
        self.now(|doing| doing.is_asked = true);
    }

    /// Whether a write waits for the client to read.
    pub fn is_unread(&self, is_unread: bool) {
        self.now(|doing| doing.unread = is_unread.then(Instant::now));
    }

    /// Since when its request has not been worked on, if that is so.
    fn is_paused(&self, since: Option<Instant>) {
        self.now(|doing| doing.paused = since);
    }

    /// It became a WebSocket, which is never idle: should it have been asked to leave, it did not hear.
    pub fn stays(&self) {
        self.exit.is_to_leave.store(false, Ordering::Release);
        self.is_busy();
    }

    /// Whether anything was ever asked.
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Acquire)
    }

    /// Ends when somebody needs the place.
    pub async fn leave(&self) {
        self.exit.leave.notified().await;
    }
}

impl crate::http::Guest for Guest {
    fn is_held(&self, is_held: bool) {
        self.is_paused(is_held.then(Instant::now));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.now(|doing| *doing = Doing { is_asked: true, row: doing.row, ..Doing::default() });
    }
}

/// A request's body. While more of it is to come, its connection waits for its client: since the first such moment, however often
/// a piece comes.
pub struct Asked {
    body: Incoming,
    guest: Arc<Guest>,
    late_since: Option<Instant>,
    is_waited_for: bool,
}

impl Asked {
    /// `body`, of whoever is `guest`.
    pub fn new(body: Incoming, guest: Arc<Guest>) -> Self {
        Self { body, guest, late_since: None, is_waited_for: false }
    }

    fn now(&mut self, is_waited_for: bool) {
        if self.is_waited_for != is_waited_for {
            self.is_waited_for = is_waited_for;
            let since = is_waited_for.then(|| *self.late_since.get_or_insert_with(Instant::now));
            self.guest.is_paused(since);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.now(false);
    }
}

impl hyper::body::Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let poll = Pin::new(&mut self.body).poll_frame(context);
        self.now(poll.is_pending());
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. Once it is gone, nothing is asked on its connection.
pub struct Answer {
    body: Body,
    guest: Option<Arc<Guest>>,
}

impl Answer {
    /// `body`, to whoever is `guest`.
    pub fn new(body: Body, guest: Option<Arc<Guest>>) -> Self {
        Self { body, guest }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(guest) = &self.guest {
            guest.is_idle();
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PLACES: Places = Places { all: 4, per_address: 2 };

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn connections_are_counted_by_address_while_they_are_open() {
        let open = Arc::<Open>::default();
        let one_more = |last, is_counted| open.one_more(PLACES, address(last), is_counted);
        let mut held = vec![one_more(1, true), one_more(1, true)];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(one_more(1, true).err(), Some(Full::Address), "more than two of one address");
        held.push(one_more(2, true));
        held.push(one_more(1, false));
        assert!(held.iter().all(Result::is_ok), "who is not counted, and another address");
        assert_eq!(one_more(2, true).err(), Some(Full::Everybody), "more than four in all");
        drop(held.remove(3));
        assert!(one_more(2, true).is_ok(), "a place is free again, and those refused hold none");
        held.clear();
        let here = open.lock();
        assert_eq!((here.all, here.by_address.len()), (0, 0), "nobody is remembered");
    }

    /// A connection that goes when it is asked to.
    fn obliging(opened: Opened) -> (Arc<Guest>, tokio::task::JoinHandle<()>) {
        let guest = opened.guest();
        let mine = guest.clone();
        let going = tokio::spawn(async move {
            mine.leave().await;
            drop(opened);
        });
        (guest, going)
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_and_who_has_most_of_those_first() {
        let open = Arc::<Open>::default();
        let places = Places { all: 4, per_address: 4 };
        let come = async |last| open.place(places, address(last), true).await;
        let (first, gone) = obliging(come(1).await.unwrap());
        let (second, second_gone) = obliging(come(2).await.unwrap());
        let (third, third_gone) = obliging(come(2).await.unwrap());
        let (_busy, _) = obliging(come(3).await.unwrap());
        _busy.is_busy();
        let fifth = come(4).await.unwrap();
        second_gone.await.unwrap();
        assert!(!gone.is_finished() && !third_gone.is_finished(), "the older one of two of one address");
        second.is_busy();
        third.is_busy();
        let sixth = come(5).await.unwrap();
        gone.await.unwrap();
        assert_eq!(come(6).await.err(), Some(Full::Everybody), "nobody is silent");
        drop(Answer::new(Body::empty(), Some(third.clone())));
        let _seventh = come(6).await.unwrap();
        third_gone.await.unwrap();
        drop((first, second, third, fifth, sixth, _busy));
        assert_eq!(open.lock().candidates.counts(), (0, 0));
    }

    #[tokio::test]
    async fn of_many_addresses_that_have_as_many_who_has_been_silent_for_longest_makes_room() {
        let open = Arc::<Open>::default();
        let places = Places { all: 40, per_address: 4 };
        let come = async |last| obliging(open.place(places, address(last), true).await.unwrap());
        let mut here = Vec::new();
        for last in 0..120 {
            here.push(come(last).await);
            if let Some(gone) = here.len().checked_sub(41) {
                (&mut here[gone].1).await.unwrap();
                assert!(here[gone + 1..].iter().all(|(_, going)| !going.is_finished()), "{last}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_waited_for_makes_room_behind_who_says_nothing() {
        let open = Arc::<Open>::default();
        let come = async |last| open.place(PLACES, address(last), true).await;
        let mut guests = Vec::new();
        for last in 1..=4 {
            let opened = come(last).await.unwrap();
            guests.push((opened.guest(), opened.line().clone(), Some(opened)));
        }
        let [first, second, third, silent] = &mut guests[..] else { unreachable!() };
        second.0.is_unread(true);
        tokio::time::advance(Duration::from_millis(10)).await;
        first.0.is_paused(Some(Instant::now()));
        third.0.is_unread(true);
        for (guest, _, _) in [&mut *second, first, third] {
            guest.is_busy();
        }
        // What is answered is not idle before it is read, and has not begun to wait anew.
        drop(Answer::new(Body::empty(), Some(second.0.clone())));
        let before = Instant::now();
        let going = async {
            silent.0.leave().await;
            silent.2 = None;
        };
        let (fifth, ()) = tokio::join!(come(5), going);
        assert!(fifth.is_ok() && [&*first, second, third].iter().all(|(_, line, _)| !line.is_cut()));
        fifth.as_ref().unwrap().guest().is_busy();
        let busy = fifth.as_ref().unwrap().guest();
        busy.is_busy();
        assert_eq!(come(6).await.err(), Some(Full::Everybody), "they may yet read");
        assert!(before.elapsed() < LEAVING, "nobody waited for that");
        tokio::time::advance(crate::listen::candidates::LATE).await;
        third.0.is_unread(false);
        assert_eq!(come(3).await.err(), Some(Full::Everybody), "whom it was taken from has not gone yet");
        assert!(first.1.is_cut() && second.1.is_cut() && !third.1.is_cut());
        let told = || open.metrics.render();
        assert!(told().contains("carillon_refusals_total{reason=\"idle\"} 1"), "{}", told());
        (first.2, second.2) = (None, None);
        assert!(told().contains("carillon_refusals_total{reason=\"idle\"} 3"), "{}", told());
        drop((guests, busy, fifth));
        let here = open.lock();
        assert_eq!((here.all, here.candidates.counts()), (0, (0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn several_are_asked_within_one_wait() {
        let open = Arc::<Open>::default();
        let come = async |last| open.place(PLACES, address(last), true).await;
        let mut held = Vec::new();
        for last in 1..=4 {
            let opened = come(last).await.unwrap();
            held.push((opened.guest(), opened));
        }
        let before = Instant::now();
        assert_eq!(come(5).await.err(), Some(Full::Everybody), "those who are asked do not go");
        assert!((LEAVING..LEAVING + Duration::from_millis(10)).contains(&before.elapsed()));
        let (fourth, opened) = held.pop().unwrap();
        let going = async {
            fourth.leave().await;
            drop(opened);
        };
        let (fifth, ()) = tokio::join!(come(5), going);
        assert!(fifth.is_ok());
    }

    #[tokio::test]
    async fn an_address_that_is_full_loses_its_own() {
        let open = Arc::<Open>::default();
        let come = async |last| open.place(PLACES, address(last), true).await;
        let (_other, other_stays) = obliging(come(2).await.unwrap());
        let (old, old_gone) = obliging(come(1).await.unwrap());
        let (_young, _) = obliging(come(1).await.unwrap());
        let newest = come(1).await.unwrap();
        old_gone.await.unwrap();
        assert!(!other_stays.is_finished());
        _young.is_busy();
        assert_eq!(come(1).await.err(), Some(Full::Address));
        drop((old, newest));
    }
}
