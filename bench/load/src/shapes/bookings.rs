//! Durable bookings as fast as the server takes them: a closed loop with a fixed number outstanding, shared by a
//! few back ends. Online, the round ends when every booking has also reached its facilitator.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{Outcome, announce, check_rows, completed, facilitators, within};
use crate::client::Client;
use crate::ledger::{Ledger, SharedLedger, open};
use crate::login;
use crate::procfs::Sample;
use crate::server::Server;
use crate::settings::Settings;

pub async fn run(settings: &Settings, server: &Server, online: bool) -> Result<Outcome> {
    let count = if online { settings.online_facilitators } else { settings.offline_facilitators };
    let ledger = Ledger::shared(count, online);
    let _listeners = facilitators::listen(server, if online { count } else { 0 }, &ledger).await?;
    let mut backends = Vec::new();
    for nth in 0..settings.backends {
        backends.push(login::backend(server.address, nth as u32).await?);
    }

    let window = settings.window / settings.backends;
    let (warm_up, span) = (Duration::from_secs(settings.warm_up), Duration::from_secs(settings.seconds));
    let backends = within(warm_up, &ledger, drive(backends, window, warm_up, &ledger)).await?;
    let warmed = open(&ledger).sent();
    announce(settings, server);
    let before = Sample::take(server.pid())?;
    let backends = within(span, &ledger, drive(backends, window, span, &ledger)).await?;
    let usage = before.until_now()?;
    check_rows(server, &ledger).await?;

    let bookings = (open(&ledger).sent() - warmed) as f64;
    let mut figures =
        vec![("bookings_per_s", bookings / usage.wall_s), ("booking_cpu_us", usage.server_cpu_s * 1e6 / bookings)];
    if settings.tail > 0 {
        rest(backends, Duration::from_secs(settings.tail)).await?;
        let with_tail = before.until_now()?;
        figures.push(("booking_cpu_with_tail_us", with_tail.server_cpu_s * 1e6 / bookings));
    }
    Ok(Outcome { figures, usage, quiet: usage.quiet() })
}

/// Keeps `window` bookings outstanding on each back end for `span`, then waits for all that is due.
async fn drive(backends: Vec<Client>, window: usize, span: Duration, ledger: &SharedLedger) -> Result<Vec<Client>> {
    let until = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for backend in backends {
        tasks.spawn(keep_outstanding(backend, window, until, ledger.clone()));
    }
    let mut rested = Vec::new();
    while let Some(backend) = tasks.join_next().await {
        rested.push(backend??);
    }
    completed(ledger).await?;
    Ok(rested)
}

async fn keep_outstanding(mut client: Client, window: usize, until: Instant, ledger: SharedLedger) -> Result<Client> {
    let mut outstanding = 0;
    loop {
        while let Some(event) = client.take_event()? {
            open(&ledger).answer(&event)?;
            outstanding -= 1;
        }
        let now = Instant::now();
        while now < until && outstanding < window {
            let booking = open(&ledger).issue(now);
            client.queue_event("booking_notification", &booking);
            outstanding += 1;
        }
        client.flush().await?;
        if outstanding == 0 {
            return Ok(client);
        }
        client.fill().await?;
    }
}

/// Leaves the server alone, all sockets open, while it does what it put off.
async fn rest(backends: Vec<Client>, span: Duration) -> Result<()> {
    let mut tasks = JoinSet::new();
    for mut backend in backends {
        tasks.spawn(async move { backend.idle(span).await });
    }
    while let Some(rested) = tasks.join_next().await {
        rested??;
    }
    Ok(())
}
