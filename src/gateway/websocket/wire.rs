//! The exact JSON of raw WebSockets (seeds 000, 001 and 002, and `docs/PROTOCOLS.md`), both ways.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::domain::{Notification, NotificationId, Recipient, Standing, TemplateName, Timestamp, UserId};

// ---- coming in -------------------------------------------------------------------------------

/// What a client may say.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It is alive; it answers a heartbeat.
    Pong,
    /// Is the server alive?
    Ping,
    /// A device has this one.
    Ack(Which),
    /// Somebody has looked at this one.
    MarkRead(Which),
    /// The person wants to hear of this topic, or no longer.
    Subscribe { channel: String, wanted: bool },
    /// A newer token.
    Authenticate { token: String },
}

/// A notification, as the client calls it: by `id` or `replay_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Which {
    /// The same as a name.
    pub name: String,
    /// Whether it was written as a number.
    pub is_number: bool,
}

impl Serialize for Which {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.name.parse::<i64>() {
            Ok(number) if self.is_number => serializer.serialize_i64(number),
            _ => serializer.serialize_str(&self.name),
        }
    }
}

/// Why a message is not understood: what it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear(pub &'static str);

#[derive(Deserialize)]
struct Message<'a> {
    r#type: Option<String>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    notification_id: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    token: Option<&'a RawValue>,
}

impl Said {
    /// What `text` says.
    ///
    /// # Errors
    /// When that is nothing known.
    pub fn parse(text: &str) -> Result<Self, Unclear> {
        // Depth is no danger: only the outermost members are looked at.
        let message: Message<'_> = serde_json::from_str(text).map_err(|_| {
            Unclear("A message is a JSON object with a string \"type\", such as {\"type\":\"ping\"}.")
        })?;
        let channel = || text_of(message.channel).ok_or(Unclear("channel: it must be a name."));
        Ok(match message.r#type.as_deref() {
            Some("pong") => Self::Pong,
            Some("ping") => Self::Ping,
            Some("ack") => Self::Ack(
                which(message.message_id.or(message.notification_id))
                    .ok_or(Unclear("message_id: it must be the id or the replay_id of a notification."))?,
            ),
            Some("mark_read") => {
                Self::MarkRead(which(message.notification_id).ok_or(Unclear(
                    "notification_id: it must be the id or the replay_id of a notification.",
                ))?)
            }
            Some("subscribe_channel") => Self::Subscribe { channel: channel()?, wanted: true },
            Some("unsubscribe_channel") => Self::Subscribe { channel: channel()?, wanted: false },
            Some("authenticate") => Self::Authenticate {
                token: text_of(message.token).ok_or(Unclear("token: it must be a string."))?,
            },
            _ => {
                return Err(Unclear(
                    "type: it must be ping, pong, ack, mark_read, subscribe_channel, unsubscribe_channel or authenticate.",
                ));
            }
        })
    }
}

fn text_of(written: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(written?.get()).ok()
}

fn which(written: Option<&RawValue>) -> Option<Which> {
    let is_name = |name: &String| name.parse::<i64>().is_ok() || Uuid::try_parse(name).is_ok();
    if let Ok(number) = serde_json::from_str::<i64>(written?.get()) {
        return Some(Which { name: number.to_string(), is_number: true });
    }
    text_of(written).filter(is_name).map(|name| Which { name, is_number: false })
}

// ---- going out -------------------------------------------------------------------------------

#[derive(Serialize)]
struct Frame<'a> {
    id: Uuid,
    r#type: &'a str,
    title: &'a str,
    message: &'a str,
    data: Data<'a>,
    timestamp: Timestamp,
    /// Where a client that comes back goes on: `replay_from`.
    replay_id: String,
    user_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    /// All that the sender gave, where some of it has the name of a member of `data` that is the notification's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

/// What hub pages show, before what the sender gave.
#[derive(Serialize)]
struct Data<'a> {
    id: Uuid,
    title: &'a str,
    message: &'a str,
    notification_type: &'a str,
    priority: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_url: Option<&'a str>,
    #[serde(flatten)]
    given: BTreeMap<String, &'a RawValue>,
}

/// Members of `data` that are the notification's own, whatever its sender gave.
const OWN: [&str; 6] = ["id", "title", "message", "notification_type", "priority", "action_url"];

