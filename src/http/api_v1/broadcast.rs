//! Telling many at once.

use axum::Json;
use axum::extract::State;

use super::wire::{self, Unaddressed};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{Body, Key};
use crate::http::problem::Problem;

type Answer = Result<Json<wire::BroadcastOut>, Problem>;

/// `POST /api/v1/notifications/broadcast`
pub async fn broadcast(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Body(given): Body<wire::SendIn>,
) -> Answer {
    let draft = given.draft(&who.tenant, Unaddressed::ForEveryone, key)?;
    Ok(Json(api.notify.broadcast(&who, draft).await?.into()))
}

/// `POST /internal/broadcast`: to some by the scope for sending, to the tenant by that for broadcasts.
pub async fn internal(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Body(given): Body<wire::SendIn>,
) -> Answer {
    let draft = given.draft(&who.tenant, Unaddressed::Refused, key)?;
    Ok(Json(api.notify.send_and_count(&who, draft).await?.into()))
}
