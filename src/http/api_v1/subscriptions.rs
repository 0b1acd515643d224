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

/// `GET /api/v1/subscriptions`
pub async fn list(State(api): State<Api>, Owner(recipient): Owner) -> Answer {
    Ok(Json(wire::TopicsOut { topics: api.topics.of(&recipient).await? }))
}

/// `POST /api/v1/subscriptions`
pub async fn subscribe(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Body(given): Body<wire::SubscribeIn>,
) -> Answer {
    let topics = api.topics.subscribe(&recipient, given.topics, true).await;
    Ok(Json(wire::TopicsOut { topics: topics.map_err(|fault| Problem::from(fault).respelled(spelled))? }))
}

/// `DELETE /api/v1/subscriptions?topic=`
pub async fn unsubscribe(
    State(api): State<Api>,
    Owner(recipient): Owner,
    Params(given): Params<wire::UnsubscribeIn>,
) -> Answer {
    let topics = api.topics.subscribe(&recipient, vec![given.topic], false).await;
    Ok(Json(wire::TopicsOut { topics: topics.map_err(|fault| Problem::from(fault).respelled(spelled))? }))
}
