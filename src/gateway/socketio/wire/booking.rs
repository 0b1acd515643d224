//! The exact JSON of the booking protocol (seed 003 and `docs/PROTOCOLS.md`), both ways.

use chrono::{DateTime, NaiveDateTime};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{Fault, Key, LONGEST_KEY, key, object, raw, required, scalar, text, user_id};
use crate::domain::{Notification, NotificationId, Timestamp, UserId};

// ---- coming in -------------------------------------------------------------------------------

/// `facilitator_connect`.
#[derive(Deserialize, ToSchema)]
pub struct Facilitator<'a> {
    /// Whose notifications to hear.
    #[serde(borrow)]
    #[schema(value_type = UserId, required)]
    facilitator_id: Option<&'a RawValue>,
    /// Proves it.
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    token: Option<&'a RawValue>,
}

/// `get_pending_notifications`.
#[derive(Deserialize, ToSchema)]
pub struct Whose<'a> {
    /// Who asks.
    #[serde(borrow)]
    #[schema(value_type = UserId, required)]
    facilitator_id: Option<&'a RawValue>,
}

/// `mark_notification_read`.
#[derive(Deserialize, ToSchema)]
pub struct Looked<'a> {
    /// Who has looked.
    #[serde(borrow)]
    #[schema(value_type = UserId, required)]
    facilitator_id: Option<&'a RawValue>,
    /// At which.
    #[serde(borrow)]
    #[schema(value_type = Key, required)]
    notification_id: Option<&'a RawValue>,
}

/// `facilitator_connect`: the id as it was written, the same checked, and the token.
pub fn facilitator(payload: Option<&RawValue>) -> Result<(&RawValue, UserId, String), Fault> {
    let given: Facilitator<'_> = object(payload)?;
    let written = required(given.facilitator_id, "facilitator_id")?;
    let token = given.token.and_then(scalar).unwrap_or_default();
    Ok((written, user_id(written, "facilitator_id")?, token))
}

/// `get_pending_notifications`: whose.
pub fn facilitator_id(payload: Option<&RawValue>) -> Result<UserId, Fault> {
    let given: Whose<'_> = object(payload)?;
    user_id(required(given.facilitator_id, "facilitator_id")?, "facilitator_id")
}

/// `mark_notification_read`: whose, and which.
pub fn marked_read(payload: Option<&RawValue>) -> Result<(UserId, NotificationId), Fault> {
    let given: Looked<'_> = object(payload)?;
    let facilitator = user_id(required(given.facilitator_id, "facilitator_id")?, "facilitator_id")?;
    let raw = required(given.notification_id, "notification_id")?;
    let id = scalar::<i64>(raw)
        .or_else(|| scalar::<String>(raw).and_then(|text| text.parse().ok()))
        .ok_or(Fault::Invalid("notification_id", "It must be the number that came with the notification."))?;
    Ok((facilitator, NotificationId(id)))
}

/// `booking_notification`.
#[derive(Deserialize, ToSchema)]
pub struct BookingIn<'a> {
    /// The back end's own number for it.
    #[serde(borrow)]
    #[schema(value_type = Key, required)]
    booking_id: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = UserIn, required)]
    user: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = SessionIn, required)]
    session: Option<&'a RawValue>,
    /// Whom it is for.
    #[serde(borrow)]
    #[schema(value_type = UserId, required)]
    facilitator_id: Option<&'a RawValue>,
    /// What the back end tells its bookings apart by; without it, their content.
    #[serde(borrow)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 255)]
    idempotency_key: Option<&'a RawValue>,
}

/// Who books. Further fields are passed on.
#[derive(Deserialize, ToSchema)]
#[schema(as = Person)]
pub struct UserIn<'a> {
    #[serde(borrow)]
    #[schema(value_type = Key, required)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    email: Option<&'a RawValue>,
}

/// What is booked. Further fields are passed on.
#[derive(Deserialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionIn<'a> {
    #[serde(borrow)]
    #[schema(value_type = Key, required)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    title: Option<&'a RawValue>,
    /// ISO 8601; without a zone it is UTC.
    #[serde(borrow)]
    #[schema(value_type = String, required)]
    start_time: Option<&'a RawValue>,
}

