//! The exact JSON of the feed protocol (seed 004 and `docs/PROTOCOLS.md`), both ways.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Fault, Key, key, object, raw, required, scalar, user_id};
use crate::domain::{
    Change, Channel, Notification, NotificationId, Preferences, Priority, QuietChange, QuietHours, Standing,
    Status, Switches, Timestamp, UserId, Zone, read_from_objects,
};
use crate::service::ReplayFrom;

// ---- coming in -------------------------------------------------------------------------------

/// What a client may show in its handshake (`auth`).
#[derive(Deserialize, ToSchema)]
pub struct Handshake<'a> {
    /// A user's token, bare; without one the socket is nobody.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    token: Option<&'a RawValue>,
}

/// The `token` of a handshake's `auth`, if it has one.
///
/// # Errors
/// When there is one that cannot be a token.
pub fn handshake(auth: Option<&str>) -> Result<Option<String>, Fault> {
    let Some(auth) = auth.filter(|auth| auth.starts_with('{')) else { return Ok(None) };
    let invalid = Fault::Invalid("token", "It must be a string.");
    let Handshake { token } = serde_json::from_str(auth).map_err(|_| invalid)?;
    token.map(|token| scalar::<String>(token).ok_or(invalid)).transpose()
}

/// `subscribe`, `unsubscribe`.
#[derive(Deserialize, ToSchema)]
pub struct Subscribe<'a> {
    /// One's own.
    #[serde(borrow, rename = "userId")]
    #[schema(value_type = Option<UserId>)]
    user_id: Option<&'a RawValue>,
    /// Names of topics.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, required, max_items = 100)]
    channels: Option<&'a RawValue>,
}

/// `subscribe` and `unsubscribe`: whose, if that is said, and which.
pub fn channels(payload: Option<&RawValue>) -> Result<(Option<UserId>, Vec<String>), Fault> {
    let given: Subscribe<'_> = object(payload)?;
    let whose = given.user_id.map(|written| user_id(written, "userId")).transpose()?;
    let channels = scalar(required(given.channels, "channels")?)
        .ok_or(Fault::Invalid("channels", "It must be a list of strings."))?;
    Ok((whose, channels))
}

/// `ack`, `read`.
#[derive(Deserialize, ToSchema)]
pub struct Which<'a> {
    /// The `id` or the `number` that came with a notification.
    #[serde(borrow, rename = "notificationId")]
    #[schema(value_type = Key, required)]
    notification_id: Option<&'a RawValue>,
}

/// `ack` and `read`: which one, as it was written, and the same as a name.
pub fn which(payload: Option<&RawValue>) -> Result<(&RawValue, String), Fault> {
    let Which { notification_id } = object(payload)?;
    let written = required(notification_id, "notificationId")?;
    Ok((written, name(written, "notificationId")?))
}

/// A notification's UUID or number.
fn name(written: &RawValue, field: &'static str) -> Result<String, Fault> {
    let invalid = Fault::Invalid(field, "It must be the id or the number that came with a notification.");
    key(written, field).map_err(|_| invalid)?;
    let number = || scalar::<i64>(written).map(|number| number.to_string());
    scalar::<String>(written).or_else(number).ok_or(invalid)
}

/// `requestMissedNotifications`.
#[derive(Deserialize, ToSchema)]
pub struct Missed<'a> {
    /// An RFC 3339 time, or the `id` or `number` of the last notification seen.
    #[serde(borrow)]
    #[schema(value_type = Option<Key>)]
    since: Option<&'a RawValue>,
}

/// `requestMissedNotifications`: from where on.
pub fn since(payload: Option<&RawValue>) -> Result<ReplayFrom, Fault> {
    if payload.is_none_or(|payload| payload.get() == "null") {
        return Ok(ReplayFrom::Unconfirmed);
    }
    let Missed { since: Some(since) } = object(payload)? else { return Ok(ReplayFrom::Unconfirmed) };
    let expected = "It must be an RFC 3339 time, or the id or number of a notification.";
    let invalid = Fault::Invalid("since", expected);
    let text = name(since, "since").map_err(|_| invalid)?;
    if text.parse::<i64>().is_ok() || Uuid::try_parse(&text).is_ok() {
        return Ok(ReplayFrom::Last(text));
    }
    let time = DateTime::parse_from_rfc3339(&text).map_err(|_| invalid)?;
    Ok(ReplayFrom::Time(Timestamp::from_micros(time.timestamp_micros())))
}

