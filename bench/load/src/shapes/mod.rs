//! The shapes: each loads one freshly started site in one way and says what it cost. Promises: a figure is given
//! only if everything sent was answered, arrived and counted; every shape ends by itself.

mod bookings;
mod broadcast;
mod catch_up;
mod connects;
mod facilitators;
mod fanout;
mod flood;
mod latency;
mod list;
mod nodes;
mod queue;
mod rest;
mod rss;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::time::{sleep, timeout};

use crate::client::PATIENCE;
use crate::ledger::{SharedLedger, open};
use crate::procfs::Usage;
use crate::settings::{Settings, Shape};
use crate::site::Site;

/// What one shape found on one site.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Figures by the names that `report::FIGURES` explains.
    #[serde(deserialize_with = "named")]
    pub figures: Vec<(&'static str, f64)>,
    pub usage: Usage,
    /// Whether the machine left the measurement alone.
    pub quiet: bool,
}

/// Read once in a run, so the names may stay for ever.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(&'static str, f64)>, D::Error> {
    let read: Vec<(String, f64)> = Deserialize::deserialize(deserializer)?;
    Ok(read.into_iter().map(|(name, figure)| (&*name.leak(), figure)).collect())
}

/// Loads `site` in the given shape.
pub async fn run(shape: Shape, settings: &Settings, site: &mut Site) -> Result<Outcome> {
    match shape {
        Shape::Offline | Shape::PgOffline => bookings::run(settings, site, false).await,
        Shape::Online | Shape::PgOnline => bookings::run(settings, site, true).await,
        Shape::Latency => latency::run(settings, site).await,
        Shape::Rss => rss::run(settings, site).await,
        Shape::Connects => connects::run(settings, site).await,
        Shape::Fanout | Shape::Fanout10k => fanout::run(settings, site, shape.sockets()).await,
        Shape::Rest => rest::run(settings, site).await,
        Shape::Broadcast => broadcast::run(settings, site).await,
        Shape::List => list::run(settings, site).await,
        Shape::Nodes | Shape::Nodes4 | Shape::Nodes8 => nodes::run(settings, site).await,
        Shape::Queue | Shape::PgQueue => queue::run(settings, site).await,
        Shape::CatchUp => catch_up::run(settings, site).await,
        Shape::Flood => flood::run(settings, site).await,
    }
    .with_context(|| format!("the {shape} shape failed"))
}

/// Says whom a profiler should watch, when that was asked for.
fn announce(settings: &Settings, site: &Site) {
    if settings.attach.is_some() {
        let pids: Vec<String> = site.nodes().iter().map(|server| server.pid().to_string()).collect();
        eprintln!("measuring for {} s; the server's pid is {}", settings.seconds, pids.join(", "));
    }
}

/// Gives `load` its time and [`PATIENCE`] more, then gives up and says how far it came.
async fn within<T>(span: Duration, ledger: &SharedLedger, load: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = timeout(span + PATIENCE, load).await;
    let state = || open(ledger).state();
    outcome.with_context(|| format!("gave up at {}", state()))?.with_context(state)
}

/// Waits until every answer and arrival of the ledger is in.
async fn completed(ledger: &SharedLedger) -> Result<()> {
    while !open(ledger).complete()? {
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Checks that every node holds exactly what the ledger sent.
async fn check_rows(site: &Site, ledger: &SharedLedger) -> Result<()> {
    for server in site.nodes() {
        let (held, sent) = (server.total_notifications().await?, open(ledger).sent() as u64);
        ensure!(held == sent, "/stats counts {held} notifications, {sent} were sent");
    }
    Ok(())
}
