//! `GET /analytics`, in the words of the IEP reminders.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::Zone;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::Params;
use crate::http::problem::Problem;
use crate::service::{Analytics, OfChannel, Period};

/// Which days, in UTC.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct DaysIn {
    /// The first day; thirty days up to the last one, if nothing is said.
    #[param(example = "2025-09-01", min_length = 10, max_length = 10)]
    start_date: Option<String>,
    /// The last day, which is included; today, if nothing is said.
    #[param(example = "2025-09-11", min_length = 10, max_length = 10)]
    end_date: Option<String>,
}

/// What became of what went over one channel.
#[derive(Serialize, ToSchema)]
#[schema(as = IepChannelStats)]
struct StatsOut {
    sent: i64,
    delivered: i64,
    failed: i64,
    /// `delivered` of `sent`, to two places; 0, if nothing was sent.
    success_rate: f64,
}

/// By channel.
#[derive(Serialize, ToSchema)]
#[schema(as = IepDeliveryStats)]
struct DeliveriesOut {
    websocket: StatsOut,
    push: StatsOut,
    sms: StatsOut,
    email: StatsOut,
}

/// From acceptance until the socket that proved it was handed it; 0, if none was.
#[derive(Serialize, ToSchema)]
#[schema(as = IepResponseTimes)]
struct TimesOut {
    average_ms: i64,
    /// Never too short, and at most a tenth too long; so is the other.
    p95_ms: i64,
    p99_ms: i64,
}

/// Who of the tenant is connected now.
#[derive(Serialize, ToSchema)]
#[schema(as = IepConnectionStats)]
struct ConnectionsOut {
    total_connections: i64,
    active_users: i64,
}

/// What became of the tenant's notifications that were accepted on these days.
#[derive(Serialize, ToSchema)]
#[schema(as = IepAnalytics)]
pub struct AnalyticsOut {
    total_notifications: i64,
    delivery_stats: DeliveriesOut,
    /// How many of each type: the hundred most frequent.
    notification_types: BTreeMap<String, i64>,
    response_times: TimesOut,
    connection_stats: ConnectionsOut,
}

impl From<OfChannel> for StatsOut {
    fn from(of: OfChannel) -> Self {
        let success_rate = (of.success_rate().unwrap_or(0.0) * 100.0).round() / 100.0;
        Self { sent: of.sent, delivered: of.delivered, failed: of.failed, success_rate }
    }
}

impl From<Analytics> for AnalyticsOut {
    fn from(told: Analytics) -> Self {
        let [websocket, email, push, sms] = told.all.channels.map(StatsOut::from);
        let [times, ..] = told.latencies;
        let times = TimesOut {
            average_ms: times.average().unwrap_or(0),
            p95_ms: times.within(95).unwrap_or(0),
            p99_ms: times.within(99).unwrap_or(0),
        };
        Self {
            total_notifications: told.all.notifications,
            delivery_stats: DeliveriesOut { websocket, push, sms, email },
            notification_types: told.kinds.into_iter().map(|(kind, of)| (kind, of.notifications)).collect(),
            response_times: times,
            connection_stats: ConnectionsOut {
                total_connections: told.connections,
                active_users: told.people,
            },
        }
    }
}

/// Tells what became of the tenant's notifications; for administrators and services.
#[utoipa::path(
    get,
    path = "/analytics",
    tag = "iep",
    params(DaysIn),
    responses((status = 200, description = "The numbers.", body = AnalyticsOut)),
)]
pub async fn analytics(
    State(api): State<Api>,
    Caller(who): Caller,
    Params(given): Params<DaysIn>,
) -> Result<Json<AnalyticsOut>, Problem> {
    let (start, end) = (given.start_date.as_deref(), given.end_date.as_deref());
    let period = Period::new(start, end, Zone::UTC, api.reckoning.now())?;
    Ok(Json(api.reckoning.tell(&who, period).await?.into()))
}