/// `updatePreferences`: what is to be different. It is read like `PUT /api/notifications/preferences`.
///
/// # Errors
/// When a member is unknown, or not of its form.
pub fn preferences(payload: Option<&RawValue>) -> Result<Change, Fault> {
    let _: &RawValue = object(payload)?;
    let invalid = Fault::Invalid(
        "preferences",
        "It takes email, push, sms and inApp (true or false), channels and types (the same for each name), quietHours \
         {start, end, days} with times such as 22:00, and timeZone, such as Europe/Athens.",
    );
    let given: Wishes = payload.and_then(scalar).ok_or(invalid)?;
    let Wishes { email, push, sms, in_app, .. } = given;
    Ok(Change {
        channels: Switches { realtime: in_app, email, push, sms },
        types: given.types.into_iter().map(|(name, ways)| (name, ways.into())).collect(),
        topics: given.channels.into_iter().map(|(name, ways)| (name, ways.into())).collect(),
        quiet_hours: given.quiet_hours,
        time_zone: given.time_zone,
        is_by_link: false,
    })
}

/// `updatePreferences`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Wishes {
    email: Option<bool>,
    push: Option<bool>,
    sms: Option<bool>,
    #[serde(alias = "in_app", alias = "realtime", alias = "websocket")]
    in_app: Option<bool>,
    #[serde(default)]
    channels: BTreeMap<String, Ways>,
    #[serde(default)]
    types: BTreeMap<String, Ways>,
    /// Null ends them.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<QuietChange>)]
    quiet_hours: Option<Option<QuietChange>>,
    time_zone: Option<Zone>,
}

/// Which ways of delivery are wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", remote = "Self")]
struct Ways {
    email: Option<bool>,
    push: Option<bool>,
    sms: Option<bool>,
    #[serde(alias = "in_app", alias = "realtime", alias = "websocket")]
    in_app: Option<bool>,
}

read_from_objects!(Ways);

impl From<Ways> for Switches {
    fn from(Ways { email, push, sms, in_app }: Ways) -> Self {
        Self { realtime: in_app, email, push, sms }
    }
}

/// Null is not the same as nothing.
fn nullable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<QuietChange>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A field of ours, in this protocol's spelling.
pub fn spelled(field: &'static str) -> &'static str {
    match field {
        "topics" => "channels",
        "quiet_hours" => "quietHours",
        other => other,
    }
}

// ---- going out -------------------------------------------------------------------------------

/// `authenticated`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Welcome<'a> {
    pub status: &'static str,
    /// Whose feed it is; absent when a token was renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_id: Option<&'a str>,
}

/// `subscribed`, `unsubscribed`.
#[derive(Serialize, ToSchema)]
pub struct Channels {
    pub channels: Vec<String>,
}

/// `preferencesUpdated`: what is preferred now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chosen<'a> {
    email: bool,
    push: bool,
    sms: bool,
    in_app: bool,
    channels: BTreeMap<&'a str, Wanted>,
    types: BTreeMap<&'a str, Wanted>,
    quiet_hours: Option<&'a QuietHours>,
    time_zone: Zone,
}

/// Which ways of delivery are wanted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    email: bool,
    push: bool,
    sms: bool,
    in_app: bool,
}

impl From<&Switches> for Wanted {
    fn from(switches: &Switches) -> Self {
        let is_wanted = |channel| switches.of(channel).unwrap_or(true);
        Self {
            email: is_wanted(Channel::Email),
            push: is_wanted(Channel::Push),
            sms: is_wanted(Channel::Sms),
            in_app: is_wanted(Channel::Realtime),
        }
    }
}

impl<'a> From<&'a Preferences> for Chosen<'a> {
    fn from(preferences: &'a Preferences) -> Self {
        let rules = |all: &'a BTreeMap<String, Switches>| {
            all.iter().map(|(name, switches)| (name.as_str(), switches.into())).collect()
        };
        let Wanted { email, push, sms, in_app } = (&preferences.channels).into();
        Self {
            email,
            push,
            sms,
            in_app,
            channels: rules(&preferences.topics),
            types: rules(&preferences.types),
            quiet_hours: preferences.quiet_hours.as_ref(),
            time_zone: preferences.time_zone,
        }
    }
}

/// The answer to `requestMissedNotifications`.
#[derive(Serialize, ToSchema)]
pub struct Count {
    pub count: usize,
}

/// `notification`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    id: Uuid,
    number: NotificationId,
    r#type: &'a str,
    title: &'a str,
    message: &'a str,
    /// Nothing, if it is of no topic.
    channel: Option<&'a str>,
    #[schema(value_type = Priority)]
    priority: &'static str,
    timestamp: Timestamp,
    #[schema(value_type = Object)]
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    action_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_at: Option<Timestamp>,
}

