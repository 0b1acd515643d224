//! Tells a tenant's own programs what becomes of notifications, as Standard Webhooks (1.0) says.
//!
//! Promises: what was written down is told at least once, by the same `webhook-id` each time, to whoever answers with
//! success in the end; nobody is told by two nodes at once. Each address has places of its own: one that hangs holds up
//! nobody else, and no message to people. What is not taken for long is given up, kept for a while, and can be told again.

mod secret;
mod settings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::breaker::Breakers;
use super::channel::{Fault, Taken};
use super::dispatch::{LONGEST, READY, TOO_LATE, chance};
use super::noting;
use super::outbound::{Answer, Outbound, Unanswered};
use crate::domain::{Clock, Timestamp, pause};
use crate::store::{Outcome, Store, StoreError, WebhookMessage, WebhookTried, WebhookWrite, Write, Written};
use crate::telemetry::Metrics;

pub use secret::{NoSecret, WebhookSecret};
pub use settings::Settings;

/// Messages to one address that are under way at once.
const AT_ONCE: usize = 8;
/// And to all of them.
const AT_ONCE_IN_ALL: usize = 256;
/// How often it is looked what is due.
const LOOK: Duration = Duration::from_millis(500);
/// After a fault of the database.
const RESPITE: Duration = Duration::from_secs(1);
/// How often it is looked for what is too old, and how much is forgotten in one commit.
const CLEAR: Duration = Duration::from_secs(60);
const CLEARED: i64 = 1_000;

const HOUR: i64 = 60 * 60;

/// Sends what is due.
pub struct Webhooks {
    store: Arc<Store>,
    outbound: Arc<Outbound>,
    pauses: Vec<Duration>,
    disable_after: i64,
    keep: i64,
    breakers: Breakers,
    under_way: Mutex<HashMap<i64, usize>>,
    something_new: Notify,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Webhooks {
    /// Takes from `store`, and calls by `outbound`.
    pub fn new(
        store: Arc<Store>,
        outbound: Arc<Outbound>,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            outbound,
            pauses: settings.retry_ms.iter().map(|ms| Duration::from_millis(*ms)).collect(),
            disable_after: i64::from(settings.disable_after_hours) * HOUR,
            keep: i64::from(settings.keep_days) * 24 * HOUR,
            breakers: Breakers::default(),
            under_way: Mutex::default(),
            something_new: Notify::new(),
            clock,
            metrics,
        })
    }

    /// Something new may be due.
    pub fn wake(&self) {
        self.something_new.notify_one();
    }

    /// Sends until `stop`; what is under way then is brought to an end.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let (report, reports) = mpsc::unbounded_channel();
        let clear = stop.run_until_cancelled(self.clear());
        tokio::join!(self.clone().always(report, stop.clone()), self.note(reports), clear);
    }

    async fn always(self: Arc<Self>, report: mpsc::UnboundedSender<WebhookTried>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let rest = match self.round(&report).await {
                Ok(0) => LOOK,
                Ok(_) => continue,
                Err(fault) => {
                    tracing::warn!(%fault, "the database does not tell what webhooks are due; asking again");
                    RESPITE
                }
            };
            let new = self.something_new.notified();
            stop.run_until_cancelled(tokio::time::timeout(rest, new)).await;
        }
    }

    /// Takes what is due, as far as there are places for it; tells how much that was.
    async fn round(
        self: &Arc<Self>,
        report: &mpsc::UnboundedSender<WebhookTried>,
    ) -> Result<usize, StoreError> {
        let wanted = self.free(self.store.due_webhooks().await?);
        if wanted.is_empty() {
            return Ok(0);
        }
        let (write, since) = (WebhookWrite::Claim { wanted }, Instant::now());
        let Written::Messages(claimed) = self.store.write(Write::Webhook(Arc::new(write))).await? else {
            return Err(StoreError::Closed);
        };
        for message in claimed.iter() {
            *self.places().entry(message.webhook).or_default() += 1;
            tokio::spawn(self.clone().tell(message.clone(), since, report.clone()));
        }
        Ok(claimed.len())
    }

    fn places(&self) -> MutexGuard<'_, HashMap<i64, usize>> {
        self.under_way.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// How many messages each of these may be sent now; those with few under way come first.
    fn free(&self, mut due: Vec<i64>) -> Vec<(i64, i64)> {
        let places = self.places();
        let taken = |webhook: &i64| places.get(webhook).copied().unwrap_or(0);
        let mut left = AT_ONCE_IN_ALL.saturating_sub(places.values().sum());
        due.sort_by_key(taken);
        let mut wanted = Vec::new();
        for webhook in due {
            let most = self.breakers.places(&known_as(webhook), AT_ONCE);
            let free = most.saturating_sub(taken(&webhook)).min(left);
            if free > 0 {
                left -= free;
                wanted.push((webhook, i64::try_from(free).unwrap_or(1)));
            }
        }
        wanted
    }

    /// Tries one. Should this panic, it is another one's when its time has run out.
    async fn tell(
        self: Arc<Self>,
        message: WebhookMessage,
        since: Instant,
        report: mpsc::UnboundedSender<WebhookTried>,
    ) {
        let place = Place { all: self.clone(), webhook: message.webhook };
        let (at, started) = (self.clock.now(), Instant::now());
        let outcome = match since.elapsed() < READY {
            true => self.outcome(&message, at).await.kept(),
            // Somebody else may have it by now.
            false => Outcome::Later(RESPITE, TOO_LATE.to_owned()),
        };
        if !matches!(outcome, Outcome::Later(..)) {
            self.metrics.webhook(outcome.state().name());
        }
        let took_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        let WebhookMessage { id, attempt, .. } = message;
        report.send(WebhookTried { id, attempt, at, took_ms, outcome }).ok();
        drop(place);
    }

    async fn outcome(&self, message: &WebhookMessage, now: Timestamp) -> Outcome {
        let sent = match letter(message, now) {
            Some((headers, body)) => {
                let sent =
                    tokio::time::timeout(LONGEST, self.outbound.post(&message.url, headers, body)).await;
                judged(sent.unwrap_or(Err(Unanswered::Late(LONGEST))))
            }
            None => Err(Fault::Unfit { reason: "it could not be signed: its secret is none".to_owned() }),
        };
        self.breakers.note(&known_as(message.webhook), None, &sent);
        match sent {
            Ok(_) => Outcome::Sent(None),
            Err(Fault::Gone { reason }) => Outcome::Gone(reason),
            Err(Fault::Retry { after, reason } | Fault::Slow { after, reason }) => {
                self.again(message, after, reason)
            }
            Err(
                Fault::Later { reason }
                | Fault::Reject { reason }
                | Fault::Unfit { reason }
                | Fault::Unsure { reason },
            ) => self.again(message, None, reason),
        }
    }

    /// When it is tried again, if it may be.
    fn again(&self, message: &WebhookMessage, asked: Option<Duration>, reason: String) -> Outcome {
        match pause(&self.pauses, message.attempt - message.since, chance()) {
            Some(usual) => Outcome::Again(usual.max(asked.unwrap_or_default()), reason),
            None => Outcome::Failed(format!("{reason}; it was tried as often as it may be")),
        }
    }

    /// Writes down what came of attempts, many in one commit.
    async fn note(&self, mut reports: mpsc::UnboundedReceiver<WebhookTried>) {
        while let Some(all) = noting::next(&mut reports).await {
            let write = |all| {
                let write = WebhookWrite::Tried { all, longest: self.disable_after };
                self.store.write(Write::Webhook(Arc::new(write)))
            };
            noting::note(all, "webhooks", write).await;
        }
    }

    /// Forgets what is too old.
    async fn clear(&self) {
        loop {
            let write = WebhookWrite::Clear { age: self.keep, most: CLEARED };
            match self.store.write(Write::Webhook(Arc::new(write))).await {
                Ok(Written::Changed(many)) if i64::try_from(many).is_ok_and(|many| many >= CLEARED) => {
                    // Others have the database meanwhile.
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Ok(_) => {}
                Err(fault) => tracing::warn!(%fault, "old webhooks could not be cleared away; trying again"),
            }
            tokio::time::sleep(CLEAR).await;
        }
    }
}

