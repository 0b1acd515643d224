//! How long a booking takes at a rate that both servers can hold. The schedule is open-loop: bookings are due at
//! fixed times and each is timed from when it was *due*, so that a stalled server cannot hide the ones it delayed
//! (coordinated omission). The load tool spins on its core instead of sleeping, so that its own waking up is not
//! measured.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::thread::sched_yield;
use tokio::task::yield_now;

use super::{Outcome, announce, check_rows, completed, facilitators, within};
use crate::client::Client;
use crate::figures::percentile;
use crate::ledger::{Expected, Ledger, SharedLedger, open};
use crate::login;
use crate::settings::Settings;
use crate::site::Site;

/// The 99th percentile of how late the load tool itself may be; above it, the figures are not the server's and the
/// round counts as disturbed.
const OWN_LATENESS_LIMIT_US: f64 = 500.0;

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let ledger = Ledger::shared(settings.online_facilitators, Expected::Delivered);
    let _listeners = facilitators::listen(site.there(), settings.online_facilitators, &ledger).await?;
    load(settings, site, settings.rate, &ledger).await
}

/// Loads at this rate for the time that is set.
pub async fn load(settings: &Settings, site: &Site, rate: u64, ledger: &SharedLedger) -> Result<Outcome> {
    let mut backend = login::backend(site.here().address, 0).await?;
    let pace = Pace { rate, gives_way: site.has_neighbours() };
    let (warm_up, span) = (Duration::from_secs(settings.warm_up), Duration::from_secs(settings.seconds));
    within(warm_up, ledger, keep_schedule(&mut backend, pace, warm_up, ledger)).await?;
    let warmed = open(ledger).sent();
    announce(settings, site);
    let before = site.sample()?;
    let lateness = within(span, ledger, keep_schedule(&mut backend, pace, span, ledger)).await?;
    let usage = before.until_now()?;
    check_rows(site, ledger).await?;

    let own = percentile(&lateness, 99.0);
    let ledger = open(ledger);
    let (answers, arrivals) = ledger.latencies(warmed);
    Ok(Outcome {
        figures: vec![
            ("receive_p50_us", percentile(&arrivals, 50.0)),
            ("receive_p99_us", percentile(&arrivals, 99.0)),
            ("answer_p50_us", percentile(&answers, 50.0)),
            ("answer_p99_us", percentile(&answers, 99.0)),
            ("paced_cpu_us", usage.server_cpu_s * 1e6 / (ledger.sent() - warmed) as f64),
            ("own_lateness_p99_us", own),
        ],
        usage,
        quiet: usage.quiet() && own <= OWN_LATENESS_LIMIT_US,
    })
}

/// How bookings follow each other.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Per second.
    pub rate: u64,
    /// Whether databases are let onto this core between two looks at the clock.
    pub gives_way: bool,
}

/// Sends bookings at a pace for `span`, takes the answers meanwhile, and waits for all that is due. Gives
/// how late each was sent, in µs, sorted.
pub async fn keep_schedule(
    client: &mut Client,
    Pace { rate, gives_way }: Pace,
    span: Duration,
    ledger: &SharedLedger,
) -> Result<Vec<f64>> {
    let start = Instant::now();
    let total = (rate as f64 * span.as_secs_f64()) as usize;
    let mut lateness = Vec::with_capacity(total);
    let mut unanswered = 0_usize;
    while lateness.len() < total || unanswered > 0 {
        let due = start + Duration::from_secs_f64(lateness.len() as f64 / rate as f64);
        if lateness.len() < total && Instant::now() >= due {
            let booking = open(ledger).issue(due);
            client.queue_event("booking_notification", &booking);
            client.flush().await?;
            lateness.push(due.elapsed().as_secs_f64() * 1e6);
            unanswered += 1;
        }
        if client.fill_now()? {
            while let Some(event) = client.take_event()? {
                open(ledger).answer(&event)?;
                unanswered -= 1;
            }
        }
        if gives_way {
            sched_yield();
        }
        yield_now().await;
    }
    completed(ledger).await?;
    lateness.sort_by(f64::total_cmp);
    Ok(lateness)
}
