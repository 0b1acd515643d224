//! The topics that the caller hears of.

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::http::Api;
use crate::http::caller::Owner;
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
    Owner(recipient): Owner,
    Body(given): Body<wire::SubscribeIn>,
) -> Answer {
    let topics = api.topics.subscribe(&recipient, given.topics, true).await;
    Ok(Json(wire::TopicsOut { topics: topics.map_err(|fault| Problem::from(fault).respelled(spelled))? }))
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
    Owner(recipient): Owner,
    Params(given): Params<wire::UnsubscribeIn>,
) -> Answer {
    let topics = api.topics.subscribe(&recipient, vec![given.topic], false).await;
    Ok(Json(wire::TopicsOut { topics: topics.map_err(|fault| Problem::from(fault).respelled(spelled))? }))
}
