//! What failed over channels that are not sockets, and trying it again; for administrators.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::domain::{Action, NotificationId, Timestamp};
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{self, DeliveryId, NoParams, Params};
use crate::http::problem::Problem;
use crate::store::{Attempt, Delivery};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct FailedIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// The last number seen: those before it follow.
    #[param(minimum = 1)]
    cursor: Option<i64>,
}

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct RetryIn {
    /// `next_cursor`, as it was answered: those before it follow.
    #[param(minimum = 1)]
    cursor: Option<i64>,
}

/// One try.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptOut {
    attempt: i32,
    at: Timestamp,
    took_ms: i32,
    provider: String,
    /// `sent`, `failed`, or `waiting`: it was tried again.
    outcome: &'static str,
    reason: Option<String>,
}

/// A delivery that failed.
#[derive(Serialize, ToSchema)]
#[schema(as = FailedDelivery)]
struct FailedOut {
    id: i64,
    notification_id: NotificationId,
    r#type: String,
    user_id: String,
    channel: &'static str,
    reason: Option<String>,
    created_at: Timestamp,
    failed_at: Option<Timestamp>,
    attempts: Vec<AttemptOut>,
}

/// What failed.
#[derive(Serialize, ToSchema)]
#[schema(as = FailedDeliveries)]
pub struct FailedPageOut {
    deliveries: Vec<FailedOut>,
    /// The cursor of the next page; nothing, if this is the last.
    next_cursor: Option<i64>,
}

/// What is tried again.
#[derive(Serialize, ToSchema)]
#[schema(as = Retried)]
pub struct RetriedOut {
    /// How many deliveries.
    retried: usize,
    /// Where to go on, if there were more than a few seconds are enough for.
    next_cursor: Option<i64>,
}

impl From<(Delivery, Vec<Attempt>)> for FailedOut {
    fn from((delivery, attempts): (Delivery, Vec<Attempt>)) -> Self {
        let attempt = |one: Attempt| AttemptOut {
            attempt: one.number,
            at: one.at,
            took_ms: one.took_ms,
            provider: one.provider,
            outcome: one.state.name(),
            reason: one.reason,
        };
        Self {
            id: delivery.id,
            notification_id: delivery.notification,
            r#type: delivery.kind,
            user_id: delivery.user,
            channel: delivery.channel.name(),
            reason: delivery.reason,
            created_at: delivery.created_at,
            failed_at: delivery.finished_at,
            attempts: attempts.into_iter().map(attempt).collect(),
        }
    }
}

/// Lists what has failed for good, the latest first, with each attempt.
#[utoipa::path(
    get,
    path = "/api/v1/deliveries/failed",
    tag = "deliveries",
    params(FailedIn),
    responses((status = 200, description = "One page.", body = FailedPageOut)),
)]
pub async fn failed(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Params(given): Params<FailedIn>,
) -> Result<Json<FailedPageOut>, Problem> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    let found = api.outgoing.failed(&who, input::number(given.cursor)?, limit + 1).await?;
    let asked = json!({"cursor": given.cursor});
    let people = found.iter().map(|(delivery, _)| delivery.user.clone()).collect();
    api.audit.note_seen(&who, address, Action::FailuresRead, people, &asked).await?;
    let more = i64::try_from(found.len()).is_ok_and(|many| many > limit);
    let mut deliveries: Vec<FailedOut> = found.into_iter().map(Into::into).collect();
    deliveries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = deliveries.last().map(|last| last.id).filter(|_| more);
    Ok(Json(FailedPageOut { deliveries, next_cursor }))
}

/// Tries one that has failed again.
#[utoipa::path(
    post,
    path = "/api/v1/deliveries/{id}/retry",
    tag = "deliveries",
    params(("id" = i64, Path, description = "Its number.", minimum = 1)),
    responses((status = 200, description = "It is tried again.", body = RetriedOut), (status = 404)),
)]
pub async fn retry(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    DeliveryId(id): DeliveryId,
    _: NoParams,
) -> Result<Json<RetriedOut>, Problem> {
    Ok(Json(RetriedOut { retried: api.outgoing.retry(&who, address, id).await?, next_cursor: None }))
}

/// Tries all that has failed again, the latest first, for a few seconds; `next_cursor` says where to go on.
#[utoipa::path(
    post,
    path = "/api/v1/deliveries/failed/retry",
    tag = "deliveries",
    params(RetryIn),
    responses((status = 200, description = "They are tried again.", body = RetriedOut), (status = 422)),
)]
pub async fn retry_all(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Params(given): Params<RetryIn>,
) -> Result<Json<RetriedOut>, Problem> {
    let (retried, next_cursor) = api.outgoing.retry_all(&who, address, input::number(given.cursor)?).await?;
    Ok(Json(RetriedOut { retried, next_cursor }))
}
