//! The caller's browsers that take pushes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::wire;
use crate::http::Api;
use crate::http::caller::{Owner, Whence};
use crate::http::input::{Body, DeviceId, NoParams};
use crate::http::problem::Problem;
use crate::store::WhichDevice;

fn spelled(field: &str) -> &str {
    match field {
        "p256dh" => "p256dh_key",
        "auth" => "auth_key",
        field => field,
    }
}

/// The key that pages show to their browsers' push services: `applicationServerKey`. Needs no token.
#[utoipa::path(
    get,
    path = "/api/v1/push/vapid-public-key",
    tag = "push",
    security(()),
    responses((status = 200, description = "The key.", body = wire::PushKeyOut), (status = 422), (status = 503)),
)]
pub async fn public_key(State(api): State<Api>, _: NoParams) -> Result<Json<wire::PushKeyOut>, Problem> {
    Ok(Json(wire::PushKeyOut { public_key: api.devices.public_key()?.to_owned() }))
}

/// Registers a browser of the caller's; whoever it belonged to before gets nothing there any more.
#[utoipa::path(
    post,
    path = "/api/v1/push/subscribe",
    tag = "push",
    request_body = wire::DeviceIn,
    responses(
        (status = 201, description = "It is registered.", body = wire::DeviceRegisteredOut),
        (status = 409)
    ),
)]
pub async fn subscribe(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    Body(given): Body<wire::DeviceIn>,
) -> Result<(StatusCode, Json<wire::DeviceRegisteredOut>), Problem> {
    let registered = api.devices.register(&recipient, given.device()?, address).await;
    let id = registered.map_err(|fault| Problem::from(fault).respelled(spelled))?;
    Ok((StatusCode::CREATED, Json(wire::DeviceRegisteredOut { id, status: "subscribed" })))
}

/// Lists the caller's browsers.
#[utoipa::path(
    get,
    path = "/api/v1/push/subscriptions",
    tag = "push",
    responses((status = 200, description = "All of them.", body = wire::DevicesOut), (status = 422)),
)]
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Result<Json<wire::DevicesOut>, Problem> {
    let subscriptions = api.devices.of(&recipient).await?.into_iter().map(Into::into).collect();
    Ok(Json(wire::DevicesOut { subscriptions }))
}

/// Changes what one of the caller's browsers gets; what is not named stays.
#[utoipa::path(
    put,
    path = "/api/v1/push/subscriptions/{id}",
    tag = "push",
    params(("id" = i64, Path, description = "Its number")),
    request_body = wire::DeviceChangeIn,
    responses((status = 200, description = "So it is now.", body = wire::DeviceOut)),
)]
pub async fn change(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    DeviceId(id): DeviceId,
    Body(given): Body<wire::DeviceChangeIn>,
) -> Result<Json<wire::DeviceOut>, Problem> {
    Ok(Json(api.devices.change(&recipient, id, given.into(), address).await?.into()))
}

/// Takes one of the caller's browsers away.
#[utoipa::path(
    delete,
    path = "/api/v1/push/subscriptions/{id}",
    tag = "push",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "It gets nothing any more.", body = wire::DeletedOut)),
)]
pub async fn remove(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    DeviceId(id): DeviceId,
) -> Result<Json<wire::DeletedOut>, Problem> {
    api.devices.remove(&recipient, WhichDevice::Number(id), address).await?;
    Ok(Json(wire::DeletedOut::UNSUBSCRIBED))
}
