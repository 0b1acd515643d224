//! Every refusal of the API, as RFC 9457 has it: what happened, why, and what to do next. The one place where
//! faults of the services become statuses.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::TokenError;
use crate::domain::Broken;
use crate::render::RenderError;
use crate::service::{Crowded, Error};
use crate::store::StoreError;

/// Where it is explained what each code means.
const EXPLAINED: &str = "/problems";
/// Seconds after which a request that met a sick database is worth another try.
pub const LATER: u64 = 5;

macro_rules! kinds {
    ($($name:ident: $status:ident, $code:literal, $title:literal;)*) => {
        /// What went wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $(#[doc = $title] $name,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its status; its code, which never changes; its title.
            pub const fn row(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$name => (StatusCode::$status, $code, $title),)*
                }
            }
        }
    };
}

kinds! {
    Malformed: BAD_REQUEST, "malformed_request", "The request cannot be read";
    TokenMissing: UNAUTHORIZED, "token_missing", "No token was sent";
    TokenInvalid: UNAUTHORIZED, "token_invalid", "Invalid token";
    TokenExpired: UNAUTHORIZED, "token_expired", "The token has expired";
    Forbidden: FORBIDDEN, "forbidden", "The token does not allow it";
    NotFound: NOT_FOUND, "not_found", "Notification not found";
    NotScheduled: NOT_FOUND, "not_scheduled", "Nothing of this id waits to go out";
    NoRecurring: NOT_FOUND, "no_such_recurring", "Recurring notification not found";
    NoDelivery: NOT_FOUND, "no_such_delivery", "Failed delivery not found";
    NoDigest: NOT_FOUND, "no_such_digest", "Digest not found";
    NoDevice: NOT_FOUND, "no_such_device", "Device not found";
    NoRecipient: NOT_FOUND, "no_such_recipient", "Recipient not found";
    NoTemplate: NOT_FOUND, "no_such_template", "Template not found";
    NoWebhook: NOT_FOUND, "no_such_webhook", "Webhook not found";
    NoRoute: NOT_FOUND, "no_such_route", "There is no such address";
    WrongMethod: METHOD_NOT_ALLOWED, "method_not_allowed", "This address does not take that method";
    TooSlow: REQUEST_TIMEOUT, "request_timeout", "The request came too slowly";
    TooManyRecurring: CONFLICT, "too_many_recurring", "Too many recurring notifications";
    TooManyDevices: CONFLICT, "too_many_devices", "Too many devices";
    ContactsUnreadable: CONFLICT, "contacts_unreadable", "These contacts cannot be read";
    TemplateTaken: CONFLICT, "template_exists", "There is a template of this name";
    TooManyTemplates: CONFLICT, "too_many_templates", "Too many templates";
    TooManyWebhooks: CONFLICT, "too_many_webhooks", "Too many webhooks";
    TooLarge: PAYLOAD_TOO_LARGE, "request_too_large", "The request is too large";
    NotJson: UNSUPPORTED_MEDIA_TYPE, "not_json", "The body is not called JSON";
    Broken: UNPROCESSABLE_ENTITY, "invalid_field", "A field breaks a rule";
    BadTemplate: UNPROCESSABLE_ENTITY, "invalid_template", "A template is at fault";
    VariableMissing: UNPROCESSABLE_ENTITY, "missing_variable", "A template lacks a value";
    KeyReused: UNPROCESSABLE_ENTITY, "idempotency_key_reused", "Idempotency key reused";
    TooFast: TOO_MANY_REQUESTS, "too_many_requests", "Too many requests";
    TooMany: TOO_MANY_REQUESTS, "too_many_connections", "Too many connections";
    NoKeys: SERVICE_UNAVAILABLE, "keys_unavailable", "Tokens cannot be checked yet";
    NoPushKeys: SERVICE_UNAVAILABLE, "push_unavailable", "Web Push is not set up";
    NoRandomBytes: SERVICE_UNAVAILABLE, "no_random_bytes", "The server has no random bytes";
    Busy: SERVICE_UNAVAILABLE, "server_busy", "The server has too much to do";
    NotDone: SERVICE_UNAVAILABLE, "not_done", "It is not done yet";
    NoRedis: SERVICE_UNAVAILABLE, "redis_unavailable", "Redis does not answer";
    Unreadable: SERVICE_UNAVAILABLE, "stored_unreadable", "What is stored cannot be read";
    NoStore: SERVICE_UNAVAILABLE, "storage_unavailable", "The database does not answer";
}

