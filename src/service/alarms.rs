//! Tells those who keep watch what is alarming: in the log, as a metric, and by signed webhooks of the tenant it concerns.
//!
//! What is alike (the same kind, tenant and source) is counted together: it is told when there is enough of it, and then not again for
//! a while; what came meanwhile is told as one number. Of very many sources only some are kept apart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::access::{TokenError, address_key, is_shaped_as_token};
use crate::delivery::webhooks::Webhooks;
use crate::domain::chain::Row;
use crate::domain::{AlertKind, Clock, Recipient, Tenant, Timestamp};
use crate::store::{Store, WebhookWrite, Write};
use crate::telemetry::Metrics;

/// How often it is looked what is to be told.
const TICK: Duration = Duration::from_secs(1);
/// Ticks after which text messages are counted.
const COUNT: u32 = 10;
/// Sources of one kind that are kept apart.
const APART: usize = 1_000;
/// Alerts of one kind that one tenant is told in one span of quiet.
const MOST: u32 = 20;

/// Settings of `[alerts]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertSettings {
    /// Tokens that one address shows in vain within a minute before that is told; 0: never.
    pub brute_force: u32,
    /// Of these, such that look like tokens of this server and are not; 0: never.
    pub forged_tokens: u32,
    /// Requests of one caller within a minute for what their token does not allow; 0: never.
    pub scope_violations: u32,
    /// Text messages of one tenant within a day; told again at twice as many, and so on. 0: never.
    pub sms_per_day: u32,
    /// Seconds for which what is alike is not told again.
    pub quiet_seconds: u32,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self { brute_force: 20, forged_tokens: 5, scope_violations: 20, sms_per_day: 500, quiet_seconds: 300 }
    }
}

/// Within this, what is alike is counted together until there is enough of it.
const WINDOW: Duration = Duration::from_secs(60);

/// What is counted together, of one kind; of nobody: of all in the tenant that are not kept apart.
type Alike = (Tenant, Option<String>);

struct Count {
    many: u32,
    since: Instant,
    first_at: Timestamp,
    /// Until then nothing is told.
    quiet_until: Option<Instant>,
}

type Counts = HashMap<AlertKind, HashMap<Alike, Count>>;

/// Tells.
pub struct Alarms {
    store: Arc<Store>,
    webhooks: Arc<Webhooks>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    settings: AlertSettings,
    counts: Mutex<Counts>,
    /// How much was told to a tenant in a span of quiet, and when that began.
    told: Mutex<HashMap<(AlertKind, Tenant), (u32, Instant)>>,
    /// How many text messages of a tenant are told of next.
    texts: Mutex<HashMap<String, i64>>,
}

