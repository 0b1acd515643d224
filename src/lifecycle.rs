//! Starting to stop, and stopping: fail readiness, take nobody in, answer what was taken, send clients
//! back, then go. Requests get answers until the end: newcomers a 503, those that poll what they wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::realtime::{Close, Transport};
use crate::store::Write;

/// How often it is looked whether everybody has gone.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for SIGTERM, SIGINT or SIGHUP (its terminal has gone); returns its name.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn told_to_stop() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = hangup.recv() => "SIGHUP",
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

/// Stops `app` within its time limit, whatever clients do.
pub async fn stop(app: Arc<App>, limit: Duration, delay: Duration) {
    app.readiness.set(false);
    tokio::time::sleep(delay.min(limit / 2)).await;
    let deadline = Instant::now() + limit.saturating_sub(delay.min(limit / 2));
    app.admission.close();

    // Nothing more is read; what was read is committed and answered.
    let here = app.hub.everybody();
    tracing::info!(connections = here.len(), "stopping: clients are sent back");
    for connection in &here {
        connection.outlet().hold(limit);
    }
    drop(here);
    tokio::time::timeout(left(deadline), app.store.drain()).await.ok();

    // A closed transport, not a namespace: stock clients come back from it by themselves. Those that poll
    // have no stream to end: they fetch what was answered, over new TCP connections if they like.
    let patient = Instant::now() + left(deadline) / 2;
    while Instant::now() < patient {
        // What was being read when reading stopped becomes a request meanwhile.
        tokio::time::sleep(LOOK).await;
        if !send_back(&app) {
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
    if app.store.is_shared() {
        app.store.submit(Write::Leave(app.node.clone()), Box::new(|_| ()));
    }
    tokio::time::timeout(left(deadline), app.store.close()).await.ok();
    tracing::info!("stopped");
}

/// Closes every transport that waits for no answer; returns whether somebody has yet to hear what was
/// answered.
fn send_back(app: &App) -> bool {
    let mut unfinished = false;
    for connection in app.hub.everybody() {
        let outlet = connection.outlet();
        if connection.is_busy() {
            unfinished = true;
            continue;
        }
        outlet.close(Close::AfterFlush);
        unfinished |= outlet.transport() == Transport::Stream || outlet.unsent() > 0;
    }
    unfinished
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
