//! Settings of what leaves this server: `[delivery]`, `[email]`, `[push]` and `[sms]`.

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use crate::domain::Secret;

/// Settings of `[delivery]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a provider may take, in milliseconds.
    pub timeout_ms: u64,
    /// The file that takes what no provider is set for; beside the database in development, none in production.
    pub sink_file: String,
    /// How people and providers reach this server: `https://notify.example.com`.
    pub public_url: String,
    /// Who writes, as e-mails say.
    pub sender_name: String,
    /// How many deliveries by one channel may be under way at once.
    pub at_once: usize,
    /// How many by one channel may begin in a second; 0 is no limit.
    pub per_second: u32,
    /// What is waited after an attempt that failed for now, after the next one, and so on, in milliseconds; then it has
    /// failed.
    #[serde(deserialize_with = "numbers")]
    pub retry_ms: Vec<u64>,
    /// Where notifications go whose senders do not say: `in_app`, `email`, `push`, `sms`.
    #[serde(deserialize_with = "list")]
    pub channels: Vec<String>,
    /// For tests: also calls this machine itself, and without TLS.
    pub allow_loopback: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout_ms: 10_000,
            sink_file: String::new(),
            public_url: String::new(),
            sender_name: String::new(),
            at_once: 64,
            per_second: 0,
            retry_ms: vec![1_000, 5_000, 30_000, 300_000],
            channels: vec!["in_app".to_owned()],
            allow_loopback: false,
        }
    }
}

/// Settings of `[digests]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DigestSettings {
    /// For how many days digests that were sent are kept, apart from what they told of; 0 keeps them for good.
    pub keep_days: u32,
}

impl Default for DigestSettings {
    fn default() -> Self {
        Self { keep_days: 365 }
    }
}

/// Settings of `[email]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailSettings {
    /// Who takes it.
    pub provider: EmailProvider,
    /// From whom: `Carillon <hello@example.com>`.
    pub from: String,
    /// The mail server.
    pub smtp_host: String,
    /// Its port.
    pub smtp_port: u16,
    /// How the line is secured.
    pub smtp_security: Security,
    /// The name to log in with; nobody logs in without one.
    pub smtp_user: String,
    /// The password.
    pub smtp_password: Secret,
    /// A PEM file of the authority that vouches for the mail server; the system's without one.
    pub smtp_ca_file: String,
    /// Connections at most.
    pub smtp_connections: usize,
    /// E-mails that somebody sends to themselves in 24 hours, and that one address gets in this way; 0 is no limit.
    pub to_oneself_per_day: u32,
    /// The key of SendGrid's API.
    pub sendgrid_api_key: Secret,
    /// Where that API is.
    pub sendgrid_url: String,
}

impl Default for EmailSettings {
    fn default() -> Self {
        Self {
            provider: EmailProvider::Auto,
            from: String::new(),
            smtp_host: String::new(),
            smtp_port: 587,
            smtp_security: Security::Starttls,
            smtp_user: String::new(),
            smtp_password: Secret::default(),
            smtp_ca_file: String::new(),
            smtp_connections: 4,
            to_oneself_per_day: 20,
            sendgrid_api_key: Secret::default(),
            sendgrid_url: "https://api.sendgrid.com".to_owned(),
        }
    }
}

/// Who takes e-mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailProvider {
    /// Whoever is set; else the sink.
    #[default]
    Auto,
    /// A mail server.
    Smtp,
    /// SendGrid.
    Sendgrid,
    /// A file.
    Sink,
}

/// How the line to a mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// TLS from an ordinary beginning on; without it, nothing is sent.
    #[default]
    Starttls,
    /// TLS at once.
    Tls,
    /// Not at all: only for a mail server on this machine or in its network.
    None,
}