impl Alarms {
    /// Kept in `store` until `webhooks` has told it.
    pub fn new(
        store: Arc<Store>,
        webhooks: Arc<Webhooks>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        settings: &AlertSettings,
    ) -> Arc<Self> {
        let settings = settings.clone();
        AlertKind::ALL.iter().for_each(|kind| metrics.expect_alerts(kind.name()));
        let (counts, told, texts) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { store, webhooks, clock, metrics, settings, counts, told, texts })
    }

    /// Tells what is due, and counts text messages, without end.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = 0;
        loop {
            tokio::time::sleep(TICK).await;
            self.tick();
            ticks += 1;
            if ticks % COUNT == 0 {
                self.count_texts().await;
            }
        }
    }

    /// Somebody at `address` has shown this token, which was refused.
    pub fn failed(&self, refusal: TokenError, token: &str, address: Option<IpAddr>) {
        let tenant = Tenant::default();
        let source = address.map(|address| address_key(address).to_string());
        let now = self.clock.now();
        let note = |kind, enough| self.note(kind, &tenant, source.as_deref(), enough, now);
        match refusal {
            // Whoever shows nothing, or what was good once, guesses nothing.
            TokenError::Missing | TokenError::NoKeys | TokenError::Expired | TokenError::Early => {}
            TokenError::SomebodyElse | TokenError::NoPermission => {
                note(AlertKind::ScopeViolations, self.settings.scope_violations);
            }
            _ => {
                note(AlertKind::BruteForce, self.settings.brute_force);
                if is_shaped_as_token(token) {
                    note(AlertKind::ForgedTokens, self.settings.forged_tokens);
                }
            }
        }
    }

    /// `caller` of `tenant` was refused what their token does not allow.
    pub fn denied(&self, tenant: &Tenant, caller: &str) {
        let (enough, now) = (self.settings.scope_violations, self.clock.now());
        self.note(AlertKind::ScopeViolations, tenant, Some(caller), enough, now);
    }

    /// This was done.
    pub fn done(&self, row: &Row) {
        let Some(kind) = AlertKind::of_action(&row.action) else { return };
        if let Ok(tenant) = Tenant::new(&row.tenant) {
            self.note(kind, &tenant, row.actor.as_deref(), 1, row.at);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Counts one, which happened `at` that time; tells of it, if there are `enough` now.
    fn note(&self, kind: AlertKind, tenant: &Tenant, source: Option<&str>, enough: u32, at: Timestamp) {
        if enough == 0 {
            return;
        }
        let now = Instant::now();
        let raised = {
            let mut counts = self.counts();
            let counts = counts.entry(kind).or_default();
            let mut alike = (tenant.clone(), source.map(str::to_owned));
            if counts.len() >= APART && !counts.contains_key(&alike) {
                // Whose they are cannot be remembered of all; whom it concerns can.
                alike.1 = None;
            }
            let first = || Count { many: 0, since: now, first_at: at, quiet_until: None };
            let count = counts.entry(alike.clone()).or_insert_with(first);
            if count.quiet_until.is_none() && now.duration_since(count.since) > WINDOW {
                *count = first();
            }
            if count.many == 0 {
                count.first_at = at;
            }
            count.many = count.many.saturating_add(1);
            let is_enough = count.quiet_until.is_none() && count.many >= enough;
            is_enough.then(|| self.take(count, now)).map(|(many, first_at)| (alike, many, first_at))
        };
        if let Some(((tenant, source), many, first_at)) = raised {
            self.tell(kind, &tenant, source.as_deref(), i64::from(many), first_at);
        }
    }

    /// Begins a span of quiet; how many there were before it, and since when.
    fn take(&self, count: &mut Count, now: Instant) -> (u32, Timestamp) {
        let quiet = Duration::from_secs(self.settings.quiet_seconds.into());
        count.quiet_until = Some(now + quiet);
        count.since = now;
        (std::mem::take(&mut count.many), count.first_at)
    }

    /// Tells what came while it was quiet, and forgets what is over.
    fn tick(&self) {
        let now = Instant::now();
        let mut raised = Vec::new();
        {
            let mut counts = self.counts();
            for (kind, counts) in counts.iter_mut() {
                counts.retain(|alike, count| match count.quiet_until {
                    Some(until) if now < until => true,
                    Some(_) if count.many == 0 => false,
                    Some(_) => {
                        raised.push((*kind, alike.clone(), self.take(count, now)));
                        true
                    }
                    None => now.duration_since(count.since) <= WINDOW,
                });
            }
        }
        for (kind, (tenant, source), (many, first_at)) in raised {
            self.tell(kind, &tenant, source.as_deref(), i64::from(many), first_at);
        }
    }

    /// Tells of one, unless the same was told a moment ago.
    pub fn raise(&self, kind: AlertKind, tenant: &Tenant, source: Option<&str>) {
        self.note(kind, tenant, source, 1, self.clock.now());
    }

    /// Nobody is counted here by this name any more.
    pub fn forget(&self, whom: &Recipient) {
        let is_theirs = |(tenant, source): &Alike| {
            *tenant == whom.tenant && source.as_deref() == Some(whom.user.as_str())
        };
        for counts in self.counts().values_mut() {
            counts.retain(|alike, _| !is_theirs(alike));
        }
    }

    fn tell(&self, kind: AlertKind, tenant: &Tenant, source: Option<&str>, many: i64, first_at: Timestamp) {
        self.metrics.security_alert(kind.name());
        if !self.may_tell(kind, tenant) {
            return;
        }
        let (name, about) = (kind.name(), kind.about());
        tracing::warn!(
            event = "security.alert",
            kind = name,
            tenant = tenant.as_str(),
            source = source.unwrap_or("several"),
            count = many,
            "{about}"
        );
        let at = self.clock.now();
        let data = json!({
            "kind": name,
            "message": about,
            "tenant": tenant.as_str(),
            "source": source,
            "count": many,
            "since": first_at,
        });
        let write = WebhookWrite::Alert { tenant: tenant.clone(), at, data };
        let webhooks = self.webhooks.clone();
        let stored = Box::new(move |written: Result<_, _>| match written {
            Ok(_) => webhooks.wake(),
            Err(fault) => tracing::warn!(%fault, kind = name, "an alert could not be stored for webhooks"),
        });
        self.store.submit(Write::Webhook(Arc::new(write)), stored);
    }

    /// Whether this tenant has not been told of too much of this kind in this span of quiet.
    fn may_tell(&self, kind: AlertKind, tenant: &Tenant) -> bool {
        let now = Instant::now();
        let span = Duration::from_secs(self.settings.quiet_seconds.into());
        let mut told = self.told.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        told.retain(|_, (_, since)| now.duration_since(*since) <= span);
        let (many, _) = told.entry((kind, tenant.clone())).or_insert((0, now));
        *many += 1;
        if *many == MOST {
            tracing::warn!(
                kind = kind.name(),
                tenant = tenant.as_str(),
                "more alerts of this kind are only counted"
            );
        }
        *many <= MOST
    }

    /// Looks who sent very many text messages.
    async fn count_texts(&self) {
        let most = i64::from(self.settings.sms_per_day);
        if most == 0 {
            return;
        }
        let many = match self.store.texts_of_tenants(self.clock.now(), most).await {
            Ok(many) => many,
            Err(fault) => return tracing::warn!(%fault, "text messages could not be counted; trying again"),
        };
        let mut raised = Vec::new();
        {
            let mut texts = self.texts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            texts.retain(|tenant, _| many.iter().any(|(other, _)| other == tenant));
            for (tenant, many) in many {
                let next = texts.entry(tenant.clone()).or_insert(most);
                if many >= *next {
                    while *next <= many {
                        *next = next.saturating_mul(2);
                    }
                    raised.push((tenant, many));
                }
            }
        }
        for (tenant, many) in raised {
            if let Ok(tenant) = Tenant::new(&tenant) {
                self.tell(AlertKind::SmsSpend, &tenant, None, many, self.clock.now());
            }
        }
    }
}
