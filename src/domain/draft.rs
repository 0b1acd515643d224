//! What a sender asks for, and the rules it must keep.

use serde_json::Value;

use super::{Priority, Recipient, Timestamp, UserId, Wish, students_of};

/// Bytes of a kind or a topic.
const LONGEST_NAME: usize = 128;
/// Bytes of a title.
const LONGEST_TITLE: usize = 512;
/// Bytes of a message.
const LONGEST_MESSAGE: usize = 32 * 1024;
/// Bytes of data, as JSON.
const LARGEST_DATA: usize = 64 * 1024;
/// Bytes of an address.
const LONGEST_URL: usize = 2_048;
/// Bytes of an idempotency key.
const LONGEST_KEY: usize = 255;
/// How far ahead something may be scheduled, in seconds: ten years.
const FURTHEST: i64 = 10 * 366 * 24 * 60 * 60;
/// Pairs of a student and somebody who is sent something about them, of one notification: each is a row of its commit.
const MOST_DISCLOSURES: usize = 2_000;
/// People who may be named in one request; more of them are reached by a topic or a role.
const MOST_USERS: usize = 1_000;

/// The kind of a booking. Its parts are where the booking protocol puts them, so it comes by no other door.
pub const BOOKING_KIND: &str = "new_booking";

/// Whom a sender means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Whoever sends it.
    Myself,
    /// These people.
    Users(Vec<UserId>),
    /// Subscribers of a topic.
    Topic(String),
    /// Those who have a role.
    Role(String),
    /// Everybody of the tenant.
    Everyone,
}

/// A notification as a sender wants it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// For whom.
    pub to: To,
    /// The sender's kind of notification: `order_status`.
    pub kind: String,
    /// The sender's category: `orders`; may be empty.
    pub topic: String,
    /// One line.
    pub title: String,
    /// The text; may be empty if there is a title.
    pub message: String,
    /// What the client gets to use: a JSON object.
    pub data: Value,
    /// How much it matters.
    pub priority: Priority,
    /// Where a click leads: `https:` or `http:`, or a path.
    pub action_url: Option<String>,
    /// When it is to go out, if not at once.
    pub scheduled_at: Option<Timestamp>,
    /// When it ceases to matter.
    pub expires_at: Option<Timestamp>,
    /// What is wanted beyond sockets.
    pub wish: Option<Wish>,
    /// What the sender tells its requests apart by.
    pub idempotency_key: Option<String>,
}

/// Which rule a request breaks: the field, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected}")]
pub struct Broken {
    /// As the API names it.
    pub field: &'static str,
    /// What may stand there.
    pub expected: &'static str,
}

fn rule(is_kept: bool, field: &'static str, expected: &'static str) -> Result<(), Broken> {
    if is_kept { Ok(()) } else { Err(Broken { field, expected }) }
}

/// Whether `name` can be the name of a kind, a topic or a role.
pub fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control)
}

fn is_line(text: &str) -> bool {
    !text.chars().any(|letter| letter.is_control() && letter != '\t')
}

fn is_prose(text: &str) -> bool {
    !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r'))
}

