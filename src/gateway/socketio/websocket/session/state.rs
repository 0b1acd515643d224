//! Where a session stands, and why it ends.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::frame;
use super::super::packet::Malformed;
use crate::realtime::Connection;

/// Where the session stands in Socket.IO.
pub enum Standing {
    /// It has joined no namespace, and must until then.
    Outside(Instant),
    /// It may not join, and will hear so; until then nothing is read.
    Refused(Box<Refused>),
    /// It has joined.
    Joined(Arc<Connection>),
    /// It is sent away, and everything ends then at the latest.
    Leaving(Instant),
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

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Nobody is there any more.
    #[error("the stream ended")]
    Gone,
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("the client left")]
    Left,
    #[error("{0}")]
    Broken(#[from] frame::Broken),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("attachments that are too many or too big")]
    Attachments,
    #[error("the client reads too slowly")]
    Full,
    #[error("no answer to a ping came in time")]
    Silent,
    #[error("the client joined no namespace in time")]
    Idle,
    #[error("the server sent it back")]
    SentBack,
}

impl Ended {
    /// What the close frame says; nothing if there is nobody to read one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Gone | Self::Lost(_) | Self::Full => None,
            Self::Left => Some(1000),
            Self::SentBack | Self::Silent | Self::Idle => Some(1001),
            Self::Broken(broken) => Some(broken.code()),
            Self::Malformed(_) => Some(1002),
            Self::Attachments => Some(1009),
        }
    }
}
