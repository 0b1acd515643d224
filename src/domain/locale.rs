//! Languages, and names of templates: short, checked, and safe wherever names stand.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Zone;

/// Bytes of a template's name.
const LONGEST_NAME: usize = 64;

/// A language, perhaps as it is written and spoken somewhere: `es`, `es-MX`, `zh-Hant-TW` (a part of BCP 47).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Locale(String);

/// What may stand for a locale.
const A_LOCALE: &str = "a language such as en, es-MX or zh-Hant-TW";
/// What may stand for a template's name.
const A_NAME: &str = "1 to 64 of a to z, 0 to 9, _, - and ., not a dot first or last or two in a row";

fn is_all(text: &str, lengths: std::ops::RangeInclusive<usize>, fits: fn(&u8) -> bool) -> bool {
    lengths.contains(&text.len()) && text.as_bytes().iter().all(fits)
}

impl Locale {
    /// Reads it, however its letters are written: `es_mx` is `es-MX`.
    ///
    /// # Errors
    /// What it should be.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.len() > 16 {
            return Err(A_LOCALE);
        }
        let mut parts = text.split(['-', '_']).peekable();
        let language = parts.next().unwrap_or_default();
        if !is_all(language, 2..=3, u8::is_ascii_alphabetic) {
            return Err(A_LOCALE);
        }
        let mut tag = language.to_ascii_lowercase();
        if let Some(script) = parts.next_if(|part| is_all(part, 4..=4, u8::is_ascii_alphabetic)) {
            tag.push('-');
            tag.push_str(&script[..1].to_ascii_uppercase());
            tag.push_str(&script[1..].to_ascii_lowercase());
        }
        let is_region = |part: &&str| {
            is_all(part, 2..=2, u8::is_ascii_alphabetic) || is_all(part, 3..=3, u8::is_ascii_digit)
        };
        if let Some(region) = parts.next_if(is_region) {
            tag.push('-');
            tag.push_str(&region.to_ascii_uppercase());
        }
        if parts.next().is_some() { Err(A_LOCALE) } else { Ok(Self(tag)) }
    }

    /// As BCP 47 writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its language alone: `es`.
    pub fn language(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }

    /// Where it is spoken: `MX`.
    pub fn region(&self) -> Option<&str> {
        let last = self.0.rsplit('-').next()?;
        (last.len() < self.0.len() && last.len() < 4).then_some(last)
    }

    /// Itself, and then what is meant with less and less said: `es-MX`, `es`.
    pub fn chain(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(Some(self.clone()), |locale| {
            locale.0.rsplit_once('-').map(|(less, _)| Self(less.to_owned()))
        })
    }
}

impl Default for Locale {
    fn default() -> Self {
        Self("en".to_owned())
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Locale {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Locale> for String {
    fn from(locale: Locale) -> Self {
        locale.0
    }
}

/// The name of a template: `iep_meeting_reminder`. No path can be made of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TemplateName(String);

impl TemplateName {
    /// Checks and takes `text`.
    ///
    /// # Errors
    /// What it should be.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let is_letter = |letter: &u8| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, b'_' | b'-' | b'.')
        };
        let is_path = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        if is_all(text, 1..=LONGEST_NAME, is_letter) && !is_path {
            Ok(Self(text.to_owned()))
        } else {
            Err(A_NAME)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TemplateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TemplateName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<TemplateName> for String {
    fn from(name: TemplateName) -> Self {
        name.0
    }
}

/// Which template a notification is made of, and for whom it was rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Templated {
    /// Its name.
    pub name: TemplateName,
    /// Its version; 0: the one built in.
    #[serde(default)]
    pub version: i64,
    /// The language that was asked for, not what was found; none: each recipient's own.
    #[serde(default)]
    pub locale: Option<Locale>,
    /// By whose clocks; none: each recipient's own.
    #[serde(default)]
    pub zone: Option<Zone>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn locales_are_read_and_fall_back() {
        let chain = |text: &str| {
            let chain = Locale::new(text).unwrap().chain();
            chain.map(String::from).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(chain("es-mx"), "es-MX es");
        assert_eq!(chain("ES_419"), "es-419 es");
        assert_eq!(chain("zh-hANT-tw"), "zh-Hant-TW zh-Hant zh");
        assert_eq!(chain("el"), "el");
        assert_eq!(Locale::new("en-us").unwrap().region(), Some("US"));
        assert_eq!(Locale::new("zh-Hant").unwrap().region(), None);
        for bad in [
            "",
            "e",
            "english",
            "es-",
            "-es",
            "es-MX-x",
            "../en",
            "en/us",
            "e\0",
            "es-M",
            "en-Latn-US-1",
            "ελ",
        ] {
            assert!(Locale::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_no_paths() {
        for good in ["a", "iep_meeting_reminder", "v2.grade-update", "0"] {
            assert!(TemplateName::new(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            ".",
            "..",
            "../etc/passwd",
            "a/b",
            "a\\b",
            "a..b",
            ".a",
            "a.",
            "A",
            "a b",
            "ά",
            "a\0",
            "a%2f",
            &long,
        ] {
            assert!(TemplateName::new(bad).is_err(), "{bad}");
        }
    }
}
