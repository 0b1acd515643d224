//! Connections per second: TCP, WebSocket upgrade, Socket.IO CONNECT, the server's first event, and a clean close,
//! a fixed number at a time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{Outcome, announce};
use crate::client::Client;
use crate::server::Server;
use crate::settings::Settings;
use crate::site::Site;

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let server = site.here();
    come_and_go(server, settings.pool, Duration::from_secs(settings.warm_up)).await?;
    announce(settings, site);
    let before = site.sample()?;
    let connects = come_and_go(server, settings.pool, Duration::from_secs(settings.seconds)).await?;
    let usage = before.until_now()?;
    Ok(Outcome {
        figures: vec![
            ("connects_per_s", f64::from(connects) / usage.wall_s),
            ("connect_cpu_us", usage.server_cpu_s * 1e6 / f64::from(connects)),
        ],
        usage,
        quiet: usage.quiet(),
    })
}

/// Connects and closes for `span` and gives how often.
async fn come_and_go(server: &Server, pool: u32, span: Duration) -> Result<u32> {
    let until = Instant::now() + span;
    let mut tasks = JoinSet::new();
    for nth in 0..pool {
        tasks.spawn(one_after_another(server.address, nth, until));
    }
    let mut connects = 0;
    while let Some(count) = tasks.join_next().await {
        connects += count??;
    }
    Ok(connects)
}

async fn one_after_another(server: SocketAddr, nth: u32, until: Instant) -> Result<u32> {
    let mut connects = 0;
    while Instant::now() < until {
        let mut client = Client::connect(server, nth).await?;
        client.expect("connection_response").await?;
        client.close().await?;
        connects += 1;
    }
    Ok(connects)
}
