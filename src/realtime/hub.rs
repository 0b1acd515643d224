//! The registry of live connections, of every protocol.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::value::RawValue;

use super::backplane::{Line, Message, Shared};
use super::flow::Turn;
use super::push::push;
use super::room::{Pass, Room, Source};
use super::{Close, Connection, ConnectionId, Delivery, Dialect, Identity, PushError, Shown};
use crate::domain::{Position, Recipient, Standing, Timestamp};
use crate::telemetry::Metrics;

#[derive(Default)]
struct Registry {
    connections: HashMap<ConnectionId, Arc<Connection>>,
    people: HashMap<Recipient, Arc<Mutex<Room>>>,
    senders: usize,
    /// Sum of the connections' `since`, in microseconds: makes their average age one subtraction.
    since_sum: i128,
}

/// A count of who is here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Census {
    /// Live connections.
    pub connections: usize,
    /// Different people among them.
    pub people: usize,
    /// Authenticated back ends.
    pub senders: usize,
    /// How long connections have lasted so far, on average, in seconds.
    pub average_seconds: f64,
}

type Departure = Box<dyn Fn(&Connection) + Send + Sync>;
type Arrival = Box<dyn Fn(Recipient) + Send + Sync>;

/// Who is connected to this node.
pub struct Hub {
    registry: Mutex<Registry>,
    next: AtomicU64,
    departure: OnceLock<Departure>,
    arrival: Arc<OnceLock<Arrival>>,
    backplane: Shared,
    /// Whether positions are counted without gaps, by several nodes.
    gapless: bool,
    pub(super) metrics: Arc<Metrics>,
}

impl Hub {
    /// An empty registry. Where positions are `gapless`, several nodes may give them out: then each person
    /// hears them in their order, whichever node a notification comes from.
    pub fn new(metrics: Arc<Metrics>, backplane: Shared, gapless: bool) -> Self {
        Self {
            registry: Mutex::default(),
            next: AtomicU64::new(1),
            departure: OnceLock::new(),
            arrival: Arc::default(),
            backplane,
            gapless,
            metrics,
        }
    }

    /// Sets what happens when messages for somebody new begin to arrive here: [`Hub::settle`] is to be
    /// called. Only where positions are gapless.
    pub fn on_arrival(&self, arrival: impl Fn(Recipient) + Send + Sync + 'static) {
        self.arrival.set(Box::new(arrival)).ok();
    }

    /// The line to the other nodes.
    pub fn backplane(&self) -> &Shared {
        &self.backplane
    }

    /// Sets what happens, once, when a connection leaves.
    pub fn on_departure(&self, departure: impl Fn(&Connection) + Send + Sync + 'static) {
        self.departure.set(Box::new(departure)).ok();
    }

    /// A number for the next connection.
    pub fn next_id(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Registers a connection.
    pub fn enter(&self, connection: Arc<Connection>) {
        let mut registry = self.registry();
        registry.since_sum += i128::from(connection.since.as_micros());
        registry.connections.insert(connection.id, connection);
        self.metrics.connections.inc();
    }

    /// Forgets a connection; harmless when it has left before.
    pub fn leave(&self, id: ConnectionId) {
        let connection = {
            let mut registry = self.registry();
            let Some(connection) = registry.connections.remove(&id) else {
                return;
            };
            registry.since_sum -= i128::from(connection.since.as_micros());
            let (sender, recipient) = connection.identity(|who| (who.sender.take(), who.recipient.clone()));
            registry.senders -= usize::from(sender.is_some());
            if let Some(recipient) = recipient {
                self.remove(&mut registry, &recipient, id);
            }
            connection
        };
        self.metrics.connections.dec();
        self.metrics.connection_seconds.observe(connection.opened.elapsed().as_secs_f64());
        if let Some(departure) = self.departure.get() {
            departure(&connection);
        }
    }

    /// The connection of this number, if it is here.
    pub fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        self.registry().connections.get(&id).cloned()
    }

