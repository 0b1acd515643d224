//! Where a session stands in Socket.IO.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::realtime::Connection;

/// Where the session stands.
pub enum Standing {
    /// It has joined no namespace, and must until then.
    Outside(Instant),
    /// It may not join, and will hear so; until then nothing is read.
    Refused(Box<Refused>),
    /// It has joined.
    Joined(Arc<Connection>),
}

/// A refusal that waits.
pub struct Refused {
    /// Until then.
    pub told_at: Instant,
    pub answer: Bytes,
    /// When it must have joined.
    pub until: Instant,
}

/// An event whose attachments are still coming. They are counted and forgotten: no protocol here takes any.
pub struct Incomplete {
    /// Nobody hears it if it is of another namespace, or an ack.
    pub event: Option<(String, Option<u64>)>,
    pub missing: usize,
    pub bytes: usize,
}
