//! The topics that the caller hears of.

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::access::Principal;
use crate::http::Api;
use crate::http::caller::{Caller, Owner};
use crate::http::input::{Body, Params};
use crate::http::problem::Problem;

type Answer = Result<Json<wire::TopicsOut>, Problem>;

fn spelled(field: &str) -> &str {
    if field == "channels" { "topics" } else { field }
}

/// Lists the topics that the caller hears of.
#[utoipa::path(
    get,
    path = "/api/v1/subscriptions",
    tag = "topics",
    responses((status = 200, description = "Their names.", body = wire::TopicsOut)),
)]
pub async fn list(State(api): State<Api>, Owner(recipient): Owner) -> Answer {
    Ok(Json(wire::TopicsOut { topics: api.topics.of(&recipient).await? }))
}

/// Hears of topics from now on, connected or not.
#[utoipa::path(
    post,
    path = "/api/v1/subscriptions",
    tag = "topics",
    request_body = wire::SubscribeIn,
    responses((status = 200, description = "All that are heard of now.", body = wire::TopicsOut)),
)]
pub async fn subscribe(
    State(api): State<Api>,
    Caller(who): Caller,
    Body(given): Body<wire::SubscribeIn>,
) -> Answer {
    change(&api, &who, given.topics, true).await
}

/// Hears of a topic no longer.
#[utoipa::path(
    delete,
    path = "/api/v1/subscriptions",
    tag = "topics",
    params(wire::UnsubscribeIn),
    responses((status = 200, description = "All that are heard of now.", body = wire::TopicsOut)),
)]
pub async fn unsubscribe(
    State(api): State<Api>,
    Caller(who): Caller,
    Params(given): Params<wire::UnsubscribeIn>,
) -> Answer {
    change(&api, &who, vec![given.topic], false).await
}

async fn change(api: &Api, who: &Principal, topics: Vec<String>, wanted: bool) -> Answer {
    let Owner(recipient) = Owner::of(who)?;
    let topics = api.topics.subscribe(&recipient, &who.roles, topics, wanted).await;
    Ok(Json(wire::TopicsOut { topics: topics.map_err(|fault| Problem::from(fault).respelled(spelled))? }))
}
