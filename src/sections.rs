//! Settings that belong to no floor: of the process, and of what the roof itself does.

use std::net::IpAddr;

use figment::providers::{Format as _, Toml};
use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::domain::{Channel, ConsentNeeded, NoRestriction, Restriction, Secret};

/// What this deployment is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Secrets are made when missing; the demo page is there.
    #[default]
    Development,
    /// Secrets must be set; no demo page.
    Production,
}

/// Settings of `[server]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// `development` or `production`.
    pub environment: Environment,
    /// Address to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// A PEM file with this server's certificate, and those that lead to its authority: lines are encrypted.
    pub tls_certificate: String,
    /// A PEM file with its private key.
    pub tls_key: String,
    /// Port on which lines are encrypted, beside `port`, on which they are not; 0: `port` is encrypted itself.
    pub tls_port: u16,
    /// Threads; 0 takes one for each core. With one, everything runs on a single thread, which is
    /// cheapest for each message.
    pub threads: usize,
    /// Browser origins that may connect; `*` allows any, without credentials.
    #[serde(deserialize_with = "list")]
    pub allowed_origins: Vec<String>,
    /// Addresses of proxies whose X-Forwarded-For is believed; ranges, too (`10.42.0.0/16`).
    #[serde(deserialize_with = "list")]
    pub trusted_proxies: Vec<String>,
    /// This process's name among its like; made up when empty.
    pub node: String,
    /// How long a graceful stop may take, in milliseconds.
    pub shutdown_timeout_ms: u64,
    /// How long readiness fails before connections are closed: time for a load balancer to notice.
    pub shutdown_delay_ms: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            environment: Environment::Development,
            host: "0.0.0.0".to_owned(),
            port: 5002,
            tls_certificate: String::new(),
            tls_key: String::new(),
            tls_port: 0,
            threads: 0,
            allowed_origins: vec!["*".to_owned()],
            trusted_proxies: Vec::new(),
            node: String::new(),
            shutdown_timeout_ms: 8_000,
            shutdown_delay_ms: 0,
        }
    }
}

impl Server {
    /// The proxies, as ranges of addresses.
    ///
    /// # Errors
    /// When one is neither an address nor a range.
    pub fn proxies(&self) -> anyhow::Result<Vec<IpNet>> {
        let wrong = |text: &str| {
            anyhow::anyhow!(
                "server.trusted_proxies: `{text}` is no IP address and no range such as 10.42.0.0/16"
            )
        };
        self.trusted_proxies
            .iter()
            .map(|text| match text.parse::<IpAddr>() {
                Ok(address) => Ok(address.to_canonical().into()),
                Err(_) => text.parse().map_err(|_| wrong(text)),
            })
            .collect()
    }
}

/// Settings of `[notifications]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationSettings {
    /// Types that nobody can switch off: `security_alert`.
    #[serde(deserialize_with = "list")]
    pub mandatory_types: Vec<String>,
}

/// Settings of `[worker]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// Whether this server does the work that belongs to no connection.
    pub enabled: bool,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Settings of `[topics]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopicSettings {
    /// Names that are kept for a role or a tenant: `staff-* role:staff`, `board tenant:acme`.
    #[serde(deserialize_with = "list")]
    pub restricted: Vec<String>,
}

impl TopicSettings {
    /// The restrictions.
    ///
    /// # Errors
    /// When one is none.
    pub fn restrictions(&self) -> Result<Vec<Restriction>, NoRestriction> {
        self.restricted.iter().map(|text| text.parse()).collect()
    }
}

/// Settings of `[dashboard]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DashboardSettings {
    /// Whether `/dashboard` is there. Without a token of the role viewer, operator or admin nobody sees anything.
    pub enabled: bool,
}

impl Default for DashboardSettings {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Settings of `[privacy]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacySettings {
    /// Channels over which nothing goes to people who have not agreed to them: `email`, `push`, `sms`.
    #[serde(deserialize_with = "list")]
    pub require_consent: Vec<String>,
    /// An SQLite file of at most so many megabytes is written anew when somebody is forgotten.
    pub vacuum_mb: u64,
    /// The `user.id` of a booking is an id of the people who have an inbox here: who is exported or forgotten is also the one
    /// whom bookings name by it. Else a booking's `user` is a name of the back end's own.
    pub bookings_name_users: bool,
}

impl Default for PrivacySettings {
    fn default() -> Self {
        Self { require_consent: Vec::new(), vacuum_mb: 256, bookings_name_users: false }
    }
}

impl PrivacySettings {
    /// The channels that people must have agreed to.
    ///
    /// # Errors
    /// When a word is none of theirs.
    pub fn consent(&self) -> anyhow::Result<ConsentNeeded> {
        let channel = |word: &String| match Channel::named(word) {
            Some(channel) if channel != Channel::Realtime => Ok(channel),
            _ => Err(anyhow::anyhow!("privacy.require_consent: `{word}` is none of email, push and sms")),
        };
        let channels = self.require_consent.iter().map(channel).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(ConsentNeeded::of(&channels))
    }
}

/// Settings of `[metrics]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Who shows it as a bearer token may read `/metrics`. Unset: open in development, closed in
    /// production.
    pub token: Secret,
}

/// `a, b` or `["a", "b"]`, which may stand in a text, too: flags and the environment have nothing else.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    match Given::deserialize(deserializer)? {
        Given::List(list) => Ok(list),
        Given::Text(text) => items(&text).ok_or_else(|| {
            let rule = "is no list; write a, b or [\"a\", \"b\"]";
            D::Error::custom(format!("`{text}` {rule}"))
        }),
    }
}

/// The items of a list that is written as a text; nothing, if it is none.
fn items(text: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        list: Vec<String>,
    }
    let text = text.trim();
    if text.starts_with('[') {
        return Some(Toml::from_str::<Written>(&format!("list = {text}")).ok()?.list);
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| (!item.starts_with(['"', '\''])).then(|| item.to_owned())).collect()
}
