//! What a template is given: data, a language and a time zone.

use std::collections::BTreeMap;

use minijinja::Value;
use serde_json::{Map, Value as Json};

use super::RenderError;
use crate::domain::{Locale, Zone};

/// Bytes of data that a template can be given, as JSON.
const LARGEST_DATA: usize = 16 * 1024;
/// Under which names filters find where and in which language it is read. No name in a template is like these.
pub const LOCALE: &str = "@locale";
/// See [`LOCALE`].
pub const ZONE: &str = "@zone";

/// For whom something is rendered.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The language that is wanted.
    pub locale: Locale,
    /// By which clocks.
    pub zone: Zone,
    /// What the template may use. Nothing and blanks are left out: they would be holes.
    given: BTreeMap<String, Value>,
}

fn is_blank(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.trim().is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// As the sandbox takes it.
fn taken(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(is) => Value::from(*is),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Value::from(whole),
            (None, Some(whole)) => Value::from(whole),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(taken).collect::<Vec<_>>()),
        Json::Object(members) => {
            Value::from_pairs(members.iter().map(|(name, value)| (name.clone(), taken(value))))
        }
    }
}

impl Scene {
    /// With `data`, a JSON object.
    ///
    /// # Errors
    /// When it is none, or is too large.
    pub fn new(data: &Json, locale: Locale, zone: Zone) -> Result<Self, RenderError> {
        let nothing = Map::new();
        let members = match data {
            Json::Object(members) => members,
            Json::Null => &nothing,
            _ => return Err(RenderError::Data("a JSON object".to_owned())),
        };
        if data.to_string().len() > LARGEST_DATA {
            let most = format!("a template can be given at most {LARGEST_DATA} bytes of JSON");
            return Err(RenderError::Data(most));
        }
        let given = members.iter().filter(|(_, value)| !is_blank(value));
        let given = given.map(|(name, value)| (name.clone(), taken(value))).collect();
        Ok(Self { locale, zone, given })
    }

    /// Whether there is a value of this name.
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// As the sandbox takes it. `found` is the language of the sources: what was asked for decides only how it is spoken.
    pub(super) fn context(&self, found: &Locale) -> Value {
        let spoken = if self.locale.language() == found.language() { &self.locale } else { found };
        let mut all = self.given.clone();
        all.insert(LOCALE.to_owned(), Value::from(spoken.as_str()));
        all.insert(ZONE.to_owned(), Value::from(self.zone.name()));
        Value::from(all)
    }
}
