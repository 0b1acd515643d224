//! Which pages may call the API from a browser: those that may open sockets.

use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::COUNTS;

/// For so long a browser need not ask again whether it may send a request. Chrome remembers it for no longer.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// For pages of these `origins`; of any, but never with credentials, if there is no list.
pub fn cors(origins: Option<&[String]>) -> CorsLayer {
    let key = HeaderName::from_static("idempotency-key");
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, key])
        .max_age(MAX_AGE)
        .expose_headers(
            [header::LOCATION, header::RETRY_AFTER].into_iter().chain(COUNTS).collect::<Vec<_>>(),
        );
    match origins {
        None => layer.allow_origin(Any),
        Some(listed) => {
            let listed: Vec<_> = listed.iter().filter_map(|origin| origin.parse().ok()).collect();
            layer.allow_origin(AllowOrigin::list(listed)).allow_credentials(true)
        }
    }
}
