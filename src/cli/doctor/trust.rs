//! What others must be able to rely on: keys of columns and of tokens, the audit log, and whoever collects traces.

use std::time::Duration;

use serde_json::json;

use super::{Finding, counted};
use crate::access::Keyring;
use crate::config::{Config, Environment};
use crate::domain::{Clock as _, SystemClock};
use crate::service::collector as known_collector;
use crate::service::proof::prove;
use crate::store::{self, AuditLog, StoreError};

/// A long audit log is left to `carillon audit verify`.
const PATIENCE: Duration = Duration::from_secs(10);
/// Seconds after which somebody should have sealed what was written.
const USUAL: f64 = 60.0;

/// By which keys columns are encrypted, and whether these are here.
pub async fn keys(config: &Config) -> Vec<Finding> {
    const OF: &str = "encryption";
    let mend = "set the right keys (ENCRYPTION_KEYS, or database.encryption_keys_file): docs/SECURITY.md, `Encrypting the \
                database`";
    let known = match store::examine_keys(&config.database).await {
        Ok(known) => known,
        Err(fault) => return vec![Finding::fail(OF, fault.to_string(), mend)],
    };
    let mut found = match known.newest {
        Some(newest) => vec![Finding::ok(OF, format!("columns are encrypted by the key `{newest}`"))],
        None if config.server.environment == Environment::Production => vec![Finding::warn(
            OF,
            "there are no keys: texts, contacts and secrets of webhooks are stored in plain",
            "`carillon keys new` prints one: docs/SECURITY.md, `Encrypting the database`",
        )],
        None => vec![Finding::ok(OF, "there are no keys: columns are stored in plain")],
    };
    if !known.older.is_empty() {
        let is = format!("values may still be encrypted by older keys: {}", known.older.join(", "));
        found.push(Finding::ok(OF, is));
    }
    if !known.nodes.is_empty() {
        let is = format!("nodes are running that lack the newest key: {}", known.nodes.join(", "));
        found.push(Finding::warn(
            OF,
            is,
            "put it behind the present ones on each node first, and restart them one by one",
        ));
    }
    found
}

/// Whether the audit log is what was sealed. If the schema is not `is_current`, there may be none.
pub async fn audit(config: &Config, is_current: bool) -> Vec<Finding> {
    const OF: &str = "audit";
    if !is_current {
        return vec![Finding::ok(OF, "it was not looked at: there is none yet, or it is another release's")];
    }
    let unread = |fault: StoreError| {
        let mend = "see that the database is whole, and that its user may read audit_log, audit_seals, audit_chain and \
                    audit_people; until then nobody can tell whether the log was changed";
        vec![Finding::fail(OF, format!("it cannot be read: {fault}"), mend)]
    };
    let log = match AuditLog::open(&config.database).await {
        Ok(log) => log,
        Err(fault) => return unread(fault),
    };
    let proof = match tokio::time::timeout(PATIENCE, prove(&log, &[], config.audit.here(), false)).await {
        Ok(Ok(proof)) => proof,
        Ok(Err(StoreError::Shortened)) => {
            return vec![Finding::ok(OF, "old rows are being removed; ask `carillon audit verify` later")];
        }
        Ok(Err(fault)) => return unread(fault),
        Err(_) => {
            return vec![Finding::ok(
                OF,
                "it is too long to be looked through here; ask `carillon audit verify`",
            )];
        }
    };
    if let Some(damage) = proof.damage {
        let mend = "keep the database as it is, and find out who changed it: docs/OPERATIONS.md, `The audit log is broken`";
        return vec![Finding::fail(OF, format!("it is not what was sealed: {damage}"), mend)];
    }
    let mut found = vec![Finding::ok(OF, format!("{} rows are what was sealed", proof.rows))];
    if let Some(doubt) = proof.backing.doubt {
        let mend = "hold a head that is kept elsewhere, or a backup, against it: docs/OPERATIONS.md, `The audit log is broken`";
        found.push(Finding::warn(OF, format!("{} older rows are missing; {doubt}", proof.gone), mend));
    }
    let waits = proof.waiting.since.map(|since| SystemClock.now().seconds_since(since));
    if let Some(seconds) = waits.filter(|seconds| *seconds > USUAL) {
        let is = format!("{} rows wait to be sealed, since {seconds:.0} s", proof.waiting.many);
        found.push(Finding::warn(OF, is, "a running server or worker seals them; start one"));
    }
    found
}

/// Whether the keys that check tokens can be had, if they come by URL.
pub async fn tokens(config: &Config) -> Vec<Finding> {
    const OF: &str = "tokens";
    let keyring = match Keyring::new(&config.auth) {
        Ok(keyring) => keyring,
        // The first start makes those that are missing in development; `settings` tells of those that are missing elsewhere.
        Err(_) if config.auth.jwt_algorithm.starts_with("HS") => return Vec::new(),
        Err(fault) => {
            return vec![Finding::fail(OF, fault.to_string(), "correct it; a server does not start so")];
        }
    };
    let mend = "see that auth.jwt_jwks_url is your issuer's, and that this machine may reach it by https";
    match keyring.ask().await {
        None => Vec::new(),
        Some(Ok(0)) => vec![Finding::fail(
            OF,
            format!("auth.jwt_jwks_url has no key for {}", config.auth.jwt_algorithm),
            "set auth.jwt_algorithm to that of your issuer's keys",
        )],
        Some(Ok(many)) => vec![Finding::ok(OF, format!("auth.jwt_jwks_url has {}", counted(many, "key")))],
        Some(Err(why)) => {
            vec![Finding::fail(OF, format!("auth.jwt_jwks_url: {why}; nobody can connect"), mend)]
        }
    }
}

/// Whether the collector takes traces, if there is one. It is told of none.
pub async fn collector(config: &Config) -> Vec<Finding> {
    const OF: &str = "traces";
    let (client, url) = match known_collector(&config.telemetry) {
        Ok(None) => return Vec::new(),
        Ok(Some(known)) => known,
        Err(fault) => {
            return vec![Finding::fail(OF, format!("{fault:#}"), "correct it; a server does not start so")];
        }
    };
    let mend = "see that telemetry.endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) is a collector's, for OTLP over HTTP at port 4318, and \
                that it runs; until then traces are lost, and nothing else is";
    match client.post(url).json(&json!({"resourceSpans": []})).send().await {
        Ok(answer) if answer.status().is_success() => vec![Finding::ok(OF, "the collector takes them")],
        Ok(answer) => {
            let is = format!("the collector answers {}", answer.status().as_u16());
            vec![Finding::warn(OF, is, mend)]
        }
        Err(fault) => {
            let fault = fault.without_url();
            let why = std::error::Error::source(&fault).map(|why| format!(": {why}")).unwrap_or_default();
            vec![Finding::warn(OF, format!("the collector cannot be reached ({fault}{why})"), mend)]
        }
    }
}
