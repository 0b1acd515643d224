//! The stream: read in batches, in its order, and each entry removed when what it asked for is stored.
//!
//! All nodes read under one name, one at a time: who takes over goes on with what another one had read and not
//! finished. An entry that is taken twice is stored once, by its key.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, RedisResult, Value, cmd};
use tokio_util::sync::CancellationToken;

use super::letters::Letter;
use super::wire::{self, Refused};
use super::{End, Ingest, Origin, Turn};
use crate::access::Principal;
use crate::domain::Tenant;
use crate::realtime::backplane::Link;
use crate::service::Error;

/// Entries that are under way at once.
const TOGETHER: usize = 100;
/// How long Redis is asked to wait for an entry: shorter than the line's patience.
const WAIT_MS: u64 = 1_000;
/// However much comes, it is looked so often what was left unfinished.
const LOOK: Duration = Duration::from_secs(5);
/// The one reader in the group.
const READER: &str = "carillon";
/// Between two looks whether the database is back, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// An entry that a well database did not take so often is not taken.
const ATTEMPTS: u32 = 8;

const DONE: &str = "
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
return redis.call('XDEL', KEYS[1], unpack(ARGV, 2))";

/// One entry: its id, and its names and values; none, when it was deleted while somebody had it.
struct Entry {
    id: String,
    fields: Vec<Vec<u8>>,
}

/// What became of one.
enum Taken {
    Stored,
    /// It was deleted while somebody had it.
    Gone,
    Refused(Refused),
    /// The database could not do it.
    Later,
}

impl Entry {
    fn origin(&self) -> Origin {
        match self.fields.first() {
            Some(name) if name == Origin::CARRIED.as_bytes() => Origin::Channel,
            _ => Origin::Stream,
        }
    }

    fn text(&self) -> &[u8] {
        self.fields.get(1).map_or(&[], Vec::as_slice)
    }
}

impl Ingest {
    /// Takes what is in the stream, and what comes, until told to stop.
    pub(super) async fn read(
        &self,
        mut link: Link,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        self.join_group(&mut link).await?;
        self.unfinished(&mut link, turn, stop).await?;
        let mut looked = Instant::now();
        while !stop.is_cancelled() {
            let last = self.some(&mut link, ">", turn, stop).await?;
            // A reader that was stopped, and has not seen yet that its turn is over, may have read some as well.
            if last.is_none() || looked.elapsed() > LOOK {
                self.unfinished(&mut link, turn, stop).await?;
                looked = Instant::now();
            }
        }
        Ok(())
    }

    /// Takes what was read before, and not finished.
    async fn unfinished(&self, link: &mut Link, turn: &Turn, stop: &CancellationToken) -> Result<(), End> {
        let mut after = "0".to_owned();
        while let Some(last) = self.some(link, &after, turn, stop).await? {
            after = last;
        }
        Ok(())
    }

    async fn join_group(&self, link: &mut Link) -> RedisResult<()> {
        let mut create = cmd("XGROUP");
        // From the beginning: what came before the first start is not lost.
        create.arg("CREATE").arg(&self.names.stream).arg(&self.names.group).arg(0).arg("MKSTREAM");
        match link.ask(&create).await {
            Err(fault) if fault.code() == Some("BUSYGROUP") => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// One batch: new ones, or those that were read before and stand behind an id. Returns the last one's id.
    async fn some(
        &self,
        link: &mut Link,
        after: &str,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Result<Option<String>, End> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.names.group).arg(READER).arg("COUNT").arg(TOGETHER);
        read.arg("BLOCK").arg(WAIT_MS).arg("STREAMS").arg(&self.names.stream).arg(after);
        let answer = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            answer = link.ask(&read) => answer?,
        };
        let entries = entries(answer)?;
        let last = entries.last().map(|entry| entry.id.clone());
        self.settle(link, entries, turn, stop).await?;
        Ok(last)
    }

