//! The API described for programs (OpenAPI 3.1), made from the handlers and their shapes; and, in development, the page
//! that shows it. Nothing comes from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    Components, Content, Header, HeaderBuilder, Object, ObjectBuilder, OneOfBuilder, OpenApi, Ref, RefOr,
    Response as Answer, ResponseBuilder,
};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::Config;

use super::problem::Kind;
use super::values::{Category, Label, Name};
use super::{api, api_v1, problem, root};
use crate::domain::{UserId, name_schema, schemas};

const DESCRIPTION: &str = "/docs/openapi.json";
/// The page styles itself from within its script.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Carillon",
        description = "A self-hosted notification server. What its words mean: docs/PROTOCOLS.md. The events of its \
            Socket.IO namespace: [asyncapi.json](/docs/asyncapi.json).",
        license(name = "MIT", identifier = "MIT")
    ),
    paths(
        api_v1::notifications::list,
        api_v1::notifications::send,
        api_v1::notifications::list_for_campus,
        api_v1::notifications::unread_count,
        api_v1::notifications::stats,
        api_v1::notifications::read_all,
        api_v1::schedule::list,
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
        api_v1::preferences::types,
        api_v1::recurring::list,
        api_v1::recurring::begin,
        api_v1::recurring::find,
        api_v1::recurring::change,
        api_v1::recurring::cease,
        api_v1::subscriptions::list,
        api_v1::subscriptions::subscribe,
        api_v1::subscriptions::unsubscribe,
        api_v1::deliveries::failed,
        api_v1::deliveries::retry_all,
        api_v1::deliveries::retry,
        api_v1::digests::wanted,
        api_v1::digests::want,
        api_v1::digests::want_no_more,
        api_v1::digests::preview,
        api_v1::digests::list,
        api_v1::digests::find,
        api_v1::push::public_key,
        api_v1::push::subscribe,
        api_v1::push::list,
        api_v1::push::change,
        api_v1::push::remove,
        api_v1::recipients::get,
        api_v1::recipients::put,
        api_v1::privacy::export,
        api_v1::privacy::erase,
        api_v1::privacy::consents,
        api_v1::privacy::consent,
        api_v1::privacy::disclosures,
        api_v1::privacy::compliance,
        api_v1::templates::list,
        api_v1::templates::make,
        api_v1::templates::preview_of,
        api_v1::templates::find,
        api_v1::templates::change,
        api_v1::templates::remove,
        api_v1::templates::versions,
        api_v1::templates::preview,
        api_v1::webhooks::list,
        api_v1::webhooks::make,
        api_v1::webhooks::find,
        api_v1::webhooks::change,
        api_v1::webhooks::remove,
        api_v1::webhooks::rotate,
        api_v1::webhooks::test,
        api_v1::webhooks::messages,
        api_v1::webhooks::replay,
        api_v1::analytics::analytics,
        api_v1::audit::list,
        api_v1::stream::stream,
        api_v1::broadcast::internal,
        api::notifications::list,
        api::notifications::send,
        api::notifications::unread_count,
        api::preferences::preferences,
        api::preferences::prefer,
        api::notifications::read,
        api::notifications::delete,
        root::notify::notify,
        root::push::subscribe,
        root::push::unsubscribe,
        root::push::unsubscribe_by_query,
        root::templates::list,
        root::analytics::analytics,
    ),
    components(schemas(crate::domain::Action, api_v1::ComplianceForm, problem::Body)),
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
            counted(components);
            also_called(components);
            let statuses = Kind::ALL.iter().map(|kind| kind.row().0);
            components
                .responses
                .extend(statuses.map(|status| (refusal_name(status), refusal(status).into())));
        }
        for path in description.paths.paths.values_mut() {
            let operations =
                [&mut path.get, &mut path.post, &mut path.put, &mut path.delete].into_iter().flatten();
            operations.for_each(|operation| {
                named_apart(operation);
                refuses(operation);
                counts(operation);
            });
        }
    }
}

/// Members that may have another name: of which document, how they are described, and that name.
const ALSO: [(&[&str], &str, &[&str]); 10] = [
    (&["Send", "SendAgainAndAgain"], "role", &["role_filter"]),
    (&["Send", "SendAgainAndAgain"], "everyone", &["all", "broadcast_to_tenant"]),
    (&["Send", "SendAgainAndAgain"], "type", &["notification_type"]),
    (&["Send", "SendAgainAndAgain"], "data", &["metadata"]),
    (&["Send"], "template", &["template_id"]),
    (&["Notify"], "user_id", &["to"]),
    (&["Notify"], "notification_type", &["type"]),
    (&["Notify"], "title", &["subject"]),
    (&["Notify"], "message", &["body"]),
    (&["SwitchesChange"], "in_app", &["inApp", "realtime", "websocket"]),
];

