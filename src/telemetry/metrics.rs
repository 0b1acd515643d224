//! Every metric, once: its name, its labels and what it counts.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::outcomes::{Outcome, Refusal};
use super::pulse::{Pulse, Timed};
use super::traces::Traces;

/// A number that is told by nodes that know it: from when it is set.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<OnceLock<Gauge>>);

impl Known {
    /// It is this now.
    pub fn set(&self, number: i64) {
        self.0.get_or_init(Gauge::default).set(number);
    }

    /// What it is, if that is known.
    pub fn get(&self) -> Option<i64> {
        self.0.get().map(Gauge::get)
    }
}

impl EncodeMetric for Known {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.get().map_or(Ok(()), |gauge| gauge.encode(encoder))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabel {
    channel: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PushLabel {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IngestLabel {
    source: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpanLabel {
    outcome: &'static str,
}

/// All metrics of one server.
pub struct Metrics {
    registry: Registry,
    notifications: Family<OutcomeLabel, Counter>,
    delivered: Family<DeliveryLabel, Counter>,
    pushes: Family<PushLabel, Counter>,
    refusals: Family<RefusalLabel, Counter>,
    webhooks: Family<WebhookLabel, Counter>,
    ingested: Family<IngestLabel, Counter>,
    alerts: Family<AlertLabel, Counter>,
    spans: Family<SpanLabel, Counter>,
    /// Where it is noted what happens to single notifications.
    pub traces: Traces,
    /// Rows of the audit log that are not sealed yet.
    pub audit_unsealed: Known,
    /// Whether the audit log was what was sealed when that was looked at last: 1 or 0.
    pub audit_intact: Known,
    /// Whether rows are missing at its beginning of which nothing showed then that they went rightly: 1 or 0.
    pub audit_unproved: Known,
    /// When the TLS certificate that is shown ends, in seconds since 1970.
    pub certificate_expires: Known,
    /// Live sockets.
    pub connections: Gauge,
    /// TCP connections that are open, whatever is spoken over them.
    pub tcp_connections: Gauge,
    /// Requests to the API that are being answered.
    pub requests: Gauge,
    /// Seconds that a socket lasted.
    pub connection_seconds: Histogram,
    /// Seconds from the start of a commit until it was durable.
    pub commit_seconds: Histogram,
    /// Writes that shared one commit.
    pub commit_writes: Histogram,
    /// Seconds from the acceptance of a notification until it was handed to a live socket.
    pub delivery_seconds: Timed,
    /// Writes that wait for their commit.
    pub write_queue: Gauge,
    /// Notifications sent and not yet confirmed.
    pub unconfirmed: Gauge,
    /// Whether messages of other nodes arrive: 1 or 0.
    pub backplane_up: Gauge,
    /// Notifications that were found in the database because no message brought them.
    pub caught_up: Counter,
    /// Whether this node takes what other programs leave in Redis: 1 or 0.
    pub ingest_up: Gauge,
    /// Whether Redis answers, where it is used: 1 or 0.
    pub redis_up: Known,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric, at zero.
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 18));
        let mut metrics = Self {
            registry: Registry::default(),
            notifications: Family::default(),
            delivered: Family::default(),
            pushes: Family::default(),
            refusals: Family::default(),
            webhooks: Family::default(),
            ingested: Family::default(),
            alerts: Family::default(),
            spans: Family::default(),
            traces: Traces::default(),
            audit_unsealed: Known::default(),
            audit_intact: Known::default(),
            audit_unproved: Known::default(),
            certificate_expires: Known::default(),
            ingest_up: Gauge::default(),
            redis_up: Known::default(),
            connections: Gauge::default(),
            tcp_connections: Gauge::default(),
            requests: Gauge::default(),
            connection_seconds: Histogram::new(exponential_buckets(1.0, 4.0, 9)),
            commit_seconds: seconds(),
            commit_writes: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            delivery_seconds: Timed::new(seconds()),
            write_queue: Gauge::default(),
            unconfirmed: Gauge::default(),
            backplane_up: Gauge::default(),
            caught_up: Counter::default(),
        };
        metrics.begin();
        metrics.traces = Traces::new(metrics.spans.get_or_create(&SpanLabel { outcome: "lost" }).clone());
        metrics.register();
        metrics
    }

