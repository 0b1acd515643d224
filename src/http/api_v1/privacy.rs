//! What is kept of people: all of it, none of it, what they agree to, and who saw it.

use axum::body::Body as Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::sync::mpsc;

use super::wire;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{self, Body, NoParams, Params, Person};
use crate::http::problem::Problem;
use crate::http::{Api, Arrival};
use crate::service::{Error, Export};

/// Pages that wait for a slow reader.
const WAITING: usize = 2;

/// Hands out all that is kept of somebody, as one JSON object: people ask of themselves (`me`), administrators and services with
/// the scope `privacy:manage` of anybody in their tenant. However much it is, it comes as it is read. An answer that breaks off is
/// not all.
#[utoipa::path(
    get,
    path = "/api/v1/recipients/{user_id}/data",
    tag = "privacy",
    params(("user_id" = String, Path, description = "Who; `me`: the caller")),
    responses((status = 200, description = "All of it.", body = Object), (status = 404)),
)]
pub async fn export(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Extension(arrival): Extension<Arrival>,
    _: NoParams,
) -> Result<Response, Problem> {
    let export = api.privacy.export(&who, user, address).await?;
    let (pages, taken) = mpsc::channel(WAITING);
    // It has its place until all is handed out.
    tokio::spawn(async move {
        hand_out(export, pages).await;
        drop(arrival);
    });
    let stream =
        futures_util::stream::unfold(taken, |mut taken| async move { Some((taken.recv().await?, taken)) });
    let mut response = Bytes::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
        .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"data.json\""));
    Ok(response)
}

/// Writes page after page, as fast as they are taken.
async fn hand_out(mut export: Export, pages: mpsc::Sender<Result<String, Error>>) {
    let mut writer = wire::ExportWriter::default();
    loop {
        let page = match export.next().await {
            Ok(Some(section)) => Ok(writer.section(section)),
            Ok(None) => {
                pages.send(Ok(writer.end())).await.ok();
                return;
            }
            // The answer breaks off: what came is not all.
            Err(fault) => Err(fault),
        };
        let is_over = page.is_err();
        if pages.send(page).await.is_err() || is_over {
            return;
        }
    }
}

/// Forgets somebody: on return nothing names them any more, and what was for them only is gone. Asked again, nothing is left to
/// do. Their tokens are not this server's to end: whoever shows one begins anew.
#[utoipa::path(
    delete,
    path = "/api/v1/recipients/{user_id}/data",
    tag = "privacy",
    params(("user_id" = String, Path, description = "Who; `me`: the caller")),
    responses((status = 200, description = "What was removed.", body = wire::ErasedOut), (status = 404)),
)]
pub async fn erase(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Extension(arrival): Extension<Arrival>,
    _: NoParams,
) -> Result<Json<wire::ErasedOut>, Problem> {
    // A task: what was begun is ended, even if nobody waits any more; until then it has its place.
    let privacy = api.privacy.clone();
    let erased = tokio::spawn(async move {
        let erased = privacy.erase(&who, user, address).await;
        drop(arrival);
        erased
    });
    let erased = erased.await.unwrap_or(Err(Error::Store(crate::store::StoreError::Closed)))?;
    Ok(Json(erased.into()))
}

/// What somebody agrees to be sent over each channel, and how that came to be, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/recipients/{user_id}/consent",
    tag = "privacy",
    params(("user_id" = String, Path, description = "Who; `me`: the caller"), wire::PrivacyPageIn),
    responses((status = 200, description = "What is known.", body = wire::ConsentsOut), (status = 404)),
)]
pub async fn consents(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Params(given): Params<wire::PrivacyPageIn>,
) -> Result<Json<wire::ConsentsOut>, Problem> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    let page = (input::number(given.cursor)?, limit + 1);
    let (of, contacts, said) = api.privacy.consents(&who, user, page, address).await?;
    Ok(Json(wire::ConsentsOut::new(&of, &contacts, said, limit)))
}

/// Notes what somebody agrees to from now on, and what no longer. What is not named stays.
#[utoipa::path(
    put,
    path = "/api/v1/recipients/{user_id}/consent",
    tag = "privacy",
    params(("user_id" = String, Path, description = "Who; `me`: the caller")),
    request_body = wire::ConsentIn,
    responses((status = 200, description = "What is known now.", body = wire::ConsentsOut), (status = 404)),
)]
pub async fn consent(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Body(given): Body<wire::ConsentIn>,
) -> Result<Json<wire::ConsentsOut>, Problem> {
    let (said, note) = given.said()?;
    api.privacy.consent(&who, user.clone(), said, note, address).await?;
    let limit = 20;
    let (of, contacts, said) = api.privacy.consents(&who, user, (None, limit + 1), address).await?;
    Ok(Json(wire::ConsentsOut::new(&of, &contacts, said, limit)))
}

/// Who saw, or was sent, what about somebody, the latest first: a recipient, or a student whom `data.student_id` of notifications
/// names. This stands in the list, too.
#[utoipa::path(
    get,
    path = "/api/v1/recipients/{user_id}/disclosures",
    tag = "privacy",
    params(("user_id" = String, Path, description = "About whom; `me`: the caller"), wire::PrivacyPageIn),
    responses((status = 200, description = "One page.", body = wire::DisclosuresOut), (status = 404)),
)]
pub async fn disclosures(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Person(user): Person,
    Params(given): Params<wire::PrivacyPageIn>,
) -> Result<Json<wire::DisclosuresOut>, Problem> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    let page = (input::number(given.cursor)?, limit + 1);
    let page = api.privacy.disclosures(&who, user, page, address).await?;
    Ok(Json(wire::DisclosuresOut::new(page, limit)))
}

/// What is counted of the caller's tenant in a time, for those who look whether rules are kept; as JSON, as CSV, or as a page to
/// print.
#[utoipa::path(
    get,
    path = "/api/v1/compliance",
    tag = "privacy",
    params(wire::ComplianceIn),
    responses((
        status = 200,
        description = "The report.",
        content((wire::ReportOut = "application/json"), (String = "text/csv"), (String = "text/html")),
    )),
)]
pub async fn compliance(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Params(given): Params<wire::ComplianceIn>,
) -> Result<Response, Problem> {
    let form = given.form()?;
    let report = api.privacy.report(&who, given.period(api.notify.now())?, address).await?;
    Ok(form.write(&report))
}