/// A booking, checked.
pub struct Booking<'a> {
    /// As it was written.
    pub booking_id: &'a RawValue,
    /// As it was written.
    pub facilitator_id: &'a RawValue,
    /// The same, checked.
    pub facilitator: UserId,
    /// The session's title.
    pub title: String,
    /// The sentence facilitators read.
    pub message: String,
    /// `{"booking_id":…,"user":…,"session":…}`, as it was written, but for the zone of `start_time`.
    pub data: String,
    /// The sender's own key for resends, if it gave one.
    pub idempotency_key: Option<String>,
}

/// Checks a `booking_notification`. The error carries `booking_id`, if there was a usable one.
pub fn booking(payload: Option<&RawValue>) -> Result<Booking<'_>, (Fault, Option<&RawValue>)> {
    let given: BookingIn<'_> = object(payload).map_err(|fault| (fault, None))?;
    let echo = given.booking_id.filter(|raw| key(raw, "booking_id").is_ok());
    checked(&given).map_err(|fault| (fault, echo))
}

fn checked<'a>(given: &BookingIn<'a>) -> Result<Booking<'a>, Fault> {
    let booking_id = required(given.booking_id, "booking_id")?;
    let user = required(given.user, "user")?;
    let session = required(given.session, "session")?;
    let facilitator_id = required(given.facilitator_id, "facilitator_id")?;
    key(booking_id, "booking_id")?;
    let facilitator = user_id(facilitator_id, "facilitator_id")?;
    let person: UserIn<'_> = object(Some(user))
        .map_err(|_| Fault::Invalid("user", "It must be an object with id, name and email."))?;
    key(required(person.id, "user.id")?, "user.id")?;
    let name = text(required(person.name, "user.name")?, "user.name")?;
    text(required(person.email, "user.email")?, "user.email")?;
    let event: SessionIn<'_> = object(Some(session))
        .map_err(|_| Fault::Invalid("session", "It must be an object with id, title and start_time."))?;
    key(required(event.id, "session.id")?, "session.id")?;
    let title = text(required(event.title, "session.title")?, "session.title")?;
    let start = required(event.start_time, "session.start_time")?;
    let idempotency_key = match given.idempotency_key {
        None => None,
        Some(raw) => Some(
            scalar::<String>(raw)
                .filter(|key| (1..=LONGEST_KEY).contains(&key.len()))
                .ok_or(Fault::Invalid("idempotency_key", "It must be a string of 1 to 255 bytes."))?,
        ),
    };
    Ok(Booking {
        booking_id,
        facilitator_id,
        facilitator,
        message: format!("New booking from {name} for {title}"),
        title: title.into_owned(),
        data: data(booking_id, user, session, start)?,
        idempotency_key,
    })
}

/// The parts as they were written, with `Z` behind a `start_time` that names no zone.
fn data(
    booking_id: &RawValue,
    user: &RawValue,
    session: &RawValue,
    start: &RawValue,
) -> Result<String, Fault> {
    let (before, after) = if names_zone(&text(start, "session.start_time")?)? {
        (session.get(), "")
    } else {
        // `start` is a slice of `session`: its closing quote is one byte before its end.
        let offset = start.get().as_ptr() as usize - session.get().as_ptr() as usize;
        session.get().split_at(offset + start.get().len() - 1)
    };
    let zone = if after.is_empty() { "" } else { "Z" };
    let (booking_id, user) = (booking_id.get(), user.get());
    Ok(format!(r#"{{"booking_id":{booking_id},"user":{user},"session":{before}{zone}{after}}}"#))
}

/// Whether an ISO 8601 time names its zone; one without is UTC.
fn names_zone(time: &str) -> Result<bool, Fault> {
    const ZONED: [&str; 2] = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z"];
    const LOCAL: [&str; 4] =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    if LOCAL.iter().any(|format| NaiveDateTime::parse_from_str(time, format).is_ok()) {
        Ok(false)
    } else if DateTime::parse_from_rfc3339(time).is_ok()
        || ZONED.iter().any(|format| DateTime::parse_from_str(time, format).is_ok())
    {
        Ok(true)
    } else {
        let expected = "It must be an ISO 8601 date and time, such as 2024-01-15T09:00:00Z.";
        Err(Fault::Invalid("session.start_time", expected))
    }
}

// ---- going out -------------------------------------------------------------------------------

/// `backend_auth_success`, `facilitator_auth_success`.
#[derive(Serialize, ToSchema)]
pub struct Authenticated<'a> {
    pub status: &'static str,
    /// The facilitator, as the page wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UserId>, nullable = false)]
    pub facilitator_id: Option<&'a RawValue>,
}

/// `notification_delivered` and `notification_stored`: one of the two times is set.
#[derive(Serialize, ToSchema)]
#[schema(as = BookingReceipt)]
pub struct Accepted<'a> {
    /// As it was written.
    #[schema(value_type = Key)]
    pub booking_id: &'a RawValue,
    /// As it was written.
    #[schema(value_type = UserId)]
    pub facilitator_id: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub delivered_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub stored_at: Option<Timestamp>,
    pub notification_id: NotificationId,
}

