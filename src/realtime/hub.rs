//! The registry of live connections, of every protocol.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use serde_json::value::RawValue;

use super::{Close, Connection, ConnectionId, PushError};
use crate::domain::{Notification, Position, Recipient, Timestamp};
use crate::telemetry::{Metrics, Refusal};

#[derive(Default)]
struct Registry {
    connections: HashMap<ConnectionId, Arc<Connection>>,
    people: HashMap<Recipient, Vec<Arc<Connection>>>,
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

/// Who is connected to this node.
pub struct Hub {
    registry: Mutex<Registry>,
    next: AtomicU64,
    departure: OnceLock<Departure>,
    metrics: Arc<Metrics>,
}

impl Hub {
    /// An empty registry.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { registry: Mutex::default(), next: AtomicU64::new(1), departure: OnceLock::new(), metrics }
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
                remove(&mut registry.people, &recipient, id);
            }
            connection
        };
        self.metrics.connections.dec();
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

    /// Everybody here.
    pub fn everybody(&self) -> Vec<Arc<Connection>> {
        self.registry().connections.values().cloned().collect()
    }

    /// Lets `connection` hear what is for `recipient`, unless that person has `most` connections.
    /// `welcome` is pushed before anything live can be. `true` if it did not hear that before.
    ///
    /// # Errors
    /// The limit, when it is reached.
    pub fn join(
        &self,
        connection: &Arc<Connection>,
        recipient: &Recipient,
        most: usize,
        welcome: (&str, &RawValue),
    ) -> Result<bool, usize> {
        let mut registry = self.registry();
        let before = connection.identity(|who| who.recipient.clone());
        let is_new = before.as_ref() != Some(recipient);
        let here = registry.people.get(recipient).map_or(0, Vec::len);
        if is_new && here >= most {
            return Err(most);
        }
        // Whether it took this shows at the next push: to expel it would need the lock held here.
        connection.outlet().push(welcome.0, welcome.1).ok();
        if !is_new || !registry.connections.contains_key(&connection.id) {
            return Ok(false);
        }
        if let Some(before) = before {
            remove(&mut registry.people, &before, connection.id);
        }
        let person = registry.people.entry(recipient.clone()).or_default();
        if person.is_empty() {
            person.reserve_exact(1);
        }
        person.push(connection.clone());
        connection.identity(|who| who.recipient = Some(recipient.clone()));
        connection.begin_inbox();
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
        let before = connection.identity(std::mem::take);
        connection.outlet().trust(false);
        registry.senders -= usize::from(before.sender.is_some());
        if let Some(recipient) = before.recipient {
            remove(&mut registry.people, &recipient, connection.id);
        }
    }

    /// Hands `notification` to every connection of `recipient`; returns those that took it. One whose
    /// buffer is full is closed and leaves: it will hear of this when it comes back.
    pub fn deliver(
        &self,
        recipient: &Recipient,
        notification: &Notification,
        position: Position,
    ) -> Vec<Arc<Connection>> {
        let mut here = match self.registry().people.get(recipient) {
            Some(person) => person.clone(),
            None => return Vec::new(),
        };
        let mut encoded: Vec<(&str, Box<RawValue>)> = Vec::with_capacity(1);
        here.retain(|connection| {
            let dialect = connection.dialect();
            let known = encoded.iter().position(|(name, _)| *name == dialect.name);
            let index = known.unwrap_or_else(|| {
                encoded.push((dialect.name, (dialect.encode)(notification)));
                encoded.len() - 1
            });
            if connection.identity(|who| who.recipient.as_ref() != Some(recipient)) {
                return false;
            }
            connection.pushed_live(position);
            self.push(connection, dialect.event, &encoded[index].1)
        });
        here
    }

    /// Whether `recipient` has a connection here.
    pub fn is_online(&self, recipient: &Recipient) -> bool {
        self.registry().people.contains_key(recipient)
    }

    /// Pushes an event to all of `recipient`'s connections.
    pub fn tell(&self, recipient: &Recipient, event: &str, payload: &RawValue) {
        let here = self.registry().people.get(recipient).cloned().unwrap_or_default();
        for connection in here {
            self.push(&connection, event, payload);
        }
    }

    /// Pushes one event; a connection that cannot take it is closed and leaves.
    pub fn push(&self, connection: &Connection, event: &str, payload: &RawValue) -> bool {
        if connection.is_expelled() {
            return false;
        }
        match connection.outlet().push(event, payload) {
            Ok(()) => true,
            Err(PushError::Gone) => false,
            Err(PushError::Full) => {
                self.expel(connection);
                false
            }
        }
    }

    /// Closes a connection that does not read.
    fn expel(&self, connection: &Connection) {
        if !connection.expel() {
            return;
        }
        tracing::info!(
            socket.id = %connection.socket_id,
            "the client reads too slowly: closed, to be served when it comes back"
        );
        self.metrics.refused(Refusal::SlowReader);
        connection.outlet().close(Close::Now);
        self.leave(connection.id);
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

fn remove(people: &mut HashMap<Recipient, Vec<Arc<Connection>>>, recipient: &Recipient, id: ConnectionId) {
    if let Some(person) = people.get_mut(recipient) {
        person.retain(|connection| connection.id != id);
        if person.is_empty() {
            people.remove(recipient);
        }
    }
}
