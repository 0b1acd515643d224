//! Starting to stop, and stopping: fail readiness, take nobody in, answer what was taken, send clients
//! back, then go.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::realtime::{Close, Transport};

/// How often it is looked whether everybody has gone.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for SIGTERM or SIGINT; returns its name.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn told_to_stop() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
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
    app.stop.cancel();

    // Nothing more is read; what was read is committed and answered.
    let here = app.hub.everybody();
    tracing::info!(connections = here.len(), "stopping: clients are sent back");
    for connection in &here {
        connection.outlet().hold(limit);
    }
    tokio::time::timeout(left(deadline), app.store.drain()).await.ok();

    let here = app.hub.everybody();
    // A closed transport, not a namespace: stock clients come back from it by themselves.
    for connection in &here {
        connection.outlet().close(Close::AfterFlush);
    }
    drop(here);
    // Polling sessions have no stream to end: they fetch what was answered, then hear it.
    let patient = Instant::now() + left(deadline) / 2;
    let unfinished = |app: &App| {
        let here = app.hub.everybody();
        let outlets = here.iter().map(|connection| connection.outlet());
        outlets.into_iter().any(|outlet| outlet.transport() == Transport::Stream || outlet.unsent() > 0)
    };
    while unfinished(&app) && Instant::now() < patient {
        tokio::time::sleep(LOOK).await;
    }
    for connection in app.hub.everybody() {
        connection.outlet().close(Close::Now);
    }
    app.tasks.close();
    tokio::time::timeout(left(deadline) / 2, app.tasks.wait()).await.ok();
    // Those who left are noted as gone.
    tokio::time::timeout(left(deadline), app.store.drain()).await.ok();
    tracing::info!("stopped");
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
