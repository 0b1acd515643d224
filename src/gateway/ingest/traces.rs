//! What stands in Redis of one person: entries of the stream that wait, and dead letters. For those who want to see it, or to
//! be forgotten.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use redis::{FromRedisValue as _, PushInfo, RedisError, RedisResult, cmd};
use serde_json::{Map, Value};

use super::Settings;
use crate::domain::{DEFAULT_TENANT, Recipient};
use crate::realtime::backplane::{self, Link, Server};
use crate::service::Outside;

/// Entries that are looked at together.
const TOGETHER: usize = 500;
/// Where a message names one person, and where several.
const ONE: [&str; 2] = ["user_id", "userId"];
const SEVERAL: [&str; 3] = ["recipients", "user_ids", "userIds"];
/// The field of a dead letter in which the message stands.
const LETTER: &str = "notification";

/// An entry: its id, and its names and values.
type Entry = (String, Vec<Vec<u8>>);

/// Looks there.
pub struct Traces(Arc<Inside>);

struct Inside {
    server: Server,
    names: Settings,
}

/// How a message names somebody.
#[derive(Debug, PartialEq, Eq)]
enum Naming {
    /// Not at all.
    Not,
    /// It is for nobody else.
    Only,
    /// It is for others, too: what it says without them.
    Among(Map<String, Value>),
    /// It cannot be read, and has their name in it: it may be another tenant's.
    Perhaps,
}

/// Takes an entry out, if it is still there, and puts another in its place, if there is one: a command of its own each, it
/// could be taken meanwhile, and come twice.
const REPLACE: &str = "local gone = redis.call('XDEL', KEYS[1], ARGV[1]) \
    if gone == 1 and ARGV[3] then redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[3]) end \
    return gone";
/// By which names a message has a key of its own.
const KEYS: [&str; 3] = ["idempotency_key", "idempotencyKey", "id"];

/// Whether a user, as a message writes them, is this one.
fn is(user: &str, written: &Value) -> bool {
    match written {
        Value::String(text) => text == user,
        Value::Number(number) => number.to_string() == user,
        _ => false,
    }
}

/// How `text` names `whom`.
fn naming(whom: &Recipient, text: &[u8]) -> Naming {
    let user = whom.user.as_str();
    let Ok(Value::Object(mut message)) = serde_json::from_slice::<Value>(text) else {
        // What cannot be read may name anybody.
        let text = String::from_utf8_lossy(text);
        let mut words = text.split(|letter: char| !(letter.is_alphanumeric() || "-_.@".contains(letter)));
        return if words.any(|word| word == user) || text.contains(&format!("\"{user}\"")) {
            Naming::Perhaps
        } else {
            Naming::Not
        };
    };
    let tenant = ["tenant_id", "tenantId"].iter().find_map(|name| message.get(*name));
    let is_theirs = match tenant {
        None | Some(Value::Null) => whom.tenant.as_str() == DEFAULT_TENANT,
        Some(tenant) => is(whom.tenant.as_str(), tenant),
    };
    if !is_theirs {
        return Naming::Not;
    }
    if ONE.iter().any(|name| message.get(*name).is_some_and(|one| is(user, one))) {
        return Naming::Only;
    }
    for name in SEVERAL {
        let Some(Value::Array(all)) = message.get_mut(name) else { continue };
        let before = all.len();
        all.retain(|one| !is(user, one));
        match all.len() {
            0 if before > 0 => return Naming::Only,
            left if left < before => return Naming::Among(message),
            _ => {}
        }
    }
    Naming::Not
}

impl Traces {
    /// In the streams that `settings` name.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(settings: &Settings, redis: &backplane::Settings) -> Result<Self, RedisError> {
        Ok(Self(Arc::new(Inside { server: Server::new(redis)?, names: settings.clone() })))
    }
}

impl Inside {
    /// All entries of `stream` that name `whom`.
    async fn entries(
        &self,
        link: &mut Link,
        stream: &str,
        whom: &Recipient,
    ) -> RedisResult<Vec<(Entry, Naming)>> {
        let mut found = Vec::new();
        let mut from = "-".to_owned();
        loop {
            let mut range = cmd("XRANGE");
            range.arg(stream).arg(&from).arg("+").arg("COUNT").arg(TOGETHER);
            let page: Vec<Entry> = Vec::from_redis_value(link.ask(&range).await?)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            from = format!("({last}");
            for entry in page {
                match naming(whom, text(&entry)) {
                    Naming::Not => {}
                    naming => found.push((entry, naming)),
                }
            }
        }
    }

