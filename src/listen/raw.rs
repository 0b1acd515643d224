//! Raw WebSockets that come down an HTTP connection already in use, as some proxies send them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;

use super::head;
use crate::gateway::websocket::{Endpoint, WebSockets};
use crate::gateway::{Admission, Refused};
use crate::realtime::Line;

/// Answers a request for a raw WebSocket, and serves it once the connection is free for that.
pub async fn upgrade(
    admission: &Arc<Admission>,
    websockets: &WebSockets,
    endpoint: Endpoint,
    mut request: Request<Body>,
    (address, line): (IpAddr, Arc<Line>),
) -> Response<Body> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(key) = key(headers) else {
        let message = "This is a WebSocket: connect with new WebSocket(\"ws://…\"), or any WebSocket client.";
        let mut response = Refused { status: StatusCode::UPGRADE_REQUIRED, message }.answer();
        response.headers_mut().insert(header::UPGRADE, http::HeaderValue::from_static("websocket"));
        return response;
    };
    let accept = head::accept_key(key);
    let entered = admission.check_origin(text(header::ORIGIN), text(header::HOST)).and_then(|()| {
        let permit = admission.enter(address)?;
        let query = request.uri().query().unwrap_or_default();
        Ok((permit, websockets.open(endpoint, query, text(header::AUTHORIZATION), address)?))
    });
    let (permit, opening) = match entered {
        Ok(entered) => entered,
        Err(refused) => return refused.answer(),
    };
    line.meter();
    let upgraded = hyper::upgrade::on(&mut request);
    let entered = websockets.enter(opening.keeping(permit), line).await;
    tokio::spawn(async move {
        match upgraded.await {
            Ok(stream) => entered.serve(TokioIo::new(stream), Bytes::new()),
            Err(fault) => tracing::debug!(%fault, "a WebSocket could not begin"),
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    response.body(Body::empty()).unwrap_or_default()
}

/// The key of a handshake, if this is one.
fn key(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let says = |name, word: &str| {
        text(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let is_one = says(header::UPGRADE, "websocket")
        && says(header::CONNECTION, "upgrade")
        && text(header::SEC_WEBSOCKET_VERSION) == Some("13");
    text(header::SEC_WEBSOCKET_KEY).filter(|key| is_one && key.len() == 24)
}
