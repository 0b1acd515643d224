//! Socket.IO. The seam: protocol modules (`booking`, `feed`, and `namespace`, which joins them) know
//! nothing of who speaks Engine.IO. They hear that a connection came and what it showed, that it sent an
//! event (and wants an ack), and they push ready bytes. Two engines are behind the seam: `websocket`, our
//! own, has the sessions that open by WebSocket; `engine`, the only file that knows socketioxide, has those
//! that begin by polling, whatever they upgrade to.

mod answer;
mod asyncapi;
mod booking;
mod door;
mod engine;
mod events;
mod feed;
mod namespace;
mod polling;
mod websocket;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::access::Principal;
use crate::domain::Clock;
use crate::realtime::{Connection, Dialect, Hub, Outlet};
use crate::telemetry::Metrics;

pub use asyncapi::description;
pub use booking::Booking;
pub use door::{Arrival, Door};
pub use events::{Said, Told};
pub use feed::{Feed, Services};
pub use namespace::Namespace;

/// What engines serve.
struct Inside {
    hub: Arc<Hub>,
    protocol: Arc<dyn Protocol>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    events_per_second: f64,
    max_message_bytes: usize,
}

impl Inside {
    /// A new connection, which has yet to enter the hub.
    fn connection(&self, sid: &str, address: IpAddr, outlet: Box<dyn Outlet>) -> Arc<Connection> {
        let (id, now) = (self.hub.next_id(), self.clock.now());
        Arc::new(Connection::new(id, sid, address, now, self.protocol.dialect(), outlet))
    }
}

/// What a protocol module is to an engine.
pub trait Protocol: Send + Sync + 'static {
    /// How connections are told things that have not said who they are.
    fn dialect(&self) -> &'static Dialect;
    /// Whether a client may come that shows `auth` (JSON) in its handshake, and whom that proves, if anybody.
    ///
    /// # Errors
    /// When it may not.
    fn admit(
        &self,
        auth: Option<&str>,
        address: IpAddr,
        socket_id: &str,
    ) -> Result<Option<Principal>, Unwelcome>;
    /// A connection has come, which has `proved` this.
    fn connected(&self, connection: &Arc<Connection>, proved: Option<Principal>);
    /// It sent an event.
    fn event(&self, connection: &Arc<Connection>, event: Event<'_>);
}

/// Why a client may not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwelcome {
    /// What it is told.
    pub message: &'static str,
    /// The same for programs; never changes.
    pub code: &'static str,
    /// Why, and what to do next.
    pub detail: String,
    /// How long that is to wait.
    pub after: Duration,
}

/// One event from a client.
pub struct Event<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its first argument, unparsed, if it has one.
    pub payload: Option<&'a RawValue>,
    /// Where an answer goes besides events, if the client asked for it.
    pub ack: Ack,
}

/// A Socket.IO ack callback of the client; does nothing if the client gave none.
#[derive(Default)]
pub struct Ack(Option<Box<dyn FnOnce(&RawValue) + Send>>);

impl Ack {
    /// An ack that is wanted.
    pub fn wanted(send: impl FnOnce(&RawValue) + Send + 'static) -> Self {
        Self(Some(Box::new(send)))
    }

    /// Answers it.
    pub fn send(self, payload: &RawValue) {
        if let Some(send) = self.0 {
            send(payload);
        }
    }
}
