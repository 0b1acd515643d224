//! Who is told what becomes of the tenant's notifications; for administrators.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::wire;
use crate::delivery::webhooks::message_name;
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{self, Body, NoParams, Params, WebhookId};
use crate::http::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// Lists them, in the order in which they were made.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks",
    tag = "webhooks",
    responses((status = 200, description = "All of them.", body = wire::WebhooksOut), (status = 422)),
)]
pub async fn list(State(api): State<Api>, Caller(who): Caller, _: NoParams) -> Answer<wire::WebhooksOut> {
    let webhooks = api.hooks.list(&who).await?.into_iter().map(Into::into).collect();
    Ok(Json(wire::WebhooksOut { webhooks }))
}

/// Tells an address from now on. Its secret is shown in this answer only.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks",
    tag = "webhooks",
    request_body = wire::WebhookNewIn,
    responses(
        (status = 201, description = "It is told from now on.", body = wire::WebhookMadeOut, headers(("Location" = String))),
        (status = 409)
    ),
)]
pub async fn make(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Body(given): Body<wire::WebhookNewIn>,
) -> Result<impl IntoResponse, Problem> {
    let (place, events, secret) = given.taken()?;
    let made: wire::WebhookMadeOut = api.hooks.make(&who, address, place, events, secret).await?.into();
    let location = format!("/api/v1/webhooks/{}", made.id());
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(made)))
}

/// Shows one.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "This one.", body = wire::WebhookOut)),
)]
pub async fn find(
    State(api): State<Api>,
    Caller(who): Caller,
    WebhookId(id): WebhookId,
) -> Answer<wire::WebhookOut> {
    Ok(Json(api.hooks.find(&who, id).await?.into()))
}

/// Changes one; what is not named stays.
#[utoipa::path(
    put,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    request_body = wire::WebhookChangeIn,
    responses((status = 200, description = "So it is now.", body = wire::WebhookOut)),
)]
pub async fn change(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    WebhookId(id): WebhookId,
    Body(given): Body<wire::WebhookChangeIn>,
) -> Answer<wire::WebhookOut> {
    Ok(Json(api.hooks.change(&who, address, id, given.change()?).await?.into()))
}

/// Tells one nothing any more.
#[utoipa::path(
    delete,
    path = "/api/v1/webhooks/{id}",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "It is told nothing any more.", body = wire::DeletedOut)),
)]
pub async fn remove(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    WebhookId(id): WebhookId,
) -> Answer<wire::DeletedOut> {
    api.hooks.remove(&who, address, id).await?;
    Ok(Json(wire::DeletedOut::TOLD_NO_MORE))
}

/// Signs by a new secret, which is shown in this answer only; for a while by the former one, too.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/rotate",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    request_body = wire::RotateIn,
    responses((status = 200, description = "It signs from now on.", body = wire::RotatedOut)),
)]
pub async fn rotate(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    WebhookId(id): WebhookId,
    Body(given): Body<wire::RotateIn>,
) -> Answer<wire::RotatedOut> {
    Ok(Json(api.hooks.rotate(&who, address, id, given.secret).await?.into()))
}

/// Tries one out: it is sent a `webhook.test`.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/test",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 202, description = "It is on its way.", body = wire::TestedOut)),
)]
pub async fn test(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    WebhookId(id): WebhookId,
    _: NoParams,
) -> Result<(StatusCode, Json<wire::TestedOut>), Problem> {
    let message_id = message_name(&api.hooks.test(&who, address, id).await?);
    Ok((StatusCode::ACCEPTED, Json(wire::TestedOut { message_id })))
}

/// Lists what one was told, the latest first, with each attempt.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/messages",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number"), wire::MessagesIn),
    responses((status = 200, description = "One page.", body = wire::MessagesOut)),
)]
pub async fn messages(
    State(api): State<Api>,
    Caller(who): Caller,
    WebhookId(id): WebhookId,
    Params(given): Params<wire::MessagesIn>,
) -> Answer<wire::MessagesOut> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    Ok(Json(api.hooks.messages(&who, id, given.sought()?, limit).await?.into()))
}

/// Tells one again: one message, or all that has failed since a time.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{id}/replay",
    tag = "webhooks",
    params(("id" = i64, Path, description = "Its number")),
    request_body = wire::ReplayIn,
    responses((status = 200, description = "They are sent again.", body = wire::ReplayedOut)),
)]
pub async fn replay(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    WebhookId(id): WebhookId,
    Body(given): Body<wire::ReplayIn>,
) -> Answer<wire::ReplayedOut> {
    let (replayed, has_more) = api.hooks.replay(&who, address, id, given.which()?).await?;
    Ok(Json(wire::ReplayedOut { replayed, has_more }))
}
