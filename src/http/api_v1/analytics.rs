//! What became of what was sent, in numbers; for administrators and services.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::latency::Latencies;
use crate::domain::{Broken, Channel, Zone};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::Params;
use crate::http::problem::Problem;
use crate::http::values::called;
use crate::service::{Analytics, Figures, OfChannel, Period};

/// Which days.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct AnalyticsIn {
    /// The first day; thirty days up to the last one, if nothing is said.
    #[param(example = "2025-09-01", min_length = 10, max_length = 10)]
    start_date: Option<String>,
    /// The last day, which is included; today, if nothing is said.
    #[param(example = "2025-09-11", min_length = 10, max_length = 10)]
    end_date: Option<String>,
    /// By whose clocks days begin: an IANA name; UTC, if nothing is said. They begin at a full hour of UTC: where midnight is
    /// none, at the one before it.
    #[param(example = "Europe/Athens")]
    time_zone: Option<String>,
}

impl AnalyticsIn {
    /// The days.
    ///
    /// # Errors
    /// When they are none, or too many.
    pub fn period(&self, now: crate::domain::Timestamp) -> Result<Period, Broken> {
        let zone = match &self.time_zone {
            Some(name) => Zone::named(name).ok_or(Broken {
                field: "time_zone",
                expected: "a time zone by its IANA name, such as Europe/Athens",
            })?,
            None => Zone::UTC,
        };
        Period::new(self.start_date.as_deref(), self.end_date.as_deref(), zone, now)
    }
}

/// What became of what went over one channel.
#[derive(Serialize, ToSchema)]
#[schema(as = ChannelAnalytics)]
struct ChannelOut {
    /// `in_app`: entries of inboxes that are told of. Others: handed to a provider for good or ill.
    sent: i64,
    /// `in_app`: proved by a socket, acknowledged or read. Others: taken by the provider.
    delivered: i64,
    /// Known to have arrived: `in_app` as `delivered`; of others, what the provider says arrived.
    confirmed: i64,
    /// Given up.
    failed: i64,
    /// Switched off, or there was nowhere to send it.
    skipped: i64,
    /// Not needed any more.
    cancelled: i64,
    /// Read; `in_app` only.
    read: i64,
    /// `delivered` of `sent`; nothing, if nothing was sent.
    success_rate: Option<f64>,
}

/// How long it took, in milliseconds; nothing, where nothing arrived.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseTimes)]
struct TimesOut {
    /// How many that is told of.
    count: i64,
    average_ms: Option<i64>,
    /// Never too short, and at most a tenth too long; so are the others.
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    p99_ms: Option<i64>,
}

/// What became of some notifications.
#[derive(Serialize, ToSchema)]
#[schema(as = NotificationAnalytics)]
struct FiguresOut {
    /// How many were accepted.
    notifications: i64,
    /// By `in_app`, `email`, `push` and `sms`.
    channels: BTreeMap<&'static str, ChannelOut>,
}

/// The same, of one day.
#[derive(Serialize, ToSchema)]
#[schema(as = DayAnalytics)]
struct DayOut {
    date: String,
    #[serde(flatten)]
    figures: FiguresOut,
}

/// Who is connected now.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectionAnalytics)]
struct ConnectionsOut {
    total_connections: i64,
    active_users: i64,
}

/// What became of a tenant's notifications that were accepted in a period.
#[derive(Serialize, ToSchema)]
#[schema(as = Analytics)]
pub struct AnalyticsOut {
    start_date: String,
    end_date: String,
    time_zone: String,
    /// Not while very many notifications are counted for the first time, as after an upgrade: some are missing then.
    is_complete: bool,
    total_notifications: i64,
    channels: BTreeMap<&'static str, ChannelOut>,
    /// From acceptance until the socket that proved it was handed it; or until the provider had taken it.
    response_times: BTreeMap<&'static str, TimesOut>,
    /// By type: the hundred most frequent.
    types: BTreeMap<String, FiguresOut>,
    days: Vec<DayOut>,
    connections: ConnectionsOut,
}

const CHANNELS: [Channel; 4] = [Channel::Realtime, Channel::Email, Channel::Push, Channel::Sms];

fn channels(figures: &Figures) -> BTreeMap<&'static str, ChannelOut> {
    let out = |of: &OfChannel| ChannelOut {
        sent: of.sent,
        delivered: of.delivered,
        confirmed: of.confirmed,
        failed: of.failed,
        skipped: of.skipped,
        cancelled: of.cancelled,
        read: of.read,
        success_rate: of.success_rate(),
    };
    CHANNELS.iter().zip(&figures.channels).map(|(channel, of)| (called(*channel), out(of))).collect()
}

impl From<Figures> for FiguresOut {
    fn from(figures: Figures) -> Self {
        Self { notifications: figures.notifications, channels: channels(&figures) }
    }
}

impl From<&Latencies> for TimesOut {
    fn from(all: &Latencies) -> Self {
        Self {
            count: all.many,
            average_ms: all.average(),
            p50_ms: all.within(50),
            p95_ms: all.within(95),
            p99_ms: all.within(99),
        }
    }
}

impl From<Analytics> for AnalyticsOut {
    fn from(told: Analytics) -> Self {
        let (first, last) = told.period.ends();
        let times = CHANNELS.iter().zip(&told.latencies);
        let day = |(date, figures): (chrono::NaiveDate, Figures)| DayOut {
            date: date.to_string(),
            figures: figures.into(),
        };
        Self {
            start_date: first.to_string(),
            end_date: last.to_string(),
            time_zone: told.period.zone.name().to_owned(),
            is_complete: told.is_complete,
            total_notifications: told.all.notifications,
            channels: channels(&told.all),
            response_times: times.map(|(channel, all)| (called(*channel), all.into())).collect(),
            types: told.kinds.into_iter().map(|(kind, figures)| (kind, figures.into())).collect(),
            days: told.days.into_iter().map(day).collect(),
            connections: ConnectionsOut { total_connections: told.connections, active_users: told.people },
        }
    }
}

/// Tells what became of the tenant's notifications, by day, channel and type; for administrators and services.
#[utoipa::path(
    get,
    path = "/api/v1/analytics",
    tag = "analytics",
    params(AnalyticsIn),
    responses((status = 200, description = "The numbers.", body = AnalyticsOut)),
)]
pub async fn analytics(
    State(api): State<Api>,
    Caller(who): Caller,
    Params(given): Params<AnalyticsIn>,
) -> Result<Json<AnalyticsOut>, Problem> {
    let period = given.period(api.reckoning.now())?;
    Ok(Json(api.reckoning.tell(&who, period).await?.into()))
}
