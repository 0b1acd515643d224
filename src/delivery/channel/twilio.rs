//! Text messages by Twilio, and what Twilio says later of each.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::future::BoxFuture;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::{Channel, Fault, Letter, Parcel, Taken, Unusable};
use crate::delivery::outbound::{Answer, Outbound};
use crate::delivery::settings::SmsSettings;
use crate::domain::{Clock, Secret};

/// Characters of a text message; Twilio takes no more.
const LONGEST: usize = 1_600;
/// Seconds for which Twilio may hold one back.
const LONGEST_VALIDITY: i64 = 36_000;
/// Where Twilio says what became of a message; what follows names it.
pub const CALLBACKS: &str = "/callbacks/twilio/";

/// Twilio.
pub struct Twilio {
    url: String,
    headers: HeaderMap,
    from: String,
    callbacks: Option<Arc<TwilioCallbacks>>,
    clock: Arc<dyn Clock>,
    outbound: Arc<Outbound>,
}

impl Twilio {
    /// Calls nobody yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(
        settings: &SmsSettings,
        callbacks: Option<Arc<TwilioCallbacks>>,
        clock: Arc<dyn Clock>,
        outbound: Arc<Outbound>,
    ) -> Result<Self, Unusable> {
        let sid = &settings.twilio_account_sid;
        if sid.is_empty() || !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let rule = "sms.twilio_account_sid (TWILIO_ACCOUNT_SID) is no account: it begins with AC";
            return Err(Unusable(rule.to_owned()));
        }
        let base = settings.twilio_url.trim_end_matches('/');
        let url = format!("{base}/2010-04-01/Accounts/{sid}/Messages.json");
        outbound.suitable(&url).map_err(|why| Unusable(format!("sms.twilio_url: {why}")))?;
        let login = STANDARD.encode(format!("{sid}:{}", settings.twilio_auth_token.expose()));
        let mut login = HeaderValue::from_str(&format!("Basic {login}"))
            .map_err(|_| Unusable("sms.twilio_auth_token is odd".to_owned()))?;
        login.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, login);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(Self { url, headers, from: settings.twilio_from.clone(), callbacks, clock, outbound })
    }

    fn form(&self, parcel: &Parcel) -> Result<String, Fault> {
        let Letter::Sms { to, text } = &parcel.letter else {
            return Err(Fault::Unfit { reason: "this is no text message".to_owned() });
        };
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("To", to.expose()).append_pair("Body", &cut(text, LONGEST));
        let from = if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        form.append_pair(from, &self.from);
        if let Some(at) = parcel.expires_at {
            let left = at.as_seconds() - self.clock.now().as_seconds();
            form.append_pair("ValidityPeriod", &left.clamp(1, LONGEST_VALIDITY).to_string());
        }
        if let Some(callbacks) = &self.callbacks {
            form.append_pair("StatusCallback", &callbacks.address(parcel.key));
        }
        Ok(form.finish())
    }
}

/// At most so many characters of it.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.replace('\0', ""),
        Some(_) => text.chars().filter(|sign| *sign != '\0').take(most - 1).chain(['…']).collect(),
    }
}

#[derive(Deserialize)]
struct Told {
    sid: Option<String>,
    code: Option<u32>,
}

/// What Twilio's no means. What it says in words may repeat the number.
fn fate(answer: &Answer, code: Option<u32>) -> Fault {
    let status = answer.status;
    let Some(code) = code else { return answer.fault("Twilio") };
    let reason = |what: &str| format!("Twilio answered {status}, error {code}{what}");
    match code {
        // Whoever has the number sent STOP.
        21_610 => Fault::Gone { reason: reason(": the number has opted out") },
        20_429 | 14_107 | 21_611 | 63_038 => {
            Fault::Retry { after: answer.rest, reason: reason(": too many") }
        }
        20_003 | 20_005 | 30_002 => {
            Fault::Retry { after: answer.rest, reason: reason(": it refuses the credentials or the account") }
        }
        21_211 | 21_214 | 21_217 | 21_614 => Fault::Reject { reason: reason(": this number takes none") },
        21_408 | 21_612 => Fault::Reject { reason: reason(": none may go to that country or network") },
        _ if matches!(status, 408 | 429 | 500..) => Fault::Retry { after: answer.rest, reason: reason("") },
        _ => Fault::Reject { reason: reason("") },
    }
}

