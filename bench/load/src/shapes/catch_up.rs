//! What a death of Redis costs those who are online on another node than the one that stores: how late their bookings
//! come while Redis is away (the database is swept each second), and when the last is heard after Redis has returned.
//!
//! Sweeps cannot be turned off. So that as little as possible of the second figure is theirs, bookings go on until the
//! moment the line returns, and only those count that were accepted and had not arrived by then.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::{sleep, timeout};

use super::{Outcome, bookings, check_rows, completed, facilitators, within};
use crate::client::Client;
use crate::figures::percentile;
use crate::ledger::{Expected, Ledger, SharedLedger, open};
use crate::server::LINE_IS_UP;
use crate::settings::Settings;
use crate::site::Site;

/// How long all bookings of one step may take, beside the patience for each answer.
const STEP_LIMIT: Duration = Duration::from_secs(60);
/// Bookings go on for so long before Redis is started again: longer than a sweep takes to come round.
const HEAD_START: Duration = Duration::from_millis(1_500);
/// How long the line may take to return.
const RETURN_LIMIT: Duration = Duration::from_secs(20);

pub async fn run(settings: &Settings, site: &mut Site) -> Result<Outcome> {
    let crowd = settings.crowd;
    let ledger = Ledger::shared(crowd, Expected::Delivered);
    let _listeners = facilitators::listen(site.there(), crowd, &ledger).await?;
    let backends = bookings::connect(settings, site).await?;
    // Everybody hears one live: so all are known to be reached, and what follows meets warm servers.
    let backends = one_each(settings, backends, &ledger).await.context("before Redis was killed")?;

    let before = site.sample()?;
    open(&ledger).expect(Expected::Any);
    let warmed = open(&ledger).sent();
    let killed = Instant::now();
    site.redis_mut()?.kill()?;
    let backends = one_each(settings, backends, &ledger).await.context("while Redis was away")?;
    let away = before.until_now()?;
    let after = |moments: Vec<Instant>| -> Vec<f64> {
        let mut seconds: Vec<f64> = moments.iter().map(|moment| (*moment - killed).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    };
    let moments = open(&ledger).moments(warmed);
    let accepted = after(moments.iter().map(|(accepted, _)| *accepted).collect());
    let arrived = after(moments.iter().map(|(_, arrived)| *arrived).collect());

    let before = site.sample()?;
    let begun = open(&ledger).sent();
    let returned = book_until_return(settings, site, backends, &ledger).await?;
    let back = before.until_now()?;
    let missing: Vec<f64> = open(&ledger)
        .moments(begun)
        .into_iter()
        .filter(|(accepted, arrived)| *accepted <= returned && *arrived > returned)
        .map(|(_, arrived)| (arrived - returned).as_secs_f64())
        .collect();
    check_rows(site, &ledger).await?;
    Ok(Outcome {
        figures: vec![
            ("away_booked_s", percentile(&accepted, 100.0)),
            ("away_arrived_p50_s", percentile(&arrived, 50.0)),
            ("away_arrived_s", percentile(&arrived, 100.0)),
            ("missing_on_return", missing.len() as f64),
            ("return_arrived_s", missing.into_iter().fold(0.0, f64::max)),
        ],
        usage: back,
        quiet: away.quiet() && back.quiet(),
    })
}

/// Books one for each facilitator, and waits until all have arrived.
async fn one_each(settings: &Settings, backends: Vec<Client>, ledger: &SharedLedger) -> Result<Vec<Client>> {
    let last = open(ledger).sent() + usize::try_from(settings.crowd)?;
    within(STEP_LIMIT, ledger, bookings::drive(settings, backends, ledger, move |sent| sent < last)).await
}

/// Books without a pause, starts Redis, stops when the facilitators' node says that it is back, and waits until
/// everything has arrived. Gives the moment of its return.
async fn book_until_return(
    settings: &Settings,
    site: &mut Site,
    backends: Vec<Client>,
    ledger: &SharedLedger,
) -> Result<Instant> {
    let log = site.there().log().clone();
    let earlier = log.len();
    ensure!(log.said(LINE_IS_UP, 0).is_some(), "the line was never up");
    let until = Instant::now() + HEAD_START + RETURN_LIMIT;
    let more = {
        let log = log.clone();
        move |_| log.said(LINE_IS_UP, earlier).is_none() && Instant::now() < until
    };
    let start = async {
        sleep(HEAD_START).await;
        site.redis_mut()?.start_again()
    };
    let load = bookings::drive(settings, backends, ledger, more);
    let both = async { tokio::try_join!(load, start) };
    within(STEP_LIMIT, ledger, both).await.context("as Redis returned")?;
    timeout(STEP_LIMIT, completed(ledger)).await.context("not all arrived")??;
    log.said(LINE_IS_UP, earlier).context("the line never returned")
}
