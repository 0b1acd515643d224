//! Where people can be reached who are not connected.

use axum::Json;
use axum::extract::State;
use serde_json::json;

use super::wire;
use crate::domain::Action;
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{Body, Person};
use crate::http::problem::Problem;

type Answer = Result<Json<wire::RecipientOut>, Problem>;

/// Where somebody can be reached: people ask of themselves (`me`), services of anybody in their tenant.
#[utoipa::path(
    get,
    path = "/api/v1/recipients/{user_id}",
    tag = "recipients",
    params(("user_id" = String, Path, description = "Who; `me`: the caller")),
    responses((status = 200, description = "What is known.", body = wire::RecipientOut), (status = 404)),
)]
pub async fn get(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
) -> Answer {
    let (of, contacts) = api.addresses.of(&who, user).await?;
    if who.inbox().as_ref() != Some(&of) {
        let whose = Some(of.user.as_str().to_owned());
        api.audit.note(&who, address, Action::ContactsRead, whose, &json!({})).await?;
    }
    Ok(Json(wire::RecipientOut::new(&of, &contacts)))
}

/// Changes where somebody can be reached; what is not named stays.
#[utoipa::path(
    put,
    path = "/api/v1/recipients/{user_id}",
    tag = "recipients",
    params(("user_id" = String, Path, description = "Who; `me`: the caller")),
    request_body = wire::ContactsIn,
    responses((status = 200, description = "What is known now.", body = wire::RecipientOut), (status = 404)),
)]
pub async fn put(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Body(given): Body<wire::ContactsIn>,
) -> Answer {
    let (of, contacts) = api.addresses.change(&who, user, given.change()?, address).await?;
    Ok(Json(wire::RecipientOut::new(&of, &contacts)))
}
