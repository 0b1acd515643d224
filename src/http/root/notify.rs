//! `POST /notify`: one notification for one person, answered with what became of it on each channel.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Principal;
use crate::domain::{Broken, Channel, Contact, Draft, Hush, Locale, Priority, TemplateName, Timestamp, To};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{self, Key, Sent};
use crate::http::problem::Problem;
use crate::http::values::{self, Name};
use crate::service::{Error, Library, Progress, Prospect, Reached, Receipt};

/// A provider that takes longer is answered for by `queued`.
const PATIENCE: Duration = Duration::from_secs(2);
/// The kind of what names neither a kind nor a template.
const KIND: &str = "notification";

/// A notification for one person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = Notify, example = json!({
    "user_id": "2", "notification_type": "iep_reminder", "title": "Meeting tomorrow", "message": "At two in room A.",
    "channels": ["websocket", "push", "sms"], "priority": "high", "phone_number": "+12025550123"
}))]
pub struct NotifyIn {
    /// For whom; the caller, if nothing is said. Also `to`.
    #[serde(alias = "to")]
    #[schema(nullable = false)]
    user_id: Option<Name>,
    /// The kind of notification. Also `type`.
    #[serde(alias = "type")]
    #[schema(value_type = Option<values::Label>)]
    notification_type: Option<String>,
    /// One line. Also `subject`.
    #[serde(alias = "subject")]
    #[schema(max_length = 512)]
    title: Option<String>,
    /// The text. Also `body`.
    #[serde(alias = "body")]
    #[schema(max_length = 32_768)]
    message: Option<String>,
    /// Any of `websocket` (also `in_app`, `realtime`), `push`, `email` and `sms`; the server's usual ones if nothing is said.
    channels: Option<Vec<String>>,
    /// How to go on when a socket is not enough.
    escalation: Option<values::EscalationIn>,
    /// How much it matters; `normal` if nothing is said. `sms` takes `high` and `critical` only.
    #[serde(default, deserialize_with = "values::priority")]
    priority: Option<Priority>,
    /// What the client, and the template, get to use.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Where a click leads: `https:`, `http:`, or a path.
    #[schema(max_length = 2_048, pattern = r"^(https?://|/($|[^/\\]))")]
    action_url: Option<String>,
    /// What it says, by the name of a template; nothing of `title` and `message` then. Also `template`.
    #[serde(alias = "template")]
    #[schema(value_type = Option<String>, max_length = 64)]
    template_id: Option<TemplateName>,
    /// In which language.
    #[schema(value_type = Option<String>, max_length = 35)]
    locale: Option<Locale>,
    /// Where the text message goes, whatever number is known. Needs the scope `notifications:send`.
    #[schema(max_length = 32)]
    phone_number: Option<String>,
    /// Where the e-mail goes, whatever address is known. Needs the scope `notifications:send`.
    #[schema(max_length = 254)]
    email: Option<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Notified)]
pub struct NotifiedOut {
    notification_id: Uuid,
    /// What became of it on each channel that was asked for: `delivered`, `user_offline`, `no_subscription`,
    /// `no_phone_number`, `bad_phone_number`, `no_email`, `bad_email`, `priority_too_low`, `muted`, `not_needed`, `queued`,
    /// `rate_limited`, `no_consent`, `consent_withdrawn`, `minor_without_guardian`, `contacts_unreadable` or `failed`.
    channels: BTreeMap<String, &'static str>,
    timestamp: Timestamp,
    /// Sockets of the recipient on this node.
    websocket_connections: usize,
    /// Where a raw WebSocket goes on behind it.
    replay_id: String,
    /// When the first of these channels had it, or is expected to have it: after quiet hours, when they end.
    estimated_delivery: Timestamp,
}

impl NotifyIn {
    /// What its sender wants, in the words of the template that it names.
    async fn said(
        mut self,
        library: &Library,
        who: &Principal,
        idempotency_key: Option<String>,
    ) -> Result<Draft, Error> {
        let locale = self.locale.take();
        let Some(name) = self.template_id.take() else { return Ok(self.draft(idempotency_key)?) };
        let template = library.named(&who.tenant, &name).await?;
        self.notification_type.get_or_insert_with(|| template.sources().kind.clone());
        self.priority.get_or_insert(template.sources().priority);
        let mut draft = self.draft(idempotency_key)?;
        library.say(who, &template, &mut draft, locale, None).await?;
        Ok(draft)
    }

    fn draft(self, idempotency_key: Option<String>) -> Result<Draft, Broken> {
        let mut wish = values::wish(self.channels.as_deref(), self.escalation)?;
        if self.phone_number.is_some() || self.email.is_some() {
            let wish = wish.get_or_insert_default();
            wish.phone = self.phone_number.map(Contact::new);
            wish.email = self.email.map(Contact::new);
        }
        Ok(Draft {
            to: self.user_id.map_or(To::Myself, |Name(user)| To::Users(vec![user])),
            kind: self.notification_type.unwrap_or_else(|| KIND.to_owned()),
            topic: String::new(),
            title: self.title.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            data: self.data.unwrap_or_else(|| Map::new().into()),
            priority: self.priority.unwrap_or_default(),
            action_url: self.action_url,
            scheduled_at: None,
            expires_at: None,
            wish,
            idempotency_key,
        })
    }
}

