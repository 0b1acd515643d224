//! A template as its author writes it.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RenderError;
use crate::domain::{Channel, Locale, Priority, is_name};

/// Languages of one template.
const MOST_LOCALES: usize = 20;
/// Values that one template names.
const MOST_VARIABLES: usize = 64;
/// Letters of a description.
const LONGEST_DESCRIPTION: usize = 500;
/// Buttons of a push message: browsers show no more.
const MOST_ACTIONS: usize = 2;

/// All that its author writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The kind of what is sent by it, if its sender names none.
    #[serde(rename = "type")]
    pub kind: String,
    /// How much it matters, if its sender does not say.
    #[serde(default, serialize_with = "priority_out", deserialize_with = "priority_in")]
    pub priority: Priority,
    /// Which ways it goes, if its sender does not say.
    #[serde(default, serialize_with = "channels_out", deserialize_with = "channels_in")]
    pub channels: Vec<Channel>,
    /// What the data must have.
    #[serde(default)]
    pub required: Vec<String>,
    /// What the data may have.
    #[serde(default)]
    pub optional: Vec<String>,
    /// The language of whoever wants one that there is not.
    #[serde(default)]
    pub default_locale: Locale,
    /// What it says, in each language.
    pub locales: BTreeMap<Locale, Wording>,
}

/// What it says in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wording {
    /// One line.
    pub title: String,
    /// The text.
    pub message: String,
    /// As a text message; else the message, or the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<String>,
    /// Buttons of a push message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// As an e-mail; else the title and the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailSources>,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What the page hears of: `view`.
    pub action: String,
    /// What stands on it.
    pub title: String,
}

/// What an e-mail says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailSources {
    /// One line; else the title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// For readers without HTML; else the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// For the others; else made of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

/// Ways of delivery, and their words.
const CHANNELS: [(&str, Channel); 4] = [
    ("in_app", Channel::Realtime),
    ("push", Channel::Push),
    ("email", Channel::Email),
    ("sms", Channel::Sms),
];

/// The word of a way of delivery.
pub fn word(channel: Channel) -> &'static str {
    CHANNELS.iter().find(|(_, known)| *known == channel).map_or("in_app", |(word, _)| word)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn priority_out<S: Serializer>(priority: &Priority, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(priority.name())
}

fn priority_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
    let word = String::deserialize(deserializer)?;
    Priority::parse(&word).ok_or_else(|| D::Error::custom("low, normal, high or urgent"))
}

fn channels_out<S: Serializer>(channels: &[Channel], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(channels.iter().map(|channel| word(*channel)))
}

fn channels_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Channel>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    let known = |word: &String| CHANNELS.iter().find(|(known, _)| known == word).map(|(_, channel)| *channel);
    let channels: Option<Vec<Channel>> = words.iter().map(known).collect();
    channels.ok_or_else(|| D::Error::custom("in_app, push, email or sms"))
}

fn is_variable(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && name.len() <= 64
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

impl Sources {
    /// Checks what can be checked without compiling.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RenderError> {
        let rule = |is_kept: bool, field: &str, expected: &str| match is_kept {
            true => Ok(()),
            false => Err(RenderError::broken(field, expected)),
        };
        let is_short = self.description.chars().count() <= LONGEST_DESCRIPTION
            && !self.description.chars().any(char::is_control);
        rule(is_short, "description", "one line of at most 500 letters")?;
        rule(is_name(&self.kind), "type", "1 to 128 bytes, no control characters")?;
        let is_free = self.kind != crate::domain::BOOKING_KIND;
        rule(is_free, "type", "another kind than new_booking, which back ends send by booking_notification")?;
        for (field, names) in [("required", &self.required), ("optional", &self.optional)] {
            let are_fine = names.len() <= MOST_VARIABLES && names.iter().all(|name| is_variable(name));
            rule(are_fine, field, "at most 64 names of letters, digits and _, such as student_name")?;
        }
        let has_several = !self.locales.is_empty() && self.locales.len() <= MOST_LOCALES;
        rule(has_several, "locales", "1 to 20 languages")?;
        let has_default = self.locales.contains_key(&self.default_locale);
        rule(has_default, "default_locale", "one of the languages in locales")?;
        for (locale, wording) in &self.locales {
            let is_id = |action: &Action| is_variable(&action.action) && action.action.len() <= 32;
            let are_fine = wording.actions.len() <= MOST_ACTIONS && wording.actions.iter().all(is_id);
            let field = format!("locales.{locale}.actions");
            rule(are_fine, &field, "at most two; action is a name of at most 32 letters, digits and _")?;
        }
        Ok(())
    }

    /// All sources: where each stands, and what it is.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, &str)> {
        self.locales.iter().flat_map(|(locale, wording)| {
            let email = wording.email.as_ref();
            let single = [
                ("title", Some(&wording.title)),
                ("message", Some(&wording.message)),
                ("sms", wording.sms.as_ref()),
                ("email.subject", email.and_then(|email| email.subject.as_ref())),
                ("email.text", email.and_then(|email| email.text.as_ref())),
                ("email.html", email.and_then(|email| email.html.as_ref())),
            ];
            let single = single
                .into_iter()
                .filter_map(move |(surface, source)| Some((place(locale, surface), source?.as_str())));
            let actions = wording.actions.iter().enumerate();
            single.chain(actions.map(move |(index, action)| {
                (place(locale, &format!("actions[{index}]")), action.title.as_str())
            }))
        })
    }
}

/// Where a source stands.
pub fn place(locale: &Locale, surface: &str) -> String {
    format!("locales.{locale}.{surface}")
}
