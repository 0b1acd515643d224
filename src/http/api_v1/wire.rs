//! `/api/v1` as it is written: snake_case, the words of the hub and of the campus.

mod stats;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::domain::{
    Broken, Channel, Draft, Locale, NotificationId, Priority, Status, TemplateName, Tenant, Timestamp, To,
    Zone,
};
use crate::http::input;
use crate::http::values::{self, Category, Label, Name, Outlook};
use crate::service::{Broadcast, Error, Page, Reached, Receipt};
use crate::store::Held;

mod audit;
mod digests;
mod export;
mod looks;
mod marks;
mod privacy;
mod push;
mod recipients;
mod recurring;
mod said;
mod schedule;
mod templates;
mod topics;
mod webhooks;
pub use audit::{AuditIn, AuditPageOut};
pub use digests::{DigestContentOut, DigestIn, DigestOut, DigestPageOut, DigestWantedOut, DigestsIn};
pub use export::ExportWriter;
pub use looks::{LookAtIn, LookIn, SaidOut};
pub use marks::{DeletedOut, MarkIn, ReadAllOut, UnreadOut};
pub use privacy::{
    ComplianceIn, ConsentIn, ConsentsOut, DisclosuresOut, ErasedOut, Form as ComplianceForm, PrivacyPageIn,
    ReportOut,
};
pub use push::{DeviceChangeIn, DeviceIn, DeviceOut, DeviceRegisteredOut, DevicesOut, PushKeyOut};
pub use recipients::{ContactsIn, RecipientOut};
pub use recurring::{RecurringIn, RecurringListIn, RecurringOneOut, RecurringPageOut, RecursOut};
pub use schedule::{ScheduleIn, ScheduledIn, ScheduledOut, ScheduledPageOut};
pub use stats::{StatsIn, StatsOut};
pub use templates::{
    SourcesIn, TemplateKeptOut, TemplateNewIn, TemplateOut, TemplatesOut, VersionIn, VersionsIn, VersionsOut,
};
pub use topics::{SubscribeIn, TopicsOut, UnsubscribeIn};
pub use webhooks::*;

/// For whom it is has not been said.
const NOBODY: &str = "nothing says for whom it is; do, by one of user_id, user_ids, role and everyone";
/// For whom it is has been said in several ways.
const SEVERAL: &str =
    "for whom it is must be said once; leave all but one of user_id, user_ids, role and everyone out";
/// The kind of a broadcast that names none.
const BROADCAST_KIND: &str = "system_message";

/// A notification that somebody writes down, and what else there is to say of it.
macro_rules! written {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $more:ident: $type:ty,)* }) => {
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, expecting = "a JSON object")]
        $(#[$about])*
        pub struct $name {
            /// For this user.
            #[serde(default, deserialize_with = "values::given")]
            #[schema(nullable = false)]
            user_id: Option<Name>,
            /// For these users, at most 1,000.
            #[serde(default, deserialize_with = "values::given")]
            #[schema(nullable = false, max_items = 1_000)]
            user_ids: Option<Vec<Name>>,
            /// For whoever last connected with this role. Also `role_filter`.
            #[serde(default, alias = "role_filter", deserialize_with = "values::given")]
            #[schema(nullable = false, value_type = Option<Label>)]
            role: Option<String>,
            /// For the whole tenant, if true. Also `all`, `broadcast_to_tenant`.
            #[serde(
                default, alias = "all", alias = "broadcast_to_tenant", deserialize_with = "values::given"
            )]
            #[schema(nullable = false)]
            everyone: Option<bool>,
            /// The token's own tenant. If nothing else says for whom: the whole tenant.
            #[serde(default, deserialize_with = "values::given")]
            #[schema(nullable = false)]
            tenant_id: Option<Name>,
            /// The category. If nothing else says for whom: its subscribers.
            #[schema(value_type = Option<Category>)]
            topic: Option<String>,
            /// The sender's kind of notification; required but for broadcasts. Also `notification_type`.
            #[serde(alias = "notification_type")]
            #[schema(value_type = Option<Label>)]
            r#type: Option<String>,
            /// One line.
            #[schema(max_length = 512)]
            title: Option<String>,
            /// The text. A title or a message must be there.
            #[schema(max_length = 32_768)]
            message: Option<String>,
            /// What the client gets to use: an object of at most 65,536 bytes. Also `metadata`.
            #[serde(alias = "metadata")]
            #[schema(value_type = Option<Object>)]
            data: Option<Value>,
            /// How much it matters; `normal` if nothing is said.
            #[serde(default, deserialize_with = "values::priority")]
            priority: Option<Priority>,
            /// Where a click leads: `https:`, `http:`, or a path.
            #[schema(max_length = 2_048, pattern = r"^(https?://|/($|[^/\\]))")]
            action_url: Option<String>,
            /// Any of `in_app` (also `websocket`, `realtime`), `push`, `email` and `sms`; the server's usual ones if nothing is
            /// said.
            channels: Option<Vec<String>>,
            /// How to go on when a socket is not enough.
            escalation: Option<values::EscalationIn>,
            $($(#[$of])* $more: $type,)*
        }
    };
}
use written;

