//! Starting to stop, and stopping: fail readiness, take nobody in, answer what was taken, send clients
//! back, then go. Requests get answers until the end: newcomers a 503, those that poll what they wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;
use crate::listen::Tls;
use crate::realtime::{Close, Transport};
use crate::store::Write;

/// How often it is looked whether everybody has gone.
const LOOK: Duration = Duration::from_millis(20);
/// So many streams are closed at once, at least.
const AT_ONCE: usize = 500;
/// Nothing moves for this long: nothing will.
const STANDSTILL: Duration = Duration::from_secs(1);
/// What providers answered is noted within this.
const NOTED: Duration = Duration::from_secs(2);

/// Listens for SIGTERM, SIGINT and SIGHUP (it is to look at its certificate) from now on: one that comes before it is waited for is
/// not missed.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// When signals cannot be listened to.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until one came that ends the process; returns its name. SIGHUP ends nothing; where there is a certificate, it is
    /// looked at.
    pub async fn told_to_stop(&mut self, certificate: Option<&Tls>) -> &'static str {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => match certificate {
                    Some(tls) => tls.look_now(),
                    None => tracing::info!("SIGHUP: there is no certificate to look at; going on"),
                },
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
            }
        }
    }
}

/// Stops `app` within its time limit, whatever clients do; within that of providers, if one that was asked has not answered:
/// what it has taken and nobody notes goes out twice.
pub async fn stop(app: Arc<App>, limit: Duration, delay: Duration) {
    app.readiness.set(false);
    tokio::time::sleep(delay.min(limit / 2)).await;
    let deadline = Instant::now() + limit.saturating_sub(delay.min(limit / 2));
    app.admission.close();
    app.intake.cancel();
    app.deliveries.close();
    let answered = Instant::now() + app.delivering + NOTED;

    // Nothing more is read; what was read is committed and answered.
    let here = app.hub.everybody();
    tracing::info!(connections = here.len(), "stopping: clients are sent back");
    for connection in &here {
        connection.outlet().line().hold(limit);
    }
    drop(here);
    tokio::time::timeout(left(deadline), app.store.drain()).await.ok();

    // A closed transport, not a namespace: stock clients come back from it by themselves. Those that poll
    // have no stream to end: they fetch what was answered, over new TCP connections if they like.
    let patient = Instant::now() + left(deadline) / 2;
    let (mut before, mut moved) = (Rest::default(), Instant::now());
    while Instant::now() < patient {
        // What was being read when reading stopped becomes a request meanwhile.
        tokio::time::sleep(LOOK).await;
        let rest = send_back(&app);
        if rest == Rest::default() {
            break;
        }
        if rest != before {
            (before, moved) = (rest, Instant::now());
        }
        // A client that polls another node by now does not come for its answers.
        if rest.busy == 0 && moved.elapsed() > STANDSTILL {
            break;
        }
    }
    app.stop.cancel();
    for connection in app.hub.everybody() {
        connection.outlet().close(Close::Now);
    }
    app.tasks.close();
    tokio::time::timeout(left(deadline) / 2, app.tasks.wait()).await.ok();
    // Those who left are noted as gone.
    tokio::time::timeout(left(deadline), app.presences.write()).await.ok();
    tokio::time::timeout(left(deadline), app.failures.write(true)).await.ok();
    if !app.deliveries.is_empty() {
        tracing::info!("waiting for what providers were asked");
        tokio::time::timeout(left(deadline.max(answered)), app.deliveries.wait()).await.ok();
    }
    // Nothing of the audit log is left unsealed.
    if let Ok(Err(fault)) = tokio::time::timeout(left(deadline), app.sealing.round()).await {
        tracing::warn!(%fault, "the end of the audit log is sealed by the next start");
    }
    tokio::time::timeout(left(deadline), app.sealing.tell_head()).await.ok();
    if app.store.is_shared() {
        app.store.submit(Write::Leave(app.node.clone()), Box::new(|_| ()));
    }
    tokio::time::timeout(left(deadline).max(NOTED), app.store.close()).await.ok();
    tracing::info!("stopped");
}

/// Who has yet to hear what was answered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Rest {
    /// Connections that wait for an answer.
    busy: usize,
    /// Streams that have not ended.
    streams: usize,
    /// Bytes that polling clients have not fetched.
    unsent: usize,
}

/// Closes transports that wait for no answer, some of them at each look: clients are to come back to other
/// nodes one after another.
fn send_back(app: &App) -> Rest {
    let mut rest = Rest::default();
    let here = app.hub.everybody();
    let most = (here.len() / 20).max(AT_ONCE);
    for connection in here {
        let outlet = connection.outlet();
        if connection.is_busy() {
            rest.busy += 1;
            continue;
        }
        let is_stream = outlet.transport() != Transport::Polling;
        if rest.streams < most || !is_stream {
            outlet.close(Close::AfterFlush);
        }
        match is_stream {
            true => rest.streams += 1,
            false => rest.unsent += outlet.line().unsent(),
        }
    }
    rest
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