    /// Whether a connection is still here.
    pub fn is_here(&self, id: ConnectionId) -> bool {
        self.registry().connections.contains_key(&id)
    }

    /// Whether `connection` is here, and speaks for `recipient`.
    pub fn serves(&self, connection: &Connection, recipient: &Recipient) -> bool {
        self.is_here(connection.id) && connection.dialect_for(recipient).is_some()
    }

    /// Everybody here.
    pub fn everybody(&self) -> Vec<Arc<Connection>> {
        self.registry().connections.values().cloned().collect()
    }

    /// Lets `connection` hear in `dialect` what is for `recipient`, unless that person has `most` connections.
    /// `welcome`, if there is one, is pushed before anything live can be. `true` if it did not hear that before.
    ///
    /// # Errors
    /// The limit, when it is reached.
    pub fn join(
        &self,
        connection: &Arc<Connection>,
        recipient: &Recipient,
        dialect: &'static Dialect,
        most: usize,
        welcome: Option<(&str, &RawValue)>,
    ) -> Result<bool, usize> {
        let mut registry = self.registry();
        let before = connection.identity(|who| who.recipient.clone());
        let is_new = before.as_ref() != Some(recipient);
        let here = registry.people.get(recipient).map_or(0, |room| lock(room).connections.len());
        if is_new && here >= most {
            return Err(most);
        }
        let is_here = registry.connections.contains_key(&connection.id);
        if is_new
            && is_here
            && let Some(before) = before
        {
            self.remove(&mut registry, &before, connection.id);
        }
        // Whether it took this shows at the next push: to expel it would need the lock held here.
        if let Some((event, payload)) = welcome {
            connection.outlet().push(event, payload).ok();
        }
        let spoken = connection.identity(|who| who.dialect.replace(dialect));
        if !is_new || !is_here {
            let was_replayed_to = spoken.is_some_and(|spoken| spoken.replays);
            if let Some(room) = registry.people.get(recipient)
                && was_replayed_to
                && !dialect.replays
            {
                // What waits is in the list, which now comes.
                let _still = lock(room);
                connection.flow.let_go();
                connection.release_list();
            }
            return Ok(false);
        }
        connection.identity(|who| who.recipient = Some(recipient.clone()));
        connection.begin_inbox(dialect.replays);
        let room = match registry.people.get(recipient) {
            Some(room) => room.clone(),
            None => {
                let room = Arc::new(Mutex::new(Room::new(self.gapless)));
                registry.people.insert(recipient.clone(), room.clone());
                self.announce(recipient, &room);
                room
            }
        };
        lock(&room).connections.push(connection.clone());
        Ok(true)
    }

    /// Marks `connection` as a back end of `tenant`.
    pub fn enlist_sender(&self, connection: &Connection, tenant: crate::domain::Tenant) {
        let mut registry = self.registry();
        if registry.connections.contains_key(&connection.id) {
            let before = connection.identity(|who| who.sender.replace(tenant));
            registry.senders += usize::from(before.is_none());
        }
    }

    /// Takes away what `connection` had proved.
    pub fn demote(&self, connection: &Connection) {
        let mut registry = self.registry();
        let before = connection.identity(|who| {
            let dialect = who.dialect;
            std::mem::replace(who, Identity { dialect, ..Identity::default() })
        });
        connection.outlet().line().distrust();
        registry.senders -= usize::from(before.sender.is_some());
        if let Some(recipient) = before.recipient {
            self.remove(&mut registry, &recipient, connection.id);
        }
    }

    /// The first connection of `recipient` is here.
    fn announce(&self, recipient: &Recipient, room: &Arc<Mutex<Room>>) {
        if !self.gapless {
            return;
        }
        let (arrival, arrived, room) = (self.arrival.clone(), recipient.clone(), room.clone());
        let joined = move || {
            lock(&room).is_joined = true;
            if let Some(arrival) = arrival.get() {
                arrival(arrived);
            }
        };
        self.backplane.join(recipient, Box::new(joined));
    }

