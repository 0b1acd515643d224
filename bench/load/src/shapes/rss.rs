//! What an idle socket costs in memory: resident memory before, with N sockets connected, and with all of them
//! authenticated as facilitators, each after settling. Some sockets come first and stay, so that code and buffers
//! every server needs once are not divided among the N.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Outcome, announce};
use crate::client::Client;
use crate::login;
use crate::procfs::memory_kib;
use crate::server::Server;
use crate::settings::Settings;
use crate::site::Site;

/// Sockets that come first.
const EARLY: u32 = 200;
/// Sockets connecting, or authenticating, at any time.
const AT_ONCE: usize = 64;
/// How long all of them may take for one step.
const STEP_LIMIT: Duration = Duration::from_secs(180);

pub async fn run(settings: &Settings, site: &Site) -> Result<Outcome> {
    let server = site.here();
    let mut crowd = Crowd::new();
    let settle = Duration::from_secs(settings.settle);
    crowd.connect(server, 0..EARLY).await?;
    crowd.authenticate(EARLY).await?;
    crowd.rest(settle / 3).await?;
    let (base, _) = memory_kib(server.pid())?;

    let sample = site.sample()?;
    crowd.connect(server, EARLY..EARLY + settings.sockets).await?;
    crowd.rest(settle / 3).await?;
    let (connected, _) = memory_kib(server.pid())?;
    crowd.authenticate(EARLY + settings.sockets).await?;
    crowd.rest(settle).await?;
    let (authenticated, peak) = memory_kib(server.pid())?;
    let usage = sample.until_now()?;
    if settings.attach.is_some() {
        announce(settings, site);
        crowd.rest(Duration::from_secs(settings.seconds)).await?;
    }

    let each = |now: u64| (now as f64 - base as f64) / f64::from(settings.sockets);
    Ok(Outcome {
        figures: vec![
            ("socket_kib", each(authenticated)),
            ("anonymous_socket_kib", each(connected)),
            ("base_mib", base as f64 / 1024.0),
            ("full_mib", authenticated as f64 / 1024.0),
            ("peak_mib", peak as f64 / 1024.0),
        ],
        usage,
        // Other people's work slows a server down but does not change what it holds in memory.
        quiet: true,
    })
}

/// Many idle clients, one task each; they leave when this is dropped.
struct Crowd {
    tasks: JoinSet<Result<Infallible>>,
    connecting: Arc<Semaphore>,
    authenticating: Arc<Semaphore>,
    connected: Arc<AtomicU32>,
    authenticated: Arc<AtomicU32>,
}

impl Crowd {
    fn new() -> Self {
        Self {
            tasks: JoinSet::new(),
            connecting: Arc::new(Semaphore::new(AT_ONCE)),
            authenticating: Arc::new(Semaphore::new(0)),
            connected: Arc::default(),
            authenticated: Arc::default(),
        }
    }

    async fn connect(&mut self, server: &Server, members: std::ops::Range<u32>) -> Result<()> {
        let address = server.address;
        let total = members.end;
        for nth in members {
            let (connecting, authenticating) = (self.connecting.clone(), self.authenticating.clone());
            let (connected, authenticated) = (self.connected.clone(), self.authenticated.clone());
            self.tasks.spawn(async move {
                let permit = connecting.acquire().await?;
                let mut client = Client::connect(address, nth).await?;
                client.expect("connection_response").await?;
                drop(permit);
                connected.fetch_add(1, Ordering::Relaxed);
                let permit = await_turn(&mut client, &authenticating).await?;
                login::facilitator(&mut client, u64::from(nth) + 1).await?;
                drop(permit);
                authenticated.fetch_add(1, Ordering::Relaxed);
                stay(&mut client).await
            });
        }
        self.until(total, |crowd| &crowd.connected).await.context("connecting")
    }

    /// Lets everybody connected so far authenticate.
    async fn authenticate(&mut self, total: u32) -> Result<()> {
        self.authenticating.add_permits(AT_ONCE);
        let done = self.until(total, |crowd| &crowd.authenticated).await.context("authenticating");
        self.authenticating.forget_permits(AT_ONCE);
        done
    }

    async fn until(&mut self, total: u32, counter: fn(&Self) -> &AtomicU32) -> Result<()> {
        let wait = async {
            while counter(self).load(Ordering::Relaxed) < total {
                self.check()?;
                sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        timeout(STEP_LIMIT, wait).await.context("took too long")?
    }

    async fn rest(&mut self, span: Duration) -> Result<()> {
        sleep(span).await;
        self.check()
    }

    /// Nobody may have left.
    fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            None => Ok(()),
            Some(Ok(Err(fault))) => Err(fault.context("a socket was lost")),
            Some(ended) => bail!("a client ended: {ended:?}"),
        }
    }
}

/// Stays connected until it is the client's turn.
async fn await_turn<'a>(client: &mut Client, turns: &'a Semaphore) -> Result<SemaphorePermit<'a>> {
    tokio::select! {
        turn = turns.acquire() => Ok(turn?),
        left = stay(client) => match left? {},
    }
}

/// Answers pings for as long as the connection lasts.
async fn stay(client: &mut Client) -> Result<Infallible> {
    loop {
        client.idle(Duration::from_secs(3600)).await?;
    }
}
