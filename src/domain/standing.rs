//! What becomes of a notification in somebody's inbox.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{NotificationId, Timestamp, UserId};

/// How far a notification got with one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is stored, and nobody knows yet whether a device has it.
    Pending,
    /// Each way beyond sockets that it was to go was given up, and no device has it. It is in the inbox.
    Failed,
    /// A device has it.
    Delivered,
    /// Somebody has looked at it.
    Read,
    /// It was removed from the inbox. That is told when it happens; no list has it.
    Deleted,
}

impl Status {
    /// Of what was confirmed and read then, or not yet.
    pub const fn of(confirmed_at: Option<Timestamp>, read_at: Option<Timestamp>) -> Self {
        match (read_at, confirmed_at) {
            (Some(_), _) => Self::Read,
            (None, Some(_)) => Self::Delivered,
            (None, None) => Self::Pending,
        }
    }

    /// Its name, on every door.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Deleted => "deleted",
        }
    }
}

/// How a notification stands with one person, since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub id: NotificationId,
    /// Its second name.
    pub uuid: Uuid,
    /// How far it got.
    pub status: Status,
    /// Since when.
    pub at: Timestamp,
    /// With whom, where that is told to its sender; a person's own sockets know it.
    pub whose: Option<UserId>,
}

impl Standing {
    /// All that somebody has was read at once. No notification has the number 0.
    pub const fn all_read(at: Timestamp) -> Self {
        Self { id: NotificationId(0), uuid: Uuid::nil(), status: Status::Read, at, whose: None }
    }

    /// Whether it is about all that somebody has.
    pub const fn is_of_all(&self) -> bool {
        self.id.0 == 0
    }
}
