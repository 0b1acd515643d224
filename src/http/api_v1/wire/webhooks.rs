//! Webhooks, as they are written.

use super::*;
use crate::delivery::webhooks::message_name;
use crate::domain::{Secret, WebhookEvent};
use crate::store::{Attempt, MessagesSought, Replayed, State, ToldMessage, Webhook, WebhookChange};

/// A new address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = NewWebhook, example = json!({
    "url": "https://app.example.com/hooks/carillon", "events": ["notification.delivered", "notification.failed"]
}))]
pub struct WebhookNewIn {
    /// https, and open to all.
    #[schema(max_length = 2_048)]
    url: String,
    /// What it is for.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// What it is told of; all, if nothing is said.
    #[schema(value_type = Option<Vec<WebhookEvent>>, min_items = 1)]
    events: Option<Vec<String>>,
    /// `whsec_` and 24 to 64 bytes in base64; one is made, if nothing is said.
    #[schema(value_type = Option<String>)]
    secret: Option<Secret>,
}

/// Where it is and what it is for, what it is told of, and its secret.
type Taken = ((String, String), Option<Vec<WebhookEvent>>, Option<Secret>);

impl WebhookNewIn {
    /// All of it.
    ///
    /// # Errors
    /// When an event is unknown.
    pub fn taken(self) -> Result<Taken, Broken> {
        let events = self.events.map(events).transpose()?;
        Ok(((self.url, self.description.unwrap_or_default()), events, self.secret))
    }
}

fn events(names: Vec<String>) -> Result<Vec<WebhookEvent>, Broken> {
    let expected = "a list of notification.sent, notification.delivered, notification.failed, notification.read and \
        security.alert; leave it out for all of notifications";
    let unknown = || Broken { field: "events", expected };
    if names.is_empty() {
        return Err(unknown());
    }
    names.iter().map(|name| WebhookEvent::named(name).ok_or_else(unknown)).collect()
}

/// What is to be different; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = WebhookChange)]
pub struct WebhookChangeIn {
    #[schema(max_length = 2_048)]
    url: Option<String>,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// `null`: all.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<Vec<WebhookEvent>>, min_items = 1)]
    events: Option<Option<Vec<String>>>,
    /// Whether it is told anything. What waited while it was not goes out when it is again.
    enabled: Option<bool>,
}

impl WebhookChangeIn {
    /// It.
    ///
    /// # Errors
    /// When an event is unknown.
    pub fn change(self) -> Result<WebhookChange, Broken> {
        let events = self.events.map(|names| names.map(events).transpose()).transpose()?;
        let Self { url, description, enabled: is_enabled, .. } = self;
        Ok(WebhookChange { url, description, events, is_enabled })
    }
}

/// A new secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = RotateWebhook)]
pub struct RotateIn {
    /// `whsec_` and 24 to 64 bytes in base64; one is made, if nothing is said.
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
}

/// An address. Its secret is not told.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookOut {
    id: i64,
    url: String,
    description: String,
    /// What it is told of; null: all.
    #[schema(value_type = Option<Vec<WebhookEvent>>)]
    events: Option<Vec<&'static str>>,
    enabled: bool,
    /// Why it was disabled, if nobody did it.
    disabled_reason: Option<String>,
    /// Since when it has taken nothing.
    failing_since: Option<Timestamp>,
    /// Until when messages are signed by the former secret, too.
    previous_secret_until: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<Webhook> for WebhookOut {
    fn from(of: Webhook) -> Self {
        Self {
            id: of.id,
            url: of.url,
            description: of.description,
            events: of.events.map(|events| events.iter().map(|event| event.name()).collect()),
            enabled: of.is_enabled,
            disabled_reason: of.disabled_why,
            failing_since: of.failing_since,
            previous_secret_until: of.former_until,
            created_at: of.created_at,
            updated_at: of.updated_at,
        }
    }
}

impl DeletedOut {
    /// An address is told nothing any more.
    pub const TOLD_NO_MORE: Self = Self { detail: "The webhook is told nothing any more." };
}

/// All of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhooks)]
pub struct WebhooksOut {
    pub webhooks: Vec<WebhookOut>,
}

/// One that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookMade)]
pub struct WebhookMadeOut {
    #[serde(flatten)]
    webhook: WebhookOut,
    /// What its messages are signed by. It is told never again.
    secret: String,
}

impl WebhookMadeOut {
    /// Its number.
    pub const fn id(&self) -> i64 {
        self.webhook.id
    }
}

impl From<(Webhook, Secret)> for WebhookMadeOut {
    fn from((webhook, secret): (Webhook, Secret)) -> Self {
        Self { webhook: webhook.into(), secret: secret.expose().to_owned() }
    }
}