/// `notification_marked_read`.
#[derive(Serialize, ToSchema)]
pub struct MarkedRead {
    pub notification_id: NotificationId,
}

/// `pending_notifications`.
#[derive(Serialize, ToSchema)]
pub struct Pending {
    #[schema(value_type = Vec<NewBooking>)]
    pub notifications: Vec<Box<RawValue>>,
    pub count: usize,
    /// Older ones that did not fit into this list.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    pub remaining: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    booking_id: &'a RawValue,
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(borrow)]
    session: &'a RawValue,
}

/// `new_booking_notification`, and one of `pending_notifications`.
#[derive(Serialize, ToSchema)]
pub struct NewBooking<'a> {
    r#type: &'a str,
    #[schema(value_type = Key)]
    booking_id: &'a RawValue,
    #[schema(value_type = UserIn)]
    user: &'a RawValue,
    #[schema(value_type = SessionIn)]
    session: &'a RawValue,
    timestamp: Timestamp,
    message: &'a str,
    notification_id: NotificationId,
    /// In lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stored_at: Option<Timestamp>,
}

fn present(notification: &Notification, stored_at: Option<Timestamp>) -> Box<RawValue> {
    let parts: Result<Data<'_>, _> = serde_json::from_str(&notification.data);
    let (booking_id, user, session) = match &parts {
        Ok(data) => (data.booking_id, data.user, data.session),
        Err(_) => (RawValue::NULL, RawValue::NULL, RawValue::NULL),
    };
    raw(&NewBooking {
        r#type: &notification.kind,
        booking_id,
        user,
        session,
        timestamp: notification.created_at,
        message: &notification.message,
        notification_id: notification.id,
        stored_at,
    })
}

/// `new_booking_notification`.
pub fn live(notification: &Notification) -> Box<RawValue> {
    present(notification, None)
}

