//! Whom a message that other programs left in Redis names, though it may be cut, or no JSON: one rule for what people are shown of
//! what stands there, and for what goes with them.

use serde_json::{Map, Value};

use crate::domain::{DEFAULT_TENANT, Recipient};

/// Where a message names its tenant, one person, several, and others whom it may be for.
const TENANT: [&str; 2] = ["tenant_id", "tenantId"];
const ONE: [&str; 2] = ["user_id", "userId"];
const SEVERAL: [&str; 3] = ["recipients", "user_ids", "userIds"];
const MANY: [&str; 4] = ["role", "everyone", "channel", "topic"];
/// What may stand around a name that is quoted in some way.
const QUOTES: [char; 3] = ['"', '\'', '\\'];
/// What may end a value, beside quotes.
const ENDS: [char; 7] = ['"', '\'', '\\', ',', '}', ']', '\n'];

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// What it says.
    pub text: &'a [u8],
    /// Why it was not taken, if it was not; it may repeat what stands in the message.
    pub reason: &'a [u8],
    /// Whether its end is missing.
    pub is_cut: bool,
}

/// How a message names somebody.
#[derive(Debug, PartialEq, Eq)]
pub enum Naming {
    /// Not at all.
    Not,
    /// It was cut before it says for whom it is.
    Nameless,
    /// It is for nobody else: what they are shown.
    Only(String),
    /// It is for others, too: what they are shown, and what it says without them.
    Among(String, Map<String, Value>),
    /// Their name stands in it, and it may be somebody else's.
    Perhaps,
}

/// Whose a message is that cannot be read.
#[derive(PartialEq, Eq)]
enum Whose {
    Theirs,
    Others,
    Unknown,
}

/// Whether a name, as a message writes it, is this one.
fn is(name: &str, written: &Value) -> bool {
    match written {
        Value::String(text) => text == name,
        Value::Number(number) => number.to_string() == name,
        _ => false,
    }
}

fn is_tenant(whom: &Recipient, written: Option<&Value>) -> bool {
    match written {
        None | Some(Value::Null) => whom.tenant.as_str() == DEFAULT_TENANT,
        Some(written) => is(whom.tenant.as_str(), written),
    }
}

/// How `message` names `whom`.
pub fn naming(whom: &Recipient, message: &Message<'_>) -> Naming {
    match serde_json::from_slice(message.text) {
        Ok(Value::Object(object)) => read(whom, object, message),
        // Some write JSON as a text of JSON.
        Ok(Value::String(inside)) => naming(whom, &Message { text: inside.as_bytes(), ..*message }),
        _ => unread(whom, message),
    }
}

fn read(whom: &Recipient, mut object: Map<String, Value>, message: &Message<'_>) -> Naming {
    let user = whom.user.as_str();
    if !is_tenant(whom, TENANT.iter().find_map(|name| object.get(*name))) {
        return Naming::Not;
    }
    if ONE.iter().any(|name| object.get(*name).is_some_and(|one| is(user, one))) {
        return Naming::Only(alone(user, object));
    }
    for name in SEVERAL {
        let Some(Value::Array(all)) = object.get(name) else { continue };
        let left: Vec<Value> = all.iter().filter(|one| !is(user, one)).cloned().collect();
        if left.len() < all.len() {
            let shown = alone(user, object.clone());
            let is_only = left.is_empty();
            object.insert(name.to_owned(), left.into());
            return if is_only { Naming::Only(shown) } else { Naming::Among(shown, object) };
        }
    }
    let names_somebody =
        ONE.iter().any(|name| matches!(object.get(*name), Some(Value::String(_) | Value::Number(_))))
            || SEVERAL.iter().any(|name| object.get(*name).is_some_and(Value::is_array))
            || MANY.iter().any(|name| object.contains_key(*name));
    if !names_somebody && is_mentioned(user, message) { Naming::Perhaps } else { Naming::Not }
}

/// The message without the names of others.
fn alone(user: &str, mut object: Map<String, Value>) -> String {
    object.retain(|name, value| !ONE.contains(&name.as_str()) || is(user, value));
    for name in SEVERAL {
        if let Some(Value::Array(all)) = object.get_mut(name) {
            all.retain(|one| is(user, one));
        }
    }
    Value::Object(object).to_string()
}