/// No database keeps this in every place where a text may stand.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Where a click leads, as it is kept: without blanks around it, and with its scheme in small letters, as whoever shows it
/// looks for it.
pub fn tidy_link(url: String) -> String {
    let url = url.trim();
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

/// Whether it is an address of the web, or a path.
pub fn leads_nowhere_bad(url: &str) -> bool {
    let lower = url.trim_start().to_ascii_lowercase();
    let is_web = lower.starts_with("https://") || lower.starts_with("http://");
    let is_path = url.starts_with('/') && !url.starts_with("//") && !url.starts_with("/\\");
    (is_web || is_path) && url.len() <= LONGEST_URL && !url.chars().any(char::is_control)
}

const AHEAD: &str = "at most ten years ahead";

fn is_near(at: Timestamp, now: Timestamp) -> bool {
    at <= now.plus_seconds(FURTHEST)
}

/// Checks a new time of what waits to go out.
///
/// # Errors
/// When there is none, it is over, or it is too far ahead.
pub fn time_to_come(at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Broken> {
    let at = at.filter(|at| *at > now && is_near(*at, now));
    at.ok_or(Broken { field: "scheduled_at", expected: "a time to come, at most ten years ahead" })
}

/// Checks that what is asked for `now` has not expired.
///
/// # Errors
/// When it has.
pub fn is_over(expires_at: Option<Timestamp>, now: Timestamp) -> Result<(), Broken> {
    rule(expires_at.is_none_or(|at| at > now), "expires_at", "a time to come")
}

impl Draft {
    /// Whether it is for its sender, who has this inbox, and nobody else.
    pub fn is_own(&self, own: Option<&Recipient>) -> bool {
        match &self.to {
            To::Myself => true,
            To::Users(users) => own.is_some_and(|own| users.iter().all(|user| *user == own.user)),
            _ => false,
        }
    }

    /// Checks what can be checked without asking anybody. Returns the data as a text.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, now: Timestamp) -> Result<String, Broken> {
        rule(is_name(&self.kind), "type", "1 to 128 bytes, no control characters")?;
        let is_free = self.kind != BOOKING_KIND;
        rule(is_free, "type", "another kind than new_booking, which back ends send by booking_notification")?;
        rule(
            self.topic.is_empty() || is_name(&self.topic),
            "topic",
            "at most 128 bytes, no control characters",
        )?;
        let is_titled = self.title.len() <= LONGEST_TITLE && is_line(&self.title);
        rule(is_titled, "title", "one line of at most 512 bytes")?;
        rule(self.message.len() <= LONGEST_MESSAGE, "message", "at most 32,768 bytes")?;
        rule(is_prose(&self.message), "message", "no control characters but line ends and tabs")?;
        let has_text = !(self.title.trim().is_empty() && self.message.trim().is_empty());
        rule(has_text, "title", "a title or a message must be there, and neither is")?;
        let data = serde_json::to_string(&self.data).ok().filter(|_| self.data.is_object());
        let data = data.ok_or(Broken { field: "data", expected: "a JSON object" })?;
        rule(data.len() <= LARGEST_DATA, "data", "at most 65,536 bytes of JSON")?;
        rule(!has_nul(&self.data), "data", "text without U+0000")?;
        rule(
            self.action_url.as_deref().is_none_or(leads_nowhere_bad),
            "action_url",
            "an http(s) address, or a path that begins with /",
        )?;
        rule(self.scheduled_at.is_none_or(|at| is_near(at, now)), "scheduled_at", AHEAD)?;
        let ends_later = self.expires_at.is_none_or(|end| self.scheduled_at.is_none_or(|at| end > at));
        rule(ends_later, "expires_at", "later than scheduled_at")?;
        rule(
            self.idempotency_key.as_ref().is_none_or(|key| {
                !key.is_empty() && key.len() <= LONGEST_KEY && key.chars().all(|letter| !letter.is_control())
            }),
            "idempotency_key",
            "1 to 255 bytes, no control characters",
        )?;
        self.wish.as_ref().map_or(Ok(()), Wish::check)?;
        match &self.to {
            To::Myself | To::Everyone => {}
            To::Users(users) => {
                rule(!users.is_empty(), "user_ids", "at least one user")?;
                rule(
                    users.len() <= MOST_USERS,
                    "user_ids",
                    "at most 1,000 users; use a topic or a role for more",
                )?;
                rule(
                    students_of(&data).len() * users.len() <= MOST_DISCLOSURES,
                    "data",
                    "about fewer students, or for fewer people: of each it is kept who was sent something about them, and these \
                     are more than 2,000 pairs at once. Send it in parts",
                )?;
            }
            To::Topic(name) => rule(is_name(name), "topic", "1 to 128 bytes, no control characters")?,
            To::Role(name) => rule(is_name(name), "role", "1 to 128 bytes, no control characters")?,
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn draft() -> Draft {
        Draft {
            to: To::Myself,
            kind: "order_status".to_owned(),
            topic: "orders".to_owned(),
            title: "Order updated".to_owned(),
            message: "It was shipped".to_owned(),
            data: json!({}),
            priority: Priority::Normal,
            action_url: None,
            scheduled_at: None,
            expires_at: None,
            wish: None,
            idempotency_key: None,
        }
    }

    fn field(change: impl FnOnce(&mut Draft)) -> Option<&'static str> {
        let mut draft = draft();
        change(&mut draft);
        draft.check(Timestamp::from_micros(10)).err().map(|broken| broken.field)
    }

    #[test]
    fn each_rule_names_its_field() {
        assert_eq!(field(|_| ()), None);
        assert_eq!(field(|draft| draft.kind = " ".to_owned()), Some("type"));
        assert_eq!(field(|draft| draft.topic = "a\nb".to_owned()), Some("topic"));
        assert_eq!(field(|draft| draft.title = "a\nb".to_owned()), Some("title"));
        assert_eq!(field(|draft| draft.message = "x".repeat(32_769)), Some("message"));
        assert_eq!(field(|draft| draft.message = "a\0b".to_owned()), Some("message"));
        assert_eq!(field(|draft| draft.message = "a\u{1b}[2J".to_owned()), Some("message"));
        assert_eq!(field(|draft| draft.message = "one\r\n\ttwo".to_owned()), None);
        assert_eq!(field(|draft| draft.data = json!({"a": ["\0"]})), Some("data"));
        assert_eq!(field(|draft| draft.data = json!({"\0": 1})), Some("data"));
        assert_eq!(field(|draft| draft.data = json!({"a": "C:\\u0000"})), None);
        assert_eq!(field(|draft| (draft.title, draft.message) = Default::default()), Some("title"));
        assert_eq!(field(|draft| draft.data = json!([])), Some("data"));
        let about = |students: u32, people: u32| {
            field(|draft| {
                draft.data = json!({"student_ids": (0..students).collect::<Vec<_>>()});
                draft.to =
                    To::Users((0..people).map(|user| UserId::new(&user.to_string()).unwrap()).collect());
            })
        };
        assert_eq!((about(100, 20), about(2, 1_000), about(100, 21)), (None, None, Some("data")));
        assert_eq!(field(|draft| draft.data = json!({"a": "x".repeat(70_000)})), Some("data"));
        assert!(is_over(Some(Timestamp::from_micros(10)), Timestamp::from_micros(10)).is_err());
        let at = |micros| Some(Timestamp::from_micros(micros));
        assert_eq!(
            field(|draft| (draft.scheduled_at, draft.expires_at) = (at(90), at(80))),
            Some("expires_at")
        );
        assert_eq!(field(|draft| draft.scheduled_at = at(i64::MAX)), Some("scheduled_at"));
        assert_eq!(field(|draft| draft.idempotency_key = Some(String::new())), Some("idempotency_key"));
        assert_eq!(field(|draft| draft.to = To::Users(Vec::new())), Some("user_ids"));
        assert_eq!(field(|draft| draft.to = To::Role(String::new())), Some("role"));
    }

    #[test]
    fn a_link_is_kept_as_it_is_looked_for() {
        let tidy = |url: &str| tidy_link(url.to_owned());
        assert_eq!(tidy(" HTTPS://Example.com/A?to=HTTP://b "), "https://Example.com/A?to=HTTP://b");
        assert_eq!(tidy("/orders/5?to=http://A"), "/orders/5?to=http://A");
        assert_eq!(tidy("/orders/5"), "/orders/5");
    }

    #[test]
    fn a_click_leads_to_the_web_or_a_path() {
        for good in ["https://example.com/a", "HTTP://example.com", "/orders/5"] {
            assert_eq!(field(|draft| draft.action_url = Some(good.to_owned())), None, "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "/\\evil",
            "orders",
            "",
        ] {
            assert_eq!(field(|draft| draft.action_url = Some(bad.to_owned())), Some("action_url"), "{bad}");
        }
    }
}
