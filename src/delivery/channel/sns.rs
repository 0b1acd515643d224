//! Text messages by Amazon SNS.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue};

use super::signed::{Credentials, Request};
use super::twilio::cut;
use super::{Channel, Fault, Letter, Parcel, Taken, Unusable};
use crate::delivery::outbound::{Answer, Outbound};
use crate::delivery::settings::SmsSettings;
use crate::domain::{Clock, Priority};

/// Characters of a text message; SNS takes 1,600 bytes.
const LONGEST: usize = 500;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// Amazon SNS.
pub struct Sns {
    url: String,
    host: String,
    credentials: Credentials,
    sender_id: String,
    clock: Arc<dyn Clock>,
    outbound: Arc<Outbound>,
}

impl Sns {
    /// Calls nobody yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(
        settings: &SmsSettings,
        clock: Arc<dyn Clock>,
        outbound: Arc<Outbound>,
    ) -> Result<Self, Unusable> {
        let region = settings.sns_region.clone();
        let missing = [
            (region.is_empty(), "sms.sns_region (AWS_REGION)"),
            (settings.sns_access_key_id.is_empty(), "sms.sns_access_key_id (AWS_ACCESS_KEY_ID)"),
            (settings.sns_secret_access_key.is_empty(), "sms.sns_secret_access_key (AWS_SECRET_ACCESS_KEY)"),
        ];
        if let Some((_, name)) = missing.iter().find(|(is_missing, _)| *is_missing) {
            return Err(Unusable(format!("sms.provider is sns, which needs {name}; set it")));
        }
        let url = match settings.sns_url.trim_end_matches('/') {
            "" => format!("https://sns.{region}.amazonaws.com/"),
            url => format!("{url}/"),
        };
        let parsed = outbound.suitable(&url).map_err(|why| Unusable(format!("sms.sns_url: {why}")))?;
        let host = parsed.host_str().unwrap_or_default();
        let host = parsed.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let credentials = Credentials {
            id: settings.sns_access_key_id.clone(),
            secret: settings.sns_secret_access_key.clone(),
            region,
            service: "sns",
        };
        Ok(Self { url, host, credentials, sender_id: settings.sns_sender_id.clone(), clock, outbound })
    }

    fn form(&self, parcel: &Parcel) -> Result<String, Fault> {
        let Letter::Sms { to, text } = &parcel.letter else {
            return Err(Fault::Unfit { reason: "this is no text message".to_owned() });
        };
        let is_urgent = parcel.priority >= Priority::High;
        let kind = if is_urgent { "Transactional" } else { "Promotional" };
        let mut attributes = vec![("AWS.SNS.SMS.SMSType", kind)];
        if !self.sender_id.is_empty() {
            attributes.push(("AWS.SNS.SMS.SenderID", &self.sender_id));
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", "Publish").append_pair("Version", "2010-03-31");
        form.append_pair("PhoneNumber", to.expose()).append_pair("Message", &cut(text, LONGEST));
        for (number, (name, value)) in (1..).zip(attributes) {
            let entry = format!("MessageAttributes.entry.{number}");
            form.append_pair(&format!("{entry}.Name"), name);
            form.append_pair(&format!("{entry}.Value.DataType"), "String");
            form.append_pair(&format!("{entry}.Value.StringValue"), value);
        }
        Ok(form.finish())
    }

    fn headers(&self, form: &str) -> Result<HeaderMap, Fault> {
        let request = Request { host: &self.host, path: "/", content_type: FORM, body: form.as_bytes() };
        let mut headers = HeaderMap::new();
        for (name, value) in request.signed(&self.credentials, self.clock.now()) {
            let value = HeaderValue::from_str(&value);
            let odd = "sms.sns_access_key_id has odd characters".to_owned();
            headers.insert(name, value.map_err(|_| Fault::Retry { after: None, reason: odd })?);
        }
        Ok(headers)
    }
}

/// What stands between `<name>` and its end.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// What SNS's no means. What it says in words may repeat the number.
fn fate(answer: &Answer) -> Fault {
    let text = String::from_utf8_lossy(&answer.body);
    let code: String =
        element(&text, "Code").unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    let after = answer.rest;
    let reason = format!("SNS answered {} {code}", answer.status);
    let has_stopped = code.starts_with("OptedOut")
        || element(&text, "Message").is_some_and(|said| said.contains("opted out"));
    match code.as_str() {
        _ if has_stopped => Fault::Gone { reason: format!("{reason}: the number has opted out") },
        "Throttling"
        | "Throttled"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "ServiceUnavailable" => Fault::Retry { after, reason },
        "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "AuthorizationError"
        | "AccessDenied"
        | "IncompleteSignature"
        | "RequestExpired" => Fault::Retry { after, reason: format!("{reason}: it refuses the credentials") },
        "" => answer.fault("SNS"),
        _ if answer.status >= 500 || answer.status == 429 => Fault::Retry { after, reason },
        _ => Fault::Reject { reason },
    }
}

impl Channel for Sns {
    fn name(&self) -> &'static str {
        "sns"
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            let form = self.form(parcel)?;
            let answer = self.outbound.post(&self.url, self.headers(&form)?, form.into_bytes()).await?;
            if answer.status != 200 {
                return Err(fate(&answer));
            }
            let id = String::from_utf8_lossy(&answer.body);
            Ok(Taken { provider_id: element(&id, "MessageId").map(str::to_owned) })
        })
    }
}
