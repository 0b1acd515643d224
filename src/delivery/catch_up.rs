//! What the line between nodes does not bring is found in the database.
//!
//! Where several nodes store, each person who is here has a place up to which they have been served. When
//! their first connection comes, when a message shows a gap, when Redis returns, and slowly all the time,
//! the database is asked for what lies behind it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Live;
use crate::domain::Recipient;
use crate::realtime::backplane::Line;
use crate::realtime::{Hub, Shown, Source};
use crate::store::{Entry, Store, StoreError, TOGETHER};

/// How often everybody here is looked after: while messages arrive, and while they do not.
const SWEEPS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// People whose places are asked for in one query.
const PEOPLE: usize = 1_000;
/// People who are caught up before newcomers are looked after again.
const SOME: usize = 64;
/// A database that did not answer is asked again after this long.
const RESPITE: Duration = Duration::from_millis(200);
/// A list is made without waiting any longer for the place it begins at.
const PATIENCE: Duration = Duration::from_secs(5);

enum Order {
    /// Messages for this person arrive here from now on.
    Arrived(Recipient),
    /// This person has something to hear that did not come by itself.
    Behind(Recipient),
    /// Tell when this person's place is known.
    Ready(Recipient, oneshot::Sender<()>),
    /// Everybody may have missed something.
    Everybody,
}

/// Asks for people to be caught up; where one writer gives out all positions, nobody ever has to be.
#[derive(Clone)]
pub struct CatchUp(Option<mpsc::UnboundedSender<Order>>);

/// What is asked for, for [`run`].
pub struct Orders(mpsc::UnboundedReceiver<Order>);

impl CatchUp {
    /// Nobody is ever behind.
    pub fn never() -> Self {
        Self(None)
    }

    /// Orders for [`run`].
    pub fn new() -> (Self, Orders) {
        let (orders, waiting) = mpsc::unbounded_channel();
        (Self(Some(orders)), Orders(waiting))
    }

    fn order(&self, order: impl FnOnce() -> Order) {
        if let Some(orders) = &self.0 {
            orders.send(order()).ok();
        }
    }

    /// Messages for `recipient` arrive here from now on.
    pub fn arrived(&self, recipient: Recipient) {
        self.order(|| Order::Arrived(recipient));
    }

    /// `recipient` has something to hear that did not come by itself.
    pub fn behind(&self, recipient: &Recipient) {
        self.order(|| Order::Behind(recipient.clone()));
    }

    /// Everybody may have missed something.
    pub fn everybody(&self) {
        self.order(|| Order::Everybody);
    }

    /// Waits until `recipient`'s place is known: a list that is made then has all that comes before it.
    pub async fn ready(&self, recipient: &Recipient) {
        if self.0.is_none() {
            return;
        }
        let (tell, told) = oneshot::channel();
        self.order(|| Order::Ready(recipient.clone(), tell));
        tokio::time::timeout(PATIENCE, told).await.ok();
    }
}

/// Carries out `orders`, without end.
pub async fn run(orders: Orders, hub: Arc<Hub>, store: Arc<Store>, live: Arc<Live>) {
    let worker =
        Worker { hub, store, live, arrived: HashSet::new(), behind: HashSet::new(), waiting: HashMap::new() };
    worker.run(orders.0).await;
}

struct Worker {
    hub: Arc<Hub>,
    store: Arc<Store>,
    live: Arc<Live>,
    arrived: HashSet<Recipient>,
    behind: HashSet<Recipient>,
    waiting: HashMap<Recipient, Vec<oneshot::Sender<()>>>,
}

