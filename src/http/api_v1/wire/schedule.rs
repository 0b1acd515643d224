//! What waits to go out, as it is written.

use super::*;
use crate::domain::Group;
use crate::store::Waiting;

/// When it is to go out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Schedule, example = json!({"scheduled_at": "2030-01-15T09:00:00Z"}))]
pub struct ScheduleIn {
    /// A time to come, at most ten years ahead.
    #[serde(deserialize_with = "values::instant")]
    pub scheduled_at: Option<Timestamp>,
}

/// When it goes out now.
#[derive(Serialize, ToSchema)]
#[schema(as = Scheduled)]
pub struct ScheduledOut {
    /// Its number.
    pub id: NotificationId,
    /// That time.
    pub scheduled_at: Timestamp,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct ScheduledIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last number seen: those before it follow.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
}

/// One that waits to go out.
#[derive(Serialize, ToSchema)]
#[schema(as = Waiting)]
struct WaitingOut {
    id: NotificationId,
    uuid: Uuid,
    /// When it goes out.
    scheduled_at: Timestamp,
    created_at: Timestamp,
    /// The user or named service that sent it.
    sender: Option<String>,
    /// For these users.
    user_ids: Option<Vec<String>>,
    /// For those who have this role.
    role: Option<String>,
    /// For the subscribers of the topic.
    subscribers: bool,
    /// For the whole tenant.
    everyone: bool,
    r#type: String,
    title: String,
    message: String,
    #[schema(value_type = Object)]
    data: Option<Box<RawValue>>,
    topic: Option<String>,
    #[schema(value_type = Priority)]
    priority: &'static str,
    action_url: Option<String>,
    expires_at: Option<Timestamp>,
}

impl From<Waiting> for WaitingOut {
    fn from(Waiting { notification, sender, group, due_at }: Waiting) -> Self {
        let (subscribers, everyone) = (matches!(group, Group::Topic(_)), group == Group::Everyone);
        let (user_ids, role) = match group {
            Group::People(users) => (Some(users), None),
            Group::Role(role) => (None, Some(role)),
            Group::Topic(_) | Group::Everyone => (None, None),
        };
        Self {
            id: notification.id,
            uuid: notification.uuid,
            scheduled_at: due_at,
            created_at: notification.created_at,
            sender,
            user_ids,
            role,
            subscribers,
            everyone,
            r#type: notification.kind,
            title: notification.title,
            message: notification.message,
            data: values::data(notification.data),
            topic: values::some(notification.topic),
            priority: notification.priority.name(),
            action_url: notification.action_url,
            expires_at: notification.expires_at,
        }
    }
}

/// A page of them, those with higher numbers first.
#[derive(Serialize, ToSchema)]
#[schema(as = ScheduledPage)]
pub struct ScheduledPageOut {
    scheduled: Vec<WaitingOut>,
    has_more: bool,
    next_cursor: Option<NotificationId>,
}

impl From<(Vec<Waiting>, bool)> for ScheduledPageOut {
    fn from((page, has_more): (Vec<Waiting>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.notification.id).filter(|_| has_more);
        Self { scheduled: page.into_iter().map(WaitingOut::from).collect(), has_more, next_cursor }
    }
}
