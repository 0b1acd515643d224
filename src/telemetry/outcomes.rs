//! What may become of a notification, and why something is turned away: words of metrics.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// What became of a notification; one that is stored, delivered and confirmed counts in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Durable, its recipient was away.
    Stored,
    /// Durable, and sent to a live socket at once.
    Sent,
    /// A resend, answered as before.
    Duplicate,
    /// A device has it: its socket lived through a heartbeat round, or it was acknowledged or read.
    Confirmed,
    /// Marked read.
    Read,
    /// Refused: a field was missing or wrong.
    Rejected,
    /// Could not be stored.
    Failed,
}

/// Why something was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The origin is not on the list.
    Origin,
    /// Too many sockets from one address.
    Address,
    /// Too many sockets of one user.
    User,
    /// The server has as many sockets as it may hold, or is stopping.
    Capacity,
    /// A token was wrong.
    Token,
    /// A socket sent events faster than it may.
    Events,
    /// A caller of the API made more requests than it may.
    Requests,
    /// More was under way at once than may be.
    Busy,
    /// Nothing was asked on a connection, or what it was told was not read: it was closed, to make room for another.
    Idle,
    /// A socket's send buffer overflowed: it was closed, to be served by replay.
    SlowReader,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Stored,
        Self::Sent,
        Self::Duplicate,
        Self::Confirmed,
        Self::Read,
        Self::Rejected,
        Self::Failed,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Sent => "sent",
            Self::Duplicate => "duplicate",
            Self::Confirmed => "confirmed",
            Self::Read => "read",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

impl Refusal {
    pub(super) const ALL: [Self; 10] = [
        Self::Origin,
        Self::Address,
        Self::User,
        Self::Capacity,
        Self::Token,
        Self::Events,
        Self::Requests,
        Self::Busy,
        Self::Idle,
        Self::SlowReader,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Address => "address",
            Self::User => "user",
            Self::Capacity => "capacity",
            Self::Token => "token",
            Self::Events => "events",
            Self::Requests => "requests",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.word(), encoder)
    }
}

impl EncodeLabelValue for Refusal {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.word(), encoder)
    }
}
