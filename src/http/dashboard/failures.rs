//! What was given up, and trying it again.

use askama::Template;
use axum::extract::{self, Path};
use serde_json::json;

use super::session::{Fields, Form, Operator, Seat, Viewer};
use super::words::{self, ago, channel, count, counted, instant};
use super::{Answer, Dashboard, Parted, View, parted, see};
use crate::domain::{Action, Timestamp};
use crate::service::Error;
use crate::store::{Attempt, Delivery};

/// Failures on a page.
const PAGE: i64 = 25;

struct Tried {
    number: i32,
    at: String,
    took: String,
    provider: String,
    outcome: &'static str,
    reason: String,
}

struct Failed {
    id: i64,
    notification: i64,
    kind: String,
    user: String,
    /// As part of an address.
    user_query: String,
    channel: &'static str,
    reason: String,
    at: String,
    ago: String,
    tried: Vec<Tried>,
}

#[derive(Template)]
#[template(path = "dashboard/failures.html")]
struct List {
    failed: Vec<Failed>,
    many: String,
    is_first: bool,
    older: Option<i64>,
    may_retry: bool,
}

#[derive(Template)]
#[template(path = "dashboard/lately.html")]
struct Lately {
    failed: Vec<Failed>,
    many: String,
    may_retry: bool,
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn failed(now: Timestamp, (one, attempts): (Delivery, Vec<Attempt>)) -> Failed {
    let at = one.finished_at.unwrap_or(one.created_at);
    let tried = |attempt: Attempt| Tried {
        number: attempt.number,
        at: instant(attempt.at),
        took: words::millis(Some(attempt.took_ms.into())),
        provider: attempt.provider,
        outcome: if attempt.state.name() == "waiting" { "to be tried again" } else { attempt.state.name() },
        reason: attempt.reason.unwrap_or_default(),
    };
    Failed {
        id: one.id,
        notification: one.notification.0,
        kind: one.kind,
        user_query: encoded(&one.user),
        user: one.user,
        channel: channel(one.channel),
        reason: one.reason.unwrap_or_else(|| "no reason was given".to_owned()),
        at: instant(at),
        // Minutes are enough: what does not change is not told anew.
        ago: if now.seconds_since(at) < 60.0 { "just now".to_owned() } else { ago(at, now) },
        tried: attempts.into_iter().map(tried).collect(),
    }
}

/// Those behind a number, and the number of the last, if there are more.
async fn some(
    dashboard: &Dashboard,
    seat: &Seat,
    before: Option<i64>,
    limit: i64,
) -> Result<(Vec<Failed>, Option<i64>), Error> {
    let mut found = dashboard.api.outgoing.failed(&seat.who, before, limit + 1).await?;
    let has_more = i64::try_from(found.len()).is_ok_and(|many| many > limit);
    found.truncate(usize::try_from(limit).unwrap_or(0));
    let now = dashboard.watch.now();
    let all: Vec<Failed> = found.into_iter().map(|one| failed(now, one)).collect();
    let last = all.last().map(|last| last.id).filter(|_| has_more);
    Ok((all, last))
}

/// The latest, for the overview.
pub async fn lately(dashboard: &Dashboard, seat: &Seat, many: i64, limit: i64) -> Result<String, Error> {
    let (failed, _) = some(dashboard, seat, None, limit).await?;
    let many = counted(many.max(i64::try_from(failed.len()).unwrap_or(0)));
    Ok(Lately { many, failed, may_retry: seat.who.can_retry() }.render().unwrap_or_default())
}

/// What is told anew.
pub async fn parts(dashboard: &Dashboard, seat: &Seat, before: Option<i64>) -> Result<Parted, Error> {
    let (failed, older) = some(dashboard, seat, before, PAGE).await?;
    let (_, many) = dashboard.watch.today(&seat.who).await?;
    let many = match (older, before) {
        // All of them are here.
        (None, None) => count(i64::try_from(failed.len()).unwrap_or(0)),
        _ => counted(many),
    };
    let list = List { failed, many, is_first: before.is_none(), older, may_retry: seat.who.can_retry() };
    Ok(vec![("failed", list.render().unwrap_or_default())])
}

/// `GET /dashboard/failures`.
pub async fn page(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer, given: Fields) -> Answer {
    let before = given.of("before").parse().ok().filter(|before: &i64| *before > 0);
    let audit = &dashboard.api.audit;
    let asked = json!({"cursor": before});
    let noted = audit.note(&seat.who, seat.address, Action::FailuresRead, None, &asked).await;
    noted.map_err(|fault| seat.fault(fault))?;
    let parts = parts(&dashboard, &seat, before).await.map_err(|fault| seat.fault(fault))?;
    let notice = match given.of("retried").parse::<u32>() {
        Ok(0) => "Nothing was left to be tried again.".to_owned(),
        Ok(1) => "1 delivery is tried again. What fails anew comes back here.".to_owned(),
        Ok(many) => {
            format!("{} deliveries are tried again. What fails anew comes back here.", count(many.into()))
        }
        Err(_) => String::new(),
    };
    let lead = "Deliveries beyond sockets that were given up, the latest first. Their notifications are in the inboxes all the \
                same.";
    let body = parted("Failures", lead, &notice, &parts);
    // Older pages stay as they are.
    let live = if before.is_none() { "failures" } else { "" };
    Ok(View { title: "Failures", here: "failures", live, body }.show(Some(&seat)))
}

/// `POST /dashboard/failures/{id}/retry`.
pub async fn retry(
    dashboard: extract::State<Dashboard>,
    Operator(seat): Operator,
    Path(id): Path<String>,
    _: Form,
) -> Answer {
    let id = id.parse().map_err(|_| seat.fault(Error::NoSuchDelivery))?;
    let many =
        dashboard.api.outgoing.retry(&seat.who, seat.address, id).await.map_err(|fault| seat.fault(fault))?;
    Ok(see(&format!("/dashboard/failures?retried={many}")))
}

/// `POST /dashboard/failures/retry`: all of them, for a few seconds.
pub async fn retry_all(dashboard: extract::State<Dashboard>, Operator(seat): Operator, _: Form) -> Answer {
    let (many, _) = dashboard
        .api
        .outgoing
        .retry_all(&seat.who, seat.address, None)
        .await
        .map_err(|fault| seat.fault(fault))?;
    Ok(see(&format!("/dashboard/failures?retried={many}")))
}
