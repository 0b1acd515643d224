//! What was done, for administrators.

use axum::Json;
use axum::extract::State;

use super::wire;
use crate::http::Api;
use crate::http::caller::{Caller, Whence};
use crate::http::input::{self, Params};
use crate::http::problem::Problem;

/// Lists what was done in the caller's tenant, newest first; for administrators. This stands in the list, too.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "audit",
    params(wire::AuditIn),
    responses((status = 200, description = "One page.", body = wire::AuditPageOut)),
)]
pub async fn list(
    State(api): State<Api>,
    Caller(who): Caller,
    Whence(address): Whence,
    Params(given): Params<wire::AuditIn>,
) -> Result<Json<wire::AuditPageOut>, Problem> {
    let (limit, _) = input::page(given.limit, None, "limit")?;
    Ok(Json(api.audit.read(&who, address, &given.sought()?, limit).await?.into()))
}
