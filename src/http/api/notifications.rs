//! Sending one, and an inbox.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::wire;
use crate::http::Api;
use crate::http::caller::{Caller, Owner};
use crate::http::input::{self, Id, Key, NoParams, Params, Sent};
use crate::http::problem::Problem;
use crate::http::values;
use crate::store::Mark;

type Answer<T> = Result<Json<T>, Problem>;

/// Sends a notification to users, or to the subscribers of a channel.
#[utoipa::path(
    post,
    path = "/api/notifications",
    tag = "feed",
    params(input::KeyHeader),
    request_body = wire::SendIn,
    responses(
        (status = 201, description = "It is durable.", body = wire::SentOut, headers(("Location" = String)))
    ),
)]
pub async fn send(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Sent(given): Sent<wire::SendIn>,
) -> Result<impl IntoResponse, Problem> {
    let draft = api.notify.counted(given.draft(key))?;
    let is_own = draft.is_own(who.inbox().as_ref());
    let sent = api.notify.send(&who, draft).await;
    let receipt = sent.map_err(|fault| Problem::from(fault).respelled(wire::spelled))?;
    Ok((StatusCode::CREATED, values::location(&who, is_own, &receipt), Json(wire::SentOut::from(receipt))))
}

/// Lists the inbox, newest first.
#[utoipa::path(
    get,
    path = "/api/notifications",
    tag = "feed",
    params(wire::ListIn),
    responses((status = 200, description = "One page.", body = wire::PageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::PageOut> {
    let (page, query) = given.query()?;
    let found = api.inbox.list(&recipient, &query).await?;
    Ok(Json(wire::PageOut::new(page, query.limit, found)))
}

/// Counts what was not read.
#[utoipa::path(
    get,
    path = "/api/notifications/unread-count",
    tag = "feed",
    responses((status = 200, description = "So much.", body = wire::UnreadOut), (status = 422)),
)]
pub async fn unread_count(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Answer<wire::UnreadOut> {
    let counts = api.inbox.counts(&recipient).await?;
    Ok(Json(wire::UnreadOut { unread_count: counts.unread }))
}

/// Marks one read. A `readAt` in the request is not believed: this server's clock counts.
#[utoipa::path(
    put,
    path = "/api/notifications/{id}/read",
    tag = "feed",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 200, description = "As it is now.", body = wire::ReadOut)),
)]
pub async fn read(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::ReadOut> {
    Ok(Json(api.inbox.change(&recipient, &id, Mark::Read).await?.into()))
}

/// Takes one out of sight.
#[utoipa::path(
    delete,
    path = "/api/notifications/{id}",
    tag = "feed",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 204, description = "It is seen no more.")),
)]
pub async fn delete(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    api.inbox.delete(&recipient, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
