//! `GET /api/v1/stream`: the inbox as server-sent events.

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::problem::Problem;

/// What `EventSource` can only say in its URL.
#[derive(Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Opening {
    /// The token, for clients that cannot send `Authorization`.
    token: Option<String>,
    /// The `id` of the last event, for clients that cannot send `Last-Event-ID`.
    last_event_id: Option<String>,
    /// `all`: also `notification_status` when a notification is read or removed, wherever, and `replay_complete` when all that
    /// was missed has come.
    events: Option<String>,
}

/// The caller's notifications, as they come.
///
/// What was missed comes first: behind `Last-Event-ID`, or what was neither confirmed nor read. Nothing is confirmed by
/// this stream; mark what was seen.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "inbox",
    params(Opening, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event")),
    responses(
        (status = 200, description = "Events named `notification`, whose `id` is the notification's number, and those that were asked for", content_type = "text/event-stream", body = String),
    )
)]
pub async fn stream(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let opening: Opening =
        serde_urlencoded::from_str(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    if let Some(token) = opening.token
        && !parts.headers.contains_key(header::AUTHORIZATION)
        && let Ok(value) = HeaderValue::try_from(format!("Bearer {token}"))
    {
        parts.headers.insert(header::AUTHORIZATION, value);
    }
    let Caller(who) = Caller::from_request_parts(&mut parts, &api).await?;
    let Whence(address) = Whence::from_request_parts(&mut parts, &api).await?;
    let last = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let last = last.or(opening.last_event_id).filter(|last| !last.is_empty());
    let body = (api.streams)(who, address, last, opening.events).await?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather answers would hold it back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
