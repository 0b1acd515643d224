//! Request/response doors. A handler extracts, makes one service call, and writes the wire.

mod demo;
mod health;
mod metrics;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;

use crate::domain::Secret;
use crate::service::StatsService;
use crate::telemetry::Metrics;

pub use demo::Demo;
pub use health::Readiness;

/// Where a request comes from, behind trusted proxies. Set by the listener.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// What the handlers need.
#[derive(Clone)]
pub struct State {
    /// Counts.
    pub stats: Arc<StatsService>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whoever shows it may read the metrics; without one, only in development.
    pub metrics_token: Arc<Secret>,
    /// Whether this is development.
    pub development: bool,
    /// Whether new work is taken.
    pub readiness: Readiness,
    /// The demo page, in development.
    pub demo: Option<Arc<Demo>>,
}

/// The table of contents.
pub fn router(state: State) -> Router {
    let mut router = Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/stats", get(health::stats))
        .route("/metrics", get(metrics::metrics));
    if state.demo.is_some() {
        router = router.route("/", get(demo::page)).route("/demo/{file}", get(demo::file));
    }
    router.fallback(missing).with_state(state).layer(from_fn(protective_headers))
}

async fn missing() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "There is nothing here. Socket.IO clients connect to /socket.io/; see also /health and /stats.\n",
    )
}

async fn protective_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    response
}
