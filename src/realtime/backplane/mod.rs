//! Between nodes: "there is something new for this room". It makes things fast, never true: what it loses
//! is found in the database.

mod link;
mod redis;

pub use link::{Link, Server};
pub use redis::{Redis, Settings};

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::{
    IdError, Notification, NotificationId, Place, Position, Priority, Recipient, Standing, Status,
    TemplateName, Timestamp, UserId,
};

/// What nodes tell each other about a room.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<'a> {
    /// A notification was committed.
    Notification(#[serde(borrow)] Committed<'a>),
    /// Where a notification stands.
    Standing(#[serde(borrow)] Stands<'a>),
    /// Something was stored while nobody could be told.
    Missed,
    /// Nothing is to be known of them any more: their sockets are closed.
    Forgotten,
}

impl Message<'_> {
    /// As it travels.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl<'a> Message<'a> {
    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn decode(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// Tells of `notification`, which its recipient has at `place`.
    ///
    /// # Errors
    /// When its data is no JSON, which it always is.
    pub fn notification(notification: &'a Notification, place: Place) -> Result<Self, serde_json::Error> {
        Ok(Self::Notification(Committed {
            row: place.recipient,
            position: place.position,
            id: notification.id,
            uuid: notification.uuid,
            kind: notification.kind.as_str().into(),
            topic: notification.topic.as_str().into(),
            title: notification.title.as_str().into(),
            message: notification.message.as_str().into(),
            data: serde_json::from_str(&notification.data)?,
            priority: notification.priority.level(),
            action_url: notification.action_url.as_deref().map(Cow::Borrowed),
            created_at: notification.created_at.as_micros(),
            expires_at: notification.expires_at.map(Timestamp::as_micros),
            template: notification.template.as_ref().map(|name| name.as_str().into()),
        }))
    }
}

/// A [`Message::Notification`] that is told to many: encoded once, but for its place.
pub struct Template(Vec<u8>);

impl Template {
    /// Of this notification.
    ///
    /// # Errors
    /// When its data is no JSON, which it always is.
    pub fn new(notification: &Notification) -> Result<Self, serde_json::Error> {
        let nowhere = Place { recipient: 0, position: 0 };
        let text = Message::notification(notification, nowhere)?.encode();
        let rest = text.get(Self::head(nowhere).len()..).unwrap_or_default();
        Ok(Self(rest.to_vec()))
    }

    /// As it travels to whoever has it at `place`.
    pub fn at(&self, place: Place) -> Vec<u8> {
        let mut text = Self::head(place).into_bytes();
        text.extend_from_slice(&self.0);
        text
    }

    /// What stands before all that is the same for everybody: the first fields of [`Committed`].
    fn head(place: Place) -> String {
        format!(r#"{{"notification":{{"row":{},"position":{}"#, place.recipient, place.position)
    }
}

/// A notification on its way between nodes, with its place in the recipient's inbox. Instants are in
/// microseconds since 1970.
#[derive(Serialize, Deserialize)]
pub struct Committed<'a> {
    row: i64,
    position: Position,
    id: NotificationId,
    uuid: Uuid,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    priority: i32,
    #[serde(borrow)]
    action_url: Option<Cow<'a, str>>,
    created_at: i64,
    expires_at: Option<i64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    template: Option<Cow<'a, str>>,
}

impl Committed<'_> {
    /// What it says.
    pub fn read(self) -> (Notification, Place) {
        let notification = Notification {
            id: self.id,
            uuid: self.uuid,
            kind: self.kind.into_owned(),
            topic: self.topic.into_owned(),
            title: self.title.into_owned(),
            message: self.message.into_owned(),
            data: self.data.get().to_owned(),
            priority: Priority::from_level(self.priority),
            action_url: self.action_url.map(Cow::into_owned),
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: self.expires_at.map(Timestamp::from_micros),
            template: self.template.and_then(|name| TemplateName::new(&name).ok()),
        };
        (notification, Place { recipient: self.row, position: self.position })
    }
}

/// A [`Standing`] on its way between nodes.
#[derive(Serialize, Deserialize)]
pub struct Stands<'a> {
    id: NotificationId,
    uuid: Uuid,
    status: Status,
    at: i64,
    #[serde(borrow)]
    whose: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Standing> for Stands<'a> {
    fn from(standing: &'a Standing) -> Self {
        let Standing { id, uuid, status, at, whose } = standing;
        let whose = whose.as_ref().map(|user| user.as_str().into());
        Self { id: *id, uuid: *uuid, status: *status, at: at.as_micros(), whose }
    }
}

impl Stands<'_> {
    /// What it says.
    ///
    /// # Errors
    /// When it names somebody who cannot be.
    pub fn read(self) -> Result<Standing, IdError> {
        let whose = self.whose.map(|user| UserId::new(&user)).transpose()?;
        let at = Timestamp::from_micros(self.at);
        Ok(Standing { id: self.id, uuid: self.uuid, status: self.status, at, whose })
    }
}

/// What a node hears of a room from others.
pub type Heard = Box<dyn Fn(Recipient, &[u8]) + Send + Sync>;

/// Called once, as soon as messages to a room arrive here, or it is known that at present they cannot.
pub type Joined = Box<dyn FnOnce() + Send>;

/// Called once, in the order of publishing, with how many other nodes heard; `None` if that is not known.
pub type Told = Box<dyn FnOnce(Option<usize>) + Send>;

/// How the line between nodes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Line {
    /// There are no other nodes.
    Alone = 0,
    /// Messages arrive.
    Connected = 1,
    /// They do not: this node serves its own connections, and looks into the database more often.
    Degraded = 2,
}

/// Carries messages between nodes. Nothing here waits; orders are carried out in their order.
pub trait Backplane: Send + Sync + 'static {
    /// This node has a connection in `room`.
    fn join(&self, room: &Recipient, joined: Joined);
    /// It has none any more.
    fn leave(&self, room: &Recipient);
    /// Calls `done` when everything published before has been told.
    fn after(&self, done: Box<dyn FnOnce() + Send>);
    /// Sends `message` to the other nodes in `room`.
    fn publish(&self, room: &Recipient, message: Vec<u8>, told: Told);
    /// How the line is.
    fn line(&self) -> Line;
}

/// One node, with nobody to talk to.
pub struct Alone;

impl Backplane for Alone {
    fn join(&self, _: &Recipient, joined: Joined) {
        joined();
    }

    fn leave(&self, _: &Recipient) {}

    fn after(&self, done: Box<dyn FnOnce() + Send>) {
        done();
    }

    fn publish(&self, _: &Recipient, _: Vec<u8>, told: Told) {
        told(Some(0));
    }

    fn line(&self) -> Line {
        Line::Alone
    }
}

/// The backplane as everybody holds it.
pub type Shared = Arc<dyn Backplane>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_template_says_what_the_message_says() {
        let notification = Notification {
            id: NotificationId(7),
            uuid: Uuid::nil(),
            kind: "k".into(),
            topic: "t".into(),
            title: "\"title\"".into(),
            message: "m\n".into(),
            data: r#"{"row":0,"position":0}"#.into(),
            priority: Priority::High,
            action_url: None,
            created_at: Timestamp::from_micros(1),
            expires_at: None,
            template: TemplateName::new("shipped").ok(),
        };
        let template = Template::new(&notification).unwrap();
        for place in [Place { recipient: 0, position: 0 }, Place { recipient: 12, position: i64::MAX }] {
            let message = Message::notification(&notification, place).unwrap().encode();
            assert_eq!(template.at(place), message);
        }
    }
}
