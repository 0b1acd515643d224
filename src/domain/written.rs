//! Values that senders write alike, by whichever door: read, or refused in words that say what is expected.

use std::fmt;

use chrono::DateTime;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::{IdError, Priority, Timestamp, UserId};

/// A user, a tenant: `2` and `"2"` are the same one.
#[derive(Clone, Debug)]
pub struct Name(pub UserId);

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

/// At most `most` letters of `text`; what is cut ends in `…`.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    if most == 0 { kept } else { format!("{}…", kept.trim_end()) }
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
}
