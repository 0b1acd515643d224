//! What is sent, and how it is told apart.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Recipient, Timestamp};

/// A notification's number, the same on every door and node; never zero (front ends test its truth).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NotificationId(pub i64);

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of an inbox entry in its recipient's inbox: ascending in the order of commits, not
/// necessarily without gaps. Never shown outside.
pub type Position = i64;

/// 128 bits of SHA-256 over parts that are kept apart by their lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Digests `parts`: `["ab", "c"]` and `["a", "bc"]` differ.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut digest = [0; 16];
        digest.copy_from_slice(&hash.finalize()[..16]);
        Self(digest)
    }
}

/// How a resend is recognised: the same `key` within the window is the same request, provided that
/// `request` is the same too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Names the request, within its tenant and door. Its parts are written in full, not digested, so
    /// that keys of one sender's successive requests lie side by side in the index.
    pub key: Vec<u8>,
    /// What was asked for.
    pub request: Digest,
}

impl Idempotency {
    /// A request that its sender gave a `key`.
    pub fn keyed(door: &str, tenant: &str, key: &str, request: Digest) -> Self {
        Self { key: joined(&[b"k", door.as_bytes(), tenant.as_bytes(), key.as_bytes()]), request }
    }

    /// A request that is the same when its content is; `subject` is what it is about.
    pub fn by_content(door: &str, tenant: &str, subject: &str, request: Digest) -> Self {
        let parts = [b"c", door.as_bytes(), tenant.as_bytes(), subject.as_bytes(), &request.0];
        Self { key: joined(&parts), request }
    }
}

/// `parts`, kept apart by a byte that none but the last may contain.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&0_u8)
}

/// A notification that has been validated and waits to be stored for one recipient.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// For whom.
    pub recipient: Recipient,
    /// The sender's kind of notification: `new_booking`.
    pub kind: &'static str,
    /// The sender's category: `bookings`.
    pub topic: &'static str,
    /// One line.
    pub title: String,
    /// The text shown to the recipient.
    pub message: String,
    /// What the sender gave for the client to use: a JSON object.
    pub data: String,
    /// How a resend is recognised.
    pub idempotency: Option<Idempotency>,
    /// Its second name, time-ordered (RFC 9562, version 7).
    pub uuid: Uuid,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A notification in somebody's inbox.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its number.
    pub id: NotificationId,
    /// The sender's kind of notification.
    pub kind: String,
    /// The text shown to the recipient.
    pub message: String,
    /// What the sender gave for the client to use: a JSON object.
    pub data: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// What the database says of a notification that was handed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Durable, for the first time.
    New {
        /// The notification's number.
        id: NotificationId,
        /// The recipient's row.
        recipient: i64,
        /// Its place in the recipient's inbox.
        position: Position,
    },
    /// Stored before, by the same request.
    Duplicate {
        /// The number it has.
        id: NotificationId,
        /// When it was accepted.
        created_at: Timestamp,
        /// When a device confirmed it (or it was sent, where that is known), if one did.
        delivered_at: Option<Timestamp>,
    },
    /// The idempotency key was used before for something else; nothing was stored.
    KeyReused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_keep_their_parts_apart() {
        assert_ne!(Digest::of(&["ab", "c"]), Digest::of(&["a", "bc"]));
        assert_eq!(Digest::of(&["ab", "c"]), Digest::of(&["ab", "c"]));
    }
}
