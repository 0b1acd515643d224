//! Settings: defaults < file < environment < flags. Each floor owns its part; this gathers them.
//!
//! Every setting is `section.key`. The environment spells it `CARILLON_SECTION_KEY`; the seeds' own
//! names work too. A key that nobody knows is an error, wherever it stands.

mod environment;
mod nearest;

use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

pub use crate::sections::{
    DashboardSettings, Environment, MetricsSettings, NotificationSettings, PrivacySettings, Server,
    TopicSettings, WorkerSettings,
};
use crate::{access, delivery, gateway, realtime, service, store, telemetry};
use nearest::meant;

/// Where a file is looked for when none is named.
pub const DEFAULT_FILE: &str = "carillon.toml";
/// A limit of requests: one in a microsecond.
const MOST_PER_MINUTE: usize = 60_000_000;

/// Everything that can be set.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The process.
    pub server: Server,
    /// The database.
    pub database: store::Settings,
    /// The line between nodes.
    pub redis: realtime::backplane::Settings,
    /// What other programs leave in Redis.
    pub ingest: gateway::ingest::Settings,
    /// Tokens.
    pub auth: access::Settings,
    /// Sockets.
    pub realtime: realtime::Settings,
    /// Raw WebSockets.
    pub websocket: gateway::websocket::Settings,
    /// The booking protocol.
    pub booking: gateway::BookingSettings,
    /// Topics.
    pub topics: TopicSettings,
    /// Limits.
    pub limits: gateway::Limits,
    /// Notifications.
    pub notifications: NotificationSettings,
    /// What leaves this server.
    pub delivery: delivery::Settings,
    /// E-mail.
    pub email: delivery::settings::EmailSettings,
    /// Web Push.
    pub push: delivery::settings::PushSettings,
    /// Text messages.
    pub sms: delivery::settings::SmsSettings,
    /// Addresses that are told what becomes of notifications.
    pub webhooks: delivery::webhooks::Settings,
    /// Digests.
    pub digests: delivery::settings::DigestSettings,
    /// What is counted of notifications.
    pub analytics: service::AnalyticsSettings,
    /// The audit log.
    pub audit: service::AuditSettings,
    /// What those who keep watch are told of.
    pub alerts: service::AlertSettings,
    /// How long notifications are kept.
    pub retention: service::RetentionSettings,
    /// What people agree to, and what is left of whom nothing is to be left of.
    pub privacy: PrivacySettings,
    /// Work that belongs to no connection.
    pub worker: WorkerSettings,
    /// Logs.
    pub log: telemetry::Settings,
    /// Traces.
    pub telemetry: telemetry::traces::TraceSettings,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// The dashboard.
    pub dashboard: DashboardSettings,
}

/// A setting, where it came from, and whether it may be shown.
pub struct Effective {
    /// `section.key`.
    pub key: String,
    /// As TOML; secrets are masked.
    pub value: String,
    /// `default`, a file, a variable or a flag.
    pub source: String,
}

/// Settings together with where each came from.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Variables that look like settings and are none: links to services.
    pub links: Vec<String>,
    figment: Figment,
}

/// One text from outside, named by its source.
struct Given {
    source: String,
    key: String,
    value: String,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let default = Figment::from(Serialized::defaults(Config::default())).find_value(&self.key);
        let Ok(default) = default else {
            let is_variable = self.source.starts_with("variable");
            let known = meant(&self.key, is_variable);
            return Err(Error::from(format!(
                "{} sets `{}`, which is no setting; {known}",
                self.source, self.key
            )));
        };
        let wrong = |kind: &str| {
            Error::from(format!("{} is `{}`, but {} must be {kind}", self.source, self.value, self.key))
        };
        let text = self.value.trim();
        let value = match default {
            Value::Num(..) => Value::from(text.parse::<i64>().map_err(|_| wrong("a whole number"))?),
            Value::Bool(..) => Value::from(text.parse::<bool>().map_err(|_| wrong("true or false"))?),
            _ => Value::from(self.value.clone()),
        };
        let (section, key) = self.key.split_once('.').unwrap_or_default();
        let mut inner = Dict::new();
        inner.insert(key.to_owned(), value);
        let mut outer = Dict::new();
        outer.insert(section.to_owned(), Value::Dict(Tag::Default, inner));
        Ok(Profile::Default.collect(outer))
    }
}

