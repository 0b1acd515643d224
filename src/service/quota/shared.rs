//! Counting with other nodes: by one small script for each request, whose answer is not waited for long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, PushInfo, RedisError, Value, cmd};

use super::{Account, Standing, Who, tightest};
use crate::domain::{Digest, Tenant, UserId};
use crate::realtime::backplane::{Link, Server, Settings};
use crate::telemetry::vital;

/// A request waits no longer for Redis.
const PATIENCE: Duration = Duration::from_millis(50);
/// A Redis that was too slow is not asked for so long.
const RESPITE: Duration = Duration::from_secs(1);
/// An idle line is tried this often.
const PING: Duration = Duration::from_secs(1);

/// The debts are in microseconds, by the clock of Redis.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local taken, owed = 1, {}
for index, key in ipairs(KEYS) do
    owed[index] = math.max((redis.call('GET', key) or now) - now, 0)
    if owed[index] + ARGV[2 * index - 1] > tonumber(ARGV[2 * index]) then taken = 0 end
end
for index, key in ipairs(KEYS) do
    if taken == 1 then
        owed[index] = owed[index] + ARGV[2 * index - 1]
        redis.call('SET', key, string.format('%.0f', now + owed[index]), 'PX', math.ceil(owed[index] / 1000))
    end
    owed[index] = math.floor(owed[index])
end
return {taken, unpack(owed)}";

/// The line on which nodes count together.
pub struct Shared {
    prefix: String,
    line: Arc<Line>,
}

#[derive(Default)]
struct Line {
    link: Mutex<Option<Link>>,
    /// Until when Redis is not asked.
    rests_until: Mutex<Option<Instant>>,
    is_told: AtomicBool,
}

impl Shared {
    /// Begins to connect, and goes on without end. Only nodes of the same `deployment` count together.
    ///
    /// # Errors
    /// When the address, or the file of certificates, cannot be read.
    pub fn start(settings: &Settings, deployment: &str) -> Result<Self, RedisError> {
        let server = Server::new(settings)?;
        let line = Arc::<Line>::default();
        vital("counting together", connected(server, line.clone()));
        Ok(Self { prefix: format!("{}{deployment}:quota:", settings.prefix), line })
    }

    /// Counts one request to all of `accounts`, or, if one has no room, to none; nothing, when Redis does not answer.
    pub(super) async fn take(&self, accounts: &[Account]) -> Option<Standing> {
        let mut link = self.line.link()?;
        let mut take = cmd("EVAL");
        take.arg(TAKE).arg(accounts.len());
        for account in accounts {
            take.arg(self.key(&account.who));
        }
        for account in accounts {
            let cost = micros(account.cost());
            take.arg(cost).arg(micros(account.cost() * account.limit));
        }
        match tokio::time::timeout(PATIENCE, link.ask(&take)).await {
            Ok(Ok(answer)) => told(accounts, answer),
            // A broken line is mended by its own task.
            Ok(Err(fault)) => {
                self.line.rest(&fault);
                None
            }
            Err(_) => {
                self.line.rest(&"it does not answer in time");
                None
            }
        }
    }

    /// The keys of one tenant lie in one slot of a cluster; their parts are digests, so that no name can look like another.
    fn key(&self, who: &Who) -> String {
        let subject = |user: &Option<UserId>| user.as_ref().map_or("", UserId::as_str).to_owned();
        let (tenant, kind, user) = match who {
            Who::User(tenant, user) => (tenant, "user", subject(user)),
            Who::Service(tenant, user) => (tenant, "service", subject(user)),
            Who::Tenant(tenant) => (tenant, "tenant", String::new()),
        };
        format!("{}{{{}}}:{kind}:{}", self.prefix, hex(&[Tenant::as_str(tenant)]), hex(&[&user]))
    }
}

fn hex(parts: &[&str]) -> String {
    Digest::of(parts).0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As Redis counts: fractions of a microsecond do not matter.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What the script answers: whether it is taken, and the debts.
fn told(accounts: &[Account], answer: Value) -> Option<Standing> {
    let numbers = Vec::<u64>::from_redis_value(answer).ok()?;
    let (taken, debts) = numbers.split_first()?;
    let debts: Vec<Duration> = debts.iter().map(|debt| Duration::from_micros(*debt)).collect();
    tightest(accounts, &debts, *taken == 1)
}

impl Line {
    /// The connection, if Redis is there and not slow.
    fn link(&self) -> Option<Link> {
        let mut rests_until = self.rests_until.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if rests_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        *rests_until = None;
        drop(rests_until);
        self.link.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn set(&self, link: Option<Link>) {
        *self.link.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = link;
    }

    fn rest(&self, fault: &dyn std::fmt::Display) {
        let until = Instant::now() + RESPITE;
        *self.rests_until.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(until);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(%fault, "Redis does not count requests; each node counts for itself meanwhile");
        }
    }
}

/// Keeps a connection, as long as there is one to be had.
async fn connected(server: Server, line: Arc<Line>) {
    loop {
        if let Ok(mut link) = server.connect(|_: PushInfo| Ok::<_, ()>(())).await {
            line.set(Some(link.clone()));
            line.is_told.store(false, Ordering::Relaxed);
            while link.ping().await.is_ok() {
                tokio::time::sleep(PING).await;
            }
            line.set(None);
            tracing::warn!("Redis went away; each node counts requests for itself meanwhile");
        }
        tokio::time::sleep(PING).await;
    }
}
