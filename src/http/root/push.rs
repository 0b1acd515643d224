//! The caller's browsers that take pushes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::wire;
use crate::domain::Recipient;
use crate::http::Api;
use crate::http::caller::{Owner, Whence};
use crate::http::input::{Body, NoParams, Params};
use crate::http::problem::Problem;
use crate::service::Error;
use crate::store::WhichDevice;

type Answer = Result<Json<wire::StatusOut>, Problem>;

/// Registers a browser of the caller's, by what `pushManager.subscribe` gave.
#[utoipa::path(
    post,
    path = "/push/subscribe",
    tag = "iep",
    request_body = wire::SubscriptionIn,
    responses((status = 201, description = "It is registered.", body = wire::StatusOut), (status = 409), (status = 503)),
)]
pub async fn subscribe(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    Body(given): Body<wire::SubscriptionIn>,
) -> Result<(StatusCode, Json<wire::StatusOut>), Problem> {
    let id = api.devices.register(&recipient, given.device()?, address).await?;
    Ok((StatusCode::CREATED, Json(wire::StatusOut { status: "subscribed", subscription_id: Some(id) })))
}

/// Takes a browser of the caller's away; one that they do not have is away already.
#[utoipa::path(
    post,
    path = "/push/unsubscribe",
    tag = "iep",
    request_body = wire::UnsubscribeIn,
    responses((status = 200, description = "It gets nothing any more.", body = wire::StatusOut)),
)]
pub async fn unsubscribe(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    _: NoParams,
    Body(given): Body<wire::UnsubscribeIn>,
) -> Answer {
    remove(&api, &recipient, given.endpoint, address).await
}

/// The same, by a query.
#[utoipa::path(
    delete,
    path = "/push/unsubscribe",
    tag = "iep",
    params(wire::UnsubscribeIn),
    responses((status = 200, description = "It gets nothing any more.", body = wire::StatusOut)),
)]
pub async fn unsubscribe_by_query(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    Params(given): Params<wire::UnsubscribeIn>,
) -> Answer {
    remove(&api, &recipient, given.endpoint, address).await
}

async fn remove(
    api: &Api,
    recipient: &Recipient,
    endpoint: String,
    address: Option<std::net::IpAddr>,
) -> Answer {
    match api.devices.remove(recipient, WhichDevice::Endpoint(endpoint), address).await {
        // So it is, then.
        Ok(()) | Err(Error::NoSuchDevice) => {}
        Err(fault) => return Err(fault.into()),
    }
    Ok(Json(wire::StatusOut { status: "unsubscribed", subscription_id: None }))
}
