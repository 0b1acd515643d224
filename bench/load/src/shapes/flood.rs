//! What honest clients feel while somebody floods a door: bookings at a fixed rate, alone and then beside the flood, for one
//! door after the other on the same server. The flooder is one address behind a trusted proxy, and comes at a bounded
//! rate: it shares this tool's core, so that its own work is not taken for the server's. The last door is the exception: one
//! service that has more requests under way than it may, at all times.

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::latency::{Pace, keep_schedule};
use super::{Outcome, announce, facilitators, within};
use crate::figures::{FLOODS, percentile};
use crate::ledger::{Expected, Ledger, open};
use crate::login;
use crate::procfs::memory_kib;
use crate::settings::Settings;
use crate::site::Site;

/// Flooders at any time.
const MANY: u32 = 16;
/// More than one service may have under way.
const AT_ONCE: usize = 600;
/// What they are told to wait who are refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Connections one flooder holds at most.
const MOST_HELD: usize = 100;
/// After a flood, so long for what it left to end: heads and bodies are waited for ten seconds and thirty.
const REST: Duration = Duration::from_secs(2);
/// Between two looks at the server's memory and descriptors.
const LOOK: Duration = Duration::from_millis(50);
/// What is done to a door, again and again.
enum Flood {
    /// These requests, over kept connections.
    Ask(Vec<u8>),
    /// The same, by so many at once who come again as soon as they are answered, at no bounded rate; those who are refused, when
    /// they are told to.
    Press(usize, Vec<u8>),
    /// A connection, this, its answer, and the next connection.
    Knock(Vec<u8>),
    /// A connection on which this is said, and nothing else.
    Leave(Vec<u8>),
}

