//! The columns of a notification that everybody sees who has it.

use super::schema::notifications;
use super::types::{At, UuidColumn};
use crate::domain::{Notification, NotificationId, Priority};

/// What [`content`] selects.
pub type Content =
    (i64, UuidColumn, (String, String, String, String, String), i32, Option<String>, At, Option<At>);

type Columns = (
    notifications::id,
    notifications::uuid,
    (
        notifications::kind,
        notifications::topic,
        notifications::title,
        notifications::message,
        notifications::data,
    ),
    notifications::priority,
    notifications::action_url,
    notifications::created_at,
    notifications::expires_at,
);

/// The columns of a [`Content`].
pub const fn content() -> Columns {
    use notifications::*;
    (id, uuid, (kind, topic, title, message, data), priority, action_url, created_at, expires_at)
}

/// A notification from its columns.
pub fn notification(content: Content) -> Notification {
    let (
        id,
        UuidColumn(uuid),
        (kind, topic, title, message, data),
        level,
        action_url,
        At(created_at),
        expires_at,
    ) = content;
    Notification {
        id: NotificationId(id),
        uuid,
        kind,
        topic,
        title,
        message,
        data,
        priority: Priority::from_level(level),
        action_url,
        created_at,
        expires_at: expires_at.map(|at| at.0),
    }
}