    fn remove(&self, registry: &mut Registry, recipient: &Recipient, id: ConnectionId) {
        let Some(room) = registry.people.get(recipient) else { return };
        let is_empty = {
            let mut room = lock(room);
            room.connections.retain(|connection| connection.id != id);
            room.connections.is_empty()
        };
        if is_empty {
            registry.people.remove(recipient);
            if self.gapless {
                self.backplane.leave(recipient);
            }
        }
    }

    fn room(&self, recipient: &Recipient) -> Option<Arc<Mutex<Room>>> {
        self.registry().people.get(recipient).cloned()
    }

    /// Hands what is `shown` to every connection of `recipient`, each position once and in order. A
    /// connection whose buffer is full is closed and leaves: it will hear of this when it comes back.
    pub fn deliver(
        &self,
        recipient: &Recipient,
        shown: &mut Shown,
        position: Position,
        source: Source,
    ) -> Delivery {
        let Some(room) = self.room(recipient) else { return Delivery::Nobody };
        let (mut took, mut slow) = (Vec::new(), Vec::new());
        let (mut waits, mut came) = (false, false);
        {
            // Held while pushing, which never waits: two sources must not overtake each other.
            let mut room = lock(&room);
            match room.pass(position, source) {
                Pass::Next => {}
                Pass::Before => return Delivery::Before,
                Pass::Later => return Delivery::Later,
            }
            took.reserve_exact(room.connections.len());
            for connection in &room.connections {
                let Some(dialect) = connection.dialect_for(recipient) else { continue };
                match connection.flow.turn(position) {
                    Turn::Now => {}
                    Turn::Waits => {
                        waits = true;
                        continue;
                    }
                    Turn::Came => {
                        came = true;
                        continue;
                    }
                }
                connection.pushed_live(position);
                match push(connection, |outlet| outlet.push_encoded(shown.by(dialect, recipient))) {
                    Ok(()) => took.push(connection.clone()),
                    Err(PushError::Full) => slow.push(connection.clone()),
                    Err(PushError::Gone) => {}
                }
            }
        }
        slow.iter().for_each(|connection| self.expel(connection));
        match took.is_empty() {
            false => Delivery::Took(took),
            true if came => Delivery::Before,
            true if waits => Delivery::Behind,
            true => Delivery::Nobody,
        }
    }

    /// From now on live notifications wait until `connection` has heard what it missed.
    pub fn fall_behind(&self, recipient: &Recipient, connection: &Connection) {
        if let Some(room) = self.room(recipient) {
            let _still = lock(&room);
            connection.flow.fall_behind();
        }
    }

    /// `connection` has heard all that `recipient` has up to `position`; so many were `missed`. `true` if from now on it hears
    /// live ones, and is told so before any of them; `false` if some came behind that position meanwhile.
    pub fn catch_up(
        &self,
        recipient: &Recipient,
        connection: &Connection,
        position: Position,
        missed: usize,
    ) -> bool {
        let Some(room) = self.room(recipient) else { return true };
        let told = connection.dialect_for(recipient).and_then(|dialect| (dialect.caught_up)(missed));
        let pushed = {
            let _still = lock(&room);
            if !connection.flow.catch_up(position) {
                return false;
            }
            told.map_or(Ok(()), |(event, payload)| push(connection, |outlet| outlet.push(event, &payload)))
        };
        self.pushed(connection, pushed);
        true
    }

    /// Passes over `position`, which nobody is to hear, if it is its turn.
    pub fn pass_over(&self, recipient: &Recipient, position: Position, source: Source) -> Pass {
        self.room(recipient).map_or(Pass::Before, |room| lock(&room).pass(position, source))
    }