/// Describes members under their other names, too.
fn also_called(components: &mut Components) {
    for (documents, member, names) in ALSO {
        for document in documents {
            let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(*document) else {
                continue;
            };
            let Some(known) = object.properties.get(member).cloned() else { continue };
            for name in names {
                object.properties.insert((*name).to_owned(), known.clone());
            }
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

/// Adds how an operation refuses, by what it takes.
fn refuses(operation: &mut Operation) {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some((parameter.name.as_str(), &parameter.parameter_in)),
        RefOr::Ref(_) => None,
    });
    let names_one = parameters
        .clone()
        .any(|(name, place)| *place == ParameterIn::Path && (name == "id" || name == "name"));
    let has_fields = parameters.clone().any(|(_, place)| *place != ParameterIn::Path);
    let has_body = operation.request_body.is_some();
    let answers = |kind: Kind| operation.responses.responses.contains_key(kind.row().0.as_str());
    let is_open = operation.security.is_some();
    let kinds = [
        (!is_open, &[Kind::TokenMissing, Kind::Forbidden, Kind::TooFast, Kind::NoStore][..]),
        (is_open, &[Kind::NoPushKeys]),
        (names_one || answers(Kind::NotFound), &[Kind::NotFound]),
        (has_fields || has_body || answers(Kind::Broken), &[Kind::Broken]),
        (answers(Kind::TooManyRecurring), &[Kind::TooManyRecurring]),
        (has_body, &[Kind::Malformed, Kind::TooSlow, Kind::TooLarge, Kind::NotJson]),
    ];
    for kind in kinds.iter().filter(|(applies, _)| *applies).flat_map(|(_, kinds)| *kinds) {
        let status = kind.row().0;
        let named = Ref::from_response_name(refusal_name(status));
        operation.responses.responses.insert(status.as_str().to_owned(), named.into());
    }
}

fn refusal_name(status: StatusCode) -> String {
    format!("Refused{}", status.as_u16())
}

/// All refusals of this status.
fn refusal(status: StatusCode) -> Answer {
    let kinds = Kind::ALL.iter().map(|kind| kind.row()).filter(|(known, ..)| *known == status);
    let codes: Vec<_> = kinds.map(|(_, code, title)| format!("`{code}`: {title}.")).collect();
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let answer =
        ResponseBuilder::new().description(codes.join(" ")).content("application/problem+json", problem);
    let header = |schema| Header::new(Object::with_type(schema));
    let answer = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            answer.header("WWW-Authenticate", header(Type::String))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            answer.header("Retry-After", header(Type::Integer))
        }
        _ => answer,
    };
    let mut answer = answer.build();
    tells_counts(&mut answer);
    answer
}

/// The headers that tell how many requests are left, and what each means.
const COUNTS: [(&str, &str); 3] = [
    ("RateLimit-Limit", "Requests allowed in a minute, and at once. Only if they are limited."),
    ("RateLimit-Remaining", "How many can be made now. Only if they are limited."),
    ("RateLimit-Reset", "Seconds until all of them can be made again. Only if they are limited."),
];

/// Those headers, once for all operations.
fn counted(components: &mut Components) {
    for (name, description) in COUNTS {
        let number = Object::with_type(Type::Integer);
        let header = HeaderBuilder::new().schema(Some(number)).description(Some(description)).build();
        components.headers.insert(name.to_owned(), header.into());
    }
}

fn tells_counts(response: &mut Answer) {
    for (name, _) in COUNTS {
        let known = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert(name.to_owned(), RefOr::Ref(known));
    }
}

/// What an operation answers tells how many requests are left.
fn counts(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            tells_counts(response);
        }
    }
}

schemas! {
    "User": Name => UserId::schema();
    "Name": Label => name_schema();
    "Topic": Category => OneOfBuilder::new()
        .item(name_schema())
        .item(ObjectBuilder::new().schema_type(Type::String).enum_values(Some([""])));
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

/// `GET /docs/asyncapi.json`
pub async fn events(State(state): State<super::State>) -> Json<serde_json::Value> {
    Json((state.events)())
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
