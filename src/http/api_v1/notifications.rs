//! Sending one, and an inbox: listing, finding, marking.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::wire::{self, Unaddressed};
use crate::http::Api;
use crate::http::caller::{Caller, Owner};
use crate::http::input::{self, Body, Id, Key, NoParams, Params, Sent};
use crate::http::problem::Problem;
use crate::http::values;
use crate::service::{Error, Query};
use crate::store::Mark;

/// Days that are counted for whoever does not say how many.
const USUAL_DAYS: u16 = 30;
const MOST_DAYS: u16 = 365;

type Answer<T> = Result<Json<T>, Problem>;

/// Sends a notification: for the caller, unless it says for whom.
#[utoipa::path(
    post,
    path = "/api/v1/notifications",
    tag = "inbox",
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
    let draft = api.notify.counted(given.said(&api.library, &who, Unaddressed::ForCaller, key).await)?;
    let is_own = draft.is_own(who.inbox().as_ref());
    let channels = api.notify.channels(draft.wish.as_ref());
    let receipt = api.notify.send(&who, draft).await?;
    let location = values::location(&who, is_own, &receipt);
    Ok((StatusCode::CREATED, location, Json(wire::SentOut::new(receipt, &channels))))
}

/// Lists the inbox, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    tag = "inbox",
    params(wire::ListIn),
    responses((status = 200, description = "One page.", body = wire::HubPageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::HubPageOut> {
    let query = query(&api, given, "offset").await?;
    let page = api.inbox.list(&recipient, &query).await.map_err(no_cursor)?;
    Ok(Json(page.into()))
}

/// Lists the inbox in the shape of the campus.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/",
    tag = "inbox",
    params(wire::ListIn),
    responses((status = 200, description = "One page.", body = wire::CampusPageOut)),
)]
pub async fn list_for_campus(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::CampusPageOut> {
    let query = query(&api, given, "skip").await?;
    let page = api.inbox.list(&recipient, &query).await.map_err(no_cursor)?;
    Ok(Json(page.into()))
}

/// What a list does not find is what its cursor names.
fn no_cursor(fault: Error) -> Error {
    match fault {
        Error::NotFound => Error::Broken(input::NO_CURSOR),
        other => other,
    }
}

async fn query(api: &Api, given: wire::ListIn, skip: &'static str) -> Result<Query, Problem> {
    let (limit, skip) = input::page(given.limit, given.offset, skip)?;
    let (kind, topic) = (values::wanted(given.r#type, "type")?, values::wanted(given.topic, "topic")?);
    let before = match &given.cursor {
        Some(cursor) => Some(api.inbox.number_of(cursor).await.map_err(no_cursor)?),
        None => None,
    };
    Ok(Query { unread_only: given.unread_only, kind, topic, priority: given.priority, before, skip, limit })
}

/// Counts what was not read.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/unread-count",
    tag = "inbox",
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

/// Counts what came in the last days.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/stats",
    tag = "inbox",
    params(wire::StatsIn),
    responses((status = 200, description = "So much.", body = wire::StatsOut)),
)]
pub async fn stats(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::StatsIn>,
) -> Answer<wire::StatsOut> {
    let days = given.days.unwrap_or(USUAL_DAYS);
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Problem::of_field("days", "1 to 365"));
    }
    Ok(Json(api.inbox.tally(&recipient, days).await?.into()))
}

/// Shows one notification.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/{id}",
    tag = "inbox",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 200, description = "This one.", body = wire::EntryOut)),
)]
pub async fn find(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::EntryOut> {
    Ok(Json(api.inbox.named(&recipient, &id).await?.into()))
}

/// Marks one read, or unread again.
#[utoipa::path(
    put,
    path = "/api/v1/notifications/{id}",
    tag = "inbox",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    request_body = wire::MarkIn,
    responses((status = 200, description = "As it is now.", body = wire::EntryOut)),
)]
pub async fn mark(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Id(id): Id,
    Body(given): Body<wire::MarkIn>,
) -> Answer<wire::EntryOut> {
    let mark = if given.is_read { Mark::Read } else { Mark::Unread };
    Ok(Json(api.inbox.change(&recipient, &id, mark).await?.into()))
}

/// Marks one read.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/{id}/read",
    tag = "inbox",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 200, description = "As it is now.", body = wire::EntryOut)),
)]
pub async fn read(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::EntryOut> {
    Ok(Json(api.inbox.change(&recipient, &id, Mark::Read).await?.into()))
}

/// Marks everything read.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/read-all",
    tag = "inbox",
    responses((status = 200, description = "So much was not read before.", body = wire::ReadAllOut)),
)]
pub async fn read_all(State(api): State<Api>, Owner(recipient): Owner) -> Answer<wire::ReadAllOut> {
    Ok(Json(wire::ReadAllOut::new(api.inbox.read_all(&recipient).await?)))
}

/// Takes one out of sight.
#[utoipa::path(
    delete,
    path = "/api/v1/notifications/{id}",
    tag = "inbox",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 200, description = "It is seen no more.", body = wire::DeletedOut)),
)]
pub async fn delete(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::DeletedOut> {
    api.inbox.delete(&recipient, &id).await?;
    Ok(Json(wire::DeletedOut::GONE))
}
