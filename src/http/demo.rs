//! The demo page, in development only: a facilitator's bell beside a form that books.

use askama::Template;
use axum::extract::{self, Path};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::{ClientAddress, State};

const POLICY: &str = "default-src 'self'; img-src 'self' data:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "demo.html")]
struct Page<'a> {
    config_json: &'a str,
    version: &'static str,
}

#[derive(Template)]
#[template(path = "demo_remote.html")]
struct Remote;

/// The demo's tokens.
pub struct Demo {
    config: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
}

impl Demo {
    /// A page whose configuration (with fresh tokens) is made by `config`.
    pub fn new(config: impl Fn() -> serde_json::Value + Send + Sync + 'static) -> Self {
        Self { config: Box::new(config) }
    }
}

/// `GET /`. The tokens are for a browser on this machine only.
pub async fn page(
    state: extract::State<State>,
    address: Option<extract::Extension<ClientAddress>>,
) -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let local = address.is_some_and(|address| address.0.0.is_loopback());
    let html = match &state.demo {
        Some(demo) if local => {
            // `<` could end the script element that carries it.
            let config_json = (demo.config)().to_string().replace('<', "\\u003c");
            Page { config_json: &config_json, version }.render()
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

/// `GET /demo/{file}`.
pub async fn file(Path(file): Path<String>) -> Response {
    let script = "text/javascript; charset=utf-8";
    let (kind, text) = match file.as_str() {
        "demo.js" => (script, include_str!("../../client-js/demo/demo.js")),
        "demo.css" => ("text/css; charset=utf-8", include_str!("../../client-js/demo/demo.css")),
        "favicon.svg" => ("image/svg+xml", include_str!("../../client-js/demo/favicon.svg")),
        "socket.io.min.js" => (script, include_str!("../../client-js/vendor/socket.io.min.js")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
