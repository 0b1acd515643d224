//! What others feel while one broadcast after the other goes to very many people: bookings at a fixed rate, first alone,
//! then beside broadcasts that are in progress all the time.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::latency::{Pace, keep_schedule};
use super::{Outcome, announce, facilitators, within};
use crate::figures::percentile;
use crate::http::{Http, request};
use crate::ledger::{Expected, Ledger, open};
use crate::login;
use crate::settings::Settings;
use crate::site::Site;

const BODY: &str = r#"{"type":"news","title":"To everybody","message":"It is told to everybody who was ever here."}"#;

#[derive(Deserialize)]
struct Sent {
    total_users: u64,
}

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let ledger = Ledger::shared(settings.online_facilitators, Expected::Delivered);
    let _listeners = facilitators::listen(site.here(), settings.online_facilitators, &ledger).await?;
    let mut backend = login::backend(site.here().address, 0).await?;
    let mut sender = Http::connect(site.here().address).await?;
    let pace = Pace { rate: settings.cross_rate, gives_way: false };
    let (warm_up, span) = (Duration::from_secs(settings.warm_up), Duration::from_secs(settings.seconds));
    within(warm_up, &ledger, keep_schedule(&mut backend, pace, warm_up, &ledger)).await?;
    announce(settings, site);
    let before = site.sample()?;
    let alone_from = open(&ledger).sent();
    within(span, &ledger, keep_schedule(&mut backend, pace, span, &ledger)).await?;
    let beside_from = open(&ledger).sent();
    let (alone, _) = open(&ledger).latencies(alone_from);

    let mut broadcasts = 0;
    let beside = within(span, &ledger, keep_schedule(&mut backend, pace, span, &ledger));
    let broadcasting = async {
        loop {
            // It is answered when all have it, after a second at most: one is always under way.
            let message = request("POST", "/api/v1/notifications/broadcast", login::BACKEND_TOKEN, BODY);
            let answer = sender.ask(&message, 200).await?;
            let Sent { total_users } = serde_json::from_slice(&answer)?;
            ensure!(total_users >= settings.audience, "a broadcast to {total_users} people");
            broadcasts += 1;
        }
    };
    tokio::select! {
        lateness = beside => drop(lateness?),
        fault = broadcasting => return fault,
    }
    let usage = before.until_now()?;
    let ledger = open(&ledger);
    let (both, _) = ledger.latencies(beside_from);
    ensure!(!both.is_empty() && both.len() < ledger.sent(), "bookings were answered");
    let ratio = percentile(&both, 99.0) / percentile(&alone, 99.0);
    Ok(Outcome {
        figures: vec![
            ("alone_p50_us", percentile(&alone, 50.0)),
            ("alone_p99_us", percentile(&alone, 99.0)),
            ("beside_p50_us", percentile(&both, 50.0)),
            ("beside_p99_us", percentile(&both, 99.0)),
            ("beside_ratio", ratio),
            ("broadcasts_per_s", f64::from(broadcasts) / span.as_secs_f64()),
        ],
        usage,
        quiet: usage.quiet(),
    })
}
