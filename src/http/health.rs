//! `/health`, `/stats` and the probes.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract;
use axum::http::StatusCode;
use serde::Serialize;

use super::State;
use crate::delivery::Condition;
use crate::domain::{Channel, Timestamp};
use crate::service::RedisIs;

/// Whether this process takes new work; false from the moment it is told to stop.
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets it.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The union of what the seeds' health checks show.
#[derive(Serialize)]
pub struct HealthBody {
    status: &'static str,
    service: &'static str,
    version: &'static str,
    timestamp: Timestamp,
    online_facilitators: usize,
    backend_connected: bool,
    total_connections: usize,
    active_users: usize,
    average_duration_seconds: u64,
    replay_sequence: i64,
    redis: &'static str,
    /// `nodes`: they hear of each other by it; `letters`: other programs leave some there.
    redis_used_for: Vec<&'static str>,
    database: &'static str,
    websocket_connections: usize,
    services: Services,
}

#[derive(Serialize)]
struct Services {
    websocket: &'static str,
    email: &'static str,
    push: &'static str,
    sms: &'static str,
    /// Those of tenants are in the database.
    templates: &'static str,
    database: &'static str,
}

fn told(condition: Condition) -> &'static str {
    match condition {
        Condition::Unset => "not configured",
        Condition::Sink => "sink",
        Condition::Failing => "degraded",
        Condition::Well => "healthy",
    }
}

/// `GET /health`: 503 when the database does not answer.
pub async fn health(state: extract::State<State>) -> (StatusCode, Json<HealthBody>) {
    let health = state.stats.health().await;
    let database = if health.database { "healthy" } else { "unhealthy" };
    let redis = match health.redis() {
        RedisIs::Unused => "not configured",
        RedisIs::Asked => "connecting",
        RedisIs::There => "healthy",
        RedisIs::Away => "unreachable",
    };
    let (status, word) = match (health.database, health.redis() == RedisIs::Away) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (true, true) => (StatusCode::OK, "degraded"),
        (true, false) => (StatusCode::OK, "healthy"),
    };
    let (census, online) = (health.census, health.online);
    let of = |channel| {
        let known = health.beyond.iter().find(|(known, _)| *known == channel);
        known.map_or("not configured", |(_, condition)| told(*condition))
    };
    let body = HealthBody {
        status: word,
        service: "notification_service",
        version: env!("CARGO_PKG_VERSION"),
        timestamp: health.at,
        online_facilitators: online.people,
        backend_connected: online.backend,
        total_connections: census.connections,
        active_users: census.people,
        average_duration_seconds: census.average_seconds as u64,
        replay_sequence: health.last_notification,
        redis,
        redis_used_for: health.redis_uses(),
        database,
        websocket_connections: census.connections,
        services: Services {
            websocket: "healthy",
            email: of(Channel::Email),
            push: of(Channel::Push),
            sms: of(Channel::Sms),
            templates: database,
            database,
        },
    };
    (status, Json(body))
}

/// The hub's numbers of connections (seed 001).
#[derive(Serialize)]
pub struct Connections {
    status: &'static str,
    timestamp: Timestamp,
    total_connections: usize,
    active_users: usize,
    average_duration_seconds: u64,
}

/// `GET /ws/status`: who is connected to this node, by whatever protocol; nothing is asked of the database.
pub async fn connections(state: extract::State<State>) -> Json<Connections> {
    let (census, timestamp) = state.stats.census();
    Json(Connections {
        status: "healthy",
        timestamp,
        total_connections: census.connections,
        active_users: census.people,
        average_duration_seconds: census.average_seconds as u64,
    })
}

/// Seed 003's numbers.
#[derive(Serialize)]
pub struct StatsBody {
    online_facilitators: usize,
    backend_connected: bool,
    total_notifications: i64,
    pending_notifications: i64,
    facilitator_sessions: i64,
}

/// `GET /stats`.
pub async fn stats(
    state: extract::State<State>,
) -> Result<Json<StatsBody>, (StatusCode, Json<serde_json::Value>)> {
    let stats = state.stats.stats().await.map_err(|fault| {
        tracing::error!(%fault, "statistics could not be read");
        let error = serde_json::json!({
            "error": "The database does not answer, so nothing can be counted. Try again; see /health."
        });
        (StatusCode::SERVICE_UNAVAILABLE, Json(error))
    })?;
    Ok(Json(StatsBody {
        online_facilitators: stats.online.people,
        backend_connected: stats.online.backend,
        total_notifications: stats.counts.notifications,
        pending_notifications: stats.counts.pending,
        facilitator_sessions: stats.online.sessions,
    }))
}

/// One word.
#[derive(Serialize)]
pub struct Probe {
    status: Cow<'static, str>,
}

/// `GET /health/live`: the process answers.
pub async fn live() -> Json<Probe> {
    Json(Probe { status: "live".into() })
}

/// `GET /health/ready`: 503 while it stops, cannot store, or lacks a key of the database.
pub async fn ready(state: extract::State<State>) -> (StatusCode, Json<Probe>) {
    if !state.readiness.get() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Probe { status: "stopping".into() }));
    }
    match state.stats.database().await {
        Ok(()) => (StatusCode::OK, Json(Probe { status: "ready".into() })),
        Err(status) => (StatusCode::SERVICE_UNAVAILABLE, Json(Probe { status })),
    }
}
