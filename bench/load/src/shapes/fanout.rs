//! One POST for very many sockets, again and again, the next when the last has arrived everywhere. Every socket must get
//! every one, once and in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Outcome, announce};
use crate::client::{Client, PATIENCE};
use crate::figures::percentile;
use crate::http::{Http, request};
use crate::login;
use crate::settings::{Kind, Settings};
use crate::site::Site;

/// Sockets that connect at any time.
const AT_ONCE: usize = 64;
/// How long all of them may take to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(120);
/// POSTs before the measurement begins, at least.
const EARLY: u64 = 5;

/// What has arrived of the one that is under way.
#[derive(Default)]
struct Arrivals {
    number: u64,
    sent: Option<Instant>,
    missing: u64,
    latencies: Vec<f64>,
    fault: Option<String>,
}

#[derive(Clone, Default)]
struct Room {
    arrivals: Arc<Mutex<Arrivals>>,
    complete: Arc<Notify>,
}

#[derive(Deserialize)]
struct Arrived {
    data: Numbered,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

pub async fn run(settings: &Settings, site: &Site, sockets: u64) -> Result<Outcome> {
    let room = Room::default();
    let _listeners = timeout(CONNECT_LIMIT, room.fill(site, sockets)).await.context("connecting took too long")??;
    let mut sender = Http::connect(site.here().address).await?;
    let warm = Instant::now() + Duration::from_secs(settings.warm_up);
    let mut number = 0;
    while number < EARLY || Instant::now() < warm {
        number += 1;
        room.send(&mut sender, site.kind, number, sockets).await?;
    }
    room.open().latencies.clear();
    announce(settings, site);
    let until = Instant::now() + Duration::from_secs(settings.seconds);
    let (before, first) = (site.sample()?, number);
    while Instant::now() < until {
        number += 1;
        room.send(&mut sender, site.kind, number, sockets).await?;
    }
    let usage = before.until_now()?;
    if matches!(site.kind, Kind::Carillon | Kind::Raw) {
        let held = site.here().total_notifications().await?;
        ensure!(held == number, "/stats counts {held} notifications, {number} were sent");
    }
    let deliveries = ((number - first) * sockets) as f64;
    let mut latencies = std::mem::take(&mut room.open().latencies);
    latencies.sort_by(f64::total_cmp);
    Ok(Outcome {
        figures: vec![
            ("delivery_cpu_us", usage.server_cpu_s * 1e6 / deliveries),
            ("deliveries_per_s", deliveries / usage.wall_s),
            ("deliver_p50_us", percentile(&latencies, 50.0)),
            ("deliver_p99_us", percentile(&latencies, 99.0)),
        ],
        usage,
        quiet: usage.quiet(),
    })
}

/// The number of the next notification among what was read.
fn next(client: &mut Client, is_raw: bool) -> Result<Option<u64>> {
    if is_raw {
        while let Some(message) = client.take_text()? {
            // Heartbeats have no data.
            if let Ok(Arrived { data }) = serde_json::from_slice(&message) {
                return Ok(Some(data.number));
            }
        }
        return Ok(None);
    }
    while let Some(event) = client.take_event()? {
        if event.name() == b"notification" {
            let Arrived { data } = event.data()?;
            return Ok(Some(data.number));
        }
    }
    Ok(None)
}

impl Room {
    fn open(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects all sockets: of one user, of as many users who hear of a topic, or of a room.
    async fn fill(&self, site: &Site, sockets: u64) -> Result<JoinSet<()>> {
        let (address, kind) = (site.here().address, site.kind);
        let (mut coming, mut tasks) = (JoinSet::new(), JoinSet::new());
        let mut ids = 1..=sockets;
        loop {
            for id in ids.by_ref().take(AT_ONCE - coming.len()) {
                let user = if kind.is_carillon() && !kind.is_topic() { 1 } else { id };
                coming.spawn(async move {
                    if kind.is_raw() {
                        let mut client = login::raw(address, id as u32, user).await?;
                        if kind.is_topic() {
                            client.queue_text(br#"{"type":"subscribe_channel","channel":"room"}"#);
                            client.flush().await?;
                            client.expect_text("subscription_confirmed").await?;
                        }
                        return anyhow::Ok(client);
                    }
                    let mut client = login::feed(address, id as u32, user).await?;
                    if kind.is_topic() {
                        client.queue_event("subscribe", r#"{"channels":["room"]}"#);
                        client.flush().await?;
                        client.expect("subscribed").await?;
                    }
                    anyhow::Ok(client)
                });
            }
            let Some(come) = coming.join_next().await else { return Ok(tasks) };
            let (client, room) = (come??, self.clone());
            tasks.spawn(async move {
                if let Err(fault) = room.note(client, kind.is_raw()).await {
                    room.open().fault.get_or_insert(format!("{fault:#}"));
                    room.complete.notify_one();
                }
            });
        }
    }

    async fn note(&self, mut client: Client, is_raw: bool) -> Result<()> {
        let mut last = 0;
        loop {
            while let Some(number) = next(&mut client, is_raw)? {
                let mut arrivals = self.open();
                ensure!(number == last + 1 && number == arrivals.number, "{number} came after {last}");
                last = number;
                let sent = arrivals.sent.context("nothing was sent")?;
                arrivals.latencies.push(sent.elapsed().as_secs_f64() * 1e6);
                arrivals.missing -= 1;
                if arrivals.missing == 0 {
                    self.complete.notify_one();
                }
            }
            client.flush().await?;
            client.fill().await?;
        }
    }

    /// Sends one, and waits until it has arrived everywhere.
    async fn send(&self, sender: &mut Http, kind: Kind, number: u64, sockets: u64) -> Result<()> {
        let (path, to) = match kind {
            Kind::Carillon | Kind::Raw => ("/api/v1/notifications", r#""user_id":1,"#),
            Kind::Topic | Kind::RawTopic => ("/api/v1/notifications", r#""topic":"room","#),
            _ => ("/emit", ""),
        };
        let body = format!(
            r#"{{{to}"type":"news","title":"Something has happened","message":"It is told to everybody who is here, at once.","data":{{"number":{number},"where":"here","who":"everybody"}}}}"#
        );
        {
            let mut arrivals = self.open();
            (arrivals.number, arrivals.missing, arrivals.sent) = (number, sockets, Some(Instant::now()));
        }
        let request = request("POST", path, login::BACKEND_TOKEN, &body);
        let answer = sender.ask(&request, 201);
        let arrived = timeout(PATIENCE, self.complete.notified());
        let (answered, arrived) = tokio::join!(answer, arrived);
        answered.context("the POST")?;
        let arrivals = self.open();
        ensure!(arrivals.fault.is_none(), "a socket was lost: {}", arrivals.fault.as_deref().unwrap_or_default());
        arrived.with_context(|| format!("number {number} never came to {} sockets", arrivals.missing))
    }
}
