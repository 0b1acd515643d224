//! Why something reached somebody, or did not; and who would get what.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::wire::{SendIn, Unaddressed};
use crate::domain::{Action, Channel, Hush, NotificationId, Timestamp, UserId};
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{Body, Id, Params};
use crate::http::problem::Problem;
use crate::http::values::{self, Name};
use crate::service::{Preview, Prospect, Step, Timeline};

/// Of whom a timeline is asked for.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineIn {
    /// The recipient; the caller, if nothing is said. Another's is for services.
    user_id: Option<Name>,
}

/// One step of the way; or why it was not taken.
#[derive(Serialize, ToSchema)]
#[schema(as = Step)]
struct StepOut {
    /// `accepted`, `scheduled`, `cancelled`, `spread`, `stored`, `sent`, `confirmed`, `read`, `deleted`, `expired`.
    step: &'static str,
    /// `in_app`, `push`, `email`, `sms`, where it is by one.
    channel: Option<&'static str>,
    /// When, as far as that is known.
    at: Option<Timestamp>,
    /// Whether it happened; null, where that is not known here.
    happened: Option<bool>,
    /// How, or why not; its words may change.
    reason: String,
    /// The socket that took it, by the beginning of its name, as in the log; only for services and whoever may watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    connection: Option<String>,
    /// The node whose socket that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    node: Option<String>,
}

impl From<Step> for StepOut {
    fn from(Step { step, channel, at, happened, reason, over }: Step) -> Self {
        let (connection, node) = over.map(|over| (over.connection, over.node)).unzip();
        Self { step, channel: channel.map(values::called), at, happened, reason, connection, node }
    }
}

/// A notification's way to one person.
#[derive(Serialize, ToSchema)]
#[schema(as = Timeline)]
pub struct TimelineOut {
    id: NotificationId,
    uuid: Uuid,
    r#type: String,
    topic: Option<String>,
    /// To whom; nothing, if that was not said.
    #[schema(value_type = Option<String>)]
    user_id: Option<String>,
    /// In their order.
    steps: Vec<StepOut>,
}

impl From<Timeline> for TimelineOut {
    fn from(Timeline { trace, recipient, steps }: Timeline) -> Self {
        Self {
            id: trace.id,
            uuid: trace.uuid,
            r#type: trace.kind,
            topic: values::some(trace.topic),
            user_id: recipient.map(|user| user.as_str().to_owned()),
            steps: steps.into_iter().map(StepOut::from).collect(),
        }
    }
}

/// Tells each step of a notification's way to somebody, and why others were not taken.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/{id}/timeline",
    tag = "explain",
    params(("id" = String, Path, description = "Its number, or its UUID"), TimelineIn),
    responses((status = 200, description = "The steps.", body = TimelineOut)),
)]
pub async fn timeline(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Id(id): Id,
    Params(given): Params<TimelineIn>,
) -> Result<Json<TimelineOut>, Problem> {
    let id = api.inbox.number_of(&id).await?;
    let user = given.user_id.map(|Name(user)| user);
    let timeline = api.explain.timeline(&who, id, user).await?;
    api.audit.timeline_read(&who, address, id, timeline.recipient.as_ref()).await?;
    Ok(Json(timeline.into()))
}

/// What would happen on one of somebody's channels.
#[derive(Serialize, ToSchema)]
#[schema(as = Prospect)]
struct ProspectOut {
    user_id: String,
    /// By which channel: `in_app`, `push`, `email`, `sms`.
    channel: &'static str,
    /// `sent`, `stored` (nobody is there: on return), `scheduled`, `escalates` (then, if nothing before it was enough),
    /// `deferred` (quiet hours), `muted`, `skipped` (it cannot go this way), or `expired` (quiet hours last longer).
    outcome: &'static str,
    /// When, if it is later.
    at: Option<Timestamp>,
    /// Why not at once.
    #[schema(value_type = Option<String>)]
    reason: Option<Cow<'static, str>>,
}

impl From<(UserId, Channel, Prospect)> for ProspectOut {
    fn from((user, channel, prospect): (UserId, Channel, Prospect)) -> Self {
        let (outcome, at, reason): (_, _, Option<Cow<'static, str>>) = match prospect {
            Prospect::Sent => ("sent", None, None),
            Prospect::Stored => ("stored", None, Some("no socket of the recipient is connected".into())),
            Prospect::Scheduled(at) => ("scheduled", Some(at), Some("it was asked for then".into())),
            Prospect::Escalates(at) => {
                ("escalates", Some(at), Some("if nothing before it was enough by then".into()))
            }
            Prospect::Hushed(Hush::Quiet(until)) => ("deferred", Some(until), Some("quiet hours".into())),
            Prospect::Expired(_) => ("expired", None, Some("it expires before quiet hours are over".into())),
            Prospect::Hushed(Hush::Muted(muted)) => ("muted", None, Some(muted.reason().into())),
            Prospect::Skipped(why) => ("skipped", None, Some(why)),
        };
        Self { user_id: user.as_str().to_owned(), channel: values::called(channel), outcome, at, reason }
    }
}

/// What a notification would do.
#[derive(Serialize, ToSchema)]
#[schema(as = Preview)]
pub struct PreviewOut {
    /// When it would go out, if not at once.
    scheduled_at: Option<Timestamp>,
    /// How many people it is for.
    total_users: i64,
    /// The first 100 of them, on each channel that is asked for; `in_app` in any case.
    recipients: Vec<ProspectOut>,
}

impl From<Preview> for PreviewOut {
    fn from(Preview { due_at, people, first, .. }: Preview) -> Self {
        let recipients = first.into_iter().map(ProspectOut::from).collect();
        Self { scheduled_at: due_at, total_users: people, recipients }
    }
}

/// Tells who would get a notification, when and how. It is checked as if it were sent, and nothing of it is stored.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/preview",
    tag = "explain",
    request_body = SendIn,
    responses((status = 200, description = "What would happen.", body = PreviewOut)),
)]
pub async fn preview(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Body(given): Body<SendIn>,
) -> Result<Json<PreviewOut>, Problem> {
    let draft = given.said(&api.library, &who, Unaddressed::ForCaller, None).await?;
    let preview = api.explain.preview(&who, draft).await?;
    let own = who.inbox().map(|own| own.user);
    let is_own = preview.people == 1 && preview.first.iter().all(|(user, ..)| Some(user) == own.as_ref());
    if !is_own {
        let detail = json!({"total_users": preview.people});
        api.audit.note(&who, address, Action::PreviewRead, preview.subject.clone(), &detail).await?;
    }
    Ok(Json(preview.into()))
}
