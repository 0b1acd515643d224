//! Parts of pages, told anew while somebody looks: server-sent events that carry what has changed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;

use super::session::{Fields, Seat, Viewer};
use super::{Answer, Dashboard, Parted, Refused, failures, guarded, nodes, overview};
use crate::domain::Timestamp;

/// Between two looks.
const TICK: Duration = Duration::from_secs(2);
/// The same, when the session is about to end: tokens do so at whole seconds.
const SOON: Duration = Duration::from_millis(200);
/// With nothing new for so many looks, proxies are told that somebody is there.
const QUIET: u32 = 8;
/// Browsers come back after so many milliseconds.
const GREETING: &str = "retry: 2000\n\n";
/// The session is over: browsers are not to come back.
const OVER: &str = "event: over\ndata: {}\n\n";

/// Pages that have parts that are told anew.
#[derive(Clone, Copy)]
enum Page {
    Overview,
    Failures,
    Nodes,
}

impl Page {
    fn named(name: &str) -> Option<Self> {
        match name {
            "overview" => Some(Self::Overview),
            "failures" => Some(Self::Failures),
            "nodes" => Some(Self::Nodes),
            _ => None,
        }
    }

    async fn parts(self, dashboard: &Dashboard, seat: &Seat) -> Option<Parted> {
        match self {
            Self::Overview => overview::parts(dashboard, seat).await.ok(),
            Self::Failures => failures::parts(dashboard, seat, None).await.ok(),
            Self::Nodes => nodes::parts(dashboard, seat).await.ok(),
        }
    }
}

struct Stream {
    dashboard: Dashboard,
    seat: Seat,
    page: Page,
    /// What the browser has.
    told: HashMap<&'static str, String>,
    quiet: u32,
    is_begun: bool,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    /// How long the session lasts yet.
    fn left(&self) -> Duration {
        let left = |at: Timestamp| at.seconds_since(self.dashboard.watch.now()).max(0.0);
        self.seat.who.expires_at.map_or(Duration::MAX, |at| Duration::from_secs_f64(left(at)))
    }

    /// What is new; nothing, if the stream is over.
    async fn next(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        if !self.is_begun {
            self.is_begun = true;
            return Some(GREETING.to_owned());
        }
        loop {
            tokio::select! {
                () = self.dashboard.stop.cancelled() => return None,
                () = tokio::time::sleep(self.left().clamp(SOON, TICK)) => {}
            }
            // A token may end, or its key be taken away, while somebody looks.
            if self.dashboard.api.doorman.known(&self.seat.token).is_err() {
                self.is_over = true;
                return Some(OVER.to_owned());
            }
            let stop = self.dashboard.stop.clone();
            let parts = stop.run_until_cancelled(self.page.parts(&self.dashboard, &self.seat)).await?;
            let mut new: HashMap<&'static str, String> = parts.unwrap_or_default().into_iter().collect();
            new.retain(|id, html| self.told.get(id) != Some(&*html));
            if !new.is_empty() {
                let data = serde_json::to_string(&new).unwrap_or_default();
                self.told.extend(new);
                self.quiet = 0;
                return Some(format!("event: parts\ndata: {data}\n\n"));
            }
            self.quiet += 1;
            if self.quiet >= QUIET {
                self.quiet = 0;
                return Some(":\n\n".to_owned());
            }
        }
    }
}

/// `GET /dashboard/live`.
pub async fn stream(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer, given: Fields) -> Answer {
    let Some(page) = Page::named(given.of("page")) else {
        let detail = "No page of this name has parts that are told anew.";
        return Err(Refused::new(Some(&seat), StatusCode::NOT_FOUND, "There is no such page", detail));
    };
    let Ok(place) = dashboard.streams.clone().try_acquire_owned() else {
        let detail = "As many look at this node's dashboard as may at once. Reload the page for new numbers.";
        return Err(Refused::new(Some(&seat), StatusCode::SERVICE_UNAVAILABLE, "Too many look", detail));
    };
    let told = HashMap::new();
    let extract::State(dashboard) = dashboard;
    let begun =
        Stream { dashboard, seat, page, told, quiet: 0, is_begun: false, is_over: false, _place: place };
    let events = stream::unfold(begun, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let response: Response = (headers, Body::from_stream(events)).into_response();
    Ok(guarded(response))
}