/// The seed's word for it.
const fn word(priority: Priority) -> &'static str {
    match priority {
        Priority::Normal => "medium",
        other => other.name(),
    }
}

/// `notification`.
pub fn notification(notification: &Notification) -> Box<RawValue> {
    raw(&Shown {
        id: notification.uuid,
        number: notification.id,
        r#type: &notification.kind,
        title: &notification.title,
        message: &notification.message,
        channel: (!notification.topic.is_empty()).then_some(&notification.topic),
        priority: word(notification.priority),
        timestamp: notification.created_at,
        data: serde_json::from_str(&notification.data).unwrap_or(RawValue::NULL),
        action_url: notification.action_url.as_deref(),
        expires_at: notification.expires_at,
    })
}

/// `notificationStatus`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stands<'a> {
    /// The notification's `id`; null if all that the person has was read at once.
    notification_id: Option<Uuid>,
    number: Option<NotificationId>,
    status: Status,
    timestamp: Timestamp,
    /// With whom; only its sender is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user_id: Option<&'a str>,
}

/// `notificationStatus`.
pub fn standing(standing: &Standing) -> Box<RawValue> {
    raw(&Stands {
        notification_id: (!standing.is_of_all()).then_some(standing.uuid),
        number: (!standing.is_of_all()).then_some(standing.id),
        status: standing.status,
        timestamp: standing.at,
        user_id: standing.whose.as_ref().map(UserId::as_str),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value, json, value::to_raw_value};

    fn from(since_written: Value) -> Result<ReplayFrom, String> {
        let raw = to_raw_value(&json!({ "since": since_written })).unwrap();
        since(Some(&raw)).map_err(|fault| fault.error())
    }

    #[test]
    fn a_handshake_has_a_token_or_none_or_is_wrong() {
        assert_eq!(handshake(None), Ok(None));
        assert_eq!(handshake(Some("{}")), Ok(None));
        assert_eq!(handshake(Some(r#"{"token":null,"more":1}"#)), Ok(None));
        assert_eq!(handshake(Some(r#"{"token":"a.b.c"}"#)), Ok(Some("a.b.c".to_owned())));
        assert_eq!(handshake(Some(r#"{"token":""}"#)), Ok(Some(String::new())));
        for wrong in [r#"{"token":5}"#, r#"{"token":{}}"#, r#"{"token":"a","token":"b"}"#, "{"] {
            assert!(handshake(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn missed_since_a_time_or_a_notification() {
        assert!(matches!(from(json!(null)), Ok(ReplayFrom::Unconfirmed)));
        assert!(matches!(since(None), Ok(ReplayFrom::Unconfirmed)));
        assert!(matches!(from(json!(5)), Ok(ReplayFrom::Last(name)) if name == "5"));
        assert!(matches!(from(json!("5")), Ok(ReplayFrom::Last(name)) if name == "5"));
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert!(matches!(from(json!(uuid)), Ok(ReplayFrom::Last(name)) if name == uuid));
        let time = from(json!("2024-01-15T10:30:00+01:00"));
        assert!(matches!(time, Ok(ReplayFrom::Time(at)) if at.to_string() == "2024-01-15T09:30:00.000Z"));
        for wrong in [json!("yesterday"), json!([]), json!({}), json!(true), json!(1.5), json!("")] {
            assert_eq!(from(wrong.clone()).err().as_deref(), Some("Invalid field: since"), "{wrong}");
        }
    }

    #[test]
    fn a_notification_looks_as_the_seed_says() {
        let shown = notification(&Notification {
            id: NotificationId(7),
            uuid: Uuid::nil(),
            kind: "order_status".to_owned(),
            topic: "orders".to_owned(),
            title: "Order Updated".to_owned(),
            message: "Your order #12345 has been shipped".to_owned(),
            data: r#"{"orderId":"12345"}"#.to_owned(),
            priority: Priority::Normal,
            action_url: None,
            created_at: Timestamp::from_micros(1_705_314_600_000_000),
            expires_at: None,
            template: None,
        });
        let shown: Value = serde_json::from_str(shown.get()).unwrap();
        let expected = json!({
            "id": Uuid::nil().to_string(), "number": 7, "type": "order_status", "title": "Order Updated",
            "message": "Your order #12345 has been shipped", "channel": "orders", "priority": "medium",
            "timestamp": "2024-01-15T10:30:00.000Z", "data": {"orderId": "12345"},
        });
        assert_eq!(shown, expected);
    }
}
