//! What recurs, as it is written.

use super::*;
use crate::domain::Group;
use crate::service::Wanted;
use crate::store::Recurring;

written! {
    /// A notification that goes out again and again.
    #[schema(as = SendAgainAndAgain)]
    RecurringIn {
        /// When: minute, hour, day of the month, month, day of the week; for services also six fields, with seconds in
        /// front.
        #[schema(max_length = 256, examples("30 9 * * MON-FRI"))]
        cron: String,
        /// By whose clocks: an IANA time zone.
        #[schema(examples("Europe/Athens"))]
        time_zone: String,
        /// Not before.
        #[serde(default, deserialize_with = "values::instant")]
        starts_at: Option<Timestamp>,
        /// From then on no longer.
        #[serde(default, deserialize_with = "values::instant")]
        ends_at: Option<Timestamp>,
    }
}

impl RecurringIn {
    /// What its sender, of `tenant`, wants.
    ///
    /// # Errors
    /// As [`SendIn::draft`].
    pub fn wanted(self, tenant: &Tenant, idempotency_key: Option<String>) -> Result<Wanted, Error> {
        let sent = SendIn {
            user_id: self.user_id,
            user_ids: self.user_ids,
            role: self.role,
            everyone: self.everyone,
            tenant_id: self.tenant_id,
            topic: self.topic,
            r#type: self.r#type,
            title: self.title,
            message: self.message,
            data: self.data,
            priority: self.priority,
            action_url: self.action_url,
            channels: self.channels,
            escalation: self.escalation,
            scheduled_at: None,
            expires_at: None,
            template: None,
            locale: None,
            time_zone: None,
        };
        let (cron, time_zone) = (self.cron, self.time_zone);
        let draft = sent.draft(tenant, Unaddressed::ForCaller, idempotency_key)?;
        Ok(Wanted { draft, cron, time_zone, starts_at: self.starts_at, ends_at: self.ends_at })
    }
}

/// It is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Recurs)]
pub struct RecursOut {
    /// Its number.
    pub id: i64,
    /// When it goes out next.
    pub next_at: Timestamp,
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct RecurringListIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last number seen: those before it follow.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
}

/// One that goes out again and again.
#[derive(Serialize, ToSchema)]
#[schema(as = Recurring)]
pub struct RecurringOut {
    id: i64,
    cron: String,
    time_zone: &'static str,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    created_at: Timestamp,
    /// When it goes out next; nothing, if it is over.
    next_at: Option<Timestamp>,
    /// For when the last one was that went out.
    last_at: Option<Timestamp>,
    /// Its number.
    last_notification_id: Option<NotificationId>,
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
}

impl From<Recurring> for RecurringOut {
    fn from(kept: Recurring) -> Self {
        let new = kept.notification;
        Self {
            id: kept.id,
            cron: kept.recurrence.cron().to_owned(),
            time_zone: kept.recurrence.zone(),
            starts_at: kept.recurrence.starts_at,
            ends_at: kept.recurrence.ends_at,
            created_at: kept.created_at,
            next_at: kept.next_at,
            last_at: kept.last.map(|(_, at)| at),
            last_notification_id: kept.last.map(|(id, _)| id),
            subscribers: matches!(kept.group, Group::Topic(_)),
            everyone: kept.group == Group::Everyone,
            role: match &kept.group {
                Group::Role(role) => Some(role.clone()),
                _ => None,
            },
            user_ids: match kept.group {
                Group::People(users) => Some(users),
                _ => None,
            },
            r#type: new.kind.into_owned(),
            title: new.title,
            message: new.message,
            data: values::data(new.data),
            topic: values::some(new.topic.into_owned()),
            priority: new.priority.name(),
            action_url: new.action_url,
        }
    }
}

/// One, and when it goes out.
#[derive(Serialize, ToSchema)]
#[schema(as = RecurringOne)]
pub struct RecurringOneOut {
    #[serde(flatten)]
    recurring: RecurringOut,
    /// The next few times.
    upcoming: Vec<Timestamp>,
}

impl From<(Recurring, Vec<Timestamp>)> for RecurringOneOut {
    fn from((kept, upcoming): (Recurring, Vec<Timestamp>)) -> Self {
        Self { recurring: kept.into(), upcoming }
    }
}

/// A page of them, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = RecurringPage)]
pub struct RecurringPageOut {
    recurring: Vec<RecurringOut>,
    has_more: bool,
    next_cursor: Option<i64>,
}

impl From<(Vec<Recurring>, bool)> for RecurringPageOut {
    fn from((page, has_more): (Vec<Recurring>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.id).filter(|_| has_more);
        Self { recurring: page.into_iter().map(RecurringOut::from).collect(), has_more, next_cursor }
    }
}
