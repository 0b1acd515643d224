//! Tells a collector what happened to notifications, by OTLP over HTTP, as JSON (decision 45).
//!
//! A trace has the notification's second name, or is that of whoever sent it with `traceparent`: every node finds the same one. Spans are
//! told some seconds later; if the collector does not take them they are lost, and nothing else is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::Store;
use crate::telemetry::Metrics;
use crate::telemetry::traces::{Parent, Span, TraceSettings, hex};

/// Spans wait for so long: what another node noted of their notification is there then.
const REST: Duration = Duration::from_secs(1);
/// How often it is looked what is to be told.
const LOOK: Duration = Duration::from_millis(250);
/// How long a collector may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Spans of one message.
const TOGETHER: usize = 512;
/// Notifications that are remembered.
const REMEMBERED: usize = 20_000;
/// Spans of one notification that are told: one for many people has as many.
const MOST: u32 = 128;

/// What is known of a notification.
#[derive(Clone, Copy)]
struct Known {
    trace: [u8; 16],
    /// The first span.
    root: [u8; 8],
    parent: Option<[u8; 8]>,
    is_told: bool,
    spans: u32,
}

/// Tells.
pub struct Exporter {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    client: Client,
    url: String,
    ratio: f64,
    resource: Value,
    known: HashMap<i64, Known>,
    waiting: VecDeque<(Instant, Span)>,
}

/// Who tells the collector of `settings`, and where that is; nothing, if there is none.
///
/// # Errors
/// When a setting cannot be used.
pub fn collector(settings: &TraceSettings) -> anyhow::Result<Option<(Client, String)>> {
    if settings.endpoint.is_empty() {
        return Ok(None);
    }
    let base = settings.endpoint.trim_end_matches('/');
    anyhow::ensure!(
        base.starts_with("http://") || base.starts_with("https://"),
        "telemetry.endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) must begin with http:// or https://: a collector takes OTLP over \
         HTTP at port 4318"
    );
    let url = if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
    let mut headers = HeaderMap::new();
    for pair in settings.headers.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let wrong = "telemetry.headers (OTEL_EXPORTER_OTLP_HEADERS) must look like name=value, other=value";
        let (name, value) = pair.split_once('=').context(wrong)?;
        let mut value = HeaderValue::from_str(value.trim()).context(wrong)?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.trim().as_bytes()).context(wrong)?, value);
    }
    let client = Client::builder()
        .timeout(PATIENCE)
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .context("traces cannot be told")?;
    Ok(Some((client, url)))
}

