//! Exact JSON, both ways: what all protocols share, and a file for each.

pub mod booking;
pub mod feed;

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Object, ObjectBuilder, OneOfBuilder};

use crate::access::TokenError;
use crate::domain::{NotificationId, UserId, schemas};
use crate::service::Error;

/// Deeper payloads are refused: somebody's parser downstream would overflow its stack.
const DEEPEST: usize = 32;
/// The longest identifier or key a sender may give, in bytes.
const LONGEST_KEY: usize = 255;

/// Splits `["name", payload, …]`.
pub fn event(text: &str) -> Option<(Cow<'_, str>, Option<&RawValue>)> {
    struct Parts;
    impl<'de> Visitor<'de> for Parts {
        type Value = (Cow<'de, str>, Option<&'de RawValue>);

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an event: a list that begins with its name")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
            let Some(Name(name)) = parts.next_element()? else {
                return Err(serde::de::Error::invalid_length(0, &self));
            };
            let payload = parts.next_element()?;
            while parts.next_element::<IgnoredAny>()?.is_some() {}
            Ok((name, payload))
        }
    }
    serde_json::Deserializer::from_str(text).deserialize_seq(Parts).ok()
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is wrong with a payload. The words are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No object where one is expected.
    NotAnObject,
    /// A required field is absent or null.
    Missing(&'static str),
    /// A field is of the wrong kind; with what it should be.
    Invalid(&'static str, &'static str),
}

impl Fault {
    /// The error as clients of the seed know it.
    pub fn error(&self) -> String {
        match self {
            Self::NotAnObject => "Invalid payload".to_owned(),
            Self::Missing(field) => format!("Missing field: {field}"),
            Self::Invalid(field, _) => format!("Invalid field: {field}"),
        }
    }

    /// What to do about it.
    pub fn detail(&self) -> &'static str {
        match self {
            Self::NotAnObject => {
                "The event needs one JSON object as its argument, nested at most 32 levels deep, each field once."
            }
            Self::Missing(_) => "Send the event again with this field.",
            Self::Invalid(_, expected) => expected,
        }
    }
}

/// Reads an object with borrowed fields; anything else is a fault.
fn object<'a, T: Deserialize<'a>>(payload: Option<&'a RawValue>) -> Result<T, Fault> {
    let text = payload.map_or("", RawValue::get);
    if !text.starts_with('{') || !shallow(text) {
        return Err(Fault::NotAnObject);
    }
    serde_json::from_str(text).map_err(|_| Fault::NotAnObject)
}

/// Whether `json` is nested at most [`DEEPEST`] deep.
fn shallow(json: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > DEEPEST {
                    return false;
                }
            }
            b'}' | b']' if !quoted => depth -= 1,
            _ => {}
        }
    }
    true
}

fn required<'a>(field: Option<&'a RawValue>, name: &'static str) -> Result<&'a RawValue, Fault> {
    field.ok_or(Fault::Missing(name))
}

fn scalar<T: DeserializeOwned>(raw: &RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

const USER_ID: &str = "It must be a whole number, or a string of 1 to 128 bytes without control characters.";

/// `2` or `"2"`.
pub fn user_id(raw: &RawValue, name: &'static str) -> Result<UserId, Fault> {
    let invalid = Fault::Invalid(name, USER_ID);
    let text = match raw.get().as_bytes().first() {
        Some(b'"') => scalar::<String>(raw).ok_or(invalid)?,
        _ if scalar::<i64>(raw).is_some() || scalar::<u64>(raw).is_some() => raw.get().to_owned(),
        _ => return Err(invalid),
    };
    UserId::new(&text).map_err(|_| invalid)
}

/// A number or a short text, kept as it was written.
fn key(raw: &RawValue, name: &'static str) -> Result<(), Fault> {
    let text = raw.get();
    let number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let short = text.len() <= LONGEST_KEY + 2;
    if short && (number || text.starts_with('"')) {
        Ok(())
    } else {
        Err(Fault::Invalid(name, "It must be a number, or a string of at most 255 bytes."))
    }
}

fn text<'a>(raw: &'a RawValue, name: &'static str) -> Result<Cow<'a, str>, Fault> {
    let invalid =
        Fault::Invalid(name, "It must be a string, without NUL characters and halves of surrogate pairs.");
    let Name(text) = serde_json::from_str(raw.get()).map_err(|_| invalid)?;
    if text.contains('\0') { Err(invalid) } else { Ok(text) }
}

/// Stands in the description for a key: a number or a short text, as its sender writes it.
pub struct Key;

schemas! {
    "Key": Key => OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::String).max_length(Some(LONGEST_KEY)))
        .item(Object::with_type(Type::Number));
}

/// A token, bare.
#[derive(Deserialize, ToSchema)]
pub struct Token<'a> {
    /// What was minted for whoever shows it.
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    token: Option<&'a RawValue>,
}

/// The `token` of `backend_connect` and `authenticate`; empty when there is none.
pub fn token(payload: Option<&RawValue>) -> Result<String, Fault> {
    let Token { token } = object(payload)?;
    Ok(token.and_then(scalar).unwrap_or_default())
}

/// Serialises a payload; ours cannot fail.
pub fn raw(payload: &impl Serialize) -> Box<RawValue> {
    to_raw_value(payload).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// `connection_response`.
#[derive(Serialize, ToSchema)]
pub struct Connected<'a> {
    pub status: &'static str,
    pub socket_id: &'a str,
}

/// `error`, `auth_error`, `notification_error`: what happened, and what to do.
#[derive(Serialize, ToSchema)]
pub struct Failure<'a> {
    /// What happened, in constant words.
    pub error: &'a str,
    /// Why, and what to do next, in words that may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<&'a str>,
    /// Which booking, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Key>, nullable = false)]
    pub booking_id: Option<&'a RawValue>,
    /// Which notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub notification_id: Option<NotificationId>,
    /// Which notification, as it was written.
    #[serde(rename = "notificationId", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Key>, nullable = false)]
    pub asked: Option<&'a RawValue>,
}

impl<'a> Failure<'a> {
    /// With an explanation.
    pub fn new(error: &'a str, detail: &'a str) -> Self {
        Self { error, detail: Some(detail), booking_id: None, notification_id: None, asked: None }
    }
}

/// `connect_error`'s `data`.
#[derive(Serialize)]
pub struct Refusal<'a> {
    pub code: &'static str,
    pub detail: &'a str,
}

/// What a client hears whose handshake proves nothing: in words, and as the code that requests get, too.
pub fn refusal(error: &Error) -> (&'static str, &'static str) {
    match error {
        Error::TooManySockets(_) | Error::TooManyHere(_) => ("Too many connections", "too_many_connections"),
        Error::Token(TokenError::Expired) => ("Authentication failed", "token_expired"),
        Error::Token(TokenError::NoKeys) => ("Authentication failed", "keys_unavailable"),
        _ => ("Authentication failed", "token_invalid"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn events_are_split_without_parsing_their_payload() {
        let (name, payload) = event(r#"["mark",{"a":[1,2]},3]"#).unwrap();
        assert_eq!((name.as_ref(), payload.unwrap().get()), ("mark", r#"{"a":[1,2]}"#));
        assert_eq!(event(r#"["a\"b"]"#).unwrap().0, "a\"b");
        assert!(event(r#"["only"]"#).unwrap().1.is_none());
        for bad in ["[]", "{}", "[1]", "null", "[\"a\"", ""] {
            assert!(event(bad).is_none(), "{bad}");
        }
    }
}