written! {
    /// A notification to be sent.
    #[schema(as = Send, example = json!({
        "user_id": 2, "type": "order_status", "title": "Order shipped", "message": "It is on its way.",
        "topic": "orders", "priority": "high", "action_url": "/orders/5", "data": {"order": 5}
    }))]
    SendIn {
        /// When it goes out, if not at once.
        #[serde(default, deserialize_with = "values::instant")]
        scheduled_at: Option<Timestamp>,
        /// From then on it is not listed.
        #[serde(default, deserialize_with = "values::instant")]
        expires_at: Option<Timestamp>,
        /// The template that says the title and the message, of `data`; whose kind, priority and channels are taken, where
        /// nothing is said. Also `template_id`.
        #[serde(alias = "template_id")]
        #[schema(value_type = Option<String>, max_length = 64, pattern = "^[a-z0-9_-]+(\\.[a-z0-9_-]+)*$")]
        template: Option<TemplateName>,
        /// In which language the template is to speak: `en`, `es-MX`.
        #[schema(value_type = Option<String>)]
        locale: Option<Locale>,
        /// By whose clocks it tells times: an IANA time zone; `UTC`, if nothing is said.
        time_zone: Option<Zone>,
    }
}

/// For whom it is when nothing says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unaddressed {
    /// Whoever sends it; or the subscribers of its topic, or its tenant, if it names one.
    ForCaller,
    /// Everybody.
    ForEveryone,
    /// It is refused: what a neighbour forgot to address is not for all.
    Refused,
}

impl SendIn {
    /// What its sender, of `tenant`, wants.
    ///
    /// # Errors
    /// When it names several audiences or none, another tenant, or a way of delivery that there is not.
    fn draft(
        self,
        tenant: &Tenant,
        unaddressed: Unaddressed,
        idempotency_key: Option<String>,
    ) -> Result<Draft, Error> {
        if self.tenant_id.as_ref().is_some_and(|Name(named)| named.as_str() != tenant.as_str()) {
            return Err(Error::Forbidden(
                "tenant_id is another tenant's: leave it out, or send a token of that tenant",
            ));
        }
        let wish = values::wish(self.channels.as_deref(), self.escalation)?;
        let kind = match unaddressed {
            Unaddressed::ForEveryone => self.r#type.unwrap_or_else(|| BROADCAST_KIND.to_owned()),
            _ => self.r#type.unwrap_or_default(),
        };
        let named = [
            self.user_id.map(|Name(user)| To::Users(vec![user])),
            self.user_ids.map(|names| To::Users(names.into_iter().map(|Name(user)| user).collect())),
            self.role.map(To::Role),
            self.everyone.filter(|all| *all).map(|_| To::Everyone),
        ];
        let usual = match unaddressed {
            Unaddressed::ForEveryone => Some(To::Everyone),
            Unaddressed::Refused => None,
            Unaddressed::ForCaller => match (&self.topic, &self.tenant_id) {
                (Some(topic), _) => Some(To::Topic(topic.clone())),
                (None, Some(_)) => Some(To::Everyone),
                (None, None) => Some(To::Myself),
            },
        };
        let mut named = named.into_iter().flatten();
        let to = match (named.next(), named.next(), usual) {
            (Some(to), None, _) => to,
            (None, None, Some(To::Everyone | To::Myself)) if self.everyone == Some(false) => {
                let expected =
                    "false does not say for whom it is instead; do, by one of user_id, user_ids and role";
                return Err(Broken { field: "everyone", expected }.into());
            }
            (None, None, Some(usual)) => usual,
            (None, None, None) => return Err(Broken { field: "user_id", expected: NOBODY }.into()),
            _ => return Err(Broken { field: "user_id", expected: SEVERAL }.into()),
        };
        Ok(Draft {
            to,
            kind,
            topic: self.topic.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            data: self.data.unwrap_or_else(|| Map::new().into()),
            priority: self.priority.unwrap_or_default(),
            action_url: self.action_url,
            scheduled_at: self.scheduled_at,
            expires_at: self.expires_at,
            wish,
            idempotency_key,
        })
    }
}

