//! Settings in the environment, by our names and the seeds'; and what only looks like one.

use std::net::IpAddr;

use super::Given;
use super::nearest::meant;

/// Before each name of ours.
pub(super) const PREFIX: &str = "CARILLON_";

/// The seeds' names; of several for one setting, the first that is set counts.
const ALIASES: [(&str, &str); 41] = [
    ("JWT_SECRET_KEY", "auth.jwt_secret"),
    ("JWT_SECRET", "auth.jwt_secret"),
    ("SECRET_KEY", "auth.jwt_secret"),
    ("JWT_ALGORITHM", "auth.jwt_algorithm"),
    ("BACKEND_SERVICE_TOKEN", "auth.backend_token"),
    ("DATABASE_URL", "database.url"),
    ("DB_CONNECTION", "database.url"),
    ("ENCRYPTION_KEYS", "database.encryption_keys"),
    ("ENCRYPTION_KEY", "database.encryption_keys"),
    ("REDIS_URL", "redis.url"),
    ("HOST", "server.host"),
    ("PORT", "server.port"),
    ("WEBSOCKET_PORT", "server.port"),
    ("FRONTEND_URL", "server.allowed_origins"),
    ("PUBLIC_URL", "delivery.public_url"),
    ("SMTP_HOST", "email.smtp_host"),
    ("SMTP_SERVER", "email.smtp_host"),
    ("SMTP_PORT", "email.smtp_port"),
    ("SMTP_SECURITY", "email.smtp_security"),
    ("SMTP_USER", "email.smtp_user"),
    ("SMTP_USERNAME", "email.smtp_user"),
    ("SMTP_PASSWORD", "email.smtp_password"),
    ("EMAIL_FROM", "email.from"),
    ("SMTP_FROM", "email.from"),
    ("SENDGRID_FROM_EMAIL", "email.from"),
    ("SENDGRID_API_KEY", "email.sendgrid_api_key"),
    ("VAPID_PUBLIC_KEY", "push.vapid_public_key"),
    ("VAPID_PRIVATE_KEY", "push.vapid_private_key"),
    ("VAPID_EMAIL", "push.vapid_email"),
    ("TWILIO_ACCOUNT_SID", "sms.twilio_account_sid"),
    ("TWILIO_AUTH_TOKEN", "sms.twilio_auth_token"),
    ("TWILIO_PHONE_NUMBER", "sms.twilio_from"),
    ("TWILIO_FROM", "sms.twilio_from"),
    ("AWS_REGION", "sms.sns_region"),
    ("AWS_DEFAULT_REGION", "sms.sns_region"),
    ("AWS_ACCESS_KEY_ID", "sms.sns_access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "sms.sns_secret_access_key"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "telemetry.headers"),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.sample_ratio"),
    ("OTEL_SERVICE_NAME", "telemetry.service_name"),
];

/// What Kubernetes and Docker write before an address of a service.
const SCHEMES: [&str; 3] = ["tcp", "udp", "sctp"];

/// What is set; and the names of variables that are links to services: whoever runs something called `carillon` finds
/// `CARILLON_PORT=tcp://10.0.0.7:80` among the variables of its neighbours. They are no settings, and no typing errors.
///
/// # Errors
/// When a variable of our name is no setting.
pub(super) fn given(
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<(Vec<Given>, Vec<String>)> {
    let is_ours = |name: &str| name.starts_with(PREFIX) || ALIASES.iter().any(|(alias, _)| *alias == name);
    let (mut links, variables): (Vec<_>, Vec<_>) = variables
        .filter(|(name, value)| !value.is_empty() && is_ours(name))
        .partition(|(name, value)| is_link(name, value));
    let mut given: Vec<Given> = Vec::new();
    // The last one merged counts, so the first alias comes last.
    for (name, key) in ALIASES.iter().rev() {
        for (_, value) in variables.iter().filter(|(variable, _)| variable == name) {
            let source = format!("variable {name}");
            given.push(Given { source, key: (*key).to_owned(), value: value.clone() });
        }
    }
    for (name, value) in &variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = match rest {
            "ENV" => "server.environment".to_owned(),
            "CONFIG" => continue,
            _ => match rest.to_ascii_lowercase().split_once('_') {
                Some((section, key)) => format!("{section}.{key}"),
                None => anyhow::bail!(
                    "the variable {name} is no setting; they are spelled CARILLON_SECTION_KEY; {}",
                    meant(&rest.to_ascii_lowercase(), true)
                ),
            },
        };
        given.push(Given { source: format!("variable {name}"), key, value: value.clone() });
    }
    links.sort();
    Ok((given, links.into_iter().map(|(name, _)| name).collect()))
}

