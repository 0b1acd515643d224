//! What a list costs the server, of a user who has very many notifications and of one who has few: on one server, in
//! turns, one request after the other.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Deserialize;

use super::{Outcome, announce};
use crate::figures::percentile;
use crate::http::{Http, request};
use crate::login;
use crate::settings::{FEW, Settings};
use crate::site::Site;

/// Requests in one turn.
const TURN: usize = 300;

#[derive(Deserialize)]
struct Page {
    notifications: Vec<serde_json::Value>,
    total_count: u64,
    unread_count: u64,
}

/// What lists of one user cost.
#[derive(Default)]
struct Cost {
    cpu_s: f64,
    times: Vec<f64>,
}

impl Cost {
    fn cpu_us(&self) -> f64 {
        self.cpu_s * 1e6 / self.times.len() as f64
    }

    fn p50(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        percentile(&self.times, 50.0)
    }
}

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let mut connection = Http::connect(site.here().address).await?;
    let people = [settings.many, FEW].map(|held| (held, held - held.div_ceil(3)));
    // Whoever asks first waits while all of it is counted; the server counts on behind the answer.
    let warm = Instant::now() + Duration::from_secs(settings.warm_up.max(5));
    while Instant::now() < warm {
        for (nth, counts) in people.iter().enumerate() {
            list(&mut connection, nth as u64 + 1, *counts).await?;
        }
    }
    announce(settings, site);
    let all = site.sample()?;
    let until = Instant::now() + Duration::from_secs(settings.seconds);
    let mut costs = [Cost::default(), Cost::default()];
    while Instant::now() < until {
        for (nth, (cost, counts)) in costs.iter_mut().zip(people).enumerate() {
            let before = site.sample()?;
            for _ in 0..TURN {
                cost.times.push(list(&mut connection, nth as u64 + 1, counts).await?);
            }
            cost.cpu_s += before.until_now()?.server_cpu_s;
        }
    }
    let usage = all.until_now()?;
    let [mut many, mut few] = costs;
    Ok(Outcome {
        figures: vec![
            ("list_many_cpu_us", many.cpu_us()),
            ("list_few_cpu_us", few.cpu_us()),
            ("list_cpu_ratio", many.cpu_us() / few.cpu_us()),
            ("list_many_p50_us", many.p50()),
            ("list_few_p50_us", few.p50()),
            ("list_p50_ratio", many.p50() / few.p50()),
        ],
        usage,
        quiet: usage.quiet(),
    })
}

/// One list; says how long it took, in µs.
async fn list(connection: &mut Http, user: u64, (total, unread): (u64, u64)) -> Result<f64> {
    let request = request("GET", "/api/v1/notifications?limit=20", &login::token(user), "");
    let start = Instant::now();
    let answer = connection.ask(&request, 200).await?;
    let time = start.elapsed().as_secs_f64() * 1e6;
    let page: Page = serde_json::from_slice(&answer)?;
    ensure!(page.notifications.len() == 20, "{} listed", page.notifications.len());
    ensure!(
        (page.total_count, page.unread_count) == (total, unread),
        "{} and {} instead of {total} and {unread}",
        page.total_count,
        page.unread_count
    );
    Ok(time)
}