/// Flags of the command line: `section.key` and its value, with the flag's name.
pub type Flags = Vec<(&'static str, String, String)>;

/// Reads all settings. A `file` that is named must be there; the default one may be missing.
///
/// # Errors
/// When a file or value cannot be read, or a key is unknown; the message says which and where.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Flags,
) -> anyhow::Result<Loaded> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(file) = file {
        anyhow::ensure!(file.is_file(), "the configuration file {} is not there", file.display());
        figment = figment.merge(Toml::file_exact(file));
    } else if Path::new(DEFAULT_FILE).is_file() {
        figment = figment.merge(Toml::file_exact(DEFAULT_FILE));
    }
    let (variables, links) = environment::given(environment)?;
    for given in variables {
        figment = figment.merge(given);
    }
    for (flag, key, value) in flags {
        figment = figment.merge(Given { source: format!("flag {flag}"), key, value });
    }
    let config = figment.extract::<Config>().map_err(explain)?;
    usable(&config, &figment)?;
    Ok(Loaded { config, links, figment })
}

/// Refuses values that are numbers, but none to work with.
fn usable(config: &Config, figment: &Figment) -> anyhow::Result<()> {
    let source = |key: &str| figment.find_metadata(key).map_or_else(|| "default".to_owned(), describe);
    let (realtime, limits) = (&config.realtime, &config.limits);
    let least = [
        ("realtime.ping_interval_ms", realtime.ping_interval_ms, 50),
        ("realtime.ping_timeout_ms", realtime.ping_timeout_ms, 50),
        ("realtime.tcp_user_timeout_ms", realtime.tcp_user_timeout_ms, 50),
        ("realtime.connect_timeout_ms", realtime.connect_timeout_ms, 50),
        ("realtime.upgrade_timeout_ms", realtime.upgrade_timeout_ms, 50),
        ("realtime.send_buffer", realtime.send_buffer as u64, 16),
        ("limits.max_message_bytes", limits.max_message_bytes as u64, 1_024),
        ("limits.max_request_bytes", limits.max_request_bytes as u64, 1_024),
        ("limits.events_per_second", limits.events_per_second.into(), 1),
        ("limits.bytes_per_second", limits.bytes_per_second.into(), 1_024),
        ("limits.user_at_once", limits.user_at_once as u64, 1),
        ("limits.service_at_once", limits.service_at_once as u64, 1),
        ("limits.tenant_at_once", limits.tenant_at_once as u64, 1),
        ("limits.requests_at_once", limits.requests_at_once as u64, 1),
        ("limits.writes_waiting", limits.writes_waiting.into(), 1),
        ("limits.writes_at_work", limits.writes_at_work as u64, 1),
        ("delivery.timeout_ms", config.delivery.timeout_ms, 50),
        ("webhooks.keep_days", config.webhooks.keep_days.into(), 2),
        ("webhooks.disable_after_hours", config.webhooks.disable_after_hours.into(), 1),
        ("email.smtp_connections", config.email.smtp_connections as u64, 1),
        ("database.readers", config.database.readers as u64, 1),
        ("database.commit_batch", config.database.commit_batch as u64, 1),
    ];
    for (key, value, least) in least {
        anyhow::ensure!(value >= least, "{key} is {value} ({}); it must be at least {least}", source(key));
    }
    for (key, value, most) in [
        ("server.threads", config.server.threads, 1_024),
        ("database.readers", config.database.readers, 1_024),
        ("limits.opened_per_minute", limits.opened_per_minute as usize, MOST_PER_MINUTE),
        ("limits.user_per_minute", limits.user_per_minute as usize, MOST_PER_MINUTE),
        ("limits.service_per_minute", limits.service_per_minute as usize, MOST_PER_MINUTE),
        ("limits.tenant_per_minute", limits.tenant_per_minute as usize, MOST_PER_MINUTE),
    ] {
        anyhow::ensure!(value <= most, "{key} is {value} ({}); it must be at most {most}", source(key));
    }
    for origin in &config.server.allowed_origins {
        let authority = origin.split_once("://").map(|(_, rest)| rest.trim_end_matches('/'));
        anyhow::ensure!(
            origin == "*" || authority.is_some_and(|name| !name.is_empty() && !name.contains('/')),
            "server.allowed_origins ({}): `{origin}` is no origin; write https://app.example.com, or * for any",
            source("server.allowed_origins")
        );
    }
    let public = &config.delivery.public_url;
    anyhow::ensure!(
        public.is_empty()
            || reqwest::Url::parse(public).is_ok_and(|url| matches!(url.scheme(), "http" | "https")),
        "delivery.public_url ({}): `{public}` is no address of a server; write https://notify.example.com",
        source("delivery.public_url")
    );
    let server = &config.server;
    for (given, missing, other) in [
        ("server.tls_certificate", "server.tls_key", (&server.tls_certificate, &server.tls_key)),
        ("server.tls_key", "server.tls_certificate", (&server.tls_key, &server.tls_certificate)),
    ] {
        anyhow::ensure!(
            other.0.is_empty() || !other.1.is_empty(),
            "{given} ({}) needs {missing} beside it: both are PEM files",
            source(given)
        );
    }
    anyhow::ensure!(
        server.tls_port == 0 || !server.tls_certificate.is_empty(),
        "server.tls_port ({}) needs server.tls_certificate and server.tls_key",
        source("server.tls_port")
    );
    anyhow::ensure!(
        server.tls_port == 0 || server.tls_port != server.port,
        "server.tls_port is {} ({}), as server.port is; leave it out to have that port encrypted",
        server.tls_port,
        source("server.tls_port")
    );
    anyhow::ensure!(
        !config.delivery.allow_loopback || config.server.environment == Environment::Development,
        "delivery.allow_loopback ({}) is for tests; in production nothing inside is called. Take it away",
        source("delivery.allow_loopback")
    );
    if let Err(odd) = config.topics.restrictions() {
        anyhow::bail!("topics.restricted ({}): {odd}", source("topics.restricted"));
    }
    Ok(())
}

