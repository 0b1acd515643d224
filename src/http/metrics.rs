//! `/metrics`, for Prometheus. In production whoever reads it must show `metrics.token`.

use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::State;
use crate::service::RedisIs;

/// `GET /metrics`.
pub async fn metrics(state: extract::State<State>, headers: HeaderMap) -> Response {
    let token = state.metrics_token.expose();
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let proved = !token.is_empty() && bool::from(token.as_bytes().ct_eq(shown.as_bytes()));
    if proved || (token.is_empty() && state.development) {
        match state.stats.redis() {
            RedisIs::There => state.metrics.redis_up.set(1),
            RedisIs::Asked | RedisIs::Away => state.metrics.redis_up.set(0),
            RedisIs::Unused => {}
        }
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return ([(header::CONTENT_TYPE, kind)], state.metrics.render()).into_response();
    }
    let advice = "Show the metrics token: Authorization: Bearer <metrics.token>. \
                  Set it by CARILLON_METRICS_TOKEN.\n";
    ([(header::WWW_AUTHENTICATE, "Bearer")], (StatusCode::UNAUTHORIZED, advice)).into_response()
}