impl Exporter {
    /// As settings have it; nothing, if nobody is to be told.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(
        settings: &TraceSettings,
        store: Arc<Store>,
        metrics: Arc<Metrics>,
        node: &str,
    ) -> anyhow::Result<Option<Self>> {
        let Some((client, url)) = collector(settings)? else { return Ok(None) };
        let ratio =
            settings.sample_ratio.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        let ratio = ratio.context("telemetry.sample_ratio must be a number from 0 to 1, such as 0.1")?;
        let attributes = attributes(&[
            ("service.name", settings.service_name.clone()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("service.instance.id", node.to_owned()),
        ]);
        Ok(Some(Self {
            store,
            metrics,
            client,
            url,
            ratio,
            resource: json!({"attributes": attributes}),
            known: HashMap::new(),
            waiting: VecDeque::new(),
        }))
    }

    /// Tells what is noted, without end.
    pub async fn run(mut self) {
        let mut spans = self.metrics.traces.listen();
        let mut is_well = true;
        loop {
            tokio::time::sleep(LOOK).await;
            self.take(&mut spans);
            while let Some(due) = self.due() {
                let told = self.tell(due).await;
                if told != is_well {
                    is_well = told;
                    match told {
                        true => tracing::info!("the collector takes traces again"),
                        false => {
                            tracing::warn!("the collector does not take traces; they are lost until it does")
                        }
                    }
                }
                self.take(&mut spans);
            }
        }
    }

    fn take(&mut self, spans: &mut mpsc::Receiver<Span>) {
        let now = Instant::now();
        while self.waiting.len() < crate::telemetry::traces::WAITING {
            let Ok(span) = spans.try_recv() else { break };
            if let Some((uuid, parent)) = span.accepted {
                self.remember(span.notification, uuid, parent);
            }
            self.waiting.push_back((now, span));
        }
    }

    fn due(&mut self) -> Option<Vec<Span>> {
        let mut due = Vec::new();
        while due.len() < TOGETHER {
            let Some((_, span)) = self.waiting.pop_front_if(|(since, _)| since.elapsed() >= REST) else {
                break;
            };
            due.push(span);
        }
        (!due.is_empty()).then_some(due)
    }

    fn remember(&mut self, notification: i64, uuid: Uuid, parent: Option<Parent>) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        let bytes = *uuid.as_bytes();
        let mut root = [0; 8];
        root.copy_from_slice(&bytes[8..]);
        let part = (u64::from_be_bytes(root) & 0x3fff_ffff_ffff_ffff) as f64 / 4_611_686_018_427_387_904.0;
        let known = match parent {
            Some(Parent { trace, span, is_sampled }) => {
                Known { trace, root, parent: Some(span), is_told: is_sampled, spans: 0 }
            }
            None => Known { trace: bytes, root, parent: None, is_told: part < self.ratio, spans: 0 },
        };
        self.known.entry(notification).or_insert(known);
    }

    /// Tells these; whether the collector took them.
    async fn tell(&mut self, spans: Vec<Span>) -> bool {
        let mut unknown: Vec<i64> = spans.iter().map(|span| span.notification).collect();
        unknown.retain(|id| !self.known.contains_key(id));
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            match self.store.traced(&unknown).await {
                Ok(found) => {
                    for (id, uuid, parent) in found {
                        self.remember(id, uuid, parent.as_deref().and_then(Parent::read));
                    }
                }
                Err(fault) => tracing::debug!(%fault, "the database does not tell whose spans these are"),
            }
        }
        let written: Vec<Value> = spans.into_iter().filter_map(|span| self.written(span)).collect();
        let many = written.len() as u64;
        if many == 0 {
            return true;
        }
        let scope = json!({"name": "carillon", "version": env!("CARGO_PKG_VERSION")});
        let message = json!({"resourceSpans": [{
            "resource": self.resource,
            "scopeSpans": [{"scope": scope, "spans": written}],
        }]});
        let answer = self.client.post(&self.url).json(&message).send().await;
        let is_taken = answer.is_ok_and(|answer| answer.status().is_success());
        self.metrics.spans(if is_taken { "exported" } else { "refused" }, many);
        is_taken
    }

    fn written(&mut self, span: Span) -> Option<Value> {
        let known = self.known.get_mut(&span.notification)?;
        known.spans += 1;
        if !known.is_told || known.spans > MOST {
            return None;
        }
        let is_root = span.name == "accept";
        let id = if is_root { known.root } else { fresh(known.root, known.spans) };
        let parent = if is_root { known.parent } else { Some(known.root) };
        let kind = match span.name {
            "accept" => 2,
            "send" => 4,
            _ => 1,
        };
        let mut facts = span.facts;
        facts.push(("notification.id", span.notification.to_string()));
        let nanos = |micros: i64| (i128::from(micros) * 1_000).to_string();
        let mut written = json!({
            "traceId": hex(&known.trace),
            "spanId": hex(&id),
            "name": span.name,
            "kind": kind,
            "startTimeUnixNano": nanos(span.start),
            "endTimeUnixNano": nanos(span.end.max(span.start)),
            "attributes": attributes(&facts),
            "status": {"code": if span.is_failed { 2 } else { 1 }},
        });
        if let Some(parent) = parent {
            written["parentSpanId"] = json!(hex(&parent));
        }
        Some(written)
    }
}

/// The name of a span: by chance, since other nodes name some, too.
fn fresh(root: [u8; 8], number: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) if bytes != [0; 8] => bytes,
        _ => (u64::from_be_bytes(root) ^ u64::from(number)).to_be_bytes(),
    }
}

fn attributes(facts: &[(&'static str, String)]) -> Vec<Value> {
    facts.iter().map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}
