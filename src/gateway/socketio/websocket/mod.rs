//! Our own engine, for sessions that open by WebSocket: Engine.IO 4 and Socket.IO 5 over RFC 6455. Promises: one
//! task for each session, no buffer while nothing is under way; what many are told is encoded once and shared; the
//! events of a session are handled in order, on the task that read them.
//!
//! `frame` and `packet` are rules about bytes, without I/O; `session` reads and sends; `outbox` is where others leave
//! what is to be sent.

mod frame;
mod outbox;
mod packet;
mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Inside;
use crate::gateway::Limits;
use crate::realtime::{self, Line};

/// The letters of a session's name: each stands for six random bits.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

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
        let sid = Sid::new().map_err(|fault| fault.to_string())?;
        let session = session::Session::new(stream, agreed, sid, address, line, self.0.clone());
        tokio::spawn(session.run());
        Ok(())
    }
}

/// A session's name, which nobody can guess.
#[derive(Clone, Copy)]
struct Sid([u8; 16]);

impl Sid {
    fn new() -> Result<Self, getrandom::Error> {
        let mut sid = [0; 16];
        getrandom::fill(&mut sid)?;
        Ok(Self(sid.map(|byte| LETTERS[usize::from(byte & 63)])))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
