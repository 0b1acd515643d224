//! What notifications say, by template.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::wire;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::{self, Body, NoParams, Params, Template};
use crate::http::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// Lists them: those of the tenant and those that are built in, by name.
#[utoipa::path(
    get,
    path = "/api/v1/templates",
    tag = "templates",
    responses((status = 200, description = "All of them.", body = wire::TemplatesOut), (status = 422)),
)]
pub async fn list(State(api): State<Api>, Caller(who): Caller, _: NoParams) -> Answer<wire::TemplatesOut> {
    Ok(Json(api.library.list(&who).await?.into()))
}

/// Keeps a new one. A name that is built in may be taken: the tenant's own comes first.
#[utoipa::path(
    post,
    path = "/api/v1/templates",
    tag = "templates",
    request_body = wire::TemplateNewIn,
    responses(
        (status = 201, description = "It can be used.", body = wire::TemplateKeptOut, headers(("Location" = String))),
        (status = 409)
    ),
)]
pub async fn make(
    State(api): State<Api>,
    Caller(who): Caller,
    Body(given): Body<wire::TemplateNewIn>,
) -> Result<impl IntoResponse, Problem> {
    let (name, sources) = given.named()?;
    let version = api.library.keep(&who, &name, sources, true).await?;
    let location = format!("/api/v1/templates/{name}");
    let kept = wire::TemplateKeptOut { name: name.to_string(), version };
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(kept)))
}

/// Shows one, with all that its author wrote.
#[utoipa::path(
    get,
    path = "/api/v1/templates/{name}",
    tag = "templates",
    params(("name" = String, Path, description = "Its name", example = "grade_update"), wire::VersionIn),
    responses((status = 200, description = "This one.", body = wire::TemplateOut)),
)]
pub async fn find(
    State(api): State<Api>,
    Caller(who): Caller,
    Template(name): Template,
    Params(given): Params<wire::VersionIn>,
) -> Answer<wire::TemplateOut> {
    Ok(Json(api.library.find(&who, &name, given.version).await?.into()))
}

/// Keeps a new version, which is used from now on.
#[utoipa::path(
    put,
    path = "/api/v1/templates/{name}",
    tag = "templates",
    params(("name" = String, Path, description = "Its name", example = "grade_update")),
    request_body = wire::SourcesIn,
    responses((status = 200, description = "It is used from now on.", body = wire::TemplateKeptOut)),
)]
pub async fn change(
    State(api): State<Api>,
    Caller(who): Caller,
    Template(name): Template,
    Body(given): Body<wire::SourcesIn>,
) -> Answer<wire::TemplateKeptOut> {
    let version = api.library.keep(&who, &name, given.sources()?, false).await?;
    Ok(Json(wire::TemplateKeptOut { name: name.to_string(), version }))
}

/// Uses it no more; what is built in under this name comes back. What was sent by it stays as it is.
#[utoipa::path(
    delete,
    path = "/api/v1/templates/{name}",
    tag = "templates",
    params(("name" = String, Path, description = "Its name", example = "grade_update")),
    responses((status = 200, description = "It is used no more.", body = wire::DeletedOut)),
)]
pub async fn remove(
    State(api): State<Api>,
    Caller(who): Caller,
    Template(name): Template,
) -> Answer<wire::DeletedOut> {
    api.library.remove(&who, &name).await?;
    Ok(Json(wire::DeletedOut::USED_NO_MORE))
}

/// Lists the versions of one, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/templates/{name}/versions",
    tag = "templates",
    params(("name" = String, Path, description = "Its name", example = "grade_update"), wire::VersionsIn),
    responses((status = 200, description = "One page.", body = wire::VersionsOut)),
)]
pub async fn versions(
    State(api): State<Api>,
    Caller(who): Caller,
    Template(name): Template,
    Params(given): Params<wire::VersionsIn>,
) -> Answer<wire::VersionsOut> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    let before = input::number(given.cursor)?;
    Ok(Json(api.library.versions(&who, &name, before, limit).await?.into()))
}

/// Shows what one would say; sends nothing.
#[utoipa::path(
    post,
    path = "/api/v1/templates/{name}/preview",
    tag = "templates",
    params(("name" = String, Path, description = "Its name", example = "grade_update")),
    request_body = wire::LookIn,
    responses((status = 200, description = "So it would be said.", body = wire::SaidOut)),
)]
pub async fn preview(
    State(api): State<Api>,
    Caller(who): Caller,
    Template(name): Template,
    Body(given): Body<wire::LookIn>,
) -> Answer<wire::SaidOut> {
    let (look, shown) = given.taken()?;
    let (template, words) = api.library.preview(&who, &name, look).await?;
    Ok(Json(shown.said(&template, &words)?))
}

/// Shows what one would say that is not kept yet.
#[utoipa::path(
    post,
    path = "/api/v1/templates/preview",
    tag = "templates",
    request_body = wire::LookAtIn,
    responses((status = 200, description = "So it would be said.", body = wire::SaidOut)),
)]
pub async fn preview_of(
    State(api): State<Api>,
    Caller(who): Caller,
    Body(given): Body<wire::LookAtIn>,
) -> Answer<wire::SaidOut> {
    let (sources, (look, shown)) = given.taken()?;
    let (template, words) = api.library.preview_of(&who, sources, look).await?;
    Ok(Json(shown.said(&template, &words)?))
}
