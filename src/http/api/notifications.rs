//! Sending one, and an inbox.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::wire;
use crate::http::Api;
use crate::http::caller::{Caller, Owner};
use crate::http::input::{Body, Id, Key, Params};
use crate::http::problem::Problem;
use crate::store::Mark;

type Answer<T> = Result<Json<T>, Problem>;

/// `POST /api/notifications`
pub async fn send(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Body(given): Body<wire::SendIn>,
) -> Result<impl IntoResponse, Problem> {
    let draft = given.draft(key)?;
    let sent = api.notify.send(&who, draft).await;
    let receipt = sent.map_err(|fault| Problem::from(fault).respelled(wire::spelled))?;
    let location = format!("/api/v1/notifications/{}", receipt.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(wire::SentOut::from(receipt))))
}

/// `GET /api/notifications`
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::PageOut> {
    let (page, query) = given.query()?;
    let found = api.inbox.list(&recipient, &query).await?;
    Ok(Json(wire::PageOut::new(page, query.limit, found)))
}

/// `GET /api/notifications/unread-count`
pub async fn unread_count(State(api): State<Api>, Owner(recipient): Owner) -> Answer<wire::UnreadOut> {
    let counts = api.inbox.counts(&recipient).await?;
    Ok(Json(wire::UnreadOut { unread_count: counts.unread }))
}

/// `PUT /api/notifications/{id}/read`. A `readAt` in the request is not believed: this server's clock counts.
pub async fn read(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::ReadOut> {
    Ok(Json(api.inbox.change(&recipient, &id, Mark::Read).await?.into()))
}

/// `DELETE /api/notifications/{id}`
pub async fn delete(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Id(id): Id,
) -> Result<StatusCode, Problem> {
    api.inbox.delete(&recipient, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
