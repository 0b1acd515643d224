//! `/dashboard`: what those who run the server look at. Pages are made here and work without a script; one that there is
//! only puts newer parts in the place of older ones. Every read and every change is a service's, with the token's rights.

mod audit;
mod chart;
mod editor;
mod failures;
mod letters;
mod live;
mod nodes;
mod overview;
mod session;
mod templates;
mod timeline;
mod webhooks;
mod words;

use std::ops::Deref;
use std::sync::Arc;

use askama::Template;
use axum::extract::{self, Path};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::letters::{Letter, Letters};
use self::session::Seat;
use super::problem::Problem;
use super::{Api, Demo};
use crate::service::{Error, Watch};

/// Own files only, and nothing inline.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Streams that are open at once.
const MOST_STREAMS: usize = 64;

/// What the dashboard needs.
#[derive(Clone)]
pub struct Dashboard(Arc<Parts>);

/// The parts of it.
pub struct Parts {
    api: Api,
    watch: Arc<Watch>,
    demo: Option<Arc<Demo>>,
    letters: Option<Letters>,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
}

impl Deref for Dashboard {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Dashboard {
    /// Shows what `api` and `watch` know, and `letters` that came by Redis, until `stop`. With a `demo`, a browser on this machine
    /// gets in by one click.
    pub fn new(
        api: Api,
        watch: Arc<Watch>,
        demo: Option<Arc<Demo>>,
        letters: Option<Letters>,
        stop: CancellationToken,
    ) -> Self {
        Self(Arc::new(Parts {
            api,
            watch,
            demo,
            letters,
            stop,
            streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        }))
    }
}

/// Who answers whom.
pub fn pages(dashboard: Dashboard) -> axum::Router {
    router()
        .route("/dashboard/", axum::routing::get(to_overview))
        .route("/dashboard/{*rest}", axum::routing::any(missing))
        .with_state(dashboard)
}

super::answer! {
    Dashboard:
    GET "/dashboard" => overview::page;
    GET "/dashboard/live" => live::stream;
    GET "/dashboard/failures" => failures::page;
    POST "/dashboard/failures/retry" => failures::retry_all;
    POST "/dashboard/failures/{id}/retry" => failures::retry;
    GET "/dashboard/webhooks" => webhooks::page;
    POST "/dashboard/webhooks/{id}/retry" => webhooks::retry;
    GET "/dashboard/letters" => letters::page;
    GET "/dashboard/timeline" => timeline::page;
    GET "/dashboard/nodes" => nodes::page;
    GET "/dashboard/audit" => audit::page;
    GET "/dashboard/templates" => templates::list;
    GET "/dashboard/new-template" => templates::new;
    POST "/dashboard/new-template" => templates::make;
    GET "/dashboard/templates/{name}" => templates::edit;
    POST "/dashboard/templates/{name}" => templates::change;
    POST "/dashboard/templates/{name}/remove" => templates::remove;
    GET "/dashboard/login" => session::ask;
    POST "/dashboard/login" => session::enter;
    POST "/dashboard/login/demo" => session::demo;
    POST "/dashboard/logout" => session::leave;
    GET "/dashboard/assets/{file}" => file;
}

/// What a handler answers.
type Answer = Result<Response, Refused>;

/// An answer that is not what was asked for.
pub struct Refused(Box<Response>);

impl From<Response> for Refused {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

#[derive(Template)]
#[template(path = "dashboard/fault.html")]
struct Fault<'a> {
    status: u16,
    title: &'a str,
    detail: &'a str,
    is_inside: bool,
}

impl Refused {
    fn new(seat: Option<&Seat>, status: StatusCode, title: &str, detail: &str) -> Self {
        let fault = Fault { status: status.as_u16(), title, detail, is_inside: seat.is_some() };
        let view = View { title, here: "", live: "", body: fault.render().unwrap_or_default() };
        let mut response = view.show(seat);
        *response.status_mut() = status;
        response.into()
    }
}

impl Seat {
    fn problem(&self, problem: Problem) -> Refused {
        let (status, title, detail) = problem.said();
        Refused::new(Some(self), status, title, &detail)
    }

