//! Push messages, as service workers read them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Words;
use crate::domain::written::cut;
use crate::domain::{Priority, leads_nowhere_bad};

/// Bytes that a push service takes for sure, encrypted, less what encryption adds (RFC 8291, section 4).
pub const LARGEST_PUSH: usize = 3_900;
/// Letters of a title.
const LONGEST_TITLE: usize = 100;
/// Letters of what stands on a button.
const LONGEST_BUTTON: usize = 30;
/// Letters of the text: as many as there is room for.
const LENGTHS: [usize; 5] = [500, 250, 120, 40, 0];

/// Bytes of a picture's address.
const LONGEST_PICTURE: usize = 512;

/// Pictures beside a push message, by their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pictures {
    /// Beside the text.
    pub icon: Option<String>,
    /// Where there is little room: of one colour.
    pub badge: Option<String>,
}

fn picture(address: &str) -> Option<String> {
    let is_good = address.len() <= LONGEST_PICTURE && leads_nowhere_bad(address);
    is_good.then(|| address.to_owned())
}

impl Pictures {
    /// As settings have them.
    ///
    /// # Errors
    /// The name of the one that is no address.
    pub fn new(icon: &str, badge: &str) -> Result<Self, &'static str> {
        let set = |name, address: &str| match address {
            "" => Ok(None),
            address => picture(address).map(Some).ok_or(name),
        };
        Ok(Self { icon: set("icon", icon)?, badge: set("badge", badge)? })
    }

    /// What a sender gave names its own, or else these are meant.
    pub fn unless_in(&self, data: &str) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Given {
            icon: Value,
            badge: Value,
        }
        let given: Given = serde_json::from_str(data).unwrap_or_default();
        let or = |given: &Value, usual: &Option<String>| {
            given.as_str().and_then(picture).or_else(|| usual.clone())
        };
        Self { icon: or(&given.icon, &self.icon), badge: or(&given.badge, &self.badge) }
    }
}

/// What a push message is about.
#[derive(Clone, Copy, Debug)]
pub struct Alert<'a> {
    /// The notification's number.
    pub id: i64,
    /// Its second name; the same message again takes the place of the first.
    pub uuid: Uuid,
    /// The sender's kind.
    pub kind: &'a str,
    /// By which template, if by one.
    pub template: Option<&'a str>,
    /// How much it matters.
    pub priority: Priority,
    /// Where a click leads.
    pub action_url: Option<&'a str>,
    /// A picture, by address.
    pub icon: Option<&'a str>,
    /// A small one.
    pub badge: Option<&'a str>,
    /// Where one click ends such pushes, and what the button says.
    pub stop: Option<(&'a str, &'a str)>,
}

/// A push message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Push {
    /// One line.
    pub title: String,
    /// The text.
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<String>,
    /// What replaces what.
    pub tag: String,
    /// What the page gets when it is clicked.
    data: Data,
    actions: Vec<Action>,
    priority: &'static str,
}

/// A push message that takes an earlier one back: its notification was read on another device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retraction {
    r#type: &'static str,
    /// Of what is not to be shown any more.
    tag: String,
    notification_id: i64,
}

impl Retraction {
    /// Of the notification of this number and second name.
    pub fn of(notification_id: i64, uuid: Uuid) -> Self {
        Self { r#type: "retract", tag: uuid.to_string(), notification_id }
    }

    /// As the service worker reads it: a JSON object.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Data {
    notification_id: i64,
    uuid: Uuid,
    #[serde(rename = "type")]
    kind: String,
    notification_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsubscribe_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsubscribe_title: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Action {
    action: String,
    title: String,
}

impl Push {
    /// What `words` say of `alert`. The text is as long as there is room for.
    pub fn of(words: &Words, alert: &Alert<'_>) -> Self {
        let texts = &words.texts;
        let (title, body) = match texts.title.as_str() {
            "" => (texts.message.lines().next().unwrap_or_default(), texts.message.as_str()),
            title => (title, texts.message.as_str()),
        };
        let some = |text: Option<&str>| text.map(str::to_owned);
        let actions = words.buttons.iter().map(|button| Action {
            action: button.action.clone(),
            title: cut(&button.title, LONGEST_BUTTON),
        });
        let mut push = Self {
            title: cut(title, LONGEST_TITLE),
            body: String::new(),
            icon: some(alert.icon),
            badge: some(alert.badge),
            tag: alert.uuid.to_string(),
            data: Data {
                notification_id: alert.id,
                uuid: alert.uuid,
                kind: alert.template.unwrap_or(alert.kind).to_owned(),
                notification_type: alert.kind.to_owned(),
                action_url: some(alert.action_url),
                unsubscribe_url: some(alert.stop.map(|(url, _)| url)),
                unsubscribe_title: some(alert.stop.map(|(_, title)| title)),
            },
            actions: actions.collect(),
            priority: alert.priority.name(),
        };
        // Where a click leads matters more.
        while push.payload().len() > LARGEST_PUSH && push.badge.take().or_else(|| push.icon.take()).is_some()
        {
        }
        for most in LENGTHS {
            push.body = cut(body, most);
            if push.payload().len() <= LARGEST_PUSH {
                return push;
            }
        }
        (push.data.unsubscribe_url, push.data.unsubscribe_title) = (None, None);
        push
    }

    /// As the service worker reads it: a JSON object.
    pub fn payload(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::Locale;

    #[test]
    fn a_picture_is_an_address() {
        let usual = Pictures::new("/bell.png", "").unwrap();
        let given = usual.unless_in(r#"{"icon": "https://example.com/a.png", "badge": "/b.png"}"#);
        assert_eq!(given, Pictures::new("https://example.com/a.png", "/b.png").unwrap());
        for odd in [r#"{"icon": "javascript:x", "badge": 7}"#, r#"{"icon": {"a": []}}"#, "{}", "[]", ""] {
            assert_eq!(usual.unless_in(odd), usual, "{odd}");
        }
        assert_eq!(Pictures::new("", "bell.png"), Err("badge"));
        assert_eq!(Pictures::new(&format!("/{}", "x".repeat(512)), ""), Err("icon"));
    }

    #[test]
    fn it_fits_whatever_it_says() {
        let url = format!("/{}", "u".repeat(2_047));
        let (kind, picture) = ("κ".repeat(64), format!("/{}", "\"".repeat(511)));
        let alert = Alert {
            id: 7,
            uuid: Uuid::nil(),
            kind: &kind,
            template: Some("a"),
            priority: Priority::Urgent,
            action_url: Some(&url),
            icon: Some(&picture),
            badge: Some(&picture),
            stop: Some((&url, "Stop")),
        };
        for letter in ["a", "α", "\"", "😀", "\\"] {
            let words = Words::own(&letter.repeat(500), &letter.repeat(5_000), &Locale::default());
            let payload = Push::of(&words, &alert).payload();
            assert!(payload.len() <= LARGEST_PUSH, "{letter}: {}", payload.len());
            let read: Value = serde_json::from_str(&payload).unwrap();
            assert_eq!(read["data"]["notification_id"], 7);
            assert_eq!(read["priority"], "urgent");
            assert_eq!(read["data"]["action_url"], url.as_str());
        }
    }
}
