//! What was sent for later, until it goes out.

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::wire;
use crate::domain::{Action, NotificationId};
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{self, Body, Id, Params};
use crate::http::problem::Problem;
use crate::service::Error;

/// Lists what waits to go out: of the tenant, for services; what they sent themselves, for people.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/scheduled",
    tag = "schedule",
    params(wire::ScheduledIn),
    responses((status = 200, description = "One page.", body = wire::ScheduledPageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Params(given): Params<wire::ScheduledIn>,
) -> Result<Json<wire::ScheduledPageOut>, Problem> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    let before = input::number(given.cursor)?;
    let scheduled = api.notify.scheduled(&who, before, limit).await?;
    if who.can_send {
        let asked = json!({"cursor": given.cursor});
        api.audit.note(&who, address, Action::ScheduleRead, None, &asked).await?;
    }
    Ok(Json(scheduled.into()))
}

/// The number of what a caller calls `id`; what does not exist is not scheduled.
async fn number_of(api: &Api, id: &str) -> Result<NotificationId, Error> {
    api.inbox.number_of(id).await.map_err(|fault| match fault {
        Error::NotFound => Error::NotScheduled,
        other => other,
    })
}

/// Lets it go out at another time; for services, and whoever sent it.
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
    let id = number_of(&api, &id).await?;
    let scheduled_at = api.notify.put_off(&who, id, given.scheduled_at).await?;
    Ok(Json(wire::ScheduledOut { id, scheduled_at }))
}

/// Takes it back: it never goes out. For services, and whoever sent it.
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
    let id = number_of(&api, &id).await?;
    api.notify.take_back(&who, id).await?;
    Ok(Json(wire::DeletedOut::TAKEN_BACK))
}
