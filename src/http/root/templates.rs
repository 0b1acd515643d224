//! `GET /templates`, in the words of the IEP reminders.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Locale, Priority};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::input::NoParams;
use crate::http::problem::Problem;
use crate::http::values;
use crate::service::Shelved;

/// A template.
#[derive(Serialize, ToSchema)]
#[schema(as = IepTemplate)]
struct TemplateOut {
    /// Its name.
    id: String,
    description: String,
    notification_type: String,
    /// `websocket`, `push`, `email`, `sms`.
    channels: Vec<&'static str>,
    #[schema(value_type = Priority)]
    priority: &'static str,
    /// What the data must have.
    variables: Vec<String>,
    /// What the data may have.
    optional_variables: Vec<String>,
    locales: Vec<String>,
}

/// All that can be used, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = IepTemplates)]
pub struct TemplatesOut {
    templates: Vec<TemplateOut>,
}

impl From<Shelved> for TemplateOut {
    fn from(Shelved { template, .. }: Shelved) -> Self {
        let sources = template.sources();
        Self {
            id: template.name().to_string(),
            description: sources.description.clone(),
            notification_type: sources.kind.clone(),
            channels: sources.channels.iter().map(|channel| values::spelled(*channel)).collect(),
            priority: match sources.priority {
                Priority::Urgent => "critical",
                other => other.name(),
            },
            variables: sources.required.clone(),
            optional_variables: sources.optional.clone(),
            locales: sources.locales.keys().map(Locale::to_string).collect(),
        }
    }
}

/// Lists templates: those of the tenant and those that are built in.
#[utoipa::path(
    get,
    path = "/templates",
    tag = "iep",
    responses((status = 200, description = "All of them.", body = TemplatesOut), (status = 422)),
)]
pub async fn list(
    State(api): State<Api>,
    Caller(who): Caller,
    _: NoParams,
) -> Result<Json<TemplatesOut>, Problem> {
    let all = api.library.list(&who).await?;
    Ok(Json(TemplatesOut { templates: all.into_iter().map(TemplateOut::from).collect() }))
}