    /// What a service refused, on a page of its own.
    fn fault(&self, fault: Error) -> Refused {
        let missing = |title, detail| Refused::new(Some(self), StatusCode::NOT_FOUND, title, detail);
        match fault {
            Error::NoSuchTemplate => missing(
                "There is no such template",
                "No template of this name or version is in use in your tenant. The list of templates shows all there are.",
            ),
            Error::NoSuchDelivery => missing(
                "There is no such failed delivery",
                "No failed delivery of this number is in your tenant: it may have been tried again meanwhile. The list of \
                 failures shows those that are left.",
            ),
            Error::NoSuchWebhook => missing(
                "There is no such webhook",
                "No webhook of this number is in your tenant, or it has no such message any more. The list shows those that are left.",
            ),
            other => self.problem(other.into()),
        }
    }

    fn forbidden(&self, needed: &str) -> Refused {
        let detail = format!(
            "Your token does not allow it. {needed} Yours has the role{}: {}. Log out, and log in with another token.",
            if self.who.roles.len() == 1 { "" } else { "s" },
            if self.who.roles.is_empty() { "none".to_owned() } else { self.who.roles.join(", ") },
        );
        Refused::new(Some(self), StatusCode::FORBIDDEN, "Your token does not allow it", &detail)
    }
}

/// A page: what stands in the layout.
struct View<'a> {
    title: &'a str,
    /// Which link of the navigation it is.
    here: &'a str,
    /// By which name its parts are told anew; empty, if they are not.
    live: &'a str,
    body: String,
}

#[derive(Template)]
#[template(path = "dashboard/layout.html")]
struct Layout<'a> {
    title: &'a str,
    here: &'a str,
    live: &'a str,
    body: &'a str,
    seat: Option<&'a Seat>,
}

impl View<'_> {
    fn show(&self, seat: Option<&Seat>) -> Response {
        let html = Layout { title: self.title, here: self.here, live: self.live, body: &self.body, seat }
            .render()
            .unwrap_or_else(|fault| {
                tracing::error!(%fault, "a page of the dashboard could not be rendered");
                "The page could not be made. The log says why.".to_owned()
            });
        guarded(([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response())
    }
}

/// What holds for everything here. Browsers tell where a form comes from only if pages may say so to their own server.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Parts of a page by their ids, which are told anew while somebody looks.
type Parted = Vec<(&'static str, String)>;

#[derive(Template)]
#[template(path = "dashboard/parts.html")]
struct Body<'a> {
    heading: &'a str,
    lead: &'a str,
    notice: &'a str,
    parts: &'a Parted,
}

fn parted(heading: &str, lead: &str, notice: &str, parts: &Parted) -> String {
    Body { heading, lead, notice, parts }.render().unwrap_or_default()
}

/// Leads a browser on, after what it sent.
fn see(path: &str) -> Response {
    let to = HeaderValue::from_str(path).unwrap_or_else(|_| HeaderValue::from_static("/dashboard"));
    let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    guarded((StatusCode::SEE_OTHER, headers).into_response())
}

async fn to_overview() -> Response {
    see("/dashboard")
}

/// What there is not; whoever is not logged in is asked to.
async fn missing(seat: Seat) -> Refused {
    let detail = "Nothing is at this address. The navigation leads to all pages there are.";
    Refused::new(Some(&seat), StatusCode::NOT_FOUND, "There is no such page", detail)
}

/// `GET /dashboard/assets/{file}`: the same for everybody.
async fn file(_: extract::State<Dashboard>, Path(file): Path<String>) -> Response {
    let (kind, text) = match file.as_str() {
        "dashboard.css" => {
            ("text/css; charset=utf-8", include_str!("../../../templates/dashboard/dashboard.css"))
        }
        "live.js" => ("text/javascript; charset=utf-8", include_str!("../../../templates/dashboard/live.js")),
        "icon.svg" => ("image/svg+xml", include_str!("../../../client-js/demo/favicon.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    guarded(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response())
}
