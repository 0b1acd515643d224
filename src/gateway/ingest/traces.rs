//! What stands in Redis of one person: entries of the stream that wait, and dead letters. For those who want to see it, or to
//! be forgotten.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use redis::{FromRedisValue as _, PushInfo, RedisError, RedisResult, cmd};
use serde_json::{Map, Value, json};

use super::Settings;
use super::naming::{Message, Naming, naming};
use crate::domain::Recipient;
use crate::realtime::backplane::{self, Link, Server};
use crate::service::{Forgotten, Outside};

/// Entries that are looked at together.
const TOGETHER: usize = 500;
/// The fields of a dead letter in which the message stands, why it was not taken, and how long it was.
const LETTER: &str = "notification";
const REASON: &str = "reason";
const BYTES: &str = "bytes";
/// Fields that say nothing of what was sent.
const KEPT: [&str; 5] = ["code", "at", "source", "entry", BYTES];
/// What is said in the place of a reason, which may repeat what was sent.
const FORGOTTEN: &str = "somebody whom it may have named was forgotten, and what it said with them";
/// What is said in the place of a message that may be somebody else's.
const WITHHELD: &str = "this name stands in it; it cannot be read whether it is for this person only";

/// An entry: its id, and its names and values.
type Entry = (String, Vec<Vec<u8>>);

/// Looks there.
pub struct Traces(Arc<Inside>);

struct Inside {
    server: Server,
    names: Settings,
}

/// Takes an entry out, if it is still there, and puts another in its place, if there is one: a command of its own each, it
/// could be taken meanwhile, and come twice.
const REPLACE: &str = "local gone = redis.call('XDEL', KEYS[1], ARGV[1]) \
    if gone == 1 and ARGV[3] then redis.call('XADD', KEYS[1], '*', unpack(ARGV, 2)) end \
    return gone";
/// By which names a message has a key of its own.
const KEYS: [&str; 3] = ["idempotency_key", "idempotencyKey", "id"];

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
    /// All entries of `stream` that name `whom`, or may.
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
                match naming(whom, &message(&entry)) {
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
            for (entry, naming) in self.entries(&mut link, stream, whom).await? {
                match naming {
                    Naming::Only(shown) | Naming::Among(shown, _) => texts.push(shown),
                    Naming::Perhaps => texts.push(withheld(&entry)),
                    Naming::Not | Naming::Nameless => {}
                }
            }
        }
        Ok(texts)
    }

    fn streams(&self) -> impl Iterator<Item = &str> {
        [self.names.stream.as_str(), self.names.dead_letters.as_str()]
            .into_iter()
            .filter(|name| !name.is_empty())
    }

    /// What waits for others, too, is added anew without them, under a key that tells it from nothing else: if it had been taken
    /// already, it is refused as a key that came before, and nobody has it twice. What may be somebody else's loses its text.
    async fn forget(&self, whom: &Recipient) -> RedisResult<Forgotten> {
        let mut link = self.server.connect(|_: PushInfo| Ok::<_, ()>(())).await?;
        let mut forgotten = Forgotten::default();
        for stream in self.streams() {
            let waits = stream == self.names.stream;
            for ((id, fields), naming) in self.entries(&mut link, stream, whom).await? {
                let name = fields.first().map_or(LETTER.as_bytes(), Vec::as_slice);
                let instead = match naming {
                    Naming::Nameless => {
                        forgotten.may_be_left = true;
                        continue;
                    }
                    Naming::Among(_, without) if waits => {
                        vec![name.to_vec(), keyed(without, stream, &id).into_bytes()]
                    }
                    Naming::Perhaps if waits => vec![name.to_vec(), Vec::new()],
                    Naming::Perhaps => blank(&fields),
                    Naming::Not | Naming::Only(_) | Naming::Among(..) => Vec::new(),
                };
                let mut replace = cmd("EVAL");
                replace.arg(REPLACE).arg(1).arg(stream).arg(&id).arg(instead);
                forgotten.many += usize::from_redis_value(link.ask(&replace).await?)?;
            }
        }
        Ok(forgotten)
    }
}

/// A message for others that stood in this entry, with a key.
fn keyed(mut message: Map<String, Value>, stream: &str, id: &str) -> String {
    if !KEYS.iter().any(|name| message.get(*name).is_some_and(|key| !key.is_null())) {
        KEYS.iter().for_each(|name| _ = message.remove(*name));
        message.insert(KEYS[0].to_owned(), format!("{stream}/{id}").into());
    }
    Value::Object(message).to_string()
}

/// A dead letter without anything of what was sent.
fn blank(fields: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let without = |pair: &[Vec<u8>]| {
        let value = match pair[0].as_slice() {
            name if name == REASON.as_bytes() => FORGOTTEN.into(),
            name if KEPT.iter().any(|kept| kept.as_bytes() == name) => pair[1].clone(),
            _ => Vec::new(),
        };
        [pair[0].clone(), value]
    };
    fields.chunks_exact(2).flat_map(without).collect()
}

/// That there is one, and when it came.
fn withheld(entry: &Entry) -> String {
    let of = |name| field(entry, name).map(String::from_utf8_lossy);
    let [code, at, bytes] = ["code", "at", BYTES].map(of);
    json!({"withheld": WITHHELD, "entry": entry.0, "code": code, "at": at, "bytes": bytes}).to_string()
}

fn field<'a>((_, fields): &'a Entry, name: &str) -> Option<&'a [u8]> {
    let mut pairs = fields.chunks_exact(2);
    pairs.find(|pair| pair[0] == name.as_bytes()).map(|pair| pair[1].as_slice())
}

/// What an entry says: the one value of what waits, and of a dead letter what it keeps of the message.
fn message(entry: &Entry) -> Message<'_> {
    let kept = field(entry, LETTER).filter(|_| entry.1.len() > 2);
    let text = kept.or_else(|| entry.1.get(1).map(Vec::as_slice)).unwrap_or_default();
    let bytes = field(entry, BYTES).and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse::<usize>().ok());
    Message {
        text,
        reason: field(entry, REASON).unwrap_or_default(),
        is_cut: bytes.is_some_and(|bytes| bytes > text.len()),
    }
}

impl Outside for Traces {
    fn find(&self, whom: Recipient) -> BoxFuture<'static, Result<Vec<String>, String>> {
        let inside = self.0.clone();
        Box::pin(async move { inside.find(&whom).await.map_err(|fault| fault.to_string()) })
    }

    fn forget(&self, whom: Recipient) -> BoxFuture<'static, Result<Forgotten, String>> {
        let inside = self.0.clone();
        Box::pin(async move { inside.forget(&whom).await.map_err(|fault| fault.to_string()) })
    }
}