    /// Stores what `entries` ask for, and removes them; however long the database is away.
    async fn settle(
        &self,
        link: &mut Link,
        mut entries: Vec<Entry>,
        turn: &Turn,
        stop: &CancellationToken,
    ) -> Result<(), End> {
        let (mut attempts, mut pause) = (0, PAUSES.0);
        while !entries.is_empty() {
            attempts += 1;
            let taken =
                futures_util::future::join_all(entries.iter().map(|entry| self.take(entry, attempts))).await;
            let (mut done, mut letters, mut later) = (Vec::new(), Vec::new(), Vec::new());
            for (index, (entry, taken)) in entries.iter().zip(taken).enumerate() {
                match taken {
                    Taken::Stored => self.metrics.ingested(entry.origin().word(), "accepted"),
                    Taken::Gone => {}
                    Taken::Refused(refused) => letters.push(Letter {
                        origin: entry.origin(),
                        entry: &entry.id,
                        text: entry.text(),
                        refused,
                    }),
                    Taken::Later => {
                        later.push(index);
                        continue;
                    }
                }
                done.push(entry.id.as_str());
            }
            self.bury(link, &letters).await?;
            if !done.is_empty() {
                let mut remove = cmd("EVAL");
                remove.arg(DONE).arg(1).arg(&self.names.stream).arg(&self.names.group).arg(&done);
                link.ask(&remove).await?;
            }
            let mut index = 0;
            entries.retain(|_| {
                index += 1;
                later.contains(&(index - 1))
            });
            while !entries.is_empty() {
                // They stay where they are: whoever takes over finds them.
                turn.troubled.store(true, Ordering::Release);
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSES.1);
                if self.notify.is_ready().await {
                    turn.troubled.store(false, Ordering::Release);
                    break;
                }
            }
        }
        Ok(())
    }

    async fn take(&self, entry: &Entry, attempts: u32) -> Taken {
        let [_, text] = entry.fields.as_slice() else {
            return match entry.fields.is_empty() {
                true => Taken::Gone,
                false => Taken::Refused(Refused::new(
                    "not_one_field",
                    "an entry has one field, whose value is the notification as JSON",
                )),
            };
        };
        if text.len() > self.largest {
            return Taken::Refused(self.too_large());
        }
        let (tenant, mut draft) = match wire::read(text) {
            Ok(read) => read,
            Err(refused) => return Taken::Refused(refused),
        };
        draft.idempotency_key.get_or_insert_with(|| format!("{}/{}", self.names.stream, entry.id));
        match self.notify.send(&service(tenant), draft).await {
            Ok(_) => Taken::Stored,
            Err(Error::Broken(broken)) => Taken::Refused(broken.into()),
            Err(Error::KeyReused) => Taken::Refused(Refused::new(
                "idempotency_key_reused",
                "the idempotency key came before, with another notification",
            )),
            Err(Error::Store(_)) if attempts < ATTEMPTS => Taken::Later,
            Err(Error::Store(_)) => {
                Taken::Refused(Refused::new("not_stored", "the database takes others, and not this one"))
            }
            Err(fault) => Taken::Refused(Refused::new("forbidden", fault.to_string())),
        }
    }
}

/// Who may write to Redis may send: a service of the tenant that the message names.
fn service(tenant: Tenant) -> Principal {
    Principal {
        tenant,
        user: None,
        facilitator: None,
        roles: Vec::new(),
        can_send: true,
        can_broadcast: true,
        can_write_templates: false,
        can_manage_webhooks: false,
        can_manage_privacy: false,
        expires_at: None,
    }
}

/// The entries in an answer to `XREADGROUP` for one stream.
fn entries(answer: Value) -> RedisResult<Vec<Entry>> {
    type Entries = Vec<(String, Option<Vec<Vec<u8>>>)>;
    let streams = Option::<Vec<(Vec<u8>, Entries)>>::from_redis_value(answer)?;
    let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
    Ok(entries.map(|(id, fields)| Entry { id, fields: fields.unwrap_or_default() }).collect())
}
