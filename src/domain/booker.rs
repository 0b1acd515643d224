//! Whom a booking is from: the person that its `user` names, by an id of the back end's. Pure.

use serde_json::{Value, json};

/// What stands where a name was.
const NOBODY: &str = "somebody who was forgotten";

fn booker(data: &Value) -> Option<String> {
    match data.get("user")?.get("id")? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Whether the `data` of a booking says that it is from `user`.
pub fn is_booked_by(data: &str, user: &str) -> bool {
    // Nearly always it is not.
    data.contains(user)
        && serde_json::from_str(data).is_ok_and(|data: Value| booker(&data).as_deref() == Some(user))
}

/// The `data` and message of a booking that is from `user`, with `other` in the place of all that is said of them; nothing, if it is
/// not theirs.
pub fn without_booker(data: &str, message: &str, user: &str, other: &str) -> Option<(String, String)> {
    let mut data: Value = serde_json::from_str(data).ok()?;
    if booker(&data).as_deref() != Some(user) {
        return None;
    }
    let name = data["user"]["name"].as_str().unwrap_or_default().to_owned();
    let message = if name.is_empty() { message.to_owned() } else { message.replacen(&name, NOBODY, 1) };
    data["user"] = json!({"id": other, "name": NOBODY, "email": ""});
    Some((data.to_string(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_booked_is_found_and_left_out() {
        let data =
            r#"{"booking_id":1,"user":{"id":77,"name":"Ada","email":"a@b.c","tel":"1"},"session":{"id":7}}"#;
        assert!(is_booked_by(data, "77") && !is_booked_by(data, "7") && !is_booked_by(data, "1"));
        let left = without_booker(data, "New booking from Ada for Ada's hour", "77", "erased:x");
        let (data, message) = left.unwrap_or_default();
        assert_eq!(message, "New booking from somebody who was forgotten for Ada's hour");
        assert!(!data.contains("a@b.c") && !data.contains("tel") && data.contains("erased:x"), "{data}");
        assert!(data.contains("\"session\":{\"id\":7}"), "{data}");
        assert_eq!(without_booker(&data, &message, "77", "x"), None, "it is not theirs any more");
        for odd in ["", "77", "[77]", r#"{"user":77}"#, r#"{"user":{"id":[77]}}"#] {
            assert!(!is_booked_by(odd, "77"), "{odd}");
        }
    }
}
