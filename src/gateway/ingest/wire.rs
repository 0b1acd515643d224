//! What senders write into Redis: one JSON object, in the spelling of either REST dialect.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::written::{self, Name};
use crate::domain::{Broken, Draft, Priority, Tenant, Timestamp, To};

/// Why a message is not taken: a word for programs and logs, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The word; it says nothing of what was sent.
    pub code: &'static str,
    /// The sentence; it may repeat what was sent.
    pub why: String,
}

impl Refused {
    /// By this word, for this reason.
    pub fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

impl From<Broken> for Refused {
    fn from(broken: Broken) -> Self {
        Self::new("invalid_field", broken.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
struct Message {
    #[serde(default, alias = "userId", deserialize_with = "written::given")]
    user_id: Option<Name>,
    #[serde(default, alias = "user_ids", alias = "userIds", deserialize_with = "written::given")]
    recipients: Option<Vec<Name>>,
    #[serde(default, deserialize_with = "written::given")]
    role: Option<String>,
    #[serde(default)]
    everyone: bool,
    #[serde(default, alias = "tenantId", deserialize_with = "written::given")]
    tenant_id: Option<Name>,
    #[serde(alias = "topic")]
    channel: Option<String>,
    #[serde(alias = "notification_type", alias = "notificationType")]
    r#type: Option<String>,
    title: Option<String>,
    message: Option<String>,
    #[serde(alias = "metadata")]
    data: Option<Value>,
    #[serde(default, deserialize_with = "written::priority")]
    priority: Option<Priority>,
    #[serde(alias = "actionUrl")]
    action_url: Option<String>,
    #[serde(default, alias = "scheduledAt", deserialize_with = "written::instant")]
    scheduled_at: Option<Timestamp>,
    #[serde(default, alias = "expiresAt", deserialize_with = "written::instant")]
    expires_at: Option<Timestamp>,
    /// When its sender made it. This server's clock counts.
    #[serde(default, rename = "timestamp")]
    _timestamp: serde::de::IgnoredAny,
    /// A sender's own id of a notification tells its messages apart as well.
    #[serde(default, alias = "idempotencyKey", alias = "id", deserialize_with = "written::given")]
    idempotency_key: Option<Key>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, or a whole number")]
enum Key {
    Text(String),
    Number(i64),
}

/// What a sender wants, and for which tenant.
///
/// # Errors
/// When it is no JSON, has a field that is unknown or wrong, or does not say for whom.
pub fn read(text: &[u8]) -> Result<(Tenant, Draft), Refused> {
    // What serde derives would take a list of the fields' values, too.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(Refused::new("invalid_field", "a list; expected a JSON object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let message: Message = serde_path_to_error::deserialize(&mut json).map_err(|fault| {
        let code = if fault.inner().is_data() { "invalid_field" } else { "not_json" };
        Refused::new(code, fault.to_string())
    })?;
    json.end().map_err(|fault| Refused::new("not_json", fault.to_string()))?;
    message.draft()
}

impl Message {
    fn draft(self) -> Result<(Tenant, Draft), Refused> {
        let tenant = match &self.tenant_id {
            None => Tenant::default(),
            Some(Name(named)) => Tenant::new(named.as_str())
                .map_err(|fault| Refused::new("invalid_field", fault.to_string()))?,
        };
        let named = [
            self.user_id.map(|Name(user)| To::Users(vec![user])),
            self.recipients.map(|names| To::Users(names.into_iter().map(|Name(user)| user).collect())),
            self.role.map(To::Role),
            self.everyone.then_some(To::Everyone),
        ];
        let mut named = named.into_iter().flatten();
        let to = match (named.next(), named.next()) {
            (_, Some(_)) => None,
            (to, None) => to.or_else(|| self.channel.clone().map(To::Topic)),
        };
        let expected =
            "for whom it is, by one of user_id (userId), recipients, role and everyone, or a channel";
        let draft = Draft {
            to: to.ok_or(Broken { field: "user_id", expected })?,
            kind: self.r#type.unwrap_or_default(),
            topic: self.channel.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            data: self.data.unwrap_or_else(|| Map::new().into()),
            priority: self.priority.unwrap_or_default(),
            action_url: self.action_url,
            scheduled_at: self.scheduled_at,
            expires_at: self.expires_at,
            wish: None,
            idempotency_key: self.idempotency_key.map(|key| match key {
                Key::Text(key) => key,
                Key::Number(key) => key.to_string(),
            }),
        };
        Ok((tenant, draft))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn code(text: &str) -> &'static str {
        read(text.as_bytes()).err().map_or("none", |refused| refused.code)
    }

    #[test]
    fn both_spellings_say_the_same() {
        let camel = json!({
            "userId": 2, "channel": "orders", "type": "t", "title": "T", "priority": "critical", "actionUrl": "/a",
            "tenantId": "x", "expiresAt": "2099-01-01T00:00:00Z", "idempotencyKey": "k", "data": {"a": 1},
        });
        let snake = json!({
            "user_id": "2", "topic": "orders", "notification_type": "t", "title": "T", "priority": "urgent",
            "action_url": "/a", "tenant_id": "x", "expires_at": "2099-01-01T00:00:00Z", "idempotency_key": "k",
            "metadata": {"a": 1},
        });
        let [camel, snake] = [camel, snake].map(|one| read(one.to_string().as_bytes()).unwrap());
        assert_eq!(format!("{camel:?}"), format!("{snake:?}"));
        assert_eq!(camel.0.as_str(), "x");
    }

    #[test]
    fn whom_it_is_for_is_said_once() {
        let to = |message: Value| read(message.to_string().as_bytes()).ok().map(|(_, draft)| draft.to);
        assert_eq!(to(json!({"channel": "news"})), Some(To::Topic("news".to_owned())));
        assert_eq!(to(json!({"everyone": true})), Some(To::Everyone));
        assert!(
            matches!(to(json!({"channel": "news", "recipients": [2, "3"]})), Some(To::Users(two)) if two.len() == 2)
        );
        for nobody in [
            json!({}),
            json!({"tenantId": "a"}),
            json!({"userId": null, "channel": "news"}),
            json!({"recipients": null, "channel": "news"}),
            json!({"userId": 2, "recipients": [3]}),
            json!({"userId": 2, "user_id": 2}),
        ] {
            assert_eq!(to(nobody.clone()), None, "{nobody}");
        }
    }

    #[test]
    fn faults_have_words() {
        assert_eq!(code("{\"userId\":2}"), "none");
        for text in ["", "{", "hello", "{\"userId\":2}{}", "\u{fffd}"] {
            assert_eq!(code(text), "not_json", "{text}");
        }
        for text in [
            "[]",
            "2",
            "{\"userId\":2,\"status\":\"delivered\"}",
            "{\"userId\":[2]}",
            "{\"userId\":2,\"priority\":\"loud\"}",
            "{\"userId\":2,\"scheduledAt\":\"tomorrow\"}",
            "{\"userId\":2,\"id\":null}",
        ] {
            assert_eq!(code(text), "invalid_field", "{text}");
        }
    }
}
