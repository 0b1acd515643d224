//! `/api/notifications` as it is written: camelCase, the words of the feed.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::{Broken, Draft, NotificationId, Priority, Status, Timestamp, To};
use crate::http::input;
use crate::http::values::{self, Category, Label, Name, Outlook};
use crate::service::{Page, Query, Receipt};
use crate::store::Held;

/// A field of ours, in this dialect's spelling.
pub fn spelled(field: &str) -> &str {
    match field {
        "user_ids" => "recipients",
        "topic" => "channel",
        "action_url" => "actionUrl",
        "expires_at" => "expiresAt",
        "scheduled_at" => "scheduledAt",
        other => other,
    }
}

/// A notification to be sent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object")]
#[schema(as = FeedSend, example = json!({
    "recipients": [2, "5"], "type": "order_status", "title": "Order shipped", "message": "It is on its way.",
    "channel": "orders", "priority": "medium", "actionUrl": "/orders/5", "data": {"order": 5}
}))]
pub struct SendIn {
    /// For these users, at most 1,000; without it, for the subscribers of the channel.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false, min_items = 1, max_items = 1_000)]
    recipients: Option<Vec<Name>>,
    /// The category.
    #[schema(value_type = Option<Category>)]
    channel: Option<String>,
    /// The sender's kind of notification.
    #[schema(required, value_type = Label)]
    r#type: Option<String>,
    /// One line.
    #[schema(max_length = 512)]
    title: Option<String>,
    /// The text. A title or a message must be there.
    #[schema(max_length = 32_768)]
    message: Option<String>,
    /// What the client gets to use: an object of at most 65,536 bytes.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    #[serde(default, deserialize_with = "values::priority")]
    priority: Option<Priority>,
    /// Where a click leads: `https:`, `http:`, or a path.
    #[schema(max_length = 2_048, pattern = r"^(https?://|/($|[^/\\]))")]
    action_url: Option<String>,
    #[serde(default, deserialize_with = "values::instant")]
    expires_at: Option<Timestamp>,
    /// When it goes out, if not at once.
    #[serde(default, deserialize_with = "values::instant")]
    scheduled_at: Option<Timestamp>,
}

impl SendIn {
    /// What its sender wants.
    ///
    /// # Errors
    /// When it says for nobody.
    pub fn draft(self, idempotency_key: Option<String>) -> Result<Draft, Broken> {
        let to = match (self.recipients, &self.channel) {
            (Some(names), _) => To::Users(names.into_iter().map(|Name(user)| user).collect()),
            (None, Some(channel)) => To::Topic(channel.clone()),
            (None, None) => {
                let expected = "whom it is for; without it, the subscribers of a channel";
                return Err(Broken { field: "recipients", expected });
            }
        };
        Ok(Draft {
            to,
            kind: self.r#type.unwrap_or_default(),
            topic: self.channel.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            data: self.data.unwrap_or_else(|| serde_json::Map::new().into()),
            priority: self.priority.unwrap_or_default(),
            action_url: self.action_url,
            scheduled_at: self.scheduled_at,
            expires_at: self.expires_at,
            wish: None,
            idempotency_key,
        })
    }
}

/// The answer to one that was sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedSent)]
pub struct SentOut {
    id: Uuid,
    number: NotificationId,
    status: Outlook,
    created_at: Timestamp,
    scheduled_at: Option<Timestamp>,
}

impl From<Receipt> for SentOut {
    fn from(Receipt { id, uuid, created_at, reached }: Receipt) -> Self {
        let (status, scheduled_at) = values::outlook(reached);
        Self { id: uuid, number: id, status, created_at, scheduled_at }
    }
}

/// What of an inbox is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct ListIn {
    /// Its number, from 1.
    #[param(minimum = 1)]
    page: Option<i64>,
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// Whether what was read is left out.
    #[serde(default, deserialize_with = "values::flag")]
    unread_only: bool,
    /// Of this kind.
    #[param(value_type = Option<Label>)]
    r#type: Option<String>,
    /// Of this channel.
    #[param(value_type = Option<Label>)]
    channel: Option<String>,
    /// Of this priority.
    #[serde(default, deserialize_with = "values::priority")]
    priority: Option<Priority>,
}

impl ListIn {
    /// The number of the page, and what it is to hold.
    ///
    /// # Errors
    /// When it is out of bounds.
    pub fn query(self) -> Result<(i64, Query), Broken> {
        let (limit, _) = input::page(self.limit, None, "page")?;
        let page = self.page.unwrap_or(1);
        if page < 1 {
            return Err(Broken { field: "page", expected: "1 or more" });
        }
        let (_, skip) = input::page(Some(limit), Some((page - 1).saturating_mul(limit)), "page")?;
        let query = Query {
            unread_only: self.unread_only,
            kind: values::wanted(self.r#type, "type")?,
            topic: values::wanted(self.channel, "channel")?,
            priority: self.priority,
            before: None,
            skip,
            limit,
        };
        Ok((page, query))
    }
}

/// One entry of an inbox.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedNotification)]
struct EntryOut {
    id: Uuid,
    number: NotificationId,
    r#type: String,
    title: String,
    message: String,
    channel: Option<String>,
    #[schema(value_type = Priority)]
    priority: &'static str,
    status: Status,
    #[schema(value_type = Object)]
    data: Option<Box<RawValue>>,
    action_url: Option<String>,
    created_at: Timestamp,
    delivered_at: Option<Timestamp>,
    read_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl From<Held> for EntryOut {
    fn from(held: Held) -> Self {
        let status = held.status();
        let notification = held.notification;
        Self {
            id: notification.uuid,
            number: notification.id,
            r#type: notification.kind,
            title: notification.title,
            message: notification.message,
            channel: values::some(notification.topic),
            priority: match notification.priority {
                Priority::Normal => "medium",
                other => other.name(),
            },
            status,
            data: values::data(notification.data),
            action_url: notification.action_url,
            created_at: notification.created_at,
            delivered_at: held.confirmed_at,
            read_at: held.read_at,
            expires_at: notification.expires_at,
        }
    }
}

/// A page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedPage)]
pub struct PageOut {
    notifications: Vec<EntryOut>,
    pagination: Pagination,
    unread_count: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FeedPagination)]
struct Pagination {
    page: i64,
    limit: i64,
    total: i64,
}

impl PageOut {
    /// The page of this number, of at most `limit` entries.
    pub fn new(page: i64, limit: i64, found: Page) -> Self {
        Self {
            notifications: found.held.into_iter().map(EntryOut::from).collect(),
            pagination: Pagination { page, limit, total: found.counts.total },
            unread_count: found.counts.unread,
        }
    }
}

/// How much was not read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedUnreadCount)]
pub struct UnreadOut {
    /// So much.
    pub unread_count: i64,
}

/// When it was looked at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedRead)]
pub struct ReadOut {
    id: Uuid,
    status: Status,
    read_at: Option<Timestamp>,
}

impl From<Held> for ReadOut {
    fn from(held: Held) -> Self {
        Self { id: held.notification.uuid, status: held.status(), read_at: held.read_at }
    }
}