/// Whether this links to a service: `…_SERVICE_HOST`, `…_SERVICE_PORT`, `…_SERVICE_PORT_HTTP`, `…_PORT`, `…_PORT_80_TCP` and what
/// follows that, with values such as these have. No setting takes such a value under such a name.
fn is_link(name: &str, value: &str) -> bool {
    let is_ip = || value.parse::<IpAddr>().is_ok();
    let is_number = || value.parse::<u16>().is_ok();
    let is_address = || value.split_once("://").is_some_and(|(scheme, _)| SCHEMES.contains(&scheme));
    let is_port = |number: &str, scheme: &str| {
        number.parse::<u16>().is_ok() && SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())
    };
    match name.split('_').collect::<Vec<_>>().as_slice() {
        [.., "SERVICE", "HOST"] => is_ip(),
        [.., "SERVICE", "PORT"] => is_number(),
        [.., "PORT", number, scheme] if is_port(number, scheme) => is_address(),
        [.., "PORT", number, scheme, "PROTO"] if is_port(number, scheme) => SCHEMES.contains(&value),
        [.., "PORT", number, scheme, "PORT"] if is_port(number, scheme) => is_number(),
        [.., "PORT", number, scheme, "ADDR"] if is_port(number, scheme) => is_ip(),
        [.., "PORT"] => is_address(),
        _ => name.contains("_SERVICE_PORT_") && is_number(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_told_from_settings() {
        for (name, value) in [
            ("CARILLON_SERVICE_HOST", "10.96.0.7"),
            ("CARILLON_SERVICE_PORT", "80"),
            ("CARILLON_SERVICE_PORT_HTTP", "80"),
            ("CARILLON_SERVICE_PORT_WEB_UI", "80"),
            ("CARILLON_PORT", "tcp://10.96.0.7:80"),
            ("CARILLON_PORT_80_TCP", "tcp://10.96.0.7:80"),
            ("CARILLON_PORT_80_TCP_PROTO", "tcp"),
            ("CARILLON_PORT_80_TCP_PORT", "80"),
            ("CARILLON_PORT_80_TCP_ADDR", "10.96.0.7"),
            ("CARILLON_PORT_53_UDP", "udp://[fd00::7]:53"),
            ("CARILLON_PORT_53_UDP_ADDR", "fd00::7"),
            ("CARILLON_SERVER_PORT", "tcp://10.96.0.7:5002"),
            ("CARILLON_REDIS_SERVICE_HOST", "10.96.0.8"),
            ("SMTP_PORT", "tcp://10.96.0.9:25"),
        ] {
            assert!(is_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("CARILLON_SERVER_PORT", "80"),
            ("CARILLON_PORT", "80"),
            ("CARILLON_SERVICE_HOST", "notify.example.com"),
            ("CARILLON_SERVICE_PORT", "tcp"),
            ("CARILLON_PORT_80_TCP", "80"),
            ("CARILLON_PORT_TCP_80", "tcp://10.96.0.7:80"),
            ("CARILLON_PORT_80_TCP_ADDR", "x"),
            ("CARILLON_PORT_80_TCP_NAME", "10.96.0.7"),
            ("CARILLON_SERVER_HOST", "10.96.0.7"),
            ("CARILLON_LIMITS_SERVICE_PER_MINUTE", "80"),
            ("REDIS_URL", "tcp://10.96.0.7:6379"),
            ("PORT", "80"),
        ] {
            assert!(!is_link(name, value), "{name}={value}");
        }
    }
}
