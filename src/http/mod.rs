//! Request/response doors. A handler extracts, makes one service call, and writes the wire.

mod api;
mod api_v1;
mod callbacks;
mod caller;
mod cors;
mod dashboard;
mod demo;
mod health;
mod input;
mod metrics;
mod openapi;
mod problem;
mod root;
mod unsubscribe;
mod values;

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use tower::ServiceExt as _;

use crate::access::{Links, Principal};
use crate::domain::{Secret, Tenant};
use crate::service::{
    Addresses, Alarms, Audit, Choices, Crowd, Devices, Digests, Error, Explain, Hooks, Inbox, Library,
    Notify, Outgoing, Place, Privacy, Quota, Reckoning, Recurrings, Reports, Standing, StatsService, Topics,
    Turn,
};
use crate::telemetry::Metrics;
use crate::telemetry::traces::{self, Parent};

pub use caller::Doorman;
pub use dashboard::{Dashboard, Letter, Letters as DeadLetters};
pub use demo::Demo;
pub use health::Readiness;
pub use openapi::description;

/// The connection by which a request comes.
pub trait Guest: Send + Sync {
    /// Whether its request is held back because its sender guesses tokens: whoever comes may have its place meanwhile.
    fn is_held(&self, is_held: bool);
}

/// What a request brings besides what its sender wrote.
#[derive(Clone)]
struct Arrival {
    /// Where it comes from, behind trusted proxies.
    address: IpAddr,
    /// By what.
    guest: Arc<dyn Guest>,
    /// Where a handler's caller leaves what concerns the answer.
    left: Arc<Left>,
}

/// What a handler's caller leaves.
#[derive(Default)]
struct Left {
    /// How it stands, for the answer's headers.
    standing: OnceLock<Standing>,
    /// Who it is: a tenant, and a name.
    caller: OnceLock<(Tenant, String)>,
    /// Their place among all that are being answered.
    place: OnceLock<Place>,
    /// Their turn to be worked on, while it is that.
    turn: Mutex<Option<Turn>>,
}

impl Left {
    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        self.turn.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until the request may be worked on, which `writes` or not, unless it is already: who has one turn waits for no other.
    async fn work(&self, writes: bool) {
        if self.turn().is_none()
            && let Some(place) = self.place.get()
        {
            let turn = place.turn(writes).await;
            *self.turn() = Some(turn);
        }
    }

    /// Lets others work meanwhile.
    fn rest(&self) {
        drop(self.turn().take());
    }
}

/// Opens a stream of events.
pub type Streams = Arc<
    dyn Fn(
            Principal,
            Option<IpAddr>,
            Option<String>,
            Option<String>,
        ) -> BoxFuture<'static, Result<Body, Error>>
        + Send
        + Sync,
>;

/// What the handlers of the API need. Each request is handed it several times.
#[derive(Clone)]
pub struct Api(Arc<Services>);

impl Deref for Api {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl From<Services> for Api {
    fn from(services: Services) -> Self {
        Self(Arc::new(services))
    }
}

/// Who does what the API is asked for.
pub struct Services {
    /// Who may call.
    pub doorman: Arc<Doorman>,
    /// How often.
    pub quota: Arc<Quota>,
    /// How many at once.
    pub crowd: Arc<Crowd>,
    /// Sending.
    pub notify: Arc<Notify>,
    /// What people have.
    pub inbox: Arc<Inbox>,
    /// What they want to hear of.
    pub topics: Arc<Topics>,
    /// How they want to hear.
    pub choices: Arc<Choices>,
    /// Links that end e-mails.
    pub links: Arc<Links>,
    /// What goes out beyond sockets.
    pub outgoing: Arc<Outgoing>,
    /// Where they take pushes.
    pub devices: Arc<Devices>,
    /// Where else they can be reached.
    pub addresses: Arc<Addresses>,
    /// What providers say later.
    pub reports: Arc<Reports>,
    /// Why.
    pub explain: Arc<Explain>,
    /// What goes out again and again.
    pub recurrings: Arc<Recurrings>,
    /// Who is told what becomes of notifications.
    pub hooks: Arc<Hooks>,
    /// What came to somebody since the last time.
    pub digests: Arc<Digests>,
    /// What notifications say.
    pub library: Arc<Library>,
    /// What was done.
    pub audit: Arc<Audit>,
    /// What is kept of people.
    pub privacy: Arc<Privacy>,
    /// What is alarming.
    pub alarms: Arc<Alarms>,
    /// What became of what was sent.
    pub reckoning: Arc<Reckoning>,
    /// Opens a stream of events: for whom, from where, behind which notification, and of which events.
    pub streams: Streams,
    /// Bytes of one request.
    pub max_body: usize,
}

/// What the handlers need.
#[derive(Clone)]
pub struct State {
    /// The API.
    pub api: Api,
    /// Pages that may call the API; all, if there is no list.
    pub origins: Option<Vec<String>>,
    /// Counts.
    pub stats: Arc<StatsService>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whoever shows it may read the metrics; without one, only in development.
    pub metrics_token: Arc<Secret>,
    /// Describes the events of the long-lived doors.
    pub events: fn() -> serde_json::Value,
    /// Whether this is development.
    pub development: bool,
    /// Whether new work is taken.
    pub readiness: Readiness,
    /// The demo page, in development.
    pub demo: Option<Arc<Demo>>,
    /// The dashboard, if it is wanted.
    pub dashboard: Option<Dashboard>,
}

/// One table of routes that need a `$state`: the router is made of it, and so is the list that tests walk along.
macro_rules! answer {
    ($state:ty: $($method:ident $path:literal => $handler:path;)*) => {
        /// Every method and path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        /// Who answers them.
        pub fn router() -> axum::Router<$state> {
            axum::Router::new()
                $(.route($path, axum::routing::on(axum::routing::MethodFilter::$method, $handler)))*
        }
    };
}
use answer;

/// Every method and path of the API.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    api_v1::ROUTES.iter().chain(api::ROUTES).chain(root::ROUTES).copied()
}

