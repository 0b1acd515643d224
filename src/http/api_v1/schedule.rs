//! What was sent for later, until it goes out.

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{Body, Id};
use crate::http::problem::Problem;

/// Lets it go out at another time; for services.
#[utoipa::path(
    put,
    path = "/api/v1/notifications/{id}/schedule",
    tag = "schedule",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    request_body = wire::ScheduleIn,
    responses((status = 200, description = "It goes out then.", body = wire::ScheduledOut)),
)]
pub async fn put_off(
    State(api): State<Api>,
    Caller(who): Caller,
    Id(id): Id,
    Body(given): Body<wire::ScheduleIn>,
) -> Result<Json<wire::ScheduledOut>, Problem> {
    let id = api.inbox.number_of(&id).await?;
    let scheduled_at = api.notify.put_off(&who, id, given.scheduled_at).await?;
    Ok(Json(wire::ScheduledOut { id, scheduled_at }))
}

/// Takes it back: it never goes out. For services.
#[utoipa::path(
    delete,
    path = "/api/v1/notifications/{id}/schedule",
    tag = "schedule",
    params(("id" = String, Path, description = "Its number, or its UUID", example = "7")),
    responses((status = 200, description = "It never goes out.", body = wire::DeletedOut)),
)]
pub async fn take_back(
    State(api): State<Api>,
    Caller(who): Caller,
    Id(id): Id,
) -> Result<Json<wire::DeletedOut>, Problem> {
    let id = api.inbox.number_of(&id).await?;
    api.notify.take_back(&who, id).await?;
    Ok(Json(wire::DeletedOut::TAKEN_BACK))
}