/// Sends a notification to one person; the answer comes when each channel's provider has answered, or after two seconds.
#[utoipa::path(
    post,
    path = "/notify",
    tag = "iep",
    params(input::KeyHeader),
    request_body = NotifyIn,
    responses((status = 200, description = "It is durable; so it stands on each channel.", body = NotifiedOut)),
)]
pub async fn notify(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Sent(given): Sent<NotifyIn>,
) -> Result<Json<NotifiedOut>, Problem> {
    let named = given.channels.clone();
    let draft = api.notify.counted(given.said(&api.library, &who, key).await)?;
    let recipient = match &draft.to {
        To::Users(users) => users.first().map(|user| who.person(user.clone())),
        _ => who.inbox(),
    };
    let asked = api.notify.channels(draft.wish.as_ref());
    let is_beyond = asked.iter().any(|channel| *channel != Channel::Realtime);
    let kept = is_beyond.then(|| draft.clone());
    let receipt = api.notify.send(&who, draft).await?;
    let Some(recipient) = recipient else { return Err(Error::NotFound.into()) };
    let beyond = match is_beyond {
        true => api.outgoing.settled(&who.tenant, receipt.id, &recipient, PATIENCE).await,
        false => HashMap::new(),
    };
    // What follows another step is judged when its turn comes; what can never go is told now.
    let is_open = asked.iter().any(|way| *way != Channel::Realtime && is_queued(beyond.get(way)));
    let barred = match kept.filter(|_| is_open) {
        Some(draft) => barred(&api, &who, draft).await,
        None => HashMap::new(),
    };
    let is_sent = matches!(receipt.reached, Reached::Sent(_));
    let hushed = match asked.contains(&Channel::Realtime) && !is_sent {
        true => api.outgoing.hushed(receipt.id, &recipient).await,
        false => None,
    };
    let outcome = |channel: Channel| match channel {
        Channel::Realtime if is_sent => "delivered",
        Channel::Realtime => hushed.as_ref().map_or("user_offline", word),
        _ => match beyond.get(&channel) {
            Some(known) if !is_queued(Some(known)) => word(known),
            _ => barred.get(&channel).copied().unwrap_or("queued"),
        },
    };
    let channels = match &named {
        Some(named) => {
            named.iter().filter_map(|name| Some((name.clone(), outcome(Channel::named(name)?)))).collect()
        }
        None => {
            asked.iter().map(|channel| (values::spelled(*channel).to_owned(), outcome(*channel))).collect()
        }
    };
    Ok(Json(NotifiedOut {
        notification_id: receipt.uuid,
        channels,
        timestamp: receipt.created_at,
        websocket_connections: api.inbox.sockets(&recipient),
        replay_id: receipt.id.to_string(),
        estimated_delivery: expected(&receipt, beyond.values().chain(&hushed)),
    }))
}

/// Whether a channel of which this is known has yet to have its turn.
fn is_queued(known: Option<&Progress>) -> bool {
    matches!(known, None | Some(Progress::Queued(_)))
}

/// The ways that it cannot go as things stand, and why. It is accepted by now: where that cannot be found out, none is known.
async fn barred(api: &Api, who: &Principal, draft: Draft) -> HashMap<Channel, &'static str> {
    let Ok(preview) = api.explain.preview(who, draft).await else { return HashMap::new() };
    let barred = preview.first.into_iter().filter_map(|(_, channel, prospect)| match prospect {
        Prospect::Skipped(why) => Some((channel, reason(&why))),
        Prospect::Hushed(Hush::Muted(_)) => Some((channel, "muted")),
        _ => None,
    });
    barred.collect()
}

/// When the first of its channels has it, or is expected to have it.
fn expected<'a>(receipt: &Receipt, all: impl Iterator<Item = &'a Progress>) -> Timestamp {
    let time = |progress: &Progress| match progress {
        Progress::Sent => Some(receipt.created_at),
        Progress::Queued(at) => Some(receipt.created_at.max(*at)),
        Progress::Failed(_) | Progress::Skipped(_) | Progress::Cancelled(_) => None,
    };
    match receipt.reached {
        Reached::Sent(at) => at,
        _ => all.filter_map(time).min().unwrap_or(receipt.created_at),
    }
}

fn word(progress: &Progress) -> &'static str {
    match progress {
        Progress::Sent => "delivered",
        Progress::Queued(_) => "queued",
        Progress::Failed(_) => "failed",
        Progress::Cancelled(_) => "not_needed",
        Progress::Skipped(why) if why.starts_with("no_provider") => "failed",
        Progress::Skipped(why) => reason(why),
    }
}

/// The word for why it is passed over.
fn reason(why: &str) -> &'static str {
    let known = [
        "no_subscription",
        "no_phone_number",
        "bad_phone_number",
        "no_email",
        "bad_email",
        "priority_too_low",
        "rate_limited",
        "no_consent",
        "consent_withdrawn",
        "minor_without_guardian",
        "contacts_unreadable",
    ];
    known.into_iter().find(|word| why.starts_with(word)).unwrap_or("muted")
}