/// Settings of `[push]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PushSettings {
    /// Who takes pushes.
    pub provider: PushProvider,
    /// The public key; worked out of the private one when empty.
    pub vapid_public_key: String,
    /// The private key.
    pub vapid_private_key: Secret,
    /// An e-mail address (or URL) by which push services reach whoever runs this.
    pub vapid_email: String,
    /// How long a push service keeps what has no end of its own for a device that is off, in seconds.
    pub ttl_seconds: u32,
    /// The picture beside a push whose sender names none: `https://…`, or a path of the page; none when empty.
    pub icon: String,
    /// The small one, of one colour, that stands for it where there is little room.
    pub badge: String,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            provider: PushProvider::Auto,
            vapid_public_key: String::new(),
            vapid_private_key: Secret::default(),
            vapid_email: String::new(),
            ttl_seconds: 24 * 60 * 60,
            icon: String::new(),
            badge: String::new(),
        }
    }
}

/// Who takes pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushProvider {
    /// The browsers' push services, if there are keys.
    #[default]
    Auto,
    /// A file.
    Sink,
}

/// Settings of `[sms]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SmsSettings {
    /// Who takes text messages.
    pub provider: SmsProvider,
    /// Countries to which they go, by two letters; `*` is all. Empty: that of `twilio_from`.
    #[serde(deserialize_with = "list")]
    pub countries: Vec<String>,
    /// To one number in 24 hours; 0 is no limit.
    pub per_number_per_day: u32,
    /// To one person in 24 hours; 0 is no limit.
    pub per_user_per_day: u32,
    /// Of one tenant in 24 hours; 0 is no limit.
    pub per_tenant_per_day: u32,
    /// Twilio's account.
    pub twilio_account_sid: String,
    /// Its secret, which also signs what Twilio says.
    pub twilio_auth_token: Secret,
    /// The number that they come from, or a messaging service (`MG…`).
    pub twilio_from: String,
    /// Where Twilio's API is.
    pub twilio_url: String,
    /// AWS's region: `eu-central-1`.
    pub sns_region: String,
    /// The key's name.
    pub sns_access_key_id: String,
    /// The key.
    pub sns_secret_access_key: Secret,
    /// The name that they come from, where countries allow one.
    pub sns_sender_id: String,
    /// Where SNS is; the region's own when empty.
    pub sns_url: String,
}

impl Default for SmsSettings {
    fn default() -> Self {
        Self {
            provider: SmsProvider::Auto,
            countries: Vec::new(),
            per_number_per_day: 10,
            per_user_per_day: 10,
            per_tenant_per_day: 1_000,
            twilio_account_sid: String::new(),
            twilio_auth_token: Secret::default(),
            twilio_from: String::new(),
            twilio_url: "https://api.twilio.com".to_owned(),
            sns_region: String::new(),
            sns_access_key_id: String::new(),
            sns_secret_access_key: Secret::default(),
            sns_sender_id: String::new(),
            sns_url: String::new(),
        }
    }
}

/// Who takes text messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmsProvider {
    /// Twilio, if it is set; else the sink.
    #[default]
    Auto,
    /// Twilio.
    Twilio,
    /// Amazon SNS.
    Sns,
    /// A file.
    Sink,
}

/// `1000, 5000` or a list.
pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of milliseconds: 1000, 5000, or [1000, 5000]")]
    enum Given {
        One(u64),
        Text(String),
        List(Vec<u64>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::One(one) => vec![one],
        Given::List(list) => list,
        Given::Text(text) => {
            let signs = |sign: char| sign.is_whitespace() || matches!(sign, ',' | '[' | ']');
            let numbers = text.split(signs).filter(|item| !item.is_empty()).map(str::parse);
            numbers.collect::<Result<_, _>>().map_err(serde::de::Error::custom)?
        }
    })
}

/// `US, GB` or a list.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a list of countries: US, GB, or [\"US\", \"GB\"]")]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::List(list) => list,
        Given::Text(text) => {
            let signs = |sign: char| sign.is_whitespace() || matches!(sign, ',' | '[' | ']' | '"');
            text.split(signs).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
    })
}