fn explain(error: Error) -> anyhow::Error {
    let lines: Vec<String> = error.into_iter().map(|error| in_words(&error)).collect();
    anyhow::anyhow!("the settings cannot be used: {}", lines.join("; "))
}

/// What is wrong, where it was written, and what to write instead.
fn in_words(error: &Error) -> String {
    let key = error.path.join(".");
    let source = error.metadata.as_ref().map_or_else(|| "default".to_owned(), describe);
    match &error.kind {
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("{key} is {} ({source}); it must be {}", shown(found), kind_in_words(expected))
        }
        Kind::UnknownVariant(found, expected) => {
            format!("{key} is `{found}` ({source}); it must be one of {}", expected.join(", "))
        }
        Kind::UnknownField(..) => {
            format!("`{key}` ({source}) is no setting; {}", meant(&key, false))
        }
        // A text of ours, which names its source itself.
        Kind::Message(text) if !source.starts_with("file") && key.is_empty() => text.clone(),
        other => format!("{other} ({})", if key.is_empty() { source } else { format!("{key}, {source}") }),
    }
}

fn shown(found: &Actual) -> String {
    match found {
        Actual::Bool(truth) => truth.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}

fn kind_in_words(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        other => other,
    }
}

impl Loaded {
    /// Every setting with its value and source.
    pub fn effective(&self) -> Vec<Effective> {
        let mut found = Vec::new();
        let Ok(Value::Dict(_, sections)) = Value::serialize(&self.config) else {
            return found;
        };
        for (section, inner) in sections {
            let Value::Dict(_, inner) = inner else { continue };
            for (name, value) in inner {
                let key = format!("{section}.{name}");
                let metadata = self.figment.find_metadata(&key);
                let source = metadata.map_or_else(|| "default".to_owned(), describe);
                found.push(Effective { value: as_toml(&value), key, source });
            }
        }
        found
    }
}

