//! Socket.IO. The seam: protocol modules (`booking`, later `feed`) know nothing of the library that
//! speaks Engine.IO. They hear that a connection came, that it sent an event (and wants an ack), and
//! they push ready bytes; `engine` is the only file that knows socketioxide.

mod admission;
mod booking;
mod door;
mod engine;
mod polling;
mod wire;

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::realtime::{Connection, Dialect};

pub use admission::{Admission, Origins, Permit, Refused};
pub use booking::Booking;
pub use door::{Arrival, Door};
pub use engine::{Engine, Peer};

/// What a protocol module is to the engine.
pub trait Protocol: Send + Sync + 'static {
    /// How it presents notifications.
    fn dialect(&self) -> &'static Dialect;
    /// A connection has come.
    fn connected(&self, connection: &Arc<Connection>);
    /// It sent an event.
    fn event(&self, connection: &Arc<Connection>, event: Event<'_>);
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
