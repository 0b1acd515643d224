//! One node at a time takes what comes by Redis. The lease lies beside the stream, in the same slot of a cluster, so
//! that Redis itself looks at it before it lets somebody move a message into the stream.

use redis::{Cmd, FromRedisValue as _, RedisResult, Value, cmd};

use crate::realtime::backplane::Link;

/// Without a sign of its holder the lease is free after this long.
const LASTS_MS: u64 = 5_000;

/// By the clock of Redis. Who holds the lease keeps it while nobody else has asked, however late; a holder in trouble
/// loses it to anybody who is not.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'holder', 'until', 'troubled')
local troubled = held[3] == '1'
if held[1] == ARGV[1] or not held[1] or tonumber(held[2]) < now or (troubled and ARGV[4] == '1') then
    local till = string.format('%.0f', now + ARGV[2])
    redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', till, 'troubled', ARGV[3])
    redis.call('PEXPIRE', KEYS[1], 86400000)
    return 1
end
return troubled and 2 or 0";

const CARRY: &str = "
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
for index = 3, #ARGV do redis.call('XADD', KEYS[2], '*', ARGV[2], ARGV[index]) end
return 1";

const RELEASE: &str = "
if redis.call('HGET', KEYS[1], 'holder') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// How a lease was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is ours.
    Ours,
    /// Somebody has it, and does well.
    Theirs,
    /// Somebody has it who cannot store anything.
    Troubled,
}

/// The right to take, held under a name that is never used twice.
pub struct Lease {
    key: String,
    stream: String,
    holder: String,
}

impl Lease {
    /// For the readers of `stream` in `group`.
    pub fn new(stream: &str, group: &str, holder: String) -> Self {
        Self { key: beside(stream, &format!(":{group}:lease")), stream: stream.to_owned(), holder }
    }

    /// Takes it if it is free, or keeps it. `troubled`: nothing can be stored; `rescue`: take it from somebody troubled.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn take(&self, link: &mut Link, troubled: bool, rescue: bool) -> RedisResult<Found> {
        let mut take = script(TAKE, &[&self.key]);
        take.arg(&self.holder).arg(LASTS_MS).arg(u8::from(troubled)).arg(u8::from(rescue));
        Ok(match number(link.ask(&take).await?)? {
            1 => Found::Ours,
            2 => Found::Troubled,
            _ => Found::Theirs,
        })
    }

    /// Adds `messages` to the stream, as `field`, provided that the lease is ours; returns whether it was.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn carry(&self, link: &mut Link, field: &str, messages: &[Vec<u8>]) -> RedisResult<bool> {
        let mut carry = script(CARRY, &[&self.key, &self.stream]);
        carry.arg(&self.holder).arg(field).arg(messages);
        Ok(number(link.ask(&carry).await?)? == 1)
    }

    /// Lets it go.
    ///
    /// # Errors
    /// When the line is broken.
    pub async fn release(&self, link: &mut Link) -> RedisResult<()> {
        link.ask(script(RELEASE, &[&self.key]).arg(&self.holder)).await.map(drop)
    }
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    let mut script = cmd("EVAL");
    script.arg(text).arg(keys.len()).arg(keys);
    script
}

fn number(answer: Value) -> RedisResult<i64> {
    Ok(i64::from_redis_value(answer)?)
}

/// Whether `key` names its own slot in a cluster: `{shop}:stream`.
fn is_tagged(key: &str) -> bool {
    key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty())
}

/// Whether another key can lie beside this one.
pub fn can_have_neighbours(key: &str) -> bool {
    is_tagged(key) || !key.contains(['{', '}'])
}

/// The name of a key that lies in the same slot as `key`.
fn beside(key: &str, more: &str) -> String {
    if is_tagged(key) { format!("{key}{more}") } else { format!("{{{key}}}{more}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_beside_the_stream() {
        assert_eq!(beside("notifications:stream", ":x"), "{notifications:stream}:x");
        assert_eq!(beside("{shop}:stream", ":x"), "{shop}:stream:x");
        assert!(can_have_neighbours("notifications:stream") && can_have_neighbours("{shop}:stream"));
        for odd in ["odd{}:stream", "a}b", "{", "}{"] {
            assert!(!can_have_neighbours(odd), "{odd}");
        }
    }
}
