//! Telling many at once.

use axum::Json;
use axum::extract::State;

use super::wire::{self, Unaddressed};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{self, Key, Sent};
use crate::http::problem::Problem;
use crate::service::Error;

type Answer = Result<Json<wire::BroadcastOut>, Problem>;

/// Tells everybody, some users, or those with a role; for administrators.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/broadcast",
    tag = "broadcasts",
    params(input::KeyHeader),
    request_body = wire::SendIn,
    responses((status = 200, description = "It is durable.", body = wire::BroadcastOut)),
)]
pub async fn broadcast(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Sent(given): Sent<wire::SendIn>,
) -> Answer {
    let draft = api.notify.counted(given.said(&api.library, &who, Unaddressed::ForEveryone, key).await)?;
    let channels = api.notify.channels(draft.wish.as_ref());
    Ok(Json(wire::BroadcastOut::new(api.notify.broadcast(&who, draft).await?, &channels)))
}

/// Tells users, or a whole tenant; for services. For whom must be said.
#[utoipa::path(
    post,
    path = "/internal/broadcast",
    tag = "broadcasts",
    params(input::KeyHeader),
    request_body = wire::SendIn,
    responses((status = 200, description = "It is durable.", body = wire::BroadcastOut)),
)]
pub async fn internal(
    State(api): State<Api>,
    Caller(who): Caller,
    Key(key): Key,
    Sent(given): Sent<wire::SendIn>,
) -> Answer {
    if !who.can_send {
        let people = "this address is for services; people send to themselves by POST /api/v1/notifications";
        api.notify.rejected();
        return Err(Error::Forbidden(people).into());
    }
    let draft = api.notify.counted(given.said(&api.library, &who, Unaddressed::Refused, key).await)?;
    let channels = api.notify.channels(draft.wish.as_ref());
    Ok(Json(wire::BroadcastOut::new(api.notify.send_and_count(&who, draft).await?, &channels)))
}