/// One refusal.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    field: Option<String>,
    line: Option<usize>,
    detail: String,
    /// Seconds after which it is worth another try.
    later: u64,
}

/// A refusal (RFC 9457): what happened, why, and what to do next.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// Leads to what the code means.
    r#type: String,
    /// What happened, in constant words.
    title: &'a str,
    /// The status.
    status: u16,
    /// Why, and what to do next, in words that may change.
    detail: &'a str,
    /// What happened, for programs.
    code: &'a str,
    /// The same as the title.
    error: &'a str,
    /// Which field is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// In which line of it, if it is a template's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Problem {
    /// Of this kind; `detail` is a sentence for people.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, field: None, line: None, detail: detail.into(), later: LATER }
    }

    /// `field` is not as it must be.
    pub fn of_field(field: impl Into<String>, expected: &str) -> Self {
        let field = field.into();
        let detail = format!("{field}: {expected}. Correct it and send the request again.");
        Self { field: Some(field), ..Self::new(Kind::Broken, detail) }
    }

    /// Too many requests were made; the next one is taken in so many seconds.
    pub fn too_fast(limit: u32, seconds: u64) -> Self {
        let detail = format!("{limit} requests a minute are allowed. Send this one again in {seconds} s.");
        Self { later: seconds, ..Self::new(Kind::TooFast, detail) }
    }

    /// There is no place for the request now, or for its body.
    pub fn crowded(why: Crowded) -> Self {
        let requests =
            |whose, most| format!("{whose} {most} requests under way, which is the limit. Wait for answers,");
        let bodies = |whose, most| {
            format!(
                "Bodies of {whose} requests hold {most} bytes, which is the limit. Wait for answers, or send less at once,"
            )
        };
        let (kind, reason) = match why {
            Crowded::Caller(most) => (Kind::TooFast, requests("You have", most)),
            Crowded::Tenant(most) => (Kind::TooFast, requests("Your tenant has", most)),
            Crowded::CallerBodies(most) => (Kind::TooFast, bodies("your own", most)),
            Crowded::TenantBodies(most) => (Kind::TooFast, bodies("your tenant's", most)),
            Crowded::Strangers => (
                Kind::Busy,
                "Others who show no token send as much as all of them may. Wait a second,".into(),
            ),
            Crowded::Everybody => {
                (Kind::Busy, "The server answers as many requests as it can. Wait a second,".into())
            }
            Crowded::Bodies => {
                (Kind::Busy, "Bodies of requests take all memory there is for them. Wait a second,".into())
            }
            Crowded::Behind => {
                (Kind::Busy, "The database is behind with what is to be stored. Wait a second,".into())
            }
        };
        Self { later: 1, ..Self::new(kind, format!("Nothing was done. {reason} and send this one again.")) }
    }

    /// Its status, its title and its detail: what people read.
    pub fn said(self) -> (StatusCode, &'static str, String) {
        let (status, _, title) = self.kind.row();
        (status, title, self.detail)
    }

    /// The same, in a dialect that spells the fields otherwise.
    pub fn respelled(self, spelled: impl Fn(&str) -> &str) -> Self {
        match &self.field {
            Some(field) if spelled(field) != field => {
                let (new, rest) = (spelled(field).to_owned(), self.detail.strip_prefix(field.as_str()));
                let detail = format!("{new}{}", rest.unwrap_or_default());
                Self { field: Some(new), detail, ..self }
            }
            _ => self,
        }
    }
}

impl From<TokenError> for Problem {
    fn from(refusal: TokenError) -> Self {
        let kind = match refusal {
            TokenError::Missing => Kind::TokenMissing,
            TokenError::Expired => Kind::TokenExpired,
            TokenError::NoKeys => Kind::NoKeys,
            TokenError::NoPermission => Kind::Forbidden,
            _ => Kind::TokenInvalid,
        };
        let detail = match refusal {
            TokenError::Missing => {
                "Every request needs one: Authorization: Bearer <token>. `carillon token` mints them."
                    .to_owned()
            }
            TokenError::Invalid => {
                "The token is malformed, or not signed with this server's key. Get a new one and send it as \
                 Authorization: Bearer <token>."
                    .to_owned()
            }
            other => sentence(&other.to_string()),
        };
        Self::new(kind, detail)
    }
}

