//! The shapes: each loads one freshly started server in one way and says what it cost. Promises: a figure is given
//! only if everything sent was answered, arrived and counted; every shape ends by itself.

mod bookings;
mod connects;
mod facilitators;
mod latency;
mod rss;

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::client::PATIENCE;
use crate::ledger::{SharedLedger, open};
use crate::procfs::Usage;
use crate::server::Server;
use crate::settings::{Settings, Shape};

/// What one shape found on one server.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Figures by the names that `report::FIGURES` explains.
    pub figures: Vec<(&'static str, f64)>,
    pub usage: Usage,
    /// Whether the machine left the measurement alone.
    pub quiet: bool,
}

/// Loads `server` in the given shape.
pub async fn run(shape: Shape, settings: &Settings, server: &Server) -> Result<Outcome> {
    match shape {
        Shape::Offline => bookings::run(settings, server, false).await,
        Shape::Online => bookings::run(settings, server, true).await,
        Shape::Latency => latency::run(settings, server).await,
        Shape::Rss => rss::run(settings, server).await,
        Shape::Connects => connects::run(settings, server).await,
    }
    .with_context(|| format!("the {shape} shape failed"))
}

/// Says whom a profiler should watch, when that was asked for.
fn announce(settings: &Settings, server: &Server) {
    if settings.attach.is_some() {
        eprintln!("measuring for {} s; the server's pid is {}", settings.seconds, server.pid());
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

/// Checks that the server holds exactly what the ledger sent.
async fn check_rows(server: &Server, ledger: &SharedLedger) -> Result<()> {
    let (held, sent) = (server.total_notifications().await?, open(ledger).sent() as u64);
    ensure!(held == sent, "/stats counts {held} notifications, {sent} were sent");
    Ok(())
}