fn unread(whom: &Recipient, message: &Message<'_>) -> Naming {
    let user = whom.user.as_str();
    let text = String::from_utf8_lossy(message.text);
    let whose = whose(whom, &text, message.is_cut);
    if whose == Whose::Others {
        return Naming::Not;
    }
    let one = fields(&text, &ONE).into_iter().filter_map(value).map(|(one, _)| one);
    let mut named: Vec<Value> = one.collect();
    let mut is_whole = true;
    for several in fields(&text, &SEVERAL) {
        let (some, is_ended) = values(several);
        named.extend(some);
        is_whole &= is_ended;
    }
    let is_named = named.iter().any(|one| is(user, one));
    let is_alone = is_whole && named.iter().all(|one| is(user, one));
    if is_named && is_alone && whose == Whose::Theirs {
        Naming::Only(text.into_owned())
    } else if is_named || is_mentioned(user, message) {
        Naming::Perhaps
    } else if message.is_cut && named.is_empty() && !text.is_empty() {
        Naming::Nameless
    } else {
        Naming::Not
    }
}

/// It is the tenant's that it names; if it names none and is whole, the default one's. What another tenant's person is named in may
/// have lost the name of the tenant.
fn whose(whom: &Recipient, text: &str, is_cut: bool) -> Whose {
    let written = fields(text, &TENANT).into_iter();
    let Some(tenants) = written.map(|one| Some(value(one)?.0)).collect::<Option<Vec<Value>>>() else {
        return Whose::Unknown;
    };
    let theirs = tenants.iter().filter(|tenant| is_tenant(whom, Some(tenant))).count();
    match (tenants.len(), theirs) {
        (0, _) if !is_cut && is_tenant(whom, None) => Whose::Theirs,
        (0, _) => Whose::Unknown,
        (_, 0) => Whose::Others,
        (all, theirs) if all == theirs => Whose::Theirs,
        _ => Whose::Unknown,
    }
}