impl From<Broken> for Problem {
    fn from(broken: Broken) -> Self {
        Self::of_field(broken.field, broken.expected)
    }
}

impl From<RenderError> for Problem {
    fn from(fault: RenderError) -> Self {
        let detail = format!("{}.", fault.to_string().trim_end_matches('.'));
        match fault {
            RenderError::Missing { variable } => Self {
                field: Some(format!("data.{variable}")),
                ..Self::new(Kind::VariableMissing, sentence(&detail))
            },
            RenderError::Faulty { place, line, .. } => {
                Self { field: Some(place), line: Some(line), ..Self::new(Kind::BadTemplate, detail) }
            }
            RenderError::Broken { field, .. } => {
                Self { field: Some(field), ..Self::new(Kind::BadTemplate, detail) }
            }
            RenderError::Data(expected) => Self::of_field("data", &expected),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Token(refusal) => refusal.into(),
            Error::Broken(broken) => broken.into(),
            Error::NotFound => Self::new(
                Kind::NotFound,
                "You have no notification of this id. GET /api/v1/notifications lists those you have.",
            ),
            Error::NotScheduled => Self::new(
                Kind::NotScheduled,
                "You have nothing of this id that waits to go out: it was never scheduled, has gone out or was taken \
                 back. Its timeline says which; GET /api/v1/notifications/scheduled lists what waits.",
            ),
            Error::NoSuchRecurring => Self::new(
                Kind::NoRecurring,
                "You have no recurring notification of this id. GET /api/v1/recurring lists those you have.",
            ),
            Error::NoSuchTemplate => Self::new(
                Kind::NoTemplate,
                "There is no template of this name. GET /api/v1/templates lists those there are.",
            ),
            Error::TemplateTaken => Self::new(
                Kind::TemplateTaken,
                "There is a template of this name. Choose another one, or change that one by PUT.",
            ),
            Error::Template(fault) => fault.into(),
            Error::TooManyTemplates(_) => Self::new(Kind::TooManyTemplates, sentence(&error.to_string())),
            Error::TooManyRecurring(_) => Self::new(Kind::TooManyRecurring, sentence(&error.to_string())),
            Error::NoSuchDelivery => Self::new(
                Kind::NoDelivery,
                "No delivery of this number has failed. GET /api/v1/deliveries/failed lists those that have.",
            ),
            Error::NoSuchWebhook => Self::new(
                Kind::NoWebhook,
                "You have no webhook of this number, or it has no such message. GET /api/v1/webhooks lists those you have.",
            ),
            Error::TooManyWebhooks(_) => Self::new(Kind::TooManyWebhooks, sentence(&error.to_string())),
            Error::NoSuchDigest => Self::new(
                Kind::NoDigest,
                "You got no digest of this number. GET /api/v1/digests lists those you got.",
            ),
            Error::NoSuchDevice => Self::new(
                Kind::NoDevice,
                "You have no device of this name. GET /api/v1/push/subscriptions lists those you have.",
            ),
            Error::NoSuchRecipient => Self::new(
                Kind::NoRecipient,
                "You have nothing to do with a recipient of this name. GET /api/v1/recipients/me is yourself.",
            ),
            Error::TooManyDevices(_) => Self::new(Kind::TooManyDevices, sentence(&error.to_string())),
            Error::NoPushKeys => Self::new(Kind::NoPushKeys, sentence(&error.to_string())),
            Error::KeyReused => Self::new(
                Kind::KeyReused,
                "This Idempotency-Key came before, with another request. Send a new key with a new request.",
            ),
            Error::NotDone(why) => {
                tracing::warn!(why, "a request could not be brought to its end");
                Self::new(Kind::NotDone, sentence(why))
            }
            Error::Redis(fault) => {
                tracing::error!(fault, "a request could not be answered: Redis does not answer");
                Self::new(
                    Kind::NoRedis,
                    "What other programs left in Redis may name this person, and Redis does not answer. Send the request again when \
                     it does; see /health.",
                )
            }
            Error::ContactsUnreadable { by_service: true } => Self::new(
                Kind::ContactsUnreadable,
                "What is stored of this person's contacts was damaged, and nothing was changed. Send all of email, phone, locale, \
                 is_minor and guardian in one request (null for what there is not): they are written anew then. What the person agreed \
                 to is taken from the history of consents.",
            ),
            Error::ContactsUnreadable { by_service: false } => Self::new(
                Kind::ContactsUnreadable,
                "What is stored of your contacts was damaged, and nothing was changed. Only a service of your tenant can write them \
                 anew, as it says whether somebody is a minor: ask those who run it.",
            ),
            Error::Store(StoreError::Unopened(why)) => {
                tracing::error!(fault = %why, "a request could not be answered: what is stored cannot be read");
                Self::new(
                    Kind::Unreadable,
                    "What is stored of this cannot be read: it was damaged, or its key is missing. Whoever runs the server finds \
                     which in its log; sending the request again does not help until it is restored.",
                )
            }
            Error::Store(fault) => {
                tracing::error!(%fault, "a request could not be answered");
                Self::new(
                    Kind::NoStore,
                    "Nothing that was confirmed is lost. Send the request again in some seconds; see /health.",
                )
            }
            Error::NoRandomBytes => Self::new(Kind::NoRandomBytes, sentence(&error.to_string())),
            Error::TooManyHere(said) => Self::new(Kind::TooMany, said),
            Error::Overloaded(said) => Self::new(Kind::Busy, said),
            Error::Forbidden(_) => Self::new(Kind::Forbidden, sentence(&error.to_string())),
            Error::TooManySockets(_) => Self::new(Kind::TooMany, sentence(&error.to_string())),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.row();
        let body = Body {
            r#type: format!("{EXPLAINED}/{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            error: title,
            field: self.field.as_deref(),
            line: self.line,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        challenge(self.kind, headers);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, self.later.into());
        }
        response
    }
}

