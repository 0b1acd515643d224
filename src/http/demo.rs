//! The demo page, in development only: two people's bells beside a form that sends. Its script is built from `client-js/demo`
//! (`npm run demo` there), and committed, so that this program is built without npm.

use askama::Template;
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::{Arrival, State};

const POLICY: &str = "default-src 'self'; img-src 'self' data:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "demo.html")]
struct Page<'a> {
    config_json: &'a str,
}

#[derive(Template)]
#[template(path = "demo_remote.html")]
struct Remote;

/// The demo's tokens.
pub struct Demo {
    config: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    token: Box<dyn Fn(&str) -> Option<String> + Send + Sync>,
}

impl Demo {
    /// A page whose configuration (with fresh tokens) is made by `config`; `token` makes one of a role, for the dashboard.
    pub fn new(
        config: impl Fn() -> serde_json::Value + Send + Sync + 'static,
        token: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { config: Box::new(config), token: Box::new(token) }
    }

    /// A token of this role; nothing, if tokens are signed by somebody else.
    pub fn token(&self, role: &str) -> Option<String> {
        (self.token)(role)
    }
}

/// `GET /`. The tokens are for a browser on this machine only, and for this machine's own name: a foreign
/// name that resolves to loopback (DNS rebinding) gets none.
pub async fn page(
    state: extract::State<State>,
    arrival: Option<extract::Extension<Arrival>>,
    headers: HeaderMap,
) -> Response {
    let local = is_local(arrival.as_deref(), &headers);
    let html = match &state.demo {
        Some(demo) if local => {
            // `<` could end the script element that carries it.
            let config_json = (demo.config)().to_string().replace('<', "\\u003c");
            Page { config_json: &config_json }.render()
        }
        _ => Remote.render(),
    };
    match html {
        Ok(html) => {
            let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
            (headers, Html(html)).into_response()
        }
        Err(fault) => {
            tracing::error!(%fault, "the demo page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether a browser on this machine asks, by this machine's own name and no proxy.
pub fn is_local(arrival: Option<&Arrival>, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    arrival.is_some_and(|arrival| arrival.address.is_loopback())
        && names_loopback(host)
        && !headers.contains_key("x-forwarded-for")
        && !headers.contains_key(header::FORWARDED)
}

fn names_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// `GET /demo/{file}`.
pub async fn file(Path(file): Path<String>) -> Response {
    let (kind, text) = match file.as_str() {
        "demo.js" => ("text/javascript; charset=utf-8", include_str!("../../client-js/demo/built/demo.js")),
        "demo.css" => ("text/css; charset=utf-8", include_str!("../../client-js/demo/built/demo.css")),
        "favicon.svg" => ("image/svg+xml", include_str!("../../client-js/demo/favicon.svg")),
        "licenses.txt" => {
            ("text/plain; charset=utf-8", include_str!("../../client-js/demo/built/licenses.txt"))
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::names_loopback;

    #[test]
    fn only_this_machines_own_names_count() {
        for host in ["localhost", "LocalHost:5002", "127.0.0.1:5002", "127.0.0.2", "[::1]:5002", "[::1]"] {
            assert!(names_loopback(host), "{host}");
        }
        for host in ["", "evil.example:5002", "localhost.evil.example", "192.0.2.1:5002", "127.0.0.1.evil"] {
            assert!(!names_loopback(host), "{host}");
        }
    }
}
