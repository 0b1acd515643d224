//! Dead letters: what could not be taken, with the reason, for people to look at and to send again.

use std::collections::HashMap;

use redis::{FromRedisValue as _, PushInfo, RedisError, RedisResult, cmd};

use super::wire::Refused;
use super::{Ingest, Origin, Settings};
use crate::realtime::backplane::{self, Link, Server};

/// About so many are kept.
const KEPT: usize = 1_000;
/// Bytes of a message that are kept.
const LONGEST: usize = 32 * 1024;

/// A message that is not taken.
pub struct Letter<'a> {
    /// How it came.
    pub origin: Origin,
    /// Its entry in the stream, if it had one.
    pub entry: &'a str,
    /// What it said.
    pub text: &'a [u8],
    /// Why it is not taken.
    pub refused: Refused,
}

/// Where they are kept.
pub struct Letterbox {
    server: Server,
    name: String,
}

impl Letterbox {
    /// As settings have it; `None` if none are kept.
    ///
    /// # Errors
    /// When Redis's address cannot be used.
    pub fn new(names: &Settings, redis: &backplane::Settings) -> Result<Option<Self>, RedisError> {
        let is_kept = !(redis.url.is_empty() || names.stream.is_empty() || names.dead_letters.is_empty());
        let kept = || Ok(Self { server: Server::new(redis)?, name: names.dead_letters.clone() });
        is_kept.then(kept).transpose()
    }

    /// The latest of them, by their entries, and their fields.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn latest(&self, most: usize) -> RedisResult<Vec<(String, HashMap<String, Vec<u8>>)>> {
        let mut link = self.server.connect(|_: PushInfo| Ok::<_, ()>(())).await?;
        let mut read = cmd("XREVRANGE");
        read.arg(&self.name).arg("+").arg("-").arg("COUNT").arg(most);
        Ok(Vec::from_redis_value(link.ask(&read).await?)?)
    }
}

impl Ingest {
    /// Keeps `letters`, counts them, and says so once for all of them.
    ///
    /// # Errors
    /// When the line is broken; they may have been kept.
    pub(super) async fn bury(&self, link: &mut Link, letters: &[Letter<'_>]) -> RedisResult<()> {
        let Some(first) = letters.first() else { return Ok(()) };
        for Letter { origin, entry, text, refused } in letters {
            if !self.names.dead_letters.is_empty() {
                let mut add = cmd("XADD");
                add.arg(&self.names.dead_letters).arg("MAXLEN").arg("~").arg(KEPT).arg("*");
                add.arg("code").arg(refused.code).arg("reason").arg(&refused.why);
                add.arg("at").arg(self.notify.now().to_string()).arg("source").arg(origin.word());
                add.arg("entry").arg(entry).arg("bytes").arg(text.len());
                add.arg("notification").arg(&text[..text.len().min(LONGEST)]);
                link.ask(&add).await?;
                self.metrics.ingested(origin.word(), "dead");
            }
            self.metrics.ingested(origin.word(), "rejected");
        }
        tracing::warn!(
            letters = letters.len(),
            code = first.refused.code,
            source = first.origin.word(),
            entry = first.entry,
            "what came by Redis was refused; why, and what it said, is in {}",
            if self.names.dead_letters.is_empty() {
                "no stream (ingest.dead_letters)"
            } else {
                &self.names.dead_letters
            }
        );
        Ok(())
    }
}