/// Every method and path of the dashboard.
pub const DASHBOARD: &[(&str, &str)] = dashboard::ROUTES;

/// What is described and needs no token: what it tells is meant for everybody.
pub const OPEN: &[(&str, &str)] = &[("GET", "/api/v1/push/vapid-public-key")];

/// Headers that most answers get besides their own.
const USUAL_HEADERS: usize = 8;

/// Everything that is answered.
pub struct Pages {
    router: Router,
    /// The same for pages of other origins.
    for_pages: Router,
    alarms: Arc<Alarms>,
    metrics: Arc<Metrics>,
}

impl Pages {
    /// Answers with what `state` has.
    pub fn new(state: &State) -> Self {
        let api = || {
            api_v1::router()
                .merge(api::router())
                .merge(root::router())
                // These want no token.
                .route("/api/v1/push/vapid-public-key", get(api_v1::push::public_key))
                .route("/callbacks/twilio/{name}", post(callbacks::twilio))
                .route("/unsubscribe/{link}", get(unsubscribe::ask).post(unsubscribe::end))
                .method_not_allowed_fallback(problem::wrong_method)
                // What is nowhere is told to pages, too.
                .fallback(missing)
                .with_state(state.api.clone())
        };
        let cors = cors::cors(state.origins.as_deref());
        let for_pages = others(state).merge(api().layer(cors));
        Self {
            router: others(state).merge(api()),
            for_pages,
            alarms: state.api.alarms.clone(),
            metrics: state.metrics.clone(),
        }
    }

    /// Answers what comes from `address` by `guest`. What is so of every answer is said here: each layer around the router would
    /// cost every request several times over.
    pub async fn answer(&self, mut request: Request, address: IpAddr, guest: Arc<dyn Guest>) -> Response {
        let is_api = is_api(request.uri().path()) || is_of_root(request.uri().path());
        let left = Arc::<Left>::default();
        request.extensions_mut().insert(Arrival { address, guest, left: left.clone() });
        let is_of_a_page =
            request.headers().contains_key(header::ORIGIN) || request.method() == Method::OPTIONS;
        let parent = match self.metrics.traces.is_on() {
            true => request.headers().get("traceparent").and_then(|text| Parent::read(text.to_str().ok()?)),
            false => None,
        };
        let router = if is_of_a_page { &self.for_pages } else { &self.router };
        let answer = router.clone().oneshot(request);
        let answer = match parent {
            Some(parent) => traces::within(parent, answer).await,
            None => answer.await,
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.status() == StatusCode::FORBIDDEN
            && let Some((tenant, caller)) = left.caller.get()
        {
            self.alarms.denied(tenant, caller);
        }
        let is_temporary =
            matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let headers = response.headers_mut();
        headers.reserve(USUAL_HEADERS);
        if is_temporary {
            headers.entry(header::RETRY_AFTER).or_insert(problem::LATER.into());
        }
        if is_api {
            tell(headers, left.standing.get());
        }
        protect(headers);
        response
    }
}

/// The table of contents, but for the API.
fn others(state: &State) -> Router {
    let mut router = Router::new()
        .route("/health", get(health::health))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/stats", get(health::stats))
        .route("/ws/status", get(health::connections))
        .route("/metrics", get(metrics::metrics))
        .route("/problems/{code}", get(problem::explain));
    if state.demo.is_some() {
        router = router.route("/", get(demo::page)).route("/demo/{file}", get(demo::file));
    }
    if state.development {
        router = router
            .route("/docs", get(openapi::page))
            .route("/docs/", get(openapi::file))
            .route("/docs/openapi.json", get(openapi::json))
            .route("/docs/asyncapi.json", get(openapi::events))
            .route("/docs/{*path}", get(openapi::file));
    }
    let mut router = router.with_state(state.clone());
    if let Some(dashboard) = &state.dashboard {
        router = router.merge(dashboard::pages(dashboard.clone()));
    }
    router
}

fn is_of_root(path: &str) -> bool {
    root::ROUTES.iter().any(|(_, known)| *known == path)
}

fn is_api(path: &str) -> bool {
    ["/api/", "/internal/", "/push/"].iter().any(|folder| path.starts_with(folder))
}

async fn missing(uri: Uri) -> Response {
    if is_api(uri.path()) {
        return problem::no_route(&uri).into_response();
    }
    let advice = "There is nothing here. Socket.IO clients connect to /socket.io/; the API is below /api/v1; see \
                  also /health and /stats.\n";
    (StatusCode::NOT_FOUND, advice).into_response()
}

/// How many requests are left to the caller (draft-ietf-httpapi-ratelimit-headers-06): of how many, and in how many
/// seconds all of them.
pub const COUNTS: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

/// What the API tells is one person's: no browser or proxy keeps it. And how many more requests they may make.
fn tell(headers: &mut HeaderMap, standing: Option<&Standing>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(standing) = standing {
        let numbers = [standing.limit.into(), standing.remaining.into(), standing.reset];
        headers.extend(COUNTS.into_iter().zip(numbers.map(HeaderValue::from)));
    }
}

fn protect(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
}
