//! What the caller wants of their digest, and those that they got.

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::http::Api;
use crate::http::caller::{Owner, Whence};
use crate::http::input::{self, Body, DigestId, NoParams, Params};
use crate::http::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// What the caller wants of their digest; who never said gets none.
#[utoipa::path(
    get,
    path = "/api/v1/digest/subscription",
    tag = "digests",
    responses((status = 200, description = "All of it.", body = wire::DigestWantedOut), (status = 422)),
)]
pub async fn wanted(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Answer<wire::DigestWantedOut> {
    Ok(Json(api.digests.wanted(&recipient).await?.into()))
}

/// Puts this in the place of what the caller wanted of their digest. It begins when it is switched on; who changes it
/// misses nothing.
#[utoipa::path(
    put,
    path = "/api/v1/digest/subscription",
    tag = "digests",
    request_body = wire::DigestIn,
    responses((status = 200, description = "So it is now, and when it is due.", body = wire::DigestWantedOut)),
)]
pub async fn want(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    _: NoParams,
    Body(given): Body<wire::DigestIn>,
) -> Answer<wire::DigestWantedOut> {
    Ok(Json(api.digests.want(&recipient, given.terms()?, address).await?.into()))
}

/// Ends the caller's digest. Those that they got stay.
#[utoipa::path(
    delete,
    path = "/api/v1/digest/subscription",
    tag = "digests",
    responses((status = 200, description = "There will be none any more.", body = wire::DeletedOut), (status = 422)),
)]
pub async fn want_no_more(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Whence(address): Whence,
    _: NoParams,
) -> Answer<wire::DeletedOut> {
    api.digests.want_no_more(&recipient, address).await?;
    Ok(Json(wire::DeletedOut::NO_DIGEST))
}

/// Shows what would stand in the caller's digest now. Changes nothing.
#[utoipa::path(
    get,
    path = "/api/v1/digest/preview",
    tag = "digests",
    responses((status = 200, description = "The same as will come.", body = wire::DigestContentOut), (status = 422)),
)]
pub async fn preview(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Answer<wire::DigestContentOut> {
    Ok(Json(wire::DigestContentOut(api.digests.preview(&recipient).await?)))
}

/// Lists the digests that the caller got, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/digests",
    tag = "digests",
    params(wire::DigestsIn),
    responses((status = 200, description = "One page.", body = wire::DigestPageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::DigestsIn>,
) -> Answer<wire::DigestPageOut> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    Ok(Json(api.digests.list(&recipient, input::number(given.cursor)?, limit).await?.into()))
}

/// Shows one of them.
#[utoipa::path(
    get,
    path = "/api/v1/digests/{id}",
    tag = "digests",
    params(("id" = i64, Path, description = "Its number")),
    responses((status = 200, description = "This one.", body = wire::DigestOut)),
)]
pub async fn find(
    State(api): State<Api>,
    Owner(recipient): Owner,
    DigestId(id): DigestId,
) -> Answer<wire::DigestOut> {
    Ok(Json(api.digests.find(&recipient, id).await?.into()))
}
