//! What goes out again and again.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::wire;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{self, Body, Key, Params, RecurringId};
use crate::http::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// Lets a notification go out again and again; for whom, as when it is sent once. People have their own; services share
/// those of their tenant.
#[utoipa::path(
    post,
    path = "/api/v1/recurring",
    tag = "recurring",
    params(input::KeyHeader),
    request_body = wire::RecurringIn,
    responses(
        (status = 201, description = "It goes out from now on.", body = wire::RecursOut, headers(("Location" = String))),
        (status = 409)
    ),
)]
pub async fn begin(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Body(given): Body<wire::RecurringIn>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = given.wanted(&who.tenant, key)?;
    let (id, next_at) = api.recurrings.keep(&who, None, wanted).await?;
    let location = format!("/api/v1/recurring/{id}");
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(wire::RecursOut { id, next_at })))
}

/// Lists them, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/recurring",
    tag = "recurring",
    params(wire::RecurringListIn),
    responses((status = 200, description = "One page.", body = wire::RecurringPageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Caller(who): Caller,
    Params(given): Params<wire::RecurringListIn>,
) -> Answer<wire::RecurringPageOut> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    Ok(Json(api.recurrings.list(&who, input::number(given.cursor)?, limit).await?.into()))
}

/// Shows one, the next times at which it goes out, and what went out last.
#[utoipa::path(
    get,
    path = "/api/v1/recurring/{id}",
    tag = "recurring",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "This one.", body = wire::RecurringOneOut)),
)]
pub async fn find(
    State(api): State<Api>,
    Caller(who): Caller,
    RecurringId(id): RecurringId,
) -> Answer<wire::RecurringOneOut> {
    Ok(Json(api.recurrings.find(&who, id).await?.into()))
}

/// Puts another one in its place.
#[utoipa::path(
    put,
    path = "/api/v1/recurring/{id}",
    tag = "recurring",
    params(("id" = i64, Path, description = "Its number")),
    request_body = wire::RecurringIn,
    responses((status = 200, description = "So it goes out from now on.", body = wire::RecursOut)),
)]
pub async fn change(
    State(api): State<Api>,
    Caller(who): Caller,
    RecurringId(id): RecurringId,
    Body(given): Body<wire::RecurringIn>,
) -> Answer<wire::RecursOut> {
    let wanted = given.wanted(&who.tenant, None)?;
    let (id, next_at) = api.recurrings.keep(&who, Some(id), wanted).await?;
    Ok(Json(wire::RecursOut { id, next_at }))
}

/// Lets it go out no more. What has gone out stays.
#[utoipa::path(
    delete,
    path = "/api/v1/recurring/{id}",
    tag = "recurring",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "It goes out no more.", body = wire::DeletedOut)),
)]
pub async fn cease(
    State(api): State<Api>,
    Caller(who): Caller,
    RecurringId(id): RecurringId,
) -> Answer<wire::DeletedOut> {
    api.recurrings.cease(&who, id).await?;
    Ok(Json(wire::DeletedOut::CEASED))
}
