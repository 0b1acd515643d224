//! Open connections: how many there are, of whom, and which of them make room for whoever comes. Those on which nothing is
//! being asked do: they have said nothing yet, or have been answered; HTTP lets a server close those at any time.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::telemetry::{Metrics, Refusal};

/// So many are asked to make room for one.
const ASKED: u32 = 3;
/// And each has so long to do so.
const LEAVING: Duration = Duration::from_millis(50);

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
    /// Those on which nothing is asked, by address and in the order in which they fell silent.
    idle: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
    /// Silences so far.
    silences: u64,
}

/// One open connection, until dropped.
pub struct Opened {
    open: Arc<Open>,
    key: IpAddr,
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
        loop {
            let left = self.left.notified();
            let full = match self.one_more(places, key, is_counted) {
                Ok(opened) => return Ok(opened),
                Err(full) => full,
            };
            let of = (full == Full::Address).then_some(key);
            if asked == ASKED || !self.ask_to_leave(of) {
                return Err(full);
            }
            asked += 1;
            timeout(LEAVING, left).await.ok();
        }
    }

    /// Has one go on which nothing is asked, if there is one, so that what it takes can be used. Whether that was so.
    pub async fn make_room(&self) -> bool {
        let left = self.left.notified();
        self.ask_to_leave(None) && timeout(LEAVING, left).await.is_ok()
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
        Ok(Opened { open: self.clone(), key })
    }

    /// Asks the one that has been silent for longest of this address; or else of the address that has most of them, so that
    /// whoever opens many loses their own.
    fn ask_to_leave(&self, of: Option<IpAddr>) -> bool {
        let mut here = self.lock();
        let most = || here.idle.iter().max_by_key(|(_, idle)| idle.len()).map(|(key, _)| *key);
        let Some(key) = of.or_else(most) else { return false };
        let Some((_, guest)) = here.idle.get_mut(&key).and_then(BTreeMap::pop_first) else { return false };
        if here.idle.get(&key).is_some_and(BTreeMap::is_empty) {
            here.idle.remove(&key);
        }
        drop(here);
        self.metrics.refused(Refusal::Idle);
        guest.notify_one();
        true
    }
}

impl Opened {
    /// The same connection as one that can make room.
    pub fn guest(&self) -> Arc<Guest> {
        let guest = Guest {
            open: self.open.clone(),
            key: self.key,
            since: Mutex::default(),
            was_asked: AtomicBool::new(false),
            leave: Arc::default(),
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
        self.open.left.notify_waiters();
    }
}

/// A connection that makes room for others while nothing is asked on it.
pub struct Guest {
    open: Arc<Open>,
    key: IpAddr,
    /// Which silence it is in, if it is in one.
    since: Mutex<Option<u64>>,
    was_asked: AtomicBool,
    leave: Arc<Notify>,
}

impl Guest {
    fn lock(&self) -> MutexGuard<'_, Option<u64>> {
        self.since.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Nothing is asked now.
    fn is_idle(&self) {
        let mut since = self.lock();
        let mut here = self.open.lock();
        here.silences += 1;
        let nth = here.silences;
        here.idle.entry(self.key).or_default().insert(nth, self.leave.clone());
        *since = Some(nth);
    }

    /// Something is asked now.
    pub fn is_busy(&self) {
        self.was_asked.store(true, Ordering::Release);
        let Some(nth) = self.lock().take() else { return };
        let mut here = self.open.lock();
        let Some(idle) = here.idle.get_mut(&self.key) else { return };
        idle.remove(&nth);
        if idle.is_empty() {
            here.idle.remove(&self.key);
        }
    }

    /// Whether anything was ever asked.
    pub fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Acquire)
    }

    /// Ends when somebody needs the place.
    pub async fn leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.is_busy();
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
        assert!(open.lock().idle.is_empty());
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