/// One of `pending_notifications`.
pub fn listed(notification: &Notification) -> Box<RawValue> {
    present(notification, Some(notification.created_at))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    fn good() -> Value {
        json!({
            "booking_id": 123,
            "user": {"id": 5, "name": "Jane Smith", "email": "jane@example.com", "more": [1]},
            "session": {"id": 1, "title": "Morning \"Meditation\"", "start_time": "2024-01-15T09:00:00", "room": "A"},
            "facilitator_id": 2
        })
    }

    fn check(value: &Value) -> Result<(String, String, String), String> {
        let raw = to_raw_value(value).unwrap();
        match booking(Some(&raw)) {
            Ok(booking) => Ok((booking.facilitator.to_string(), booking.message, booking.data)),
            Err((fault, _)) => Err(fault.error()),
        }
    }

    #[test]
    fn a_good_booking_passes_unchanged_but_for_its_zone() {
        let (facilitator, message, data) = check(&good()).unwrap();
        assert_eq!(facilitator, "2");
        assert_eq!(message, "New booking from Jane Smith for Morning \"Meditation\"");
        let data: Value = serde_json::from_str(&data).unwrap();
        let mut expected = good();
        expected.as_object_mut().unwrap().remove("facilitator_id");
        expected["session"]["start_time"] = json!("2024-01-15T09:00:00Z");
        assert_eq!(data, expected);
        let mut zoned = good();
        zoned["session"]["start_time"] = json!("2024-01-15T09:00:00+02:00");
        let (_, _, data) = check(&zoned).unwrap();
        assert!(data.contains("09:00:00+02:00\""), "{data}");
    }

    #[test]
    fn every_required_field_is_named_when_it_is_missing_or_null() {
        for path in [
            "booking_id",
            "user",
            "session",
            "facilitator_id",
            "user.id",
            "user.name",
            "user.email",
            "session.id",
            "session.title",
            "session.start_time",
        ] {
            let pointer = format!("/{}", path.replace('.', "/"));
            let mut nulled = good();
            *nulled.pointer_mut(&pointer).unwrap() = Value::Null;
            assert_eq!(check(&nulled), Err(format!("Missing field: {path}")));
            let mut removed = good();
            let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
            let parent = if parent.is_empty() { &mut removed } else { &mut removed[parent] };
            parent.as_object_mut().unwrap().remove(field);
            assert_eq!(check(&removed), Err(format!("Missing field: {path}")));
        }
    }

    #[test]
    fn fields_of_the_wrong_kind_are_named() {
        for (path, value) in [
            ("booking_id", json!({})),
            ("booking_id", json!(true)),
            ("booking_id", json!("x".repeat(300))),
            ("facilitator_id", json!([2])),
            ("facilitator_id", json!(2.5)),
            ("facilitator_id", json!("")),
            ("facilitator_id", json!("a\u{7}")),
            ("facilitator_id", json!("x".repeat(200))),
            ("user", json!("Jane")),
            ("user", json!(["Jane"])),
            ("user.id", json!([])),
            ("user.name", json!(5)),
            ("user.name", json!("a\u{0}")),
            ("user.email", json!({})),
            ("session", json!(1)),
            ("session.id", json!(false)),
            ("session.title", json!([])),
            ("session.start_time", json!(1705309200)),
            ("session.start_time", json!("tomorrow")),
            ("session.start_time", json!("99999-01-01T00:00:00")),
        ] {
            let mut wrong = good();
            *wrong.pointer_mut(&format!("/{}", path.replace('.', "/"))).unwrap() = value.clone();
            assert_eq!(check(&wrong), Err(format!("Invalid field: {path}")), "{value}");
        }
        let mut deep = json!(1);
        for _ in 0..40 {
            deep = json!([deep]);
        }
        for payload in [json!("text"), json!(null), json!([1, 2]), json!(7), json!({"user": deep})] {
            assert_eq!(check(&payload), Err("Invalid payload".to_owned()), "{payload:.40}");
        }
    }

    #[test]
    fn a_notification_looks_as_the_seed_says() {
        let (_, message, data) = check(&good()).unwrap();
        let created_at = Timestamp::from_micros(1_705_246_200_000_000);
        let notification = Notification {
            id: NotificationId(456),
            uuid: uuid::Uuid::nil(),
            kind: "new_booking".to_owned(),
            topic: "bookings".to_owned(),
            title: String::new(),
            message,
            data,
            priority: crate::domain::Priority::Normal,
            action_url: None,
            created_at,
            expires_at: None,
            template: None,
        };
        let live: Value = serde_json::from_str(live(&notification).get()).unwrap();
        assert_eq!(live["type"], "new_booking");
        assert_eq!(live["booking_id"], 123);
        assert_eq!(live["user"], good()["user"]);
        assert_eq!(live["timestamp"], "2024-01-14T15:30:00.000Z");
        assert_eq!(live["notification_id"], 456);
        assert!(live.get("stored_at").is_none());
        let listed: Value = serde_json::from_str(listed(&notification).get()).unwrap();
        assert_eq!(listed["stored_at"], "2024-01-14T15:30:00.000Z");
    }
}