    /// Tells of what may happen as none: the first of it is seen as one more (`increase()` misses what begins with its first).
    fn begin(&self) {
        Outcome::ALL.into_iter().for_each(|outcome| self.notifications_by(outcome, 0));
        for reason in Refusal::ALL {
            drop(self.refusals.get_or_create(&RefusalLabel { reason }));
        }
        for outcome in ["exported", "refused"] {
            drop(self.spans.get_or_create(&SpanLabel { outcome }));
        }
        for status in ["sent", "waiting", "failed"] {
            for channel in ["email", "push", "sms"] {
                drop(self.delivered.get_or_create(&DeliveryLabel { channel, status }));
            }
            drop(self.pushes.get_or_create(&PushLabel { status }));
            drop(self.webhooks.get_or_create(&WebhookLabel { outcome: status }));
        }
        for outcome in ["accepted", "rejected", "dead", "lost"] {
            for source in ["stream", "channel"] {
                drop(self.ingested.get_or_create(&IngestLabel { source, outcome }));
            }
        }
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "carillon_notifications",
            "Notifications by what became of them",
            self.notifications.clone(),
        );
        registry.register(
            "notifications_delivered",
            "Notifications by channel and status (the hub's name for it)",
            self.delivered.clone(),
        );
        registry.register(
            "push_notifications_sent",
            "Attempts to push, by what came of them (the hub's name for it)",
            self.pushes.clone(),
        );
        registry.register("carillon_refusals", "What was turned away, by reason", self.refusals.clone());
        registry.register("websocket_connections_active", "Live sockets", self.connections.clone());
        registry.register(
            "carillon_tcp_connections",
            "TCP connections that are open, whatever is spoken over them",
            self.tcp_connections.clone(),
        );
        registry.register(
            "carillon_requests_under_way",
            "Requests to the API that are being answered",
            self.requests.clone(),
        );
        registry.register(
            "carillon_connection_seconds",
            "How long sockets lasted that have ended",
            self.connection_seconds.clone(),
        );
        registry.register(
            "carillon_commit_seconds",
            "Duration of a database commit",
            self.commit_seconds.clone(),
        );
        registry.register(
            "carillon_commit_writes",
            "Writes that shared one commit",
            self.commit_writes.clone(),
        );
        registry.register(
            "carillon_delivery_seconds",
            "From acceptance until handed to a live socket",
            self.delivery_seconds.histogram(),
        );
        registry.register(
            "carillon_write_queue",
            "Writes that wait for their commit",
            self.write_queue.clone(),
        );
        registry.register(
            "carillon_unconfirmed",
            "Notifications sent and not yet confirmed",
            self.unconfirmed.clone(),
        );
        registry.register(
            "carillon_backplane_up",
            "Whether messages of other nodes arrive by Redis",
            self.backplane_up.clone(),
        );
        registry.register(
            "carillon_caught_up",
            "Notifications found in the database because no message brought them",
            self.caught_up.clone(),
        );
        registry.register(
            "carillon_webhooks",
            "Attempts to tell an address what became of a notification, by what came of them",
            self.webhooks.clone(),
        );
        registry.register(
            "carillon_ingest",
            "What other programs left in Redis, by source and what became of it",
            self.ingested.clone(),
        );
        registry.register(
            "carillon_security_alerts",
            "What those who keep watch were told of, by kind",
            self.alerts.clone(),
        );
        registry.register(
            "carillon_log_lines_left_out",
            "Warnings and errors of one kind that came too fast to be written each",
            super::wall::left_out(),
        );
        registry.register("carillon_spans", "Spans of traces, by what became of them", self.spans.clone());
        registry.register(
            "carillon_audit_unsealed",
            "Rows of the audit log that are not sealed yet",
            self.audit_unsealed.clone(),
        );
        registry.register(
            "carillon_audit_intact",
            "Whether the audit log was what was sealed when that was looked at last",
            self.audit_intact.clone(),
        );
        registry.register(
            "carillon_audit_unproved",
            "Whether nothing shows that rows missing at the beginning of the audit log went only because they were old",
            self.audit_unproved.clone(),
        );
        registry.register(
            "carillon_tls_certificate_expires_timestamp_seconds",
            "When the TLS certificate that is shown to clients ends, in seconds since 1970",
            self.certificate_expires.clone(),
        );
        registry.register(
            "carillon_ingest_up",
            "Whether this node takes what other programs leave in Redis",
            self.ingest_up.clone(),
        );
        registry.register(
            "carillon_redis_up",
            "Whether Redis answers this node; told where it is used",
            self.redis_up.clone(),
        );
    }

