//! The API described for programs (OpenAPI 3.1), made from the handlers and their shapes; and, in development, the page
//! that shows it. Nothing comes from elsewhere.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ArrayBuilder, Content, Object, ObjectBuilder, OneOfBuilder, OpenApi, Ref, RefOr, ResponseBuilder, Schema,
};
use utoipa::{Modify, OpenApi as _, PartialSchema, ToSchema};
use utoipa_swagger_ui::Config;

use super::values::Name;
use super::{api, api_v1, problem};
use crate::domain::{NotificationId, Priority, QuietHours, Timestamp, Zone};

const DESCRIPTION: &str = "/docs/openapi.json";
/// The page styles itself from within its script.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

const TIME_OF_DAY: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Carillon",
        description = "A self-hosted notification server. What its words mean: docs/PROTOCOLS.md.",
        license(name = "MIT", identifier = "MIT")
    ),
    paths(
        api_v1::notifications::list,
        api_v1::notifications::send,
        api_v1::notifications::list_for_campus,
        api_v1::notifications::unread_count,
        api_v1::notifications::read_all,
        api_v1::schedule::put_off,
        api_v1::schedule::take_back,
        api_v1::broadcast::broadcast,
        api_v1::notifications::find,
        api_v1::notifications::mark,
        api_v1::notifications::delete,
        api_v1::notifications::read,
        api_v1::explain::timeline,
        api_v1::explain::preview,
        api_v1::preferences::get,
        api_v1::preferences::put,
        api_v1::recurring::list,
        api_v1::recurring::begin,
        api_v1::recurring::find,
        api_v1::recurring::change,
        api_v1::recurring::cease,
        api_v1::subscriptions::list,
        api_v1::subscriptions::subscribe,
        api_v1::subscriptions::unsubscribe,
        api_v1::audit::list,
        api_v1::broadcast::internal,
        api::notifications::list,
        api::notifications::send,
        api::notifications::unread_count,
        api::preferences::preferences,
        api::preferences::prefer,
        api::notifications::read,
        api::notifications::delete,
    ),
    components(schemas(problem::Body)),
    security(("token" = [])),
    modifiers(&Everywhere)
)]
struct Described;

/// What holds for every operation: the token, and how it refuses.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, description: &mut OpenApi) {
        if let Some(components) = &mut description.components {
            let mut token = Http::new(HttpAuthScheme::Bearer);
            token.bearer_format = Some("JWT".to_owned());
            components.add_security_scheme("token", SecurityScheme::Http(token));
        }
        for path in description.paths.paths.values_mut() {
            let operations =
                [&mut path.get, &mut path.post, &mut path.put, &mut path.delete].into_iter().flatten();
            operations.for_each(|operation| {
                named_apart(operation);
                refuses(operation);
            });
        }
    }
}

/// Handlers of several dialects have the same names.
fn named_apart(operation: &mut Operation) {
    let tag = operation.tags.as_ref().and_then(|tags| tags.first());
    if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
        operation.operation_id = Some(format!("{tag}_{name}"));
    }
}

fn refuses(operation: &mut Operation) {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let refusal = ResponseBuilder::new()
        .description("Why not, and what to do next.")
        .content("application/problem+json", problem);
    operation.responses.responses.insert("default".to_owned(), refusal.build().into());
}

macro_rules! schemas {
    ($($name:literal: $type:ty => $schema:expr;)*) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    $schema.into()
                }
            }
            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )*
    };
}

schemas! {
    "Time": Timestamp => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    "Number": NotificationId => ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
    "User": Name => OneOfBuilder::new()
        .item(Object::with_type(Type::String))
        .item(Object::with_type(Type::Integer));
    "TimeZone": Zone => Object::with_type(Type::String);
    "QuietHours": QuietHours => ObjectBuilder::new()
        .property("enabled", Object::with_type(Type::Boolean))
        .property("start", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("end", ObjectBuilder::new().schema_type(Type::String).pattern(Some(TIME_OF_DAY)))
        .property("days", ArrayBuilder::new().items(ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]))))
        .required("start")
        .required("end")
        .description(Some("From when until when, on those days on which they start; on all, if none is named."));
    "Priority": Priority => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["low", "normal", "medium", "high", "urgent", "critical"]));
}

/// The description.
pub fn description() -> OpenApi {
    Described::openapi()
}

static PAGE: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from(DESCRIPTION).validator_url("none")));

/// `GET /docs`
pub async fn page() -> Redirect {
    Redirect::permanent("/docs/")
}

/// `GET /docs/openapi.json`
pub async fn json() -> Json<OpenApi> {
    Json(description())
}

/// `GET /docs/`, and what that page asks for.
pub async fn file(path: Option<Path<String>>) -> Response {
    let path = path.map_or_else(String::new, |Path(path)| path);
    match utoipa_swagger_ui::serve(&path, PAGE.clone()) {
        Ok(Some(file)) => {
            let headers = [
                (header::CONTENT_TYPE, file.content_type.as_str()),
                (header::CONTENT_SECURITY_POLICY, POLICY),
            ];
            (headers, file.bytes.into_owned()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
