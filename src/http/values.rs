//! Values that all dialects of the API write alike.

use std::collections::BTreeMap;
use std::fmt;

use chrono::DateTime;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{
    Broken, Channel, IdError, Priority, Switches, Timestamp, UserId, is_name, read_from_objects,
};

/// A user, a tenant: `2` and `"2"` are the same one.
#[derive(Clone, Debug)]
pub struct Name(pub UserId);

/// Stands in the description for the name of a kind, a topic or a role.
pub struct Label;

/// Stands in the description for a notification's topic, which may be empty.
pub struct Category;

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        fn named<E: Error>(checked: Result<UserId, IdError>) -> Result<Name, E> {
            checked.map(Name).map_err(E::custom)
        }
        impl Visitor<'_> for Written {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a text of 1 to 128 bytes")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Name, E> {
                named(UserId::new(&number.to_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Name, E> {
                named(UserId::new(&number.to_string()))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                named(UserId::new(text))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

/// What must not be null: where absence means somebody else, a fault of the sender's must not mean it.
///
/// # Errors
/// When it is no `T`.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What may be left out, or be null, and means something else by each.
///
/// # Errors
/// When it is no `T`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Ways of delivery, on or off; nothing is said of the others.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, remote = "Self", expecting = "a JSON object")]
#[schema(as = SwitchesChange)]
pub struct SwitchesIn {
    /// Over sockets, and in the inbox. Also `inApp`, `realtime`, `websocket`.
    #[serde(alias = "inApp", alias = "realtime", alias = "websocket")]
    in_app: Option<bool>,
    email: Option<bool>,
    push: Option<bool>,
    sms: Option<bool>,
}

read_from_objects!(SwitchesIn);

impl From<SwitchesIn> for Switches {
    fn from(SwitchesIn { in_app, email, push, sms }: SwitchesIn) -> Self {
        Self { realtime: in_app, email, push, sms }
    }
}

/// Which ways of delivery are wanted; all of which nothing is said.
pub struct Wanted {
    /// Over sockets, and in the inbox.
    pub in_app: bool,
    /// By e-mail.
    pub email: bool,
    /// By Web Push.
    pub push: bool,
    /// By text message.
    pub sms: bool,
}

impl Wanted {
    /// What `switches` say.
    pub fn of(switches: Switches) -> Self {
        let is_wanted = |channel| switches.of(channel).unwrap_or(true);
        Self {
            in_app: is_wanted(Channel::Realtime),
            email: is_wanted(Channel::Email),
            push: is_wanted(Channel::Push),
            sms: is_wanted(Channel::Sms),
        }
    }
}

/// Rules by name, as they came.
pub fn rules(given: BTreeMap<String, SwitchesIn>) -> BTreeMap<String, Switches> {
    given.into_iter().map(|(name, switches)| (name, switches.into())).collect()
}

/// Rules by name, as they are told.
pub fn wanted_of<T: From<Wanted>>(rules: BTreeMap<String, Switches>) -> BTreeMap<String, T> {
    rules.into_iter().map(|(name, switches)| (name, Wanted::of(switches).into())).collect()
}

/// A priority, by any dialect's word.
///
/// # Errors
/// When it is none.
pub fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Priority>, D::Error> {
    let Some(word) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let known = Priority::parse(&word).map(Some);
    known.ok_or_else(|| D::Error::custom("low, normal (medium), high or urgent (critical)"))
}

/// An instant, as RFC 3339 has it.
///
/// # Errors
/// When it is none.
pub fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    match DateTime::parse_from_rfc3339(&text) {
        Ok(at) => Ok(Some(Timestamp::from_micros(at.timestamp_micros()))),
        Err(_) => Err(D::Error::custom("RFC 3339 with a zone, such as 2027-01-15T09:00:00Z")),
    }
}

/// A yes or no in a query.
///
/// # Errors
/// When it is neither.
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(D::Error::custom("true or false")),
    }
}

/// The name of a kind or topic to look for.
///
/// # Errors
/// When it cannot be one.
pub fn wanted(name: Option<String>, field: &'static str) -> Result<Option<String>, Broken> {
    match name {
        Some(name) if !is_name(&name) => {
            Err(Broken { field, expected: "1 to 128 bytes, no control characters" })
        }
        name => Ok(name),
    }
}

/// Ways of delivery that senders may name. Those beyond sockets come with later releases; naming them beside
/// a socket is no fault.
const SOCKETS: [&str; 4] = ["websocket", "in_app", "inApp", "realtime"];
const LATER: [&str; 3] = ["push", "email", "sms"];

/// Whether what a sender names can be done.
///
/// # Errors
/// When a word is unknown, or nothing of it is there yet.
pub fn channels(named: Option<&[String]>) -> Result<(), Broken> {
    let Some(named) = named else { return Ok(()) };
    let has = |words: &[&str], name: &String| words.contains(&name.as_str());
    if !named.iter().all(|name| has(&SOCKETS, name) || has(&LATER, name)) {
        return Err(Broken {
            field: "channels",
            expected: "in_app (websocket, realtime), push, email or sms",
        });
    }
    if !named.iter().any(|name| has(&SOCKETS, name)) {
        let expected = "in_app among them; push, email and sms come with a later release";
        return Err(Broken { field: "channels", expected });
    }
    Ok(())
}

/// Data as the sender wrote it.
pub fn data(text: String) -> Option<Box<RawValue>> {
    RawValue::from_string(text).ok()
}

/// A text, if there is any.
pub fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_texts_name_the_same() {
        let name = |value| serde_json::from_value::<Name>(value).map(|name| name.0.to_string()).ok();
        assert_eq!(name(json!(2)), Some("2".to_owned()));
        assert_eq!(name(json!("2")), Some("2".to_owned()));
        for odd in
            [json!(""), json!("a\u{0}"), json!(2.5), json!([2]), json!({"id": 2}), json!(null), json!(true)]
        {
            assert_eq!(name(odd.clone()), None, "{odd}");
        }
    }

    #[test]
    fn times_have_zones() {
        let at = |text: &str| instant(json!(text)).ok().flatten().map(|at| at.to_string());
        assert_eq!(at("2027-01-15T10:00:00+01:00").as_deref(), Some("2027-01-15T09:00:00.000Z"));
        assert!(at("9999-12-31T23:59:59Z").is_some());
        for odd in ["2027-01-15T10:00:00", "tomorrow", "", "2027-02-30T00:00:00Z"] {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let named =
            |words: &[&str]| channels(Some(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()));
        assert!(channels(None).is_ok() && named(&["websocket", "push", "in_app"]).is_ok());
        assert!(named(&["push"]).is_err() && named(&["pigeon", "in_app"]).is_err() && named(&[]).is_err());
    }
}
