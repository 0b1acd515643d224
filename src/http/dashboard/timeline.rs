//! What happened to one notification: on its way to somebody, or to those who have it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract;
use serde_json::json;

use super::session::{Fields, Seat, Viewer};
use super::words::{channel, instant};
use super::{Answer, Dashboard, View};
use crate::domain::{Action, Channel, UserId};
use crate::service::{Error, Step, Timeline, Ways};

struct Stage {
    /// `done`, `not` or `unknown`.
    state: &'static str,
    said: &'static str,
    step: &'static str,
    by: &'static str,
    at: String,
    reason: String,
    /// The socket and the node that told it, or nothing.
    connection: String,
    node: String,
}

/// One of those who have it.
struct Person {
    user: String,
    /// As part of an address.
    user_query: String,
    /// In short: how each stands, and what happened.
    marks: Vec<(&'static str, String)>,
    stages: Vec<Stage>,
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
    people: Vec<Person>,
    /// Whether these are not the first of them.
    is_later: bool,
    next: Option<i64>,
}

#[derive(Template)]
#[template(path = "dashboard/timeline.html")]
struct Page<'a> {
    id: &'a str,
    user: &'a str,
    fault: &'a str,
    found: Option<Found>,
}

const fn state(happened: Option<bool>) -> (&'static str, &'static str) {
    match happened {
        Some(true) => ("done", "happened"),
        Some(false) => ("not", "did not happen"),
        None => ("unknown", "is not known"),
    }
}

impl From<Step> for Stage {
    fn from(step: Step) -> Self {
        let (state, said) = state(step.happened);
        let (connection, node) = step.over.map(|over| (over.connection, over.node)).unwrap_or_default();
        Self {
            state,
            said,
            step: step.step,
            by: step.channel.map_or("", channel),
            at: step.at.map(instant).unwrap_or_default(),
            reason: step.reason,
            connection,
            node,
        }
    }
}

/// What became of it over one channel, in a word; nothing, where it was not to go that way.
fn by_channel(way: Channel, steps: &[Step]) -> Option<(&'static str, String)> {
    let last = steps.iter().rfind(|step| step.channel == Some(way) && !step.is_unasked())?;
    let word = match (way, last.happened) {
        (Channel::Realtime, Some(true)) => "pushed".to_owned(),
        (Channel::Realtime, Some(false)) => "not pushed".to_owned(),
        // It is not confirmed either, which says more.
        (Channel::Realtime, None) => return None,
        (way, Some(true)) => format!("{} {}", channel(way), last.step),
        (way, _) => format!("{} not {}", channel(way), last.step),
    };
    Some((state(last.happened).0, word))
}

/// The marks of somebody whose steps these are.
fn marks(steps: &[Step]) -> Vec<(&'static str, String)> {
    let ways = [Channel::Realtime, Channel::Email, Channel::Push, Channel::Sms];
    let mut marks: Vec<_> = ways.into_iter().filter_map(|way| by_channel(way, steps)).collect();
    let own = steps.iter().filter(|step| ["confirmed", "read", "deleted"].contains(&step.step));
    marks.extend(own.map(|step| match step.happened {
        Some(true) => ("done", step.step.to_owned()),
        _ => ("not", format!("not {}", step.step)),
    }));
    marks
}

impl From<(UserId, Vec<Step>)> for Person {
    fn from((user, steps): (UserId, Vec<Step>)) -> Self {
        Self {
            user: user.as_str().to_owned(),
            user_query: form_urlencoded::byte_serialize(user.as_str().as_bytes()).collect(),
            marks: marks(&steps),
            stages: steps.into_iter().map(Stage::from).collect(),
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
            people: Vec::new(),
            is_later: false,
            next: None,
        }
    }
}

/// Reads it; if nobody is named, of those who have it, behind a place. That somebody looked at another's stands in the audit log
/// before it is shown.
async fn read(
    dashboard: &Dashboard,
    seat: &Seat,
    id: &str,
    user: Option<UserId>,
    after: i64,
) -> Result<Found, Error> {
    let api = &dashboard.api;
    let id = api.inbox.number_of(id.strip_prefix('#').unwrap_or(id)).await?;
    let ways = match user {
        Some(_) => Ways { people: Vec::new(), next: None },
        None => api.explain.ways(&seat.who, id, after).await?,
    };
    let user = match ways.people.as_slice() {
        // It is one person's way.
        [(only, _)] if after == 0 && ways.next.is_none() => Some(only.clone()),
        _ => user,
    };
    let is_named = user.is_some();
    let mut timeline = api.explain.timeline(&seat.who, id, user).await?;
    if is_named || ways.people.is_empty() {
        api.audit.timeline_read(&seat.who, seat.address, id, timeline.recipient.as_ref()).await?;
        return Ok(timeline.into());
    }
    // What is of everybody; whoever looks may be one of them.
    timeline.steps.retain(|step| ["accepted", "scheduled", "cancelled", "spread"].contains(&step.step));
    let about: BTreeSet<String> = ways.people.iter().map(|(user, _)| user.as_str().to_owned()).collect();
    let detail = json!({"notification_id": id});
    api.audit.note_seen(&seat.who, seat.address, Action::TimelineRead, about, &detail).await?;
    Ok(Found {
        recipient: String::new(),
        people: ways.people.into_iter().map(Person::from).collect(),
        is_later: after > 0,
        next: ways.next,
        ..timeline.into()
    })
}

/// `GET /dashboard/timeline`.
pub async fn page(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer, given: Fields) -> Answer {
    let (id, user) = (given.of("id").trim(), given.of("user").trim());
    let after = given.of("after").parse().unwrap_or(0).max(0);
    let person = if user.is_empty() { Ok(None) } else { UserId::new(user).map(Some) };
    let (found, fault) = match (id, person) {
        ("", _) => (None, ""),
        (_, Err(_)) => (None, "This is no name of a recipient: 1 to 128 bytes, no control characters."),
        (id, Ok(person)) => match read(&dashboard, &seat, id, person, after).await {
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
