//! How connections of our own engine are told things.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::packet;
use crate::gateway::frames::Outbox;
use crate::gateway::socketio::Ack;
use crate::realtime::{Encoded, Line, Outlet, PushError, Transport};

/// The ack that an event with this number wants.
pub fn ack(outbox: &Arc<Outbox>, number: u64) -> Ack {
    let outbox = outbox.clone();
    Ack::wanted(move |payload| {
        // An ack that finds no room must not vanish while its socket lives on.
        if outbox.push(packet::ack(number, payload)) == Err(PushError::Full) {
            outbox.line().cut();
        }
    })
}

/// A connection's share of its outbox.
pub struct Wire(pub Arc<Outbox>);

impl Outlet for Wire {
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError> {
        self.0.push(packet::event(event, payload))
    }

    fn push_encoded(&self, encoded: &Encoded) -> Result<(), PushError> {
        let frame = encoded.frame.get_or_init(|| packet::event(encoded.event, &encoded.payload));
        self.0.push(frame.clone())
    }

    fn line(&self) -> &Line {
        self.0.line()
    }

    fn transport(&self) -> Transport {
        Transport::Stream
    }
}