fn frame(notification: &Notification, whose: &Recipient, kind: &str) -> Box<RawValue> {
    let mut given: BTreeMap<String, &RawValue> = serde_json::from_str(&notification.data).unwrap_or_default();
    let all = given.len();
    given.retain(|name, _| !OWN.contains(&name.as_str()));
    let is_whole = given.len() == all;
    let metadata = if is_whole { None } else { serde_json::from_str(&notification.data).ok() };
    let (id, title, message) = (notification.uuid, &*notification.title, &*notification.message);
    raw(&Frame {
        id,
        r#type: kind,
        title,
        message,
        data: Data {
            id,
            title,
            message,
            notification_type: &notification.kind,
            priority: notification.priority.name(),
            action_url: notification.action_url.as_deref(),
            given,
        },
        timestamp: notification.created_at,
        replay_id: notification.id.to_string(),
        user_id: whose.user.as_str(),
        topic: &notification.topic,
        expires_at: notification.expires_at,
        metadata,
    })
}

/// A notification on `/ws/notify`: its `type` is the template that said it, else always the same.
pub fn notify(notification: &Notification, whose: &Recipient) -> Box<RawValue> {
    frame(notification, whose, template(notification).unwrap_or("notification"))
}

/// A notification on `/api/v1/notifications/ws`: its `type` is the template that said it, else its own.
pub fn campus(notification: &Notification, whose: &Recipient) -> Box<RawValue> {
    frame(notification, whose, template(notification).unwrap_or(&notification.kind))
}

/// The template that said it, unless clients take its name for something else.
fn template(notification: &Notification) -> Option<&str> {
    notification.template.as_ref().map(TemplateName::as_str).filter(|name| !TOLD.contains(name))
}

/// The types of all that is [`Told`].
const TOLD: [&str; 10] = [
    "heartbeat",
    "pong",
    "read_confirmation",
    "subscription_confirmed",
    "unsubscription_confirmed",
    "authenticated",
    "replay_truncated",
    "error",
    "notification_status",
    "replay_complete",
];

/// What is said besides notifications. None has an `id`: clients take that for a notification's.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told<'a> {
    /// The server is alive.
    Heartbeat { timestamp: Timestamp },
    /// The answer to `ping`.
    Pong { timestamp: Timestamp },
    /// The answer to `mark_read`.
    ReadConfirmation { notification_id: &'a Which, timestamp: Timestamp },
    /// The answer to `subscribe_channel`.
    SubscriptionConfirmed { channel: &'a str },
    /// The answer to `unsubscribe_channel`.
    UnsubscriptionConfirmed { channel: &'a str },
    /// The answer to `authenticate`.
    Authenticated,
    /// What was asked for is not held any more (or never was); what is left follows.
    ReplayTruncated { replay_from: &'a str },
    /// Something was not done.
    Error { error: &'a str, detail: &'a str },
    /// How a notification stands, whoever changed that, and wherever.
    NotificationStatus {
        /// Which; nothing: all that there are.
        notification_id: Option<Uuid>,
        number: Option<NotificationId>,
        status: &'static str,
        timestamp: Timestamp,
        /// With whom; only its sender is told.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<&'a str>,
    },
    /// All that was missed has come: what follows comes live.
    ReplayComplete { count: usize },
}

impl<'a> Told<'a> {
    /// How a notification stands.
    pub fn of(standing: &'a Standing) -> Self {
        let is_one = !standing.is_of_all();
        Self::NotificationStatus {
            notification_id: is_one.then_some(standing.uuid),
            number: is_one.then_some(standing.id),
            status: standing.status.name(),
            timestamp: standing.at,
            user_id: standing.whose.as_ref().map(UserId::as_str),
        }
    }

    /// Its name as an event, where events have names.
    pub fn event(&self) -> &'static str {
        match self {
            Self::ReplayTruncated { .. } => "event: replay_truncated",
            Self::ReplayComplete { .. } => "event: replay_complete",
            Self::NotificationStatus { .. } => "event: notification_status",
            _ => "event: message",
        }
    }

    /// As it is written.
    pub fn raw(&self) -> Box<RawValue> {
        raw(self)
    }

    /// Both.
    pub fn said(&self) -> (&'static str, Box<RawValue>) {
        (self.event(), self.raw())
    }
}

fn raw(told: &impl Serialize) -> Box<RawValue> {
    // Our own types, into memory: it cannot fail.
    to_raw_value(told).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