/// What follows these names in a text that is almost JSON, where they are fields of the outermost object.
fn fields<'a>(text: &'a str, names: &[&str]) -> Vec<&'a str> {
    let bytes = text.as_bytes();
    let is_letter =
        |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let after = |at: usize, quotes: &[char]| {
        let rest = text[at..].trim_start_matches(quotes).trim_start();
        rest.strip_prefix([':', '=']).map(str::trim_start)
    };
    let (mut found, mut depth, mut begun, mut at) = (Vec::new(), 0_usize, None, 0);
    while at < bytes.len() {
        match (bytes[at], begun) {
            (b'\\', Some(_)) => at += 1,
            (b'"', None) => begun = Some(at + 1),
            (b'"', Some(begin)) => {
                begun = None;
                if depth <= 1 && names.contains(&&text[begin..at]) {
                    found.extend(after(at + 1, &[]));
                }
            }
            (b'{', None) => depth += 1,
            (b'}', None) => depth = depth.saturating_sub(1),
            (_, None) if is_letter(at) => {
                let begin = at;
                while is_letter(at + 1) {
                    at += 1;
                }
                if depth <= 1 && names.contains(&&text[begin..=at]) {
                    found.extend(after(at + 1, &QUOTES));
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The value that a text begins with, and what follows; nothing if it does not end.
fn value(text: &str) -> Option<(Value, &str)> {
    let mut json = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    if let Some(Ok(value)) = json.next() {
        let rest = &text[json.byte_offset()..];
        return (!rest.is_empty() || !Value::is_number(&value)).then_some((value, rest));
    }
    let bare = text.trim_start_matches(QUOTES);
    let end = bare.find(ENDS).filter(|end| *end > 0)?;
    Some((bare[..end].trim().into(), bare[end..].trim_start_matches(QUOTES)))
}

/// The values of the list that a text begins with, and whether it ends.
fn values(text: &str) -> (Vec<Value>, bool) {
    let Some(mut rest) = text.strip_prefix('[') else {
        return value(text).map_or((Vec::new(), false), |(one, _)| (vec![one], true));
    };
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|letter: char| letter == ',' || letter.is_whitespace());
        if rest.starts_with(']') {
            return (found, true);
        }
        let Some((one, after)) = value(rest) else { return (found, false) };
        found.push(one);
        rest = after;
    }
}

/// Whether the name stands anywhere in it as a word of its own.
fn is_mentioned(user: &str, message: &Message<'_>) -> bool {
    let joins = |letter: char| letter.is_alphanumeric() || "-_@".contains(letter);
    [message.text, message.reason].into_iter().any(|text| {
        let text = String::from_utf8_lossy(text);
        text.match_indices(user).any(|(at, _)| {
            let (mut before, mut after) = (text[..at].chars().rev(), text[at + user.len()..].chars());
            let is_begun = match (before.next(), before.next()) {
                // A line's end, as JSON writes it.
                (Some('n' | 'r' | 't'), Some('\\')) => true,
                (letter, _) => !letter.is_some_and(|letter| joins(letter) || letter == '.'),
            };
            let is_ended = match (after.next(), after.next()) {
                (Some('.'), next) => !next.is_some_and(joins),
                (letter, _) => !letter.is_some_and(joins),
            };
            is_begun && is_ended
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Tenant, UserId};

    fn of(tenant: &str, user: &str, text: &str, is_cut: bool) -> Naming {
        let whom = Recipient { tenant: Tenant::new(tenant).unwrap(), user: UserId::new(user).unwrap() };
        naming(&whom, &Message { text: text.as_bytes(), reason: b"", is_cut })
    }

    #[test]
    fn who_is_named_is_found_however_it_is_written() {
        let two = |text: &str| of(DEFAULT_TENANT, "2", text, false);
        for only in [
            r#"{"userId":2}"#,
            r#"{"user_id":"2","tenant_id":"default"}"#,
            r#"{"recipients":[2]}"#,
            r#"{"userId":2,"#,
            r#"{"user_id":"2","title":"x"#,
            r#"{'userId': '2', 'tenantId': null, }"#,
            r#"{userId: 2, broken"#,
            r#"{"title":"a{","userIds":["2"],"#,
            r#""{\"userId\":2}""#,
        ] {
            assert!(matches!(two(only), Naming::Only(_)), "{only}");
        }
        for not in [
            r#"{"userId":3}"#,
            r#"{"user_id":"2","tenantId":"x"}"#,
            r#"{"role":"2"}"#,
            r#"{"userId":22,"#,
            r#"{"userId":2,"tenantId":"x","#,
            r#"{"userId":3,"title":"2"}"#,
        ] {
            assert_eq!(two(not), Naming::Not, "{not}");
        }
        for perhaps in [
            r#"{"userId":2"#,
            r#"{"userId":2,"recipients":[3,"#,
            r#"{"userIds":[2,3],"#,
            r#"{"userId":2,"tenantId":"x","tenantId":"default","#,
            r#"[{"userId":2},{"userId":3}]"#,
            r#"{"userid":2}"#,
            "for 2.",
            r#"{"message":"for\n2"#,
        ] {
            assert_eq!(two(perhaps), Naming::Perhaps, "{perhaps}");
        }
        let Naming::Among(shown, others) = two(r#"{"recipients":[1,2]}"#) else {
            panic!("it is for others, too")
        };
        assert_eq!(
            (shown.as_str(), Value::Object(others)),
            (r#"{"recipients":[2]}"#, serde_json::json!({"recipients": [1]}))
        );
    }

    #[test]
    fn what_was_cut_is_nobodys_until_it_says_whose() {
        let red = |text: &str| of("red", "2", text, true);
        assert!(matches!(red(r#"{"tenantId":"red","userId":"2","message":"xx"#), Naming::Only(_)));
        assert_eq!(red(r#"{"tenantId":"blue","userId":"2","message":"xx"#), Naming::Not);
        for perhaps in [
            r#"{"userId":"2","message":"xx"#,
            r#"{"userId":"2","tenantId":"re"#,
            r#"{"userId":"2","data":{"tenantId":"blue"},"message":"xx"#,
            r#"{"userId":"2","message":"\"tenantId\":\"blue\"xx"#,
        ] {
            assert_eq!(red(perhaps), Naming::Perhaps, "{perhaps}");
            assert_eq!(of(DEFAULT_TENANT, "2", perhaps, true), Naming::Perhaps, "{perhaps}");
        }
        assert_eq!(red(r#"{"tenantId":"red","message":"xx"#), Naming::Nameless);
        assert_eq!(red(r#"{"tenantId":"blue","message":"xx"#), Naming::Not);
        assert_eq!(red(r#"{"userId":3,"message":"xx"#), Naming::Not);
        assert_eq!(red(""), Naming::Not);
    }
}
