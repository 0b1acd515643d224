//! Who takes what leaves this server. What is asked of them is harmless: nothing is sent to anybody.

use std::sync::Arc;
use std::time::Duration;

use super::Finding;
use crate::access::Vapid;
use crate::config::{Config, Environment};
use crate::delivery::channel::{ChannelSettings, Channels, greet_mail_server};
use crate::delivery::settings::{EmailProvider, SmsProvider};
use crate::domain::{Channel, SystemClock};
use crate::store::DatabaseUrl;

const PATIENCE: Duration = Duration::from_secs(5);

/// All of them.
pub async fn all(config: &Config) -> Vec<Finding> {
    let mut delivery = config.delivery.clone();
    let is_production = config.server.environment == Environment::Production;
    // What a start would make is not made here.
    delivery.sink_file.clear();
    let settings =
        ChannelSettings { delivery: &delivery, email: &config.email, push: &config.push, sms: &config.sms };
    let channels = Channels::new(settings, Arc::new(SystemClock));
    let mut found = match &channels {
        // A sink that is named is opened by the server alone.
        Err(fault) if fault.to_string().contains("sink") => Vec::new(),
        Err(fault) => {
            vec![Finding::fail("providers", fault.to_string(), "correct it; a server does not start so")]
        }
        Ok(_) => Vec::new(),
    };
    let has = |channel| channels.as_ref().is_ok_and(|channels| channels.of(channel).is_some());
    found.extend(email(config, is_production, has(Channel::Email)).await);
    found.extend(push(config, is_production));
    found.extend(sms(config, is_production, has(Channel::Sms)).await);
    let leaves = has(Channel::Email) || has(Channel::Sms);
    if leaves && config.delivery.public_url.is_empty() {
        found.push(Finding::warn(
            "providers",
            "delivery.public_url (PUBLIC_URL) is not set: e-mails have no link that ends them, and providers cannot report",
            "set it to how people reach this server: https://notify.example.com",
        ));
    }
    found
}

/// Of what nobody takes.
fn nobody(of: &'static str, is_production: bool, sink: &str, needs: &str) -> Finding {
    match (is_production, sink.is_empty()) {
        (false, _) => Finding::ok(of, "goes into a file: this is development"),
        (true, false) => Finding::warn(of, "goes into a file, and to nobody", format!("set {needs}")),
        (true, true) => Finding::ok(of, format!("is not set up (it needs {needs})")),
    }
}

async fn email(config: &Config, is_production: bool, is_set: bool) -> Vec<Finding> {
    const OF: &str = "e-mail";
    let settings = &config.email;
    if !is_set {
        let needs = "SMTP_HOST, or SENDGRID_API_KEY";
        return vec![nobody(OF, is_production, &config.delivery.sink_file, needs)];
    }
    let is_by_smtp = match settings.provider {
        EmailProvider::Smtp => true,
        EmailProvider::Auto => !settings.smtp_host.is_empty(),
        _ => false,
    };
    if is_by_smtp {
        let (host, port) = (&settings.smtp_host, settings.smtp_port);
        let mend = "see that host, port, email.smtp_security, user and password are those of your mail server, and that \
                    this machine may reach it";
        return vec![match greet_mail_server(settings, PATIENCE, Arc::new(SystemClock)).await {
            Ok(()) => Finding::ok(OF, format!("{host}:{port} greets, and takes the login")),
            Err(why) => Finding::fail(OF, format!("{host}:{port}: {why}"), mend),
        }];
    }
    if !settings.sendgrid_api_key.expose().starts_with("SG.") {
        let is = "SENDGRID_API_KEY does not look like a key: these begin with SG.";
        return vec![Finding::fail(OF, is, "make one in SendGrid's settings, with the right to send")];
    }
    let url = format!("{}/v3/scopes", settings.sendgrid_url.trim_end_matches('/'));
    let asked = ask(&url, |request| request.bearer_auth(settings.sendgrid_api_key.expose())).await;
    vec![judged(OF, "SendGrid", asked, "SENDGRID_API_KEY")]
}

