//! Our own engine, for sessions that open by WebSocket: Engine.IO 4 and Socket.IO 5 over `frames`.
//!
//! `packet` is rules about text, without I/O; `talk` is what a session does about what the client says; `outlet` is
//! how others tell it something.

mod outlet;
mod packet;
mod state;
mod talk;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Inside;
use crate::gateway::Limits;
use crate::gateway::frames::{Outbox, Session, Sid};
use crate::realtime::{self, Line};

/// What all sessions share.
struct House {
    inside: Arc<Inside>,
    terms: packet::Terms,
    connect_timeout: Duration,
    send_buffer: usize,
    max_attachments: usize,
}

/// The engine.
pub struct WebSockets(Arc<House>);

impl WebSockets {
    /// An engine for what is `inside`.
    pub fn new(inside: Arc<Inside>, settings: &realtime::Settings, limits: &Limits) -> Self {
        let terms = packet::Terms {
            ping_interval: Duration::from_millis(settings.ping_interval_ms),
            ping_timeout: Duration::from_millis(settings.ping_timeout_ms),
            max_payload: limits.max_request_bytes,
        };
        Self(Arc::new(House {
            inside,
            terms,
            connect_timeout: Duration::from_millis(settings.connect_timeout_ms),
            send_buffer: settings.send_buffer,
            max_attachments: limits.max_attachments,
        }))
    }

    /// Serves a client whose handshake was good; `agreed`, which says so, is the first it hears.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn serve<S>(&self, stream: S, agreed: Bytes, address: IpAddr, line: Arc<Line>) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sid, house) = (Sid::new()?, &self.0);
        let outbox = Outbox::new(line, house.send_buffer);
        outbox.add_own(agreed);
        let packets = talk::Packets::new(sid, address, outbox.clone(), house.clone());
        tokio::spawn(Session::new(stream, outbox, house.inside.max_message_bytes, packets).run());
        Ok(())
    }
}
