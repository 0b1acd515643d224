//! What the caller wants to be told, by which channel, and when.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Change, Preferences, QuietChange, QuietHours, Zone};
use crate::http::Api;
use crate::http::caller::Owner;
use crate::http::input::{Body, NoParams};
use crate::http::problem::Problem;
use crate::http::values::{self, SwitchesIn};
use crate::service::KnownType;

/// What is to be different; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = PreferencesChange)]
pub struct PreferencesIn {
    /// For everything. Off anywhere is off.
    #[serde(default)]
    channels: SwitchesIn,
    /// For notifications of a type, by its name; an empty object takes its rule away.
    #[serde(default)]
    types: BTreeMap<String, SwitchesIn>,
    /// For notifications of a topic, by its name; an empty object takes its rule away.
    #[serde(default)]
    topics: BTreeMap<String, SwitchesIn>,
    /// When nothing but what is urgent disturbs; `null` takes them away.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<QuietChange>)]
    quiet_hours: Option<Option<QuietChange>>,
    /// An IANA name, such as `Europe/Athens`.
    time_zone: Option<Zone>,
}

impl From<PreferencesIn> for Change {
    fn from(given: PreferencesIn) -> Self {
        Self {
            channels: given.channels.into(),
            types: values::rules(given.types),
            topics: values::rules(given.topics),
            quiet_hours: given.quiet_hours,
            time_zone: given.time_zone,
            is_by_link: false,
        }
    }
}

/// Which channels are wanted.
#[derive(Serialize, ToSchema)]
#[schema(as = Switches)]
struct SwitchesOut {
    in_app: bool,
    email: bool,
    push: bool,
    sms: bool,
}

impl From<values::Wanted> for SwitchesOut {
    fn from(values::Wanted { in_app, email, push, sms }: values::Wanted) -> Self {
        Self { in_app, email, push, sms }
    }
}

/// What the caller prefers.
#[derive(Serialize, ToSchema)]
#[schema(as = Preferences)]
pub struct PreferencesOut {
    /// For everything. Off anywhere is off.
    channels: SwitchesOut,
    /// For notifications of a type.
    types: BTreeMap<String, SwitchesOut>,
    /// For notifications of a topic.
    topics: BTreeMap<String, SwitchesOut>,
    /// When nothing but what is urgent disturbs.
    quiet_hours: Option<QuietHours>,
    /// An IANA name.
    time_zone: Zone,
    /// Types that nobody can switch off.
    mandatory_types: Vec<String>,
}

impl PreferencesOut {
    fn new(preferences: Preferences, mandatory: &[String]) -> Self {
        Self {
            channels: values::Wanted::of(preferences.channels).into(),
            types: values::wanted_of(preferences.types),
            topics: values::wanted_of(preferences.topics),
            quiet_hours: preferences.quiet_hours,
            time_zone: preferences.time_zone,
            mandatory_types: mandatory.to_vec(),
        }
    }
}

/// What the caller prefers.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/preferences",
    tag = "preferences",
    responses(
        (status = 200, description = "All of it; who never said wants everything at once.", body = PreferencesOut),
        (status = 422)
    ),
)]
pub async fn get(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Result<Json<PreferencesOut>, Problem> {
    let preferences = api.choices.of(&recipient).await?;
    Ok(Json(PreferencesOut::new(preferences, api.choices.mandatory())))
}

/// Changes what the caller prefers; what is not named stays.
#[utoipa::path(
    put,
    path = "/api/v1/notifications/preferences",
    tag = "preferences",
    request_body = PreferencesIn,
    responses((status = 200, description = "All that is preferred now.", body = PreferencesOut)),
)]
pub async fn put(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
    Body(given): Body<PreferencesIn>,
) -> Result<Json<PreferencesOut>, Problem> {
    let preferences = api.choices.change(&recipient, given.into()).await?;
    Ok(Json(PreferencesOut::new((*preferences).clone(), api.choices.mandatory())))
}

/// A type of notifications that the caller may have wishes about.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownType)]
struct KnownTypeOut {
    r#type: String,
    /// Whether nobody can switch it off.
    is_mandatory: bool,
    /// Whether the caller's preferences have a rule for it.
    has_rule: bool,
}

impl From<KnownType> for KnownTypeOut {
    fn from(KnownType { kind, is_mandatory, is_chosen }: KnownType) -> Self {
        Self { r#type: kind, is_mandatory, has_rule: is_chosen }
    }
}

/// The types that a page of preferences may offer.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownTypes)]
pub struct KnownTypesOut {
    /// By name.
    types: Vec<KnownTypeOut>,
}

/// Lists the types that the caller may have wishes about: those of the tenant's own templates, those that nobody can switch off,
/// those of what the caller was sent lately, and those that their preferences name.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/types",
    tag = "preferences",
    responses((status = 200, description = "All of them.", body = KnownTypesOut), (status = 422)),
)]
pub async fn types(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
) -> Result<Json<KnownTypesOut>, Problem> {
    let types = api.choices.types(&recipient).await?;
    Ok(Json(KnownTypesOut { types: types.into_iter().map(KnownTypeOut::from).collect() }))
}