/// In the order of `FLOODS`.
fn doors() -> [Flood; 8] {
    let ask = |path: &str, token: &str| {
        let authorization = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.66\r\n{authorization}\r\n").into_bytes()
    };
    let body = r#"{"user_id":1000001,"type":"order_status","title":"Order shipped","message":"It is on its way."}"#;
    let post = |length: usize, body: &str| {
        let token = login::BACKEND_TOKEN;
        format!(
            "POST /api/v1/notifications HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.66\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    };
    let upgrade =
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.66\r\n\
        Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let forged = format!("{}x", login::token(1_000_001));
    [
        Flood::Ask(ask("/stats", "")),
        Flood::Ask(ask("/api/v1/notifications", &forged)),
        Flood::Ask(ask("/api/v1/notifications", &login::token(1_000_001))),
        Flood::Ask(post(body.len(), body)),
        Flood::Knock(upgrade.to_vec()),
        Flood::Leave(Vec::new()),
        Flood::Leave(post(900_000, &"x".repeat(30_000))),
        Flood::Press(AT_ONCE, post(body.len(), body)),
    ]
}

/// What the flooder did.
#[derive(Default)]
struct Done {
    asked: Cell<u64>,
    refused: Cell<u64>,
}

impl Done {
    /// Counts an answer; whether it refuses.
    fn heard(&self, bytes: &[u8]) -> bool {
        let refusals = bytes.windows(12).filter(|text| matches!(*text, b"HTTP/1.1 429" | b"HTTP/1.1 503"));
        let refusals = refusals.count() as u64;
        self.refused.set(self.refused.get() + refusals);
        refusals > 0
    }
}

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let ledger = Ledger::shared(settings.online_facilitators, Expected::Delivered);
    let address = site.here().address;
    let _listeners = facilitators::listen(site.here(), settings.online_facilitators, &ledger).await?;
    let mut backend = login::backend(address, 0).await?;
    let pace = Pace { rate: settings.cross_rate, gives_way: site.has_neighbours() };
    let (warm_up, span) = (Duration::from_secs(settings.warm_up), Duration::from_secs(settings.seconds));
    within(warm_up, &ledger, keep_schedule(&mut backend, pace, warm_up, &ledger)).await?;
    announce(settings, site);
    let before = site.sample()?;
    let mut figures = Vec::new();
    let mut stored = 0;
    let is_wanted = |name: &str| {
        let door = name.trim_start_matches("flood_").trim_end_matches("_alone_us");
        settings.flood_door.as_deref().is_none_or(|wanted| wanted == door)
    };
    for (rows, flood) in FLOODS.iter().zip(doors()).filter(|(rows, _)| is_wanted(rows[0].name)) {
        let begun = open(&ledger).sent();
        within(span, &ledger, keep_schedule(&mut backend, pace, span, &ledger)).await?;
        let (_, alone) = open(&ledger).latencies(begun);
        let begun = open(&ledger).sent();
        let done = Rc::new(Done::default());
        let is_stored =
            matches!(&flood, Flood::Ask(request) | Flood::Press(_, request) if request.starts_with(b"POST"));
        let mut peak = (0.0_f64, 0.0_f64);
        let flooding = tokio::task::LocalSet::new();
        let beside = flooding.run_until(async {
            let _flooders = begin(address, Rc::new(flood), settings.flood_rate, &done);
            let beside = within(span, &ledger, keep_schedule(&mut backend, pace, span, &ledger));
            let watching = async {
                loop {
                    let (resident, _) = memory_kib(site.here().pid())?;
                    let open = fs::read_dir(format!("/proc/{}/fd", site.here().pid()))?.count();
                    peak = (peak.0.max(resident as f64 / 1024.0), peak.1.max(open as f64));
                    sleep(LOOK).await;
                }
            };
            tokio::select! {
                lateness = beside => lateness.map(drop),
                fault = watching => fault,
            }
        });
        beside.await?;
        drop(flooding);
        let (_, both) = open(&ledger).latencies(begun);
        ensure!(!alone.is_empty() && !both.is_empty(), "bookings arrived");
        let asked = done.asked.get();
        if is_stored {
            stored += asked;
        }
        let (alone, both) = (percentile(&alone, 99.0), percentile(&both, 99.0));
        let refused = done.refused.get() as f64 / asked.max(1) as f64;
        let found = [alone, both, both / alone, peak.0, peak.1, refused];
        figures.extend(rows.iter().map(|row| row.name).zip(found));
        sleep(REST).await;
    }
    let usage = before.until_now()?;
    let (held, sent) = (site.here().total_notifications().await?, open(&ledger).sent() as u64);
    ensure!((sent..=sent + stored).contains(&held), "/stats counts {held} notifications, {sent} bookings were sent");
    Ok(Outcome { figures, usage, quiet: usage.quiet() })
}

/// Floods until what this gives is dropped.
fn begin(address: SocketAddr, flood: Rc<Flood>, rate: u64, done: &Rc<Done>) -> JoinSet<()> {
    let mut flooders = JoinSet::new();
    if let Flood::Press(many, _) = &*flood {
        for _ in 0..*many {
            let (flood, done) = (flood.clone(), done.clone());
            flooders.spawn_local(async move {
                let mut held = Vec::new();
                loop {
                    match turn(address, &flood, &mut held, &done).await {
                        Ok(false) => yield_now().await,
                        Ok(true) | Err(_) => sleep(RETRY_AFTER).await,
                    }
                }
            });
        }
        return flooders;
    }
    let every = Duration::from_secs(1) * MANY / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
    for _ in 0..MANY {
        let (flood, done) = (flood.clone(), done.clone());
        flooders.spawn_local(async move {
            let mut held = Vec::new();
            let mut turns = interval(every);
            turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                turns.tick().await;
                // Whoever is turned away comes again at the next turn.
                turn(address, &flood, &mut held, &done).await.ok();
            }
        });
    }
    flooders
}

/// One turn; whether it was refused.
async fn turn(address: SocketAddr, flood: &Flood, held: &mut Vec<TcpStream>, done: &Done) -> Result<bool> {
    let mut block = [0; 16 << 10];
    match flood {
        Flood::Ask(request) | Flood::Press(_, request) => {
            let mut stream = match held.pop() {
                Some(stream) => stream,
                None => TcpStream::connect(address).await?,
            };
            stream.write_all(request).await?;
            done.asked.set(done.asked.get() + 1);
            let read = stream.read(&mut block).await?;
            ensure!(read > 0, "the server closed");
            held.push(stream);
            Ok(done.heard(&block[..read]))
        }
        Flood::Knock(words) => {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(words).await?;
            done.asked.set(done.asked.get() + 1);
            let read = stream.read(&mut block).await?;
            Ok(done.heard(&block[..read]))
        }
        Flood::Leave(words) => {
            if held.len() >= MOST_HELD {
                return Ok(false);
            }
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(words).await?;
            done.asked.set(done.asked.get() + 1);
            held.push(stream);
            Ok(false)
        }
    }
}