impl Channel for Twilio {
    fn name(&self) -> &'static str {
        "twilio"
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            let form = self.form(parcel)?.into_bytes();
            let answer = self.outbound.post(&self.url, self.headers.clone(), form).await?;
            let told: Option<Told> = serde_json::from_slice(&answer.body).ok();
            match (answer.status, told) {
                (200 | 201, Some(Told { sid: Some(sid), .. })) => Ok(Taken { provider_id: Some(sid) }),
                (200 | 201, _) => {
                    // It may have been taken, and it may not.
                    Err(Fault::Unsure { reason: "Twilio's answer names no message".to_owned() })
                }
                (_, told) => Err(fate(&answer, told.and_then(|told| told.code))),
            }
        })
    }
}

/// How a message fares, as Twilio says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Pending,
    /// It arrived.
    Delivered,
    /// It did not.
    Failed,
    /// It did not, and nothing will: the number has opted out.
    Stopped,
}

/// One word of Twilio's about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The parcel's key.
    pub key: Uuid,
    /// How Twilio calls it.
    pub provider_id: String,
    /// How it fares.
    pub fate: Fate,
    /// Twilio's number for what went wrong.
    pub error: Option<u32>,
}

/// Reads what Twilio says, and nobody else. The same word twice says the same: whoever keeps it must not count it twice.
pub struct TwilioCallbacks {
    base: String,
    account: String,
    token: Secret,
}

