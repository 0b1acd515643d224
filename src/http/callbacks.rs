//! Where providers say what became of what they took. They show no token: they sign.

use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::StatusCode;

use super::problem::{self, Problem};
use super::{Api, input};

/// Bytes of a form.
const LARGEST: usize = 64 * 1024;

/// `POST /callbacks/twilio/{name}`. What is not Twilio's is answered as if there were no such address.
pub async fn twilio(State(api): State<Api>, request: Request) -> Result<StatusCode, Problem> {
    let (mut parts, body) = request.into_parts();
    let name = Path::<String>::from_request_parts(&mut parts, &api).await;
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let signature = parts.headers.get("x-twilio-signature").and_then(|said| said.to_str().ok());
    let signature = signature.unwrap_or_default().to_owned();
    let uri = parts.uri.clone();
    let body = input::whole(Request::from_parts(parts, body), LARGEST, &api).await?;
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    match api.reports.twilio(&name, &form, &signature).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(problem::no_route(&uri)),
    }
}