fn describe(metadata: &Metadata) -> String {
    match metadata.source.as_ref().and_then(figment::Source::file_path) {
        Some(path) => format!("file {}", path.display()),
        None if metadata.name.starts_with("variable") || metadata.name.starts_with("flag") => {
            metadata.name.to_string()
        }
        None => "default".to_owned(),
    }
}

/// `postgres://user:********@host/database`.
fn without_password(url: &str) -> String {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let (login, place) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some(format!("{scheme}://{user}:********@{place}"))
    });
    let url = parts.unwrap_or_else(|| url.to_owned());
    let Some((address, query)) = url.split_once('?') else { return url };
    let masked =
        query.split('&').map(|pair| if pair.starts_with("password=") { "password=********" } else { pair });
    format!("{address}?{}", masked.collect::<Vec<_>>().join("&"))
}

fn as_toml(value: &Value) -> String {
    match value {
        Value::String(_, url) if url.contains("://") => format!("{:?}", without_password(url)),
        Value::String(_, text) => format!("{text:?}"),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Bool(_, truth) => truth.to_string(),
        Value::Array(_, items) => {
            let items: Vec<_> = items.iter().map(as_toml).collect();
            format!("[{}]", items.join(", "))
        }
        _ => String::new(),
    }
}

/// The file named by `--config` or `CARILLON_CONFIG`.
pub fn named_file(flag: Option<PathBuf>) -> Option<PathBuf> {
    flag.or_else(|| std::env::var_os("CARILLON_CONFIG").map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> anyhow::Result<Loaded> {
        let pairs: Vec<_> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(None, pairs.into_iter(), Vec::new())
    }

    fn fault(pairs: &[(&str, &str)]) -> String {
        variables(pairs).err().unwrap().to_string()
    }

    #[test]
    fn the_seeds_names_work_and_ours_go_before_them() {
        let loaded = variables(&[
            ("SECRET_KEY", "flask"),
            ("JWT_SECRET_KEY", "12345678"),
            ("DATABASE_URL", "sqlite:///n.db"),
            ("WEBSOCKET_PORT", "6000"),
            ("CARILLON_SERVER_PORT", "7000"),
            ("CARILLON_ENV", "production"),
            ("HOST", ""),
        ])
        .unwrap();
        let config = &loaded.config;
        assert_eq!(config.auth.jwt_secret.expose(), "12345678");
        assert_eq!(config.database.url, "sqlite:///n.db");
        assert_eq!(config.server.port, 7000);
        assert_eq!(config.server.environment, Environment::Production);
        assert_eq!(config.server.host, "0.0.0.0", "an empty variable is an unset one");
        let effective = loaded.effective();
        let of = |key: &str| effective.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(of("server.port").source, "variable CARILLON_SERVER_PORT");
        assert_eq!(of("auth.jwt_secret").source, "variable JWT_SECRET_KEY");
        assert_eq!(of("auth.jwt_secret").value, "\"********\"");
        assert_eq!(of("server.host").source, "default");
    }

    #[test]
    fn unknown_and_unreadable_settings_are_errors() {
        assert!(fault(&[("CARILLON_SERVER_PROT", "1")]).contains("server.prot"));
        assert!(fault(&[("CARILLON_NONSENSE", "1")]).contains("CARILLON_NONSENSE"));
        assert!(fault(&[("PORT", "many")]).contains("variable PORT"));
        assert!(fault(&[("PORT", "70000")]).contains("port"));
        assert!(fault(&[("CARILLON_ENV", "staging")]).contains("staging"));
    }

    #[test]
    fn lists_are_written_with_commas() {
        let loaded =
            variables(&[("CARILLON_SERVER_ALLOWED_ORIGINS", "https://a.example, https://b.example")]);
        assert_eq!(loaded.unwrap().config.server.allowed_origins, ["https://a.example", "https://b.example"]);
    }
}
