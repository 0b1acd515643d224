//! Where things are kept, and what this machine gives.

use std::time::{Duration, Instant};

use redis::Value;

use super::Finding;
use crate::config::Config;
use crate::domain::{Clock as _, SystemClock};
use crate::parts;
use crate::realtime::backplane::Server;
use crate::store::{self, DatabaseUrl};

/// A question should be answered by then, and something be on the disk.
const QUICK: Duration = Duration::from_millis(20);
const QUICKLY_WRITTEN: Duration = Duration::from_millis(50);
/// Bytes that should be free.
const ROOM: u64 = 1024 * 1024 * 1024;
const LEAST_ROOM: u64 = 64 * 1024 * 1024;
/// Seconds by which clocks may differ.
const NEAR: f64 = 1.0;
const FAR: f64 = 30.0;
/// Descriptors that a server of some size needs.
const DESCRIPTORS: u64 = 10_240;
const PATIENCE: Duration = Duration::from_secs(5);

/// Seconds by which another clock is ahead of this one's, by its name.
type Ahead = Option<(&'static str, f64)>;

fn in_words(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

/// The database; its clock; and whether it is there, with this release's schema.
pub async fn database(config: &Config) -> (Vec<Finding>, Ahead, bool) {
    const OF: &str = "database";
    let mut found = Vec::new();
    let examined = match store::examine(&config.database).await {
        Ok(examined) => examined,
        Err(fault) => {
            let mend = "see that it runs, and that DATABASE_URL names it with a user that may log in";
            return (vec![Finding::fail(OF, fault.to_string(), mend)], None, false);
        }
    };
    let is_current = !examined.is_new && examined.pending == 0 && examined.newer.is_none();
    let what = &examined.what;
    match (examined.is_new, examined.is_in_use) {
        (true, _) => found.push(Finding::ok(OF, format!("{what}: will be made by the first start"))),
        (_, true) => found.push(Finding::ok(OF, format!("{what}: a server uses it"))),
        _ => found.push(Finding::ok(OF, format!("{what}: answers in {}", in_words(examined.asked)))),
    }
    if examined.asked > QUICK {
        let is = format!("it takes {} to answer the simplest question", in_words(examined.asked));
        found.push(Finding::warn(OF, is, "put it nearer, or see what else its machine does"));
    }
    for fault in examined.faults {
        found.push(Finding::fail(OF, fault, "nothing that was promised to be kept is, until that is mended"));
    }
    match (&examined.newer, examined.pending, examined.is_new) {
        (Some(version), ..) => found.push(Finding::fail(
            OF,
            format!("it was used by a newer Carillon (migration {version} is unknown here)"),
            "run that release, or restore a backup made before it",
        )),
        (None, _, true) => {}
        (None, 0, false) => found.push(Finding::ok(OF, "its schema is this release's")),
        (None, pending, false) => found.push(Finding::warn(
            OF,
            format!("{pending} migrations are to be applied"),
            "back it up; the next start applies them, and so does `carillon migrate`",
        )),
    }
    if let Some(took) = examined.written {
        let is = format!("what is written is on the disk after {}", in_words(took));
        match took > QUICKLY_WRITTEN {
            true => found.push(Finding::warn(OF, is, "use a faster disk: each commit waits for it")),
            false => found.push(Finding::ok(OF, is)),
        }
    }
    if let Some(room) = examined.room {
        let is = format!("{} MiB are free on its disk", room / 1024 / 1024);
        found.push(if room < LEAST_ROOM {
            Finding::fail(OF, is, "make room: without it nothing is accepted any more")
        } else if room < ROOM {
            Finding::warn(OF, is, "make room, or have old notifications removed ([retention])")
        } else {
            Finding::ok(OF, is)
        });
    }
    if let Some((many, most)) = examined.connections {
        let needed = i64::try_from(config.database.readers).unwrap_or(0) + 2;
        let is = format!("{many} of {most} connections are in use; a server needs up to {needed}");
        match many + needed > most {
            true => found.push(Finding::warn(OF, is, "raise max_connections, or lower database.readers")),
            false => found.push(Finding::ok(OF, is)),
        }
    }
    let ahead = |theirs: f64| ("the database's", theirs);
    let clock = examined.now.map(|theirs| ahead(theirs.seconds_since(SystemClock.now())));
    (found, clock, is_current)
}

/// Redis.
pub async fn redis(config: &Config) -> (Vec<Finding>, Ahead) {
    const OF: &str = "redis";
    let is_shared = matches!(config.database.url.parse(), Ok(DatabaseUrl::Postgres(_)));
    if config.redis.url.is_empty() {
        let is = "none is set, and none is needed by one node";
        return (vec![Finding::ok(OF, is)], None);
    }
    let mend =
        "see that it runs, and that REDIS_URL names it; without it what is new comes up to seconds late";
    let server = match Server::new(&config.redis) {
        Ok(server) => server,
        Err(fault) => return (vec![Finding::fail(OF, fault.to_string(), "correct REDIS_URL")], None),
    };
    let pushes = tokio::sync::mpsc::unbounded_channel::<redis::PushInfo>().0;
    let mut link = match tokio::time::timeout(PATIENCE, server.connect(pushes)).await {
        Ok(Ok(link)) => link,
        Ok(Err(fault)) => return (vec![Finding::fail(OF, fault.to_string(), mend)], None),
        Err(_) => return (vec![Finding::fail(OF, "it does not answer", mend)], None),
    };
    let started = Instant::now();
    if let Err(fault) = link.ping().await {
        return (vec![Finding::fail(OF, fault.to_string(), mend)], None);
    }
    let took = started.elapsed();
    let mut found = match took > QUICK {
        true => vec![Finding::warn(OF, format!("answers in {}", in_words(took)), "put it nearer")],
        false => vec![Finding::ok(OF, format!("answers in {}", in_words(took)))],
    };
    if !is_shared && config.ingest.stream.is_empty() {
        let is = "it is set, and not used: an SQLite file has one node";
        found.push(Finding::warn(OF, is, "set DATABASE_URL=postgres://… for several nodes, or leave it out"));
    }
    if let Ok(Value::Array(role)) = link.ask(&redis::cmd("ROLE")).await
        && role.first().is_some_and(|word| text(word).as_deref() == Some("slave"))
    {
        found.push(Finding::fail(
            OF,
            "it is a replica, which takes no writes",
            "name the primary in REDIS_URL",
        ));
    }
    // Asked so that nothing is changed: nobody hears that channel, and there is no such group.
    let mut needed =
        vec![redis::cmd("PUBLISH").arg(format!("{}doctor", config.redis.prefix)).arg("").to_owned()];
    if !config.ingest.stream.is_empty() {
        let nobody = ["GROUP", "carillon-doctor", "nobody", "COUNT", "1", "STREAMS"];
        needed.push(redis::cmd("XREADGROUP").arg(&nobody).arg(&config.ingest.stream).arg(">").to_owned());
    }
    for command in &needed {
        if let Err(fault) = link.ask(command).await
            && fault.code() == Some("NOPERM")
        {
            let mend = "let the account in REDIS_URL do it: ACL SETUSER, docs/OPERATIONS.md";
            found.push(Finding::fail(OF, format!("it refuses what a server needs: {fault}"), mend));
        }
    }
    let clock = match link.ask(&redis::cmd("TIME")).await {
        Ok(Value::Array(parts)) => {
            let number = |at: usize| text(parts.get(at)?)?.parse::<f64>().ok();
            let seconds = number(0).zip(number(1)).map(|(seconds, micros)| seconds + micros / 1e6);
            seconds.map(|theirs| ("Redis's", theirs - SystemClock.now().as_micros() as f64 / 1e6))
        }
        _ => None,
    };
    (found, clock)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// This machine's clock, beside others.
pub fn clock(one: Ahead, other: Ahead) -> Vec<Finding> {
    const OF: &str = "clock";
    let others: Vec<(&str, f64)> = [one, other].into_iter().flatten().collect();
    if others.is_empty() {
        return vec![Finding::ok(OF, "there is no other one to compare it with")];
    }
    let of = |(whose, ahead): (&str, f64)| {
        let is = format!("{whose} differs by {:.3} s", ahead.abs());
        let mend = "have all machines ask the same time servers (chrony, systemd-timesyncd)";
        if ahead.abs() <= NEAR {
            Finding::ok(OF, is)
        } else if ahead.abs() <= FAR {
            Finding::warn(OF, is, mend)
        } else {
            Finding::fail(OF, is, mend)
        }
    };
    others.into_iter().map(of).collect()
}

/// What this process may have.
pub fn limits(config: &Config) -> Vec<Finding> {
    const OF: &str = "limits";
    // A server takes all that it may have.
    let Ok((soft, most)) = rlimit::getrlimit(rlimit::Resource::NOFILE) else {
        return vec![Finding::warn(OF, "how many files may be open cannot be told", "see `ulimit -n`")];
    };
    let mend = parts::RAISE;
    let wanted = match config.limits.sockets {
        0 => DESCRIPTORS,
        sockets => parts::descriptors(sockets) as u64,
    };
    let is = format!("{most} files may be open at once ({soft} at first)");
    let (room, _) = parts::room_in(usize::try_from(most).unwrap_or(usize::MAX), 0);
    if room < parts::LEAST_SOCKETS {
        return vec![Finding::fail(OF, format!("{is}: there is room for {room} sockets"), mend)];
    }
    match (most < wanted, config.limits.sockets) {
        (false, _) => vec![Finding::ok(OF, is)],
        (true, 0) => vec![Finding::warn(OF, format!("{is}: about {room} sockets"), mend)],
        (true, sockets) => {
            vec![Finding::fail(OF, format!("{is}; limits.sockets is {sockets}, which needs {wanted}"), mend)]
        }
    }
}