    /// Counts one message that came by Redis.
    pub fn ingested(&self, source: &'static str, outcome: &'static str) {
        self.ingested.get_or_create(&IngestLabel { source, outcome }).inc();
    }

    /// Counts one notification.
    pub fn notification(&self, outcome: Outcome) {
        self.notifications_by(outcome, 1);
    }

    /// Counts `many` notifications.
    pub fn notifications_by(&self, outcome: Outcome, many: u64) {
        self.notifications.get_or_create(&OutcomeLabel { outcome }).inc_by(many);
        let status = match outcome {
            Outcome::Sent => "sent",
            Outcome::Confirmed => "delivered",
            Outcome::Failed => "failed",
            _ => return,
        };
        let label = DeliveryLabel { channel: "websocket", status };
        self.delivered.get_or_create(&label).inc_by(many);
    }

    /// Counts what became of something over a channel that is not a socket; for whoever looks at pushes, if its provider was asked.
    pub fn delivery(&self, channel: &'static str, status: &'static str, is_asked: bool) {
        let label = DeliveryLabel { channel, status };
        self.delivered.get_or_create(&label).inc();
        if channel == "push" && is_asked {
            self.pushes.get_or_create(&PushLabel { status }).inc();
        }
    }

    /// Counts one attempt to tell an address something: `sent`, `waiting` (it is tried again) or `failed`.
    pub fn webhook(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&WebhookLabel { outcome }).inc();
    }

    /// There may be alerts of this kind: they are told as none, so that the first one is seen as one more.
    pub fn expect_alerts(&self, kind: &'static str) {
        drop(self.alerts.get_or_create(&AlertLabel { kind }));
    }

    /// Counts one alert.
    pub fn security_alert(&self, kind: &'static str) {
        self.alerts.get_or_create(&AlertLabel { kind }).inc();
    }

    /// Counts spans: `exported`, `refused` by the collector, or `lost`, because there were too many.
    pub fn spans(&self, outcome: &'static str, many: u64) {
        self.spans.get_or_create(&SpanLabel { outcome }).inc_by(many);
    }

    /// Counts one refusal.
    pub fn refused(&self, reason: Refusal) {
        self.refusals.get_or_create(&RefusalLabel { reason }).inc();
    }

    /// What they are now, as far as it is shown over time.
    pub fn pulse(&self) -> Pulse {
        let many = |outcome| self.notifications.get_or_create(&OutcomeLabel { outcome }).get();
        Pulse {
            connections: self.connections.get(),
            writes: self.write_queue.get(),
            unconfirmed: self.unconfirmed.get(),
            placed: many(Outcome::Stored) + many(Outcome::Sent),
            pushed: many(Outcome::Sent),
            confirmed: many(Outcome::Confirmed),
            took: self.delivery_seconds.counts(),
        }
    }

    /// The OpenMetrics text of all of them.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.push_str("# the metrics could not be written\n# EOF\n");
        }
        text
    }
}