fn push(config: &Config, is_production: bool) -> Vec<Finding> {
    const OF: &str = "push";
    let settings = &config.push;
    let (public, private) = (&settings.vapid_public_key, settings.vapid_private_key.expose());
    let is_shared = matches!(config.database.url.parse(), Ok(DatabaseUrl::Postgres(_)));
    if public.is_empty() && private.is_empty() {
        return vec![match crate::secrets::push_keys_file(config) {
            Some(file) => Finding::ok(OF, format!("its keys are in {}", file.display())),
            None if is_production || is_shared => {
                Finding::ok(OF, "is not set up (`carillon vapid` makes keys; an SQLite server makes its own)")
            }
            None => Finding::ok(OF, "keys will be made beside the database by the first start"),
        }];
    }
    let mend = "set both as `carillon vapid` printed them; new ones make all browsers subscribe anew";
    let mut found = vec![match Vapid::new(public, private, &settings.vapid_email) {
        Ok(_) => Finding::ok(OF, "VAPID_PUBLIC_KEY and VAPID_PRIVATE_KEY are a pair"),
        Err(fault) => Finding::fail(OF, fault.to_string(), mend),
    }];
    if settings.vapid_email.is_empty() {
        let is = "VAPID_EMAIL is not set: push services cannot reach whoever runs this, and some refuse then";
        found.push(Finding::warn(OF, is, "set it to your address"));
    }
    found
}

async fn sms(config: &Config, is_production: bool, is_set: bool) -> Vec<Finding> {
    const OF: &str = "sms";
    let settings = &config.sms;
    if !is_set {
        let needs = "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER";
        return vec![nobody(OF, is_production, &config.delivery.sink_file, needs)];
    }
    if settings.provider == SmsProvider::Sns {
        let is_key = settings.sns_access_key_id.len() >= 16
            && settings.sns_access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return vec![match is_key {
            true => {
                Finding::ok(OF, format!("Amazon SNS in {}; its keys look like keys", settings.sns_region))
            }
            false => Finding::fail(
                OF,
                "AWS_ACCESS_KEY_ID does not look like one: they begin with AKIA",
                "correct it",
            ),
        }];
    }
    let sid = &settings.twilio_account_sid;
    if !sid.starts_with("AC") || sid.len() != 34 {
        let is = "TWILIO_ACCOUNT_SID does not look like one: AC and 32 characters";
        return vec![Finding::fail(OF, is, "copy it from Twilio's console")];
    }
    let url = format!("{}/2010-04-01/Accounts/{sid}.json", settings.twilio_url.trim_end_matches('/'));
    let token = settings.twilio_auth_token.expose();
    let asked = ask(&url, |request| request.basic_auth(sid, Some(token))).await;
    vec![judged(OF, "Twilio", asked, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")]
}

/// Asks for an address; the status of the answer.
async fn ask(
    url: &str,
    as_whom: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
) -> Result<u16, String> {
    let told = |fault: reqwest::Error| {
        // The address may hold what is nobody's business.
        let fault = fault.without_url();
        let why = std::error::Error::source(&fault).map(|why| format!(": {why}")).unwrap_or_default();
        format!("{fault}{why}")
    };
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(told)?;
    let answer = as_whom(client.get(url)).send().await.map_err(told)?;
    Ok(answer.status().as_u16())
}

fn judged(of: &'static str, who: &str, asked: Result<u16, String>, secrets: &str) -> Finding {
    match asked {
        Ok(200..=299) => Finding::ok(of, format!("{who} takes the credentials")),
        Ok(status @ (401 | 403)) => {
            let is = format!("{who} refuses the credentials ({status})");
            Finding::fail(of, is, format!("set {secrets} anew"))
        }
        Ok(status) => {
            let is = format!("{who} answers {status} to a harmless question");
            Finding::warn(of, is, "look at its status page; ask again later")
        }
        Err(why) => {
            let mend =
                "see whether this machine may call it by https, and has root certificates (ca-certificates)";
            Finding::fail(of, format!("{who} cannot be reached ({why})"), mend)
        }
    }
}