/// RFC 6750, section 3: what a token must do.
fn challenge(kind: Kind, headers: &mut HeaderMap) {
    let challenge = match kind {
        Kind::TokenMissing => "Bearer realm=\"carillon\"",
        Kind::TokenInvalid | Kind::TokenExpired => "Bearer realm=\"carillon\", error=\"invalid_token\"",
        Kind::Forbidden => "Bearer realm=\"carillon\", error=\"insufficient_scope\"",
        _ => return,
    };
    headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// An address of the API that there is not.
pub fn no_route(uri: &Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Kind::NoRoute, format!("Nothing is at {path}. docs/PROTOCOLS.md lists what there is."))
}

/// A known address, by a method that it does not take.
pub async fn wrong_method(method: Method) -> Problem {
    Problem::new(Kind::WrongMethod, format!("{method} is not taken here. The header Allow names what is."))
}

/// `GET /problems/{code}`: where `type` leads.
pub async fn explain(axum::extract::Path(code): axum::extract::Path<String>) -> Result<String, Problem> {
    let known = Kind::ALL.iter().map(|kind| kind.row()).find(|(_, known, _)| *known == code);
    let (status, code, title) = known
        .ok_or_else(|| Problem::new(Kind::NoRoute, "There is no such code. docs/PROTOCOLS.md lists them."))?;
    Ok(format!("{code} ({status}): {title}. The answer's `detail` says why, and what to do next.\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_code_is_told_apart_and_explained() {
        let protocols = include_str!("../../docs/PROTOCOLS.md");
        let mut seen = std::collections::HashSet::new();
        for kind in Kind::ALL {
            let (status, code, _) = kind.row();
            assert!(seen.insert(code), "{code} twice");
            let row = format!("| {} | `{code}` |", status.as_u16());
            assert!(protocols.contains(&row), "docs/PROTOCOLS.md has no row `{row}`");
        }
    }

    #[test]
    fn a_dialect_spells_fields_its_own_way() {
        fn spelled(field: &str) -> &str {
            if field == "user_ids" { "recipients" } else { field }
        }
        let problem = Problem::of_field("user_ids", "at least one user").respelled(spelled);
        assert_eq!(problem.field.as_deref(), Some("recipients"));
        assert!(problem.detail.starts_with("recipients: at least one user"), "{}", problem.detail);
    }

    #[test]
    fn details_are_sentences() {
        assert_eq!(sentence("the token is odd; get another"), "The token is odd; get another.");
        assert_eq!(sentence(""), ".");
    }
}
