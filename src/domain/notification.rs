//! What is sent, and how it is told apart.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Recipient, TemplateName, Tenant, Timestamp, Wish};

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

    /// A request that no other is like.
    pub fn none(uuid: Uuid) -> Self {
        Self { key: joined(&[b"u", uuid.as_bytes()]), request: Digest([0; 16]) }
    }

    /// Whether no other is like it.
    pub fn is_none(&self) -> bool {
        self.key.starts_with(b"u\0")
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

/// How much a notification matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Priority {
    /// It may wait.
    Low = 0,
    /// The usual.
    #[default]
    Normal = 1,
    /// It should be seen soon.
    High = 2,
    /// It passes quiet hours.
    Urgent = 3,
}

impl Priority {
    /// All of them, from the lowest.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Urgent];

    /// Reads any door's word: `medium` (feed) is normal, `critical` (IEP) urgent.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "low" => Self::Low,
            "normal" | "medium" => Self::Normal,
            "high" => Self::High,
            "urgent" | "critical" => Self::Urgent,
            _ => return None,
        })
    }

    /// As it is stored.
    pub const fn level(self) -> i32 {
        self as i32
    }

    /// What was stored.
    pub fn from_level(level: i32) -> Self {
        usize::try_from(level).ok().and_then(|level| Self::ALL.get(level)).copied().unwrap_or_default()
    }

    /// Its name in `/api/v1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// For whom a notification is; all of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One person.
    One(Recipient),
    /// These, each once.
    Many(Vec<Recipient>),
    /// Whoever fits, found out while it spreads.
    Whoever(Tenant, Group),
}

/// Who fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Subscribers of a topic.
    Topic(String),
    /// Those who have a role.
    Role(String),
    /// Everybody of the tenant.
    Everyone,
    /// These people, later.
    People(Vec<String>),
}

impl Audience {
    /// Those who are known by name.
    pub fn named(&self) -> &[Recipient] {
        match self {
            Self::One(recipient) => std::slice::from_ref(recipient),
            Self::Many(recipients) => recipients,
            Self::Whoever(..) => &[],
        }
    }
}

/// A notification that has been validated and waits to be stored.
#[derive(Clone, Debug)]
pub struct NewNotification {
    /// Whose notification it is.
    pub tenant: Tenant,
    /// For whom.
    pub audience: Audience,
    /// The sender's kind of notification: `new_booking`.
    pub kind: Cow<'static, str>,
    /// The sender's category: `bookings`; may be empty.
    pub topic: Cow<'static, str>,
    /// One line; may be empty.
    pub title: String,
    /// The text shown to the recipient.
    pub message: String,
    /// What the sender gave for the client to use: a JSON object.
    pub data: String,
    /// How much it matters.
    pub priority: Priority,
    /// Where a click leads.
    pub action_url: Option<String>,
    /// Who sent it, if that is a user or a named service.
    pub sender: Option<String>,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// What its sender wants beyond sockets.
    pub wish: Option<Wish>,
    /// When it is to go out, if not at once. Its audience is then [`Audience::Whoever`].
    pub due_at: Option<Timestamp>,
    /// How a resend is recognised.
    pub idempotency: Idempotency,
    /// Its second name, time-ordered (RFC 9562, version 7).
    pub uuid: Uuid,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// A notification, as everybody shows it who has it.
#[derive(Clone, Debug)]
pub struct Notification {
    /// Its number.
    pub id: NotificationId,
    /// Its second name.
    pub uuid: Uuid,
    /// The sender's kind of notification.
    pub kind: String,
    /// The sender's category; may be empty.
    pub topic: String,
    /// One line; may be empty.
    pub title: String,
    /// The text shown to the recipient.
    pub message: String,
    /// What the sender gave for the client to use: a JSON object.
    pub data: String,
    /// How much it matters.
    pub priority: Priority,
    /// Where a click leads.
    pub action_url: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// The name of the template that said it, if one did and its sender chose that.
    pub template: Option<TemplateName>,
}

impl NewNotification {
    /// As it is once it has a number.
    pub fn stored(&self, id: NotificationId) -> Notification {
        Notification {
            id,
            uuid: self.uuid,
            kind: self.kind.clone().into_owned(),
            topic: self.topic.clone().into_owned(),
            title: self.title.clone(),
            message: self.message.clone(),
            data: self.data.clone(),
            priority: self.priority,
            action_url: self.action_url.clone(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            template: self.wish.as_ref().and_then(|wish| wish.said_by(&self.kind)).cloned(),
        }
    }
}

/// One notification in one inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The recipient's row.
    pub recipient: i64,
    /// Where it stands.
    pub position: Position,
}

/// A place that was just given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub place: Place,
    /// Whether its recipient is not to be told now.
    pub is_hushed: bool,
}

/// The beginning of a socket's name: enough to find it in the log, too little to speak for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMark([u8; 8]);

impl SocketMark {
    /// Of the socket of this name.
    pub fn of(name: &str) -> Self {
        let mut mark = [b'-'; 8];
        mark.iter_mut().zip(name.bytes().filter(u8::is_ascii_graphic)).for_each(|(to, from)| *to = from);
        Self(mark)
    }
}

impl fmt::Display for SocketMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// When, and by which socket of which node, an entry was handed to its recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// When.
    pub at: Timestamp,
    /// The socket.
    pub socket: SocketMark,
    /// The node.
    pub node: Arc<str>,
}

impl Handed {
    /// `socket@node`.
    pub fn way(&self) -> String {
        format!("{}@{}", self.socket, self.node)
    }
}

/// What the database says of a notification that was handed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Durable, for the first time.
    New {
        /// The notification's number.
        id: NotificationId,
        /// The place of each recipient who is known by name, in their order. (After a commit whose answer
        /// was lost, those of several are not known any more: sweeps find them.)
        places: Vec<Placed>,
    },
    /// Stored before, by the same request.
    Duplicate {
        /// The number it has.
        id: NotificationId,
        /// Its second name.
        uuid: Uuid,
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