impl Worker {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let (mut swept, mut goes_on) = (Instant::now(), false);
        let mut batch = Vec::new();
        loop {
            let pause = match self.hub.backplane().line() {
                Line::Connected => SWEEPS.0,
                Line::Alone | Line::Degraded => SWEEPS.1,
            };
            let next = match (self.is_idle(), goes_on) {
                (true, _) => swept + pause,
                (false, true) => Instant::now(),
                (false, false) => Instant::now() + RESPITE,
            };
            tokio::select! {
                many = orders.recv_many(&mut batch, PEOPLE) => {
                    if many == 0 {
                        return;
                    }
                }
                () = tokio::time::sleep_until(next) => {}
            }
            let mut everybody = swept.elapsed() >= pause;
            for order in batch.drain(..) {
                everybody |= matches!(order, Order::Everybody);
                self.note(order);
            }
            let caught_up = self.work(everybody).await;
            goes_on = caught_up.is_ok();
            if everybody && caught_up.is_ok() {
                swept = Instant::now();
            }
            if let Err(fault) = caught_up {
                tracing::warn!(%fault, "the database does not say what people have missed; asking again");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.arrived.is_empty() && self.behind.is_empty()
    }

    fn note(&mut self, order: Order) {
        match order {
            Order::Arrived(recipient) => _ = self.arrived.insert(recipient),
            Order::Behind(recipient) => _ = self.behind.insert(recipient),
            Order::Ready(recipient, tell) => {
                if self.hub.is_online(&recipient) && self.hub.served(&recipient).is_none() {
                    self.waiting.entry(recipient).or_default().push(tell);
                }
            }
            Order::Everybody => {}
        }
    }

    async fn work(&mut self, everybody: bool) -> Result<(), StoreError> {
        self.settle().await?;
        if everybody {
            self.sweep().await?;
        }
        self.catch_up().await
    }

    /// Asks for the places of those who have just come.
    async fn settle(&mut self) -> Result<(), StoreError> {
        while !self.arrived.is_empty() {
            let people: Vec<_> = self.arrived.iter().take(PEOPLE).cloned().collect();
            let places = self.store.last_positions(&people).await?;
            // What this node stored, and the query saw, is handed out before the answer counts.
            self.store.drain().await;
            for recipient in people {
                if self.hub.settle(&recipient, places.get(&recipient).copied().unwrap_or(0)) {
                    self.behind.insert(recipient.clone());
                }
                self.arrived.remove(&recipient);
            }
        }
        // Whoever waits for somebody who has left, or is settled now, waits no longer.
        let hub = &self.hub;
        self.waiting.retain(|recipient, _| hub.is_online(recipient) && hub.served(recipient).is_none());
        Ok(())
    }

    /// Finds out who of those here is behind.
    async fn sweep(&mut self) -> Result<(), StoreError> {
        let people: HashMap<Recipient, _> = self
            .hub
            .people()
            .into_iter()
            .filter_map(|(recipient, served)| Some((recipient, served?)))
            .collect();
        let all: Vec<Recipient> = people.keys().cloned().collect();
        for some in all.chunks(PEOPLE) {
            for (recipient, last) in self.store.last_positions(some).await? {
                match people.get(&recipient) {
                    Some(served) if *served < last => _ = self.behind.insert(recipient),
                    // It was read later, and places only grow: a failover lost some.
                    Some(served) if *served > last => self.hub.rewind(&recipient, last),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Hands out what some of those who are behind have missed.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let some: Vec<_> = self.behind.iter().take(SOME).cloned().collect();
        let mut asked = Vec::with_capacity(some.len());
        for recipient in some {
            match self.hub.served(&recipient) {
                Some(served) => asked.push((recipient, served)),
                // They have left, or their place is being asked for.
                None => _ = self.behind.remove(&recipient),
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let behind = self.store.behind(&asked).await?;
        for ((recipient, _), entries) in asked.iter().zip(behind) {
            if entries.len() < TOGETHER {
                self.behind.remove(recipient);
            }
            for Entry { place, notification } in entries {
                match notification {
                    Some(notification) => {
                        let mut shown = Shown::new(notification);
                        self.live.hand_out(recipient, &mut shown, place, Source::Stored);
                    }
                    None => _ = self.hub.pass_over(recipient, place.position, Source::Stored),
                }
            }
        }
        Ok(())
    }
}