/// One message under way.
struct Place {
    all: Arc<Webhooks>,
    webhook: i64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.all.places();
        if let Some(many) = places.get_mut(&self.webhook) {
            *many -= 1;
            if *many == 0 {
                places.remove(&self.webhook);
            }
        }
        drop(places);
        self.all.wake();
    }
}

/// An address's name among breakers, and in logs.
fn known_as(webhook: i64) -> String {
    format!("webhook {webhook}")
}

/// The name of a message, as it is told.
pub fn message_name(uuid: &Uuid) -> String {
    format!("msg_{}", uuid.simple())
}

/// What a message says, and the headers that show who says it.
fn letter(message: &WebhookMessage, now: Timestamp) -> Option<(HeaderMap, Vec<u8>)> {
    let data: &RawValue = serde_json::from_str(&message.data).ok()?;
    let body = json!({"type": message.event, "timestamp": message.happened_at, "data": data}).to_string();
    let (name, seconds) = (message_name(&message.uuid), now.as_seconds().to_string());
    let signed = format!("{name}.{seconds}.{body}");
    let signature = |secret: &crate::domain::Secret| Some(WebhookSecret::new(secret).ok()?.sign(&signed));
    let signatures: Vec<String> = message.secrets.iter().filter_map(signature).collect();
    if signatures.is_empty() {
        return None;
    }
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (header, value) in
        [("webhook-id", name), ("webhook-timestamp", seconds), ("webhook-signature", signatures.join(" "))]
    {
        headers.insert(HeaderName::from_static(header), HeaderValue::from_str(&value).ok()?);
    }
    Some((headers, body.into_bytes()))
}

/// What an answer means: everything but success is worth another try, as the standard says.
fn judged(answer: Result<Answer, Unanswered>) -> Result<Taken, Fault> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(why) => return Err(Fault::Retry { after: None, reason: why.to_string() }),
    };
    let reason = format!("it answered {}", answer.status);
    match answer.status {
        200..=299 => Ok(Taken::default()),
        410 => Err(Fault::Gone { reason: format!("{reason}: it is gone") }),
        300..=399 => Err(Fault::Reject { reason: format!("{reason}; redirects are not followed") }),
        408 | 425 | 429 | 500.. => Err(Fault::Retry { after: answer.rest, reason }),
        _ => Err(Fault::Reject { reason }),
    }
}