    async fn find(&self, whom: &Recipient) -> RedisResult<Vec<String>> {
        let mut link = self.server.connect(|_: PushInfo| Ok::<_, ()>(())).await?;
        let mut texts = Vec::new();
        for stream in self.streams() {
            let found = self.entries(&mut link, stream, whom).await?;
            let theirs = found.iter().filter(|(_, naming)| *naming != Naming::Perhaps);
            texts.extend(theirs.map(|(entry, _)| String::from_utf8_lossy(text(entry)).into_owned()));
        }
        Ok(texts)
    }

    fn streams(&self) -> impl Iterator<Item = &str> {
        [self.names.stream.as_str(), self.names.dead_letters.as_str()]
            .into_iter()
            .filter(|name| !name.is_empty())
    }

    /// What is for others, too, is added anew without them, under a key that tells it from nothing else: if it had been taken
    /// already, it is refused as a key that came before, and nobody has it twice. What cannot be read goes if `perhaps`.
    async fn forget(&self, whom: &Recipient, perhaps: bool) -> RedisResult<usize> {
        let mut link = self.server.connect(|_: PushInfo| Ok::<_, ()>(())).await?;
        let mut many = 0;
        for stream in self.streams() {
            for ((id, fields), naming) in self.entries(&mut link, stream, whom).await? {
                if naming == Naming::Perhaps && !perhaps {
                    continue;
                }
                let mut replace = cmd("EVAL");
                replace.arg(REPLACE).arg(1).arg(stream).arg(&id);
                if let (Naming::Among(mut without), true) = (naming, stream == self.names.stream) {
                    if !KEYS.iter().any(|name| without.get(*name).is_some_and(|key| !key.is_null())) {
                        KEYS.iter().for_each(|name| _ = without.remove(*name));
                        without.insert(KEYS[0].to_owned(), format!("{stream}/{id}").into());
                    }
                    let name = fields.first().map_or(LETTER.as_bytes(), Vec::as_slice);
                    replace.arg(name).arg(Value::Object(without).to_string());
                }
                many += usize::from_redis_value(link.ask(&replace).await?)?;
            }
        }
        Ok(many)
    }
}

/// What an entry says: the one value of what waits, and of a dead letter what it keeps of the message.
fn text((_, fields): &Entry) -> &[u8] {
    let mut pairs = fields.chunks_exact(2);
    let letter = pairs.clone().find(|pair| fields.len() > 2 && pair[0] == LETTER.as_bytes());
    letter.or_else(|| pairs.next()).map_or(&[], |pair| pair[1].as_slice())
}

impl Outside for Traces {
    fn find(&self, whom: Recipient) -> BoxFuture<'static, Result<Vec<String>, String>> {
        let inside = self.0.clone();
        Box::pin(async move { inside.find(&whom).await.map_err(|fault| fault.to_string()) })
    }

    fn forget(&self, whom: Recipient, perhaps: bool) -> BoxFuture<'static, Result<usize, String>> {
        let inside = self.0.clone();
        Box::pin(async move { inside.forget(&whom, perhaps).await.map_err(|fault| fault.to_string()) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{Tenant, UserId};

    #[test]
    fn who_is_named_is_found_however_it_is_written() {
        let two = Recipient { tenant: Tenant::default(), user: UserId::new("2").unwrap() };
        let of = |text: &str| naming(&two, text.as_bytes());
        for only in [r#"{"userId":2}"#, r#"{"user_id":"2","tenant_id":"default"}"#, r#"{"recipients":[2]}"#] {
            assert_eq!(of(only), Naming::Only, "{only}");
        }
        for not in
            [r#"{"userId":3}"#, r#"{"user_id":"2","tenantId":"x"}"#, r#"{"role":"2"}"#, r#"{"userId":22,"#]
        {
            assert_eq!(of(not), Naming::Not, "{not}");
        }
        assert_eq!(of(r#"{"userId":2,"#), Naming::Perhaps);
        let Naming::Among(others) = of(r#"{"recipients":[1,2]}"#) else { panic!("it is for others, too") };
        assert_eq!(Value::Object(others), serde_json::json!({"recipients": [1]}));
    }
}