/// The answer to one that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Sent)]
pub struct SentOut {
    id: NotificationId,
    uuid: Uuid,
    status: Outlook,
    created_at: Timestamp,
    sent_at: Option<Timestamp>,
    scheduled_at: Option<Timestamp>,
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'static str>,
}

impl SentOut {
    /// What was accepted, and by which channels it goes.
    pub fn new(receipt: Receipt, channels: &[Channel]) -> Self {
        let (status, scheduled_at) = values::outlook(receipt.reached);
        let sent_at = match receipt.reached {
            Reached::Sent(at) => Some(at),
            _ => None,
        };
        let Receipt { id, uuid, created_at, .. } = receipt;
        let channels = channels.iter().copied().map(values::called).collect();
        Self { id, uuid, status, created_at, sent_at, scheduled_at, channels }
    }
}

/// The answer to a broadcast.
#[derive(Serialize, ToSchema)]
#[schema(as = Broadcast)]
pub struct BroadcastOut {
    id: NotificationId,
    uuid: Uuid,
    status: Outlook,
    created_at: Timestamp,
    scheduled_at: Option<Timestamp>,
    total_users: i64,
    sent_count: i64,
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'static str>,
}

impl BroadcastOut {
    /// What was accepted, and by which channels it goes.
    pub fn new(broadcast: Broadcast, channels: &[Channel]) -> Self {
        let Receipt { id, uuid, created_at, .. } = broadcast.receipt;
        let (status, scheduled_at) = values::outlook(broadcast.receipt.reached);
        let (total_users, sent_count) = (broadcast.people, broadcast.reached);
        Self {
            id,
            uuid,
            status,
            created_at,
            scheduled_at,
            total_users,
            sent_count,
            channels: channels.iter().copied().map(values::called).collect(),
        }
    }
}

/// What of an inbox is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct ListIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// How many of the newest are left out. Also `skip`.
    #[serde(alias = "skip")]
    #[param(minimum = 0, maximum = 100_000)]
    pub offset: Option<i64>,
    /// The last one seen, by number or UUID: what came before it follows. Also `before`.
    #[serde(alias = "before")]
    pub cursor: Option<String>,
    /// Whether what was read is left out.
    #[serde(default, deserialize_with = "values::flag")]
    pub unread_only: bool,
    /// Of this kind. Also `notification_type`.
    #[serde(alias = "notification_type")]
    #[param(value_type = Option<Label>)]
    pub r#type: Option<String>,
    /// Of this topic.
    #[param(value_type = Option<Label>)]
    pub topic: Option<String>,
    /// Of this priority.
    #[serde(default, deserialize_with = "values::priority")]
    pub priority: Option<Priority>,
}

/// One entry of an inbox.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct EntryOut {
    id: NotificationId,
    uuid: Uuid,
    r#type: String,
    notification_type: String,
    title: String,
    message: String,
    #[schema(value_type = Object)]
    data: Option<Box<RawValue>>,
    topic: Option<String>,
    #[schema(value_type = Priority)]
    priority: &'static str,
    action_url: Option<String>,
    status: Status,
    is_read: bool,
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
            id: notification.id,
            uuid: notification.uuid,
            notification_type: notification.kind.clone(),
            r#type: notification.kind,
            title: notification.title,
            message: notification.message,
            data: values::data(notification.data),
            topic: values::some(notification.topic),
            priority: notification.priority.name(),
            action_url: notification.action_url,
            status,
            is_read: held.read_at.is_some(),
            created_at: notification.created_at,
            delivered_at: held.confirmed_at,
            read_at: held.read_at,
            expires_at: notification.expires_at,
        }
    }
}

/// A page, in the hub's shape.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationPage)]
pub struct HubPageOut {
    notifications: Vec<EntryOut>,
    total_count: i64,
    unread_count: i64,
    has_more: bool,
    next_cursor: Option<NotificationId>,
}

impl From<Page> for HubPageOut {
    fn from(page: Page) -> Self {
        let last = page.held.last().map(|held| held.notification.id);
        Self {
            next_cursor: last.filter(|_| page.has_more),
            notifications: page.held.into_iter().map(EntryOut::from).collect(),
            total_count: page.counts.total,
            unread_count: page.counts.unread,
            has_more: page.has_more,
        }
    }
}

/// A page, in the campus's shape.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationItems)]
pub struct CampusPageOut {
    items: Vec<EntryOut>,
    total: i64,
    unread_count: i64,
}

impl From<Page> for CampusPageOut {
    fn from(page: Page) -> Self {
        let items = page.held.into_iter().map(EntryOut::from).collect();
        Self { items, total: page.counts.total, unread_count: page.counts.unread }
    }
}
