//! The columns of a notification that everybody sees who has it.

use diesel::expression::SqlLiteral;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use super::schema::notifications;
use super::sealing::{ActionUrl, DataText, Message, Opening, Title, Unopened, WishText};
use super::types::{At, Instant, Uuid128, UuidColumn};
use crate::domain::{Notification, NotificationId, Priority, Wish};

/// What [`content`] selects.
pub type Content = (
    i64,
    UuidColumn,
    (Opening, Opening, Opening, Opening, Opening),
    i32,
    Option<Opening>,
    At,
    Option<At>,
    Option<Opening>,
);

/// The same, as the database calls it.
pub type ContentSql = (
    BigInt,
    Uuid128,
    (Text, Text, Title, Message, DataText),
    Integer,
    Nullable<ActionUrl>,
    Instant,
    Nullable<Instant>,
    Nullable<WishText>,
);

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
    notifications::wish,
);

/// The columns of a [`Content`].
pub const fn content() -> Columns {
    use notifications::*;
    (id, uuid, (kind, topic, title, message, data), priority, action_url, created_at, expires_at, wish)
}

/// A notification from its columns, or why one of them does not open.
pub fn notification(content: Content) -> Result<Notification, Unopened> {
    let (
        id,
        UuidColumn(uuid),
        (kind, topic, title, message, data),
        level,
        action_url,
        At(created_at),
        expires_at,
        wish,
    ) = content;
    let kind = kind.0?;
    let wish = open(wish)?.as_deref().and_then(Wish::read);
    Ok(Notification {
        id: NotificationId(id),
        uuid,
        template: wish.as_ref().and_then(|wish| wish.said_by(&kind)).cloned(),
        kind,
        topic: topic.0?,
        title: title.0?,
        message: message.0?,
        data: data.0?,
        priority: Priority::from_level(level),
        action_url: open(action_url)?,
        created_at,
        expires_at: expires_at.map(|at| at.0),
    })
}

/// The same, with a word in the place of each text that does not open.
pub fn legible(content: Content) -> Content {
    let said = |stored: Opening| Opening(Ok(stored.legible()));
    let kept = |stored: &Opening| stored.0.is_ok();
    let (id, uuid, (kind, topic, title, message, data), level, action_url, created_at, expires_at, wish) =
        content;
    let texts = (said(kind), said(topic), said(title), said(message), Opening(Ok(data.legible_json())));
    (id, uuid, texts, level, action_url.filter(kept), created_at, expires_at, wish.filter(kept))
}

/// What may be there.
pub fn open(stored: Option<Opening>) -> Result<Option<String>, Unopened> {
    stored.map(|stored| stored.0).transpose()
}

/// Whether each way beyond sockets was given up that an entry which nobody has was to go: one at least has failed, and none is
/// under way or was taken. Asked only where something was to go.
pub fn is_given_up() -> SqlLiteral<Bool> {
    diesel::dsl::sql(
        "(inbox.confirmed_at IS NULL AND inbox.read_at IS NULL AND notifications.wish IS NOT NULL \
         AND EXISTS (SELECT 1 FROM deliveries AS given_up WHERE given_up.notification_id = inbox.notification_id \
         AND given_up.recipient_id = inbox.recipient_id AND given_up.state = 4) \
         AND NOT EXISTS (SELECT 1 FROM deliveries AS hoped_for WHERE hoped_for.notification_id = inbox.notification_id \
         AND hoped_for.recipient_id = inbox.recipient_id AND hoped_for.state < 4 AND hoped_for.retraction < 2))",
    )
}
