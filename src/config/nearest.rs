//! What somebody meant who wrote a setting that is none.

use figment::value::Value;
use strsim::levenshtein;

use super::Config;
use super::environment::PREFIX;

/// Where to look further, and which setting is the nearest to `key`, if one is near; as a variable, if it is one.
pub(super) fn meant(key: &str, is_variable: bool) -> String {
    let spelled = |key: String| match is_variable {
        true => format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase()),
        false => key,
    };
    let all = "`carillon config` lists them all";
    match nearest(key, all_keys()).map(spelled) {
        Some(near) => format!("did you mean {near}? {all}"),
        None => all.to_owned(),
    }
}

/// Every `section.key`.
fn all_keys() -> Vec<String> {
    let Ok(Value::Dict(_, sections)) = Value::serialize(Config::default()) else { return Vec::new() };
    let mut keys = Vec::new();
    for (section, inner) in sections {
        let Value::Dict(_, inner) = inner else { continue };
        keys.extend(inner.into_keys().map(|key| format!("{section}.{key}")));
    }
    keys
}

/// The one that is spelled nearly so; else one that has this as its last part, as `server.port` for `port`.
fn nearest(key: &str, known: Vec<String>) -> Option<String> {
    let (near, apart) =
        known.iter().map(|one| (one, levenshtein(key, one))).min_by_key(|(_, apart)| *apart)?;
    if apart <= key.len() / 4 {
        return Some(near.clone());
    }
    let last = key.rsplit('.').next().unwrap_or(key);
    known.iter().find(|one| one.rsplit('.').next() == Some(last)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found() {
        for (wrong, right) in [
            ("realtime.ping_intervall_ms", Some("realtime.ping_interval_ms")),
            ("log.levle", Some("log.level")),
            ("server.prot", Some("server.port")),
            ("port", Some("server.port")),
            ("environment", Some("server.environment")),
            ("database.uri", Some("database.url")),
            ("no.such_thing", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, all_keys()).as_deref(), right, "{wrong}");
        }
    }
}
