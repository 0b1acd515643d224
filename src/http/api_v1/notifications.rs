//! Sending one, and an inbox: listing, finding, marking.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::wire::{self, Unaddressed};
use crate::http::Api;
use crate::http::caller::{Caller, Owner};
use crate::http::input::{self, Body, Id, Key, Params};
use crate::http::problem::Problem;
use crate::http::values;
use crate::service::Query;
use crate::store::Mark;

type Answer<T> = Result<Json<T>, Problem>;

/// `POST /api/v1/notifications`
pub async fn send(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Body(given): Body<wire::SendIn>,
) -> Result<impl IntoResponse, Problem> {
    let draft = given.draft(&who.tenant, Unaddressed::ForCaller, key)?;
    let receipt = api.notify.send(&who, draft).await?;
    let location = format!("/api/v1/notifications/{}", receipt.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(wire::SentOut::from(receipt))))
}

/// `GET /api/v1/notifications`
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::HubPageOut> {
    let page = api.inbox.list(&recipient, &query(&api, given, "offset").await?).await?;
    Ok(Json(page.into()))
}

/// `GET /api/v1/notifications/`
pub async fn list_for_campus(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::ListIn>,
) -> Answer<wire::CampusPageOut> {
    let page = api.inbox.list(&recipient, &query(&api, given, "skip").await?).await?;
    Ok(Json(page.into()))
}

async fn query(api: &Api, given: wire::ListIn, skip: &'static str) -> Result<Query, Problem> {
    let (limit, skip) = input::page(given.limit, given.offset, skip)?;
    let (kind, topic) = (values::wanted(given.r#type, "type")?, values::wanted(given.topic, "topic")?);
    let before = match &given.cursor {
        Some(cursor) => Some(api.inbox.number_of(cursor).await?),
        None => None,
    };
    Ok(Query { unread_only: given.unread_only, kind, topic, priority: given.priority, before, skip, limit })
}

/// `GET /api/v1/notifications/unread-count`
pub async fn unread_count(State(api): State<Api>, Owner(recipient): Owner) -> Answer<wire::UnreadOut> {
    let counts = api.inbox.counts(&recipient).await?;
    Ok(Json(wire::UnreadOut { unread_count: counts.unread }))
}

/// `GET /api/v1/notifications/{id}`
pub async fn find(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::EntryOut> {
    Ok(Json(api.inbox.named(&recipient, &id).await?.into()))
}

/// `PUT /api/v1/notifications/{id}`
pub async fn mark(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Id(id): Id,
    Body(given): Body<wire::MarkIn>,
) -> Answer<wire::EntryOut> {
    let mark = if given.is_read { Mark::Read } else { Mark::Unread };
    Ok(Json(api.inbox.change(&recipient, &id, mark).await?.into()))
}

/// `POST /api/v1/notifications/{id}/read`
pub async fn read(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::EntryOut> {
    Ok(Json(api.inbox.change(&recipient, &id, Mark::Read).await?.into()))
}

/// `POST /api/v1/notifications/read-all`
pub async fn read_all(State(api): State<Api>, Owner(recipient): Owner) -> Answer<wire::ReadAllOut> {
    Ok(Json(wire::ReadAllOut::new(api.inbox.read_all(&recipient).await?)))
}

/// `DELETE /api/v1/notifications/{id}`
pub async fn delete(State(api): State<Api>, Owner(recipient): Owner, Id(id): Id) -> Answer<wire::DeletedOut> {
    api.inbox.delete(&recipient, &id).await?;
    Ok(Json(wire::DeletedOut::GONE))
}
