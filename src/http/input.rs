//! What requests bring: bodies, queries and ids, refused with a [`Problem`] that names the field.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::problem::{Kind, Problem};
use super::{Api, Arrival};
use crate::domain::{Broken, TemplateName, UserId};
use crate::service::Error;

/// A body may take this long to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Entries in one page.
const LARGEST_PAGE: i64 = 100;
/// Entries in a page of whoever does not say how many.
const USUAL_PAGE: i64 = 20;
/// Who leaves out more goes through all of them; the cursor does not.
const MOST_SKIPPED: i64 = 100_000;

/// What was given as a cursor is none.
pub const NO_CURSOR: Broken =
    Broken { field: "cursor", expected: "the next_cursor of the page before; leave it out to begin anew" };

/// A JSON body.
pub struct Body<T>(pub T);

/// The JSON body of what is to be sent: one that is refused counts as rejected.
pub struct Sent<T>(pub T);

/// The fields of a query.
pub struct Params<T>(pub T);

/// No field of a query: whoever names one means something that is not done here.
pub type NoParams = Params<Nothing>;

/// It has no fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a path calls a notification: its number, or its UUID.
pub struct Id(pub String);

/// The number by which a path names what recurs.
pub struct RecurringId(pub i64);

/// The number by which a path names a delivery.
pub struct DeliveryId(pub i64);

/// The number by which a path names a digest.
pub struct DigestId(pub i64);

/// The number by which a path names a device.
pub struct DeviceId(pub i64);

/// The number by which a path names an address that is told.
pub struct WebhookId(pub i64);

/// Whom a path names; nobody: `me`.
pub struct Person(pub Option<UserId>);
/// The name by which a path calls a template.
pub struct Template(pub TemplateName);

/// The header `Idempotency-Key`, if it was sent.
pub struct Key(pub Option<String>);

/// The same, described.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only described; `Key` reads it")]
pub struct KeyHeader {
    /// The same key and request within 24 hours is the same notification.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::NotJson,
                "Send JSON, and say so: Content-Type: application/json.",
            ));
        }
        let bytes = whole(request, api.max_body, api).await?;
        // What serde derives would take a list of the fields' values, too.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(Problem::of_field("body", "a JSON object"));
        }
        match serde_json::from_slice(&bytes) {
            Ok(given) => Ok(Self(given)),
            // Once more, noting the way to what is wrong.
            Err(_) => Err(why::<T>(&bytes)),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let Body(given) = api.notify.counted(Body::from_request(request, api).await)?;
        Ok(Self(given))
    }
}

/// A whole body, if it is not too large, does not come too slowly, and there is memory for it. While it does not come, others
/// have the request's turn: nobody's turn is for waiting.
///
/// # Errors
/// When it is, or does.
pub async fn whole(request: Request, most: usize, api: &Api) -> Result<bytes::Bytes, Problem> {
    let too_large = || {
        let detail =
            format!("A request may have {most} bytes (limits.max_request_bytes). Send less at once.");
        Problem::new(Kind::TooLarge, detail)
    };
    let told =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if told.is_some_and(|length: usize| length > most) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    let writes = !parts.method.is_safe();
    let arrival = parts.extensions.get::<Arrival>();
    if let Some(arrival) = arrival.filter(|arrival| arrival.left.place.get().is_none()) {
        let place = api.crowd.admit_stranger(arrival.address).map_err(Problem::crowded)?;
        arrival.left.place.set(place).ok();
    }
    let place = arrival.and_then(|arrival| arrival.left.place.get());
    let mut body = http_body_util::Limited::new(body, most);
    let reading = async {
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = match frame {
                Ok(frame) => frame,
                Err(fault) if fault.is::<http_body_util::LengthLimitError>() => return Err(too_large()),
                Err(_) => {
                    return Err(Problem::new(Kind::Malformed, "The body broke off. Send the request again."));
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            if let Some(place) = place {
                place.holds(whole.len() + piece.len()).map_err(Problem::crowded)?;
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    };
    let mut reading = std::pin::pin!(tokio::time::timeout(PATIENCE, reading));
    let read = match reading.as_mut().now_or_never() {
        Some(read) => read,
        None => {
            if let Some(arrival) = arrival {
                arrival.left.rest();
            }
            reading.await
        }
    };
    let whole = read.unwrap_or_else(|_| {
        Err(Problem::new(Kind::TooSlow, "The body took over 30 seconds to come. Send it faster, or less."))
    })?;
    if let Some(arrival) = arrival {
        arrival.left.work(writes).await;
    }
    Ok(whole)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with("application/") && kind.ends_with("+json")
    }
}

fn malformed(fault: &serde_json::Error) -> Problem {
    Problem::new(
        Kind::Malformed,
        format!("The body is not one JSON object: {fault}. Correct it and send it again."),
    )
}

/// What is wrong with a body.
fn why<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(fault) => unreadable(&fault),
        Ok(_) => match json.end() {
            Err(fault) => malformed(&fault),
            Ok(()) => Problem::new(Kind::Malformed, "The body could not be read. Send the request again."),
        },
    }
}