    /// The inbox of `recipient` stood at `position` after messages for them began to arrive here. `true` if
    /// they have to be caught up.
    pub fn settle(&self, recipient: &Recipient, position: Position) -> bool {
        self.room(recipient).is_some_and(|room| lock(&room).settle(position))
    }

    /// The inbox of `recipient` ends at `position`, before the place served: the database lost what came
    /// behind. What comes now is new.
    pub fn rewind(&self, recipient: &Recipient, position: Position) {
        if let Some(room) = self.room(recipient) {
            lock(&room).rewind(position);
        }
    }

    /// Up to where `recipient` has been served: everything behind it is handed out as soon as it arrives.
    /// `None` while that is being asked, or if they are not here.
    pub fn served(&self, recipient: &Recipient) -> Option<Position> {
        self.room(recipient).and_then(|room| lock(&room).served())
    }

    /// Everybody who is here, with [`Hub::served`].
    pub fn people(&self) -> Vec<(Recipient, Option<Position>)> {
        let people: Vec<_> = {
            let registry = self.registry();
            registry.people.iter().map(|(recipient, room)| (recipient.clone(), room.clone())).collect()
        };
        people.into_iter().map(|(recipient, room)| (recipient, lock(&room).served())).collect()
    }

    /// How many connections `recipient` has here.
    pub fn connections_of(&self, recipient: &Recipient) -> usize {
        self.room(recipient).map_or(0, |room| lock(&room).connections.len())
    }

    /// Whether `recipient` has a connection here.
    pub fn is_online(&self, recipient: &Recipient) -> bool {
        self.registry().people.contains_key(recipient)
    }

    /// Tells all of `recipient`'s connections, on every node, where a notification stands.
    pub fn tell_standing(&self, recipient: &Recipient, standing: &Standing) {
        self.tell_standing_here(recipient, standing);
        if self.backplane.line() != Line::Alone {
            let message = Message::Standing(standing.into());
            self.backplane.publish(recipient, message.encode(), Box::new(|_| ()));
        }
    }

    /// The same, on this node.
    pub fn tell_standing_here(&self, recipient: &Recipient, standing: &Standing) {
        let Some(room) = self.room(recipient) else { return };
        let here = lock(&room).connections.clone();
        let mut told: Vec<(&'static str, Option<(&'static str, Box<RawValue>)>)> = Vec::new();
        for connection in here {
            let Some(dialect) = connection.dialect_for(recipient) else { continue };
            let known = told.iter().position(|(name, _)| *name == dialect.name);
            let index = known.unwrap_or_else(|| {
                told.push((dialect.name, (dialect.standing)(standing)));
                told.len() - 1
            });
            if let Some((event, payload)) = &told[index].1 {
                self.push(&connection, event, payload);
            }
        }
    }

    /// Closes all of `recipient`'s sockets, on every node: who they are is to be known no more. Tells how many were here.
    pub fn forget(&self, recipient: &Recipient) -> usize {
        let closed = self.forget_here(recipient);
        if self.backplane.line() != Line::Alone {
            self.backplane.publish(recipient, Message::Forgotten.encode(), Box::new(|_| ()));
        }
        closed
    }

    /// The same, on this node.
    pub fn forget_here(&self, recipient: &Recipient) -> usize {
        let Some(room) = self.room(recipient) else { return 0 };
        let here = lock(&room).connections.clone();
        for connection in &here {
            connection.outlet().close(Close::Now);
            self.leave(connection.id);
        }
        here.len()
    }

    /// Who is here, counted at `now`.
    pub fn census(&self, now: Timestamp) -> Census {
        let registry = self.registry();
        let connections = registry.connections.len();
        let ages = i128::from(now.as_micros()) * connections as i128 - registry.since_sum;
        Census {
            connections,
            people: registry.people.len(),
            senders: registry.senders,
            average_seconds: if connections == 0 { 0.0 } else { ages as f64 / connections as f64 / 1e6 },
        }
    }
}

fn lock(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