impl TwilioCallbacks {
    /// For an `account` whose secret is `token`; `public_url` is how Twilio reaches this server.
    ///
    /// # Errors
    /// When that cannot be an address.
    pub fn new(public_url: &str, account: &str, token: Secret) -> Result<Self, Unusable> {
        let base = public_url.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            let rule =
                "delivery.public_url must be how Twilio reaches this server: https://notify.example.com";
            return Err(Unusable(rule.to_owned()));
        }
        Ok(Self { base, account: account.to_owned(), token })
    }

    /// What proves that an address was given out for this key.
    fn proof(&self, key: Uuid) -> String {
        let purpose = b"carillon twilio status\0";
        URL_SAFE_NO_PAD.encode(keyed::<Hmac<Sha256>>(&self.token, &[purpose, key.as_bytes()]))
    }

    /// The last part of the path.
    fn name(&self, key: Uuid) -> String {
        format!("{}.{}", key.simple(), self.proof(key))
    }

    /// Where Twilio is to say what becomes of the parcel of this key.
    pub fn address(&self, key: Uuid) -> String {
        format!("{}{CALLBACKS}{}", self.base, self.name(key))
    }

    /// What is said by a form posted to [`CALLBACKS`]`name` under `signature` (`X-Twilio-Signature`). Nothing, if it is not
    /// Twilio that says so.
    pub fn read(&self, name: &str, form: &[(String, String)], signature: &str) -> Option<Report> {
        let (key, _) = name.split_once('.')?;
        let key = Uuid::try_parse(key).ok()?;
        let is_ours = same(name, &self.name(key));
        let is_twilios = same(signature, &self.signature(&self.address(key), form));
        if !(is_ours & is_twilios) {
            return None;
        }
        let field =
            |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        if field("AccountSid").is_some_and(|account| account != self.account) {
            return None;
        }
        let error = field("ErrorCode").and_then(|code| code.parse().ok());
        let fate = match field("MessageStatus").or_else(|| field("SmsStatus"))? {
            "delivered" | "read" => Fate::Delivered,
            "failed" | "undelivered" if error == Some(21_610) => Fate::Stopped,
            "failed" | "undelivered" | "canceled" => Fate::Failed,
            _ => Fate::Pending,
        };
        Some(Report { key, provider_id: field("MessageSid")?.to_owned(), fate, error })
    }

    /// How Twilio signs: the address, then each field's name and value in the order of the names.
    fn signature(&self, address: &str, form: &[(String, String)]) -> String {
        let mut sorted: Vec<&(String, String)> = form.iter().collect();
        sorted.sort();
        let mut parts = vec![address.as_bytes()];
        parts.extend(sorted.into_iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        STANDARD.encode(keyed::<Hmac<Sha1>>(&self.token, &parts))
    }
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// A keyed hash over `parts`, one behind the other.
fn keyed<M: Mac + KeyInit>(key: &Secret, parts: &[&[u8]]) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = <M as Mac>::new_from_slice(key.expose().as_bytes()) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn it_signs_as_twilio_shows() {
        // The example of Twilio's page on webhook security.
        let callbacks = TwilioCallbacks::new("https://x.example", "AC1", Secret::new("12345")).unwrap();
        let form = pairs(&[
            ("Digits", "1234"),
            ("CallSid", "CA1234567890ABCDE"),
            ("To", "+18005551212"),
            ("Caller", "+14158675310"),
            ("From", "+14158675310"),
        ]);
        let signature = callbacks.signature("https://mycompany.com/myapp.php?foo=1&bar=2", &form);
        assert_eq!(signature, "GvWf1cFY/Q7PnoempGyD5oXAezc=");
    }

    #[test]
    fn only_twilio_is_believed_and_only_of_what_it_got() {
        let callbacks = TwilioCallbacks::new("https://x.example/", "AC1", Secret::new("12345")).unwrap();
        let key = Uuid::from_u128(7);
        let address = callbacks.address(key);
        let name = address.strip_prefix("https://x.example/callbacks/twilio/").unwrap();
        let form = pairs(&[("MessageSid", "SM7"), ("MessageStatus", "delivered"), ("AccountSid", "AC1")]);
        let signature = callbacks.signature(&address, &form);
        let report = callbacks.read(name, &form, &signature).unwrap();
        assert_eq!((report.key, report.fate, report.provider_id.as_str()), (key, Fate::Delivered, "SM7"));
        let stopped =
            pairs(&[("MessageSid", "SM7"), ("MessageStatus", "undelivered"), ("ErrorCode", "21610")]);
        let said = callbacks.read(name, &stopped, &callbacks.signature(&address, &stopped)).unwrap();
        assert_eq!((said.fate, said.error), (Fate::Stopped, Some(21_610)));

        assert_eq!(callbacks.read(name, &form, ""), None);
        assert_eq!(callbacks.read(name, &stopped, &signature), None, "another form");
        let other = callbacks.address(Uuid::from_u128(8));
        assert_eq!(callbacks.read(other.rsplit('/').next().unwrap(), &form, &signature), None, "another key");
        let forged = format!("{}.{}", Uuid::from_u128(8).simple(), name.split_once('.').unwrap().1);
        let address = format!("https://x.example/callbacks/twilio/{forged}");
        assert_eq!(callbacks.read(&forged, &form, &callbacks.signature(&address, &form)), None);
        let strange = TwilioCallbacks::new("https://x.example", "AC1", Secret::new("other")).unwrap();
        assert_eq!(strange.read(name, &form, &signature), None);
        for odd in ["", ".", "x.y", "é.é"] {
            assert_eq!(callbacks.read(odd, &form, &signature), None);
        }
    }

    #[test]
    fn each_no_has_its_meaning() {
        let said = |status: u16, code: Option<u32>| {
            let answer =
                Answer { status, headers: HeaderMap::new(), body: json!({}).to_string().into(), rest: None };
            fate(&answer, code)
        };
        assert!(matches!(said(400, Some(21_610)), Fault::Gone { .. }));
        assert!(matches!(said(400, Some(21_211)), Fault::Reject { .. }));
        assert!(matches!(said(400, Some(99_999)), Fault::Reject { .. }));
        assert!(matches!(said(429, Some(20_429)), Fault::Retry { .. }));
        assert!(matches!(said(401, Some(20_003)), Fault::Retry { .. }));
        assert!(matches!(said(503, None), Fault::Retry { .. }));
        assert!(matches!(said(503, Some(99_999)), Fault::Retry { .. }));
    }

    #[test]
    fn what_is_long_is_cut() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut(&"é".repeat(2_000), LONGEST).chars().count(), LONGEST);
    }
}
