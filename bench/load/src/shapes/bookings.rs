//! Durable bookings as fast as the server takes them: a closed loop with a fixed number outstanding, shared by a
//! few back ends. Online, the round ends when every booking has also reached its facilitator.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{Outcome, announce, check_rows, completed, facilitators, within};
use crate::client::Client;
use crate::ledger::{Expected, Ledger, SharedLedger, open};
use crate::login;
use crate::procfs::Usage;
use crate::settings::Settings;
use crate::site::Site;

pub async fn run(settings: &Settings, site: &Site, online: bool) -> Result<Outcome> {
    let (count, listening, expected) = if online {
        (settings.online_facilitators, settings.online_facilitators, Expected::Delivered)
    } else {
        (settings.offline_facilitators, 0, Expected::Stored)
    };
    let ledger = Ledger::shared(count, expected);
    let _listeners = facilitators::listen(site.there(), listening, &ledger).await?;
    let (figures, usage) = load(settings, site, &ledger).await?;
    Ok(Outcome { figures, usage, quiet: usage.quiet() })
}

/// Loads for the time that is set, and says what a booking cost.
pub async fn load(
    settings: &Settings,
    site: &Site,
    ledger: &SharedLedger,
) -> Result<(Vec<(&'static str, f64)>, Usage)> {
    let backends = connect(settings, site).await?;
    let (warm_up, span) = (Duration::from_secs(settings.warm_up), Duration::from_secs(settings.seconds));
    let backends = within(warm_up, ledger, drive_for(settings, backends, warm_up, ledger)).await?;
    let warmed = open(ledger).sent();
    announce(settings, site);
    let commands = || site.redis().map(|redis| redis.commands()).transpose();
    let commands_before = commands()?;
    let before = site.sample()?;
    let backends = within(span, ledger, drive_for(settings, backends, span, ledger)).await?;
    let usage = before.until_now()?;
    let commands_after = commands()?;
    check_rows(site, ledger).await?;

    let bookings = (open(ledger).sent() - warmed) as f64;
    let each = |seconds: f64| seconds * 1e6 / bookings;
    let mut figures = vec![("bookings_per_s", bookings / usage.wall_s), ("booking_cpu_us", each(usage.server_cpu_s))];
    if site.has_postgres() {
        figures.push(("postgres_cpu_us", each(usage.postgres_cpu_s)));
    }
    if let (Some(before), Some(after)) = (commands_before, commands_after) {
        figures.push(("redis_commands", (after - before) as f64 / bookings));
        figures.push(("redis_cpu_us", each(usage.redis_cpu_s)));
    }
    if site.has_bystanders() {
        figures.push(("bystander_cpu_us", each(usage.bystander_cpu_s)));
    }
    if settings.tail > 0 {
        rest(backends, Duration::from_secs(settings.tail)).await?;
        let with_tail = before.until_now()?;
        figures.push(("booking_cpu_with_tail_us", each(with_tail.server_cpu_s)));
    }
    Ok((figures, usage))
}

/// Connects the back ends.
pub async fn connect(settings: &Settings, site: &Site) -> Result<Vec<Client>> {
    let mut backends = Vec::new();
    for nth in 0..settings.backends {
        backends.push(login::backend(site.here().address, nth as u32).await?);
    }
    Ok(backends)
}

async fn drive_for(
    settings: &Settings,
    backends: Vec<Client>,
    span: Duration,
    ledger: &SharedLedger,
) -> Result<Vec<Client>> {
    let until = Instant::now() + span;
    drive(settings, backends, ledger, move |_| Instant::now() < until).await
}

/// Keeps the window of bookings outstanding while there are `more` (which hears how many were sent), then waits for all
/// that is due.
pub async fn drive(
    settings: &Settings,
    backends: Vec<Client>,
    ledger: &SharedLedger,
    more: impl Fn(usize) -> bool + Clone + Send + 'static,
) -> Result<Vec<Client>> {
    let window = settings.window / settings.backends;
    let mut tasks = JoinSet::new();
    for backend in backends {
        tasks.spawn(keep_outstanding(backend, window, more.clone(), ledger.clone()));
    }
    let mut rested = Vec::new();
    while let Some(backend) = tasks.join_next().await {
        rested.push(backend??);
    }
    completed(ledger).await?;
    Ok(rested)
}

async fn keep_outstanding(
    mut client: Client,
    window: usize,
    more: impl Fn(usize) -> bool,
    ledger: SharedLedger,
) -> Result<Client> {
    let mut outstanding = 0;
    loop {
        while let Some(event) = client.take_event()? {
            open(&ledger).answer(&event)?;
            outstanding -= 1;
        }
        let now = Instant::now();
        while outstanding < window && more(open(&ledger).sent()) {
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
