//! E-mail by SendGrid's API (v3, `mail/send`).

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::mail::{Sender, line};
use super::{Channel, Fault, Letter, Parcel, Taken, Unusable};
use crate::delivery::outbound::{Answer, Outbound};
use crate::delivery::settings::EmailSettings;

/// SendGrid.
pub struct Sendgrid {
    sender: Sender,
    url: String,
    headers: HeaderMap,
    outbound: Arc<Outbound>,
}

impl Sendgrid {
    /// Calls nobody yet.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub fn new(settings: &EmailSettings, outbound: Arc<Outbound>) -> Result<Self, Unusable> {
        let sender = Sender::new(&settings.from).map_err(Unusable)?;
        let url = format!("{}/v3/mail/send", settings.sendgrid_url.trim_end_matches('/'));
        outbound.suitable(&url).map_err(|why| Unusable(format!("email.sendgrid_url: {why}")))?;
        let bearer = format!("Bearer {}", settings.sendgrid_api_key.expose());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| {
            Unusable("email.sendgrid_api_key (SENDGRID_API_KEY) is no key: it has odd characters".to_owned())
        })?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self { sender, url, headers, outbound })
    }

    fn body(&self, parcel: &Parcel) -> Result<Value, Fault> {
        let Letter::Email { to, subject, text, html, unsubscribe } = &parcel.letter else {
            return Err(Fault::Unfit { reason: "this is no e-mail".to_owned() });
        };
        let mut from = json!({"email": self.sender.from.email.to_string()});
        if let Some(name) = &self.sender.from.name {
            from["name"] = json!(name);
        }
        let mut headers: Map<String, Value> = self
            .sender
            .headers(parcel, unsubscribe.as_deref())
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        headers.insert("Message-ID".to_owned(), json!(self.sender.message_id(parcel.key)));
        // It takes no empty part.
        let parts =
            [("text/plain", text), ("text/html", html)].into_iter().filter(|(_, text)| !text.is_empty());
        let content: Vec<Value> = parts.map(|(kind, text)| json!({"type": kind, "value": text})).collect();
        Ok(json!({
            "personalizations": [{"to": [{"email": to.expose()}]}],
            "from": from,
            "subject": line(subject),
            "content": content,
            "headers": headers,
            "custom_args": {"key": parcel.key, "notification": parcel.notification},
        }))
    }
}

/// What SendGrid's no means.
fn fate(answer: &Answer) -> Fault {
    let fault = answer.fault("SendGrid");
    // Which field it is about. What it says of it may repeat the address.
    let said: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let field = said.as_ref().and_then(|said| said["errors"][0]["field"].as_str());
    match (fault, field) {
        // A sender that nobody has verified, or a key that may not send: whoever runs this has to mend that, and what is sent
        // meanwhile need not be lost.
        (Fault::Reject { reason }, _) if answer.status == 403 => {
            let reason = format!("{reason}: it refuses the sender or the key");
            Fault::Retry { after: answer.rest, reason }
        }
        (Fault::Reject { reason }, Some(field)) => {
            let field: String = field.chars().filter(char::is_ascii_graphic).take(80).collect();
            Fault::Reject { reason: format!("{reason}, because of `{field}`") }
        }
        (fault, _) => fault,
    }
}

impl Channel for Sendgrid {
    fn name(&self) -> &'static str {
        "sendgrid"
    }

    fn send<'a>(&'a self, parcel: &'a Parcel) -> BoxFuture<'a, Result<Taken, Fault>> {
        Box::pin(async move {
            let body = self.body(parcel)?.to_string().into_bytes();
            let answer = self.outbound.post(&self.url, self.headers.clone(), body).await?;
            if !matches!(answer.status, 200 | 202) {
                return Err(fate(&answer));
            }
            Ok(Taken { provider_id: answer.text("x-message-id") })
        })
    }
}
