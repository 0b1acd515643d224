//! Durable creates over REST: a closed loop on kept connections. Each is for the user whose token it shows.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{Outcome, announce};
use crate::http::{Http, request};
use crate::login;
use crate::settings::Settings;
use crate::site::Site;

const BODY: &str = r#"{"type":"order_status","title":"Order shipped","message":"It is on its way, and will be with you on Friday.","data":{"order":4711,"carrier":"post"},"priority":"high"}"#;

#[derive(Deserialize)]
struct Created {
    id: u64,
}

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let mut connections = Vec::new();
    for _ in 0..settings.pool {
        connections.push(Http::connect(site.here().address).await?);
    }
    let (connections, early) = create(connections, Duration::from_secs(settings.warm_up)).await?;
    announce(settings, site);
    let before = site.sample()?;
    let (_, created) = create(connections, Duration::from_secs(settings.seconds)).await?;
    let usage = before.until_now()?;
    let (held, sent) = (site.here().total_notifications().await?, early + created);
    ensure!(held == sent, "/stats counts {held} notifications, {sent} were created");
    Ok(Outcome {
        figures: vec![
            ("create_cpu_us", usage.server_cpu_s * 1e6 / created as f64),
            ("creates_per_cpu_s", created as f64 / usage.server_cpu_s),
            ("creates_per_s", created as f64 / usage.wall_s),
        ],
        usage,
        quiet: usage.quiet(),
    })
}

/// Creates on all connections for `span`; says how many.
async fn create(connections: Vec<Http>, span: Duration) -> Result<(Vec<Http>, u64)> {
    let until = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move {
            let (request, mut created, mut last) =
                (request("POST", "/api/v1/notifications", &login::token(1), BODY), 0, 0);
            while Instant::now() < until {
                let answer = connection.ask(&request, 201).await?;
                let Created { id } = serde_json::from_slice(&answer)?;
                ensure!(id > last, "number {id} came after {last}");
                (created, last) = (created + 1, id);
            }
            anyhow::Ok((connection, created))
        });
    }
    let (mut rested, mut created) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (connection, many) = done??;
        rested.push(connection);
        created += many;
    }
    Ok((rested, created))
}
