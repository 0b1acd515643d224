//! One notification's way to somebody.

use askama::Template;
use axum::extract;

use super::session::{Fields, Seat, Viewer};
use super::words::{channel, instant};
use super::{Answer, Dashboard, View};
use crate::domain::UserId;
use crate::service::{Error, Step, Timeline};

struct Stage {
    /// `done`, `not` or `unknown`.
    state: &'static str,
    said: &'static str,
    step: &'static str,
    by: &'static str,
    at: String,
    reason: String,
}

struct Found {
    id: i64,
    uuid: String,
    kind: String,
    topic: String,
    priority: &'static str,
    sender: String,
    recipient: String,
    expires: String,
    stages: Vec<Stage>,
}

#[derive(Template)]
#[template(path = "dashboard/timeline.html")]
struct Page<'a> {
    id: &'a str,
    user: &'a str,
    fault: &'a str,
    found: Option<Found>,
}

impl From<Step> for Stage {
    fn from(step: Step) -> Self {
        let (state, said) = match step.happened {
            Some(true) => ("done", "happened"),
            Some(false) => ("not", "did not happen"),
            None => ("unknown", "is not known"),
        };
        Self {
            state,
            said,
            step: step.step,
            by: step.channel.map_or("", channel),
            at: step.at.map(instant).unwrap_or_default(),
            reason: step.reason,
        }
    }
}

impl From<Timeline> for Found {
    fn from(Timeline { trace, recipient, steps }: Timeline) -> Self {
        Self {
            id: trace.id.0,
            uuid: trace.uuid.to_string(),
            kind: trace.kind,
            topic: trace.topic,
            priority: trace.priority.name(),
            sender: trace.sender.unwrap_or_default(),
            recipient: recipient.map(|user| user.as_str().to_owned()).unwrap_or_default(),
            expires: trace.expires_at.map(instant).unwrap_or_default(),
            stages: steps.into_iter().map(Stage::from).collect(),
        }
    }
}

/// Reads it. That somebody looked at another's stands in the audit log before it is shown.
async fn read(dashboard: &Dashboard, seat: &Seat, id: &str, user: Option<UserId>) -> Result<Found, Error> {
    let api = &dashboard.api;
    let id = api.inbox.number_of(id).await?;
    let timeline = api.explain.timeline(&seat.who, id, user).await?;
    api.audit.timeline_read(&seat.who, seat.address, id, timeline.recipient.as_ref()).await?;
    Ok(timeline.into())
}

/// `GET /dashboard/timeline`.
pub async fn page(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer, given: Fields) -> Answer {
    let (id, user) = (given.of("id").trim(), given.of("user").trim());
    let person = if user.is_empty() { Ok(None) } else { UserId::new(user).map(Some) };
    let (found, fault) = match (id, person) {
        ("", _) => (None, ""),
        (_, Err(_)) => (None, "This is no name of a recipient: 1 to 128 bytes, no control characters."),
        (id, Ok(person)) => match read(&dashboard, &seat, id, person).await {
            Ok(found) => (Some(found), ""),
            Err(Error::NotFound) => (
                None,
                "No notification of this number or UUID is in your tenant. It may have been removed by its age.",
            ),
            Err(fault) => return Err(seat.fault(fault)),
        },
    };
    let body = Page { id, user, fault, found }.render().unwrap_or_default();
    let view = View { title: "Timeline", here: "timeline", live: "", body };
    Ok(view.show(Some(&seat)))
}
