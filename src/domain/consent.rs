//! What somebody agrees to be sent, and what holds for minors. Pure.

use serde::{Deserialize, Serialize};

use super::{Channel, Email, Phone, UserId};

/// For which channels a person must have agreed before anything goes over them; the others go until they say no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsentNeeded {
    /// E-mail.
    pub email: bool,
    /// Web Push.
    pub push: bool,
    /// Text messages.
    pub sms: bool,
}

impl ConsentNeeded {
    /// For these.
    pub fn of(channels: &[Channel]) -> Self {
        let has = |channel| channels.contains(&channel);
        Self { email: has(Channel::Email), push: has(Channel::Push), sms: has(Channel::Sms) }
    }

    /// Whether for this one.
    pub const fn is_needed(self, channel: Channel) -> bool {
        match channel {
            Channel::Realtime => false,
            Channel::Email => self.email,
            Channel::Push => self.push,
            Channel::Sms => self.sms,
        }
    }
}

/// What somebody said last of each channel; nothing: they never said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    /// E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<bool>,
    /// Web Push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<bool>,
    /// Text messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<bool>,
}

/// What was said last of each channel, of what was said in this order.
impl FromIterator<(Channel, bool)> for Consents {
    fn from_iter<T: IntoIterator<Item = (Channel, bool)>>(said: T) -> Self {
        said.into_iter().fold(Self::default(), |all, (channel, is_given)| all.with(channel, is_given))
    }
}

impl Consents {
    /// What was said of this one.
    pub const fn of(&self, channel: Channel) -> Option<bool> {
        match channel {
            Channel::Realtime => None,
            Channel::Email => self.email,
            Channel::Push => self.push,
            Channel::Sms => self.sms,
        }
    }

    /// With this said of it.
    pub const fn with(mut self, channel: Channel, is_given: bool) -> Self {
        match channel {
            Channel::Realtime => {}
            Channel::Email => self.email = Some(is_given),
            Channel::Push => self.push = Some(is_given),
            Channel::Sms => self.sms = Some(is_given),
        }
        self
    }

    /// Why nothing may go over this channel, if so.
    pub const fn refusal(&self, channel: Channel, needed: ConsentNeeded) -> Option<&'static str> {
        match self.of(channel) {
            Some(true) => None,
            Some(false) => Some("consent_withdrawn: its recipient no longer agrees to this channel"),
            None if needed.is_needed(channel) => {
                Some("no_consent: its recipient has not agreed to this channel (privacy.require_consent)")
            }
            None => None,
        }
    }
}

/// Who is reached in place of a minor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guardian {
    /// Their e-mail address.
    pub email: Option<Email>,
    /// Their telephone number.
    pub phone: Option<Phone>,
}

/// Why a minor gets no e-mails and no text messages by themselves.
pub const NO_GUARDIAN: &str =
    "minor_without_guardian: its recipient is a minor, and no guardian's contact is known for this channel";

/// Students that a notification names at most: those beyond are not told apart.
const MOST_STUDENTS: usize = 100;

/// The students whom the `data` of a notification is about, if it says so: by `student_id` or `studentId`, by a list of them
/// (`student_ids`, `studentIds`), or by the `id` of a `student` or of `students`. Each is a text or a whole number. What stands
/// deeper is not looked at.
pub fn students_of(data: &str) -> Vec<String> {
    // Nearly always there is none.
    if !data.contains("\"student") {
        return Vec::new();
    }
    let Ok(serde_json::Value::Object(data)) = serde_json::from_str(data) else { return Vec::new() };
    let mut found = Vec::new();
    for name in ["student_id", "studentId", "student_ids", "studentIds", "student", "students"] {
        let several = match data.get(name) {
            Some(serde_json::Value::Array(several)) => several.iter().collect(),
            one => one.into_iter().collect::<Vec<_>>(),
        };
        for one in several {
            let id = match one {
                serde_json::Value::Object(student) => {
                    ["id", "student_id", "studentId"].iter().find_map(|name| student.get(*name))
                }
                id if name.ends_with('d') || name.ends_with("ds") => Some(id),
                // Names, perhaps.
                _ => None,
            };
            let id = match id {
                Some(serde_json::Value::String(id)) => UserId::new(id).ok().map(|id| id.as_str().to_owned()),
                Some(serde_json::Value::Number(id)) => Some(id.to_string()),
                _ => None,
            };
            if let Some(id) = id.filter(|id| !found.contains(id) && found.len() < MOST_STUDENTS) {
                found.push(id);
            }
        }
    }
    found
}

/// By which way somebody said what they agree to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// A request for just that.
    Api,
    /// Their preferences.
    Preferences,
    /// A link in what they were sent.
    OneClick,
    /// STOP, told to a provider.
    Stop,
}

impl SaidBy {
    /// As it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Preferences => "preferences",
            Self::OneClick => "one_click",
            Self::Stop => "stop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_is_found_where_one_is_named() {
        let of = |data: &str| students_of(data).join(" ");
        for (data, found) in [
            (r#"{"student_id":"student_12345","x":1}"#, "student_12345"),
            (r#"{"student_id":7}"#, "7"),
            (r#"{"studentId":"ana","student_id":"ana"}"#, "ana"),
            (r#"{"studentIds":["a","b"],"student":{"id":"c","name":"C"}}"#, "a b c"),
            (r#"{"students":[{"id":1},{"studentId":2},"Ben"]}"#, "1 2"),
        ] {
            assert_eq!(of(data), found, "{data}");
        }
        for none in [
            "{}",
            r#"{"x":{"student_id":"a"}}"#,
            r#"{"student_id":null}"#,
            r#"{"x":"\"student_id\""}"#,
            r#"{"student":"Ben"}"#,
            r#"["student_id"]"#,
        ] {
            assert_eq!(of(none), "", "{none}");
        }
    }

    #[test]
    fn nothing_is_needed_unless_it_is_asked_for_and_no_is_no() {
        let needed = ConsentNeeded::of(&[Channel::Sms]);
        let nothing = Consents::default();
        for channel in Channel::BEYOND {
            assert_eq!(nothing.refusal(channel, ConsentNeeded::default()), None);
            assert_eq!(nothing.refusal(channel, needed).is_some(), channel == Channel::Sms);
            assert_eq!(nothing.with(channel, true).refusal(channel, needed), None);
            assert!(nothing.with(channel, false).refusal(channel, ConsentNeeded::default()).is_some());
        }
    }
}
