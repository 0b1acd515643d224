//! A booking that lacks something, or has it in the wrong form, is answered with what is wrong, and not stored.

use serde_json::{Value, json};

use crate::support::{Clients, Server, booking};

/// Every required field: where it stands, and the name that an error gives it.
const REQUIRED: [&str; 10] = [
    "booking_id",
    "facilitator_id",
    "user",
    "user.id",
    "user.name",
    "user.email",
    "session",
    "session.id",
    "session.title",
    "session.start_time",
];

fn pointer(field: &str) -> String {
    format!("/{}", field.replace('.', "/"))
}

fn without(field: &str) -> Value {
    let mut lacking = booking(7, 2);
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let parent = if parent.is_empty() { String::new() } else { pointer(parent) };
    let fields = lacking.pointer_mut(&parent).and_then(Value::as_object_mut).expect("an object");
    fields.remove(name).expect("a field");
    lacking
}

#[test]
fn every_missing_field_is_named() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    for field in REQUIRED {
        let expected = format!("Missing field: {field}");
        backend.emit("booking_notification", without(field));
        let error = backend.hear("notification_error");
        assert_eq!(error["error"], expected);
        let echoed = if field == "booking_id" { Value::Null } else { json!(7) };
        assert_eq!(error["booking_id"], echoed, "{field}");

        let answer = backend.call("booking_notification", without(field));
        assert_eq!(answer["error"], expected, "to the ack callback");
        assert_eq!(backend.hear("notification_error"), answer);
    }
    assert_eq!(server.stats()["total_notifications"], 0);
    assert_eq!(backend.call("booking_notification", booking(7, 2))["booking_id"], 7);
}

#[test]
fn every_field_of_the_wrong_form_is_named() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let wrong = |field: &str| match field {
        "user" | "session" => vec![json!("text"), json!([]), json!(1), json!(true)],
        "booking_id" | "facilitator_id" | "user.id" | "session.id" => vec![json!([]), json!({}), json!(true)],
        "session.start_time" => {
            vec![json!([]), json!({}), json!(true), json!("tomorrow"), json!("2024-13-45T09:00:00")]
        }
        _ => vec![json!([]), json!({}), json!(true), json!(1)],
    };
    for field in REQUIRED {
        for value in wrong(field) {
            let mut odd = booking(7, 2);
            *odd.pointer_mut(&pointer(field)).expect("a field") = value.clone();
            let error = backend.call("booking_notification", odd)["error"].clone();
            assert_eq!(error, format!("Invalid field: {field}"), "{field} = {value}");
        }
        let mut null = booking(7, 2);
        *null.pointer_mut(&pointer(field)).expect("a field") = Value::Null;
        let error = backend.call("booking_notification", null)["error"].clone();
        let words = [format!("Missing field: {field}"), format!("Invalid field: {field}")];
        assert!(words.iter().any(|w| error == w.as_str()), "{field} = null: {error}");
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}

#[test]
fn room_like_facilitator_ids_are_refused() {
    let server = Server::start();
    let clients = Clients::of(&server);
    let backend = clients.backend();
    let long = "9".repeat(1000);
    for id in [long.as_str(), "", "a\u{0}b", "a\r\nb", "\u{1b}[2J"] {
        let mut odd = booking(7, 2);
        odd["facilitator_id"] = id.into();
        let error = backend.call("booking_notification", odd)["error"].clone();
        assert!(error.as_str().is_some_and(|e| e.ends_with("field: facilitator_id")), "{id:?}: {error}");
    }
    assert_eq!(server.stats()["total_notifications"], 0);
}