/// A secret that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookRotated)]
pub struct RotatedOut {
    /// It is told never again.
    secret: String,
    /// Until then messages are signed by both.
    previous_secret_until: Timestamp,
}

impl From<(Secret, Timestamp)> for RotatedOut {
    fn from((secret, previous_secret_until): (Secret, Timestamp)) -> Self {
        Self { secret: secret.expose().to_owned(), previous_secret_until }
    }
}

/// What was sent to try an address out.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookTested)]
pub struct TestedOut {
    /// Its `webhook-id`.
    pub message_id: String,
}

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessagesIn {
    /// `waiting`, `under_way`, `sent` or `failed`; all, if nothing is said.
    #[param(pattern = "^(waiting|under_way|sent|failed)$")]
    state: Option<String>,
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[param(minimum = 1)]
    cursor: Option<i64>,
}

impl MessagesIn {
    /// These.
    ///
    /// # Errors
    /// When a state is unknown, or the cursor none.
    pub fn sought(&self) -> Result<MessagesSought, Broken> {
        let known = [State::Waiting, State::UnderWay, State::Sent, State::Failed];
        let expected = "waiting, under_way, sent or failed";
        let state = self.state.as_deref().map(|name| {
            known.into_iter().find(|state| state.name() == name).ok_or(Broken { field: "state", expected })
        });
        Ok(MessagesSought { state: state.transpose()?, before: input::number(self.cursor)? })
    }
}

/// One try.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookAttempt)]
struct MessageAttemptOut {
    attempt: i32,
    at: Timestamp,
    took_ms: i32,
    /// `sent`, `failed`, or `waiting`: it was to be tried again.
    outcome: &'static str,
    reason: Option<String>,
}

impl From<Attempt> for MessageAttemptOut {
    fn from(one: Attempt) -> Self {
        let Attempt { number: attempt, at, took_ms, state, reason, .. } = one;
        Self { attempt, at, took_ms, outcome: state.name(), reason }
    }
}

/// What an address was told.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookMessage)]
struct MessageOut {
    /// Its `webhook-id`: the same on each attempt.
    id: String,
    r#type: String,
    timestamp: Timestamp,
    #[schema(value_type = Object)]
    data: Option<Box<RawValue>>,
    /// `waiting`, `under_way`, `sent` or `failed`.
    state: &'static str,
    /// While it waits.
    next_attempt_at: Option<Timestamp>,
    reason: Option<String>,
    attempts: Vec<MessageAttemptOut>,
}

/// A page of them, the latest first.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookMessages)]
pub struct MessagesOut {
    messages: Vec<MessageOut>,
    has_more: bool,
    next_cursor: Option<i64>,
}

impl From<(Vec<ToldMessage>, bool)> for MessagesOut {
    fn from((page, has_more): (Vec<ToldMessage>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.id).filter(|_| has_more);
        let message = |one: ToldMessage| MessageOut {
            id: message_name(&one.uuid),
            r#type: one.event,
            timestamp: one.happened_at,
            data: values::data(one.data),
            state: one.state.name(),
            next_attempt_at: (one.state == State::Waiting).then_some(one.due_at),
            reason: one.reason,
            attempts: one.attempts.into_iter().map(Into::into).collect(),
        };
        Self { messages: page.into_iter().map(message).collect(), has_more, next_cursor }
    }
}

/// What is to be told again: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = ReplayWebhook, example = json!({"since": "2027-01-15T09:00:00Z"}))]
pub struct ReplayIn {
    /// This message, whether it was taken or has failed.
    message_id: Option<String>,
    /// All that has failed of what happened since then.
    #[serde(default, deserialize_with = "values::instant")]
    since: Option<Timestamp>,
}

impl ReplayIn {
    /// It.
    ///
    /// # Errors
    /// When it is not one of the two.
    pub fn which(&self) -> Result<Replayed, Broken> {
        let expected = "msg_ and a UUID, as webhook-id says it";
        let name = |id: &String| Uuid::parse_str(id.strip_prefix("msg_")?).ok();
        match (&self.message_id, self.since) {
            (Some(id), None) => name(id).map(Replayed::One).ok_or(Broken { field: "message_id", expected }),
            (None, Some(at)) => Ok(Replayed::FailedSince(at)),
            _ => Err(Broken { field: "since", expected: "either since or message_id" }),
        }
    }
}

/// How much is told again.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookReplayed)]
pub struct ReplayedOut {
    /// How many messages.
    pub replayed: usize,
    /// Whether some are left, as a few seconds were not enough: ask again.
    pub has_more: bool,
}