fn unreadable(fault: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let json = fault.inner();
    if !json.is_data() {
        return malformed(json);
    }
    let text = json.to_string();
    let rule = text.rsplit_once(" at line ").map_or(text.as_str(), |(rule, _)| rule);
    broken(&fault.path().to_string(), rule)
}

/// A rule of serde's, which names the field in its words where the path ends before it.
fn broken(path: &str, rule: &str) -> Problem {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| rule.strip_prefix(start)?.split('`').next());
    match named {
        Some(field) => Problem::of_field(field, rule),
        None if rule.starts_with("invalid digit") || rule.starts_with("number too") => {
            Problem::of_field(path, "a whole number that is not too large")
        }
        None if path == "." => Problem::of_field("body", rule),
        None => Problem::of_field(path, rule),
    }
}

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let params = serde_path_to_error::deserialize(pairs);
        params.map(Self).map_err(|fault| broken(&fault.path().to_string(), &fault.inner().to_string()))
    }
}

impl FromRequestParts<Api> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no text is nobody's id, like an empty one.
        let path = Path::<String>::from_request_parts(parts, api).await;
        Ok(Self(path.map(|Path(id)| id).unwrap_or_default()))
    }
}

impl FromRequestParts<Api> for RecurringId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no number is nobody's.
        let path = Path::<i64>::from_request_parts(parts, api).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NoSuchRecurring.into())
    }
}

impl FromRequestParts<Api> for DeliveryId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no number is nobody's.
        let path = Path::<i64>::from_request_parts(parts, api).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NoSuchDelivery.into())
    }
}

impl FromRequestParts<Api> for DigestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no number is nobody's.
        let path = Path::<i64>::from_request_parts(parts, api).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NoSuchDigest.into())
    }
}

impl FromRequestParts<Api> for DeviceId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no number is nobody's.
        let path = Path::<i64>::from_request_parts(parts, api).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NoSuchDevice.into())
    }
}

impl FromRequestParts<Api> for WebhookId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What is no number is nobody's.
        let path = Path::<i64>::from_request_parts(parts, api).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Error::NoSuchWebhook.into())
    }
}

impl FromRequestParts<Api> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, api).await;
        let name = path.map(|Path(name)| name).unwrap_or_default();
        if name == "me" {
            return Ok(Self(None));
        }
        // What cannot be a name is nobody's.
        UserId::new(&name).map(|user| Self(Some(user))).map_err(|_| Error::NoSuchRecipient.into())
    }
}

impl FromRequestParts<Api> for Template {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        // What can be no name is nobody's.
        let path = Path::<TemplateName>::from_request_parts(parts, api).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Error::NoSuchTemplate.into())
    }
}

impl FromRequestParts<Api> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let name = "Idempotency-Key";
        let mut given = parts.headers.get_all(name).iter();
        let (key, second) = (given.next(), given.next());
        let key = key.map(|key| key.to_str().map(str::to_owned)).transpose();
        api.notify.counted(match (key, second) {
            (Ok(key), None) => Ok(Self(key)),
            _ => Err(Problem::of_field(name, "one header of 1 to 255 visible ASCII characters")),
        })
    }
}

/// A page: how many at most, and how many of the newest are left out.
///
/// # Errors
/// When one of them is out of bounds; `names` are those of `limit` and `skip`.
pub fn page(
    limit: Option<i64>,
    skip: Option<i64>,
    skip_is_called: &'static str,
) -> Result<(i64, i64), Broken> {
    let (limit, skip) = (limit.unwrap_or(USUAL_PAGE), skip.unwrap_or(0));
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Broken { field: "limit", expected: "1 to 100" });
    }
    if !(0..=MOST_SKIPPED).contains(&skip) {
        return Err(Broken {
            field: skip_is_called,
            expected: "not negative, and not past the newest 100,000",
        });
    }
    Ok((limit, skip))
}

/// The cursor of a list whose entries have numbers.
///
/// # Errors
/// When it can be none's.
pub fn number(cursor: Option<i64>) -> Result<Option<i64>, Broken> {
    match cursor {
        Some(..=0) => Err(NO_CURSOR),
        cursor => Ok(cursor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_bounds() {
        assert_eq!(page(None, None, "skip"), Ok((20, 0)));
        assert_eq!(page(Some(100), Some(7), "skip"), Ok((100, 7)));
        for (limit, skip) in [(0, 0), (101, 0), (-1, 0), (i64::MAX, 0), (1, -1), (1, i64::MAX)] {
            assert!(page(Some(limit), Some(skip), "skip").is_err(), "{limit} {skip}");
        }
    }

    #[test]
    fn only_json_is_json() {
        let is = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, axum::http::HeaderValue::from_static(kind));
            is_json(&headers)
        };
        assert!(is("application/json") && is("Application/JSON; charset=utf-8") && is("application/x+json"));
        assert!(!is("text/plain") && !is("application/jsonp") && !is("") && !is("text/json"));
    }
}
