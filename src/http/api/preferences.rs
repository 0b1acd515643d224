//! What the caller wants to be told, in the feed's words.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Change, Preferences, QuietChange, QuietHours, Switches, Zone};
use crate::http::Api;
use crate::http::caller::Owner;
use crate::http::input::{Body, NoParams};
use crate::http::problem::Problem;
use crate::http::values::{self, SwitchesIn};

/// What is to be different; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a JSON object")]
#[schema(as = FeedPreferencesChange)]
pub struct PreferencesIn {
    /// For everything; off anywhere is off.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    email: Option<bool>,
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    push: Option<bool>,
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    sms: Option<bool>,
    #[serde(
        default,
        alias = "in_app",
        alias = "realtime",
        alias = "websocket",
        deserialize_with = "values::given"
    )]
    #[schema(nullable = false)]
    in_app: Option<bool>,
    /// For the notifications of a channel, by its name; an empty object takes its rule away.
    #[serde(default)]
    channels: BTreeMap<String, SwitchesIn>,
    /// For notifications of a type, by its name; an empty object takes its rule away.
    #[serde(default)]
    types: BTreeMap<String, SwitchesIn>,
    /// When nothing but what is urgent disturbs; `null` takes them away.
    #[serde(default, deserialize_with = "values::nullable")]
    #[schema(value_type = Option<QuietChange>)]
    quiet_hours: Option<Option<QuietChange>>,
    /// An IANA name, such as `Europe/Athens`.
    time_zone: Option<Zone>,
}

impl From<PreferencesIn> for Change {
    fn from(given: PreferencesIn) -> Self {
        let PreferencesIn { email, push, sms, in_app, .. } = given;
        Self {
            channels: Switches { realtime: in_app, email, push, sms },
            types: values::rules(given.types),
            topics: values::rules(given.channels),
            quiet_hours: given.quiet_hours,
            time_zone: given.time_zone,
            is_by_link: false,
        }
    }
}

/// Which ways of delivery are wanted.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedSwitches)]
struct SwitchesOut {
    email: bool,
    push: bool,
    sms: bool,
    in_app: bool,
}

impl From<values::Wanted> for SwitchesOut {
    fn from(values::Wanted { in_app, email, push, sms }: values::Wanted) -> Self {
        Self { email, push, sms, in_app }
    }
}

/// What the caller prefers.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FeedPreferences)]
pub struct PreferencesOut {
    /// For everything; off anywhere is off.
    email: bool,
    push: bool,
    sms: bool,
    in_app: bool,
    /// For the notifications of a channel.
    channels: BTreeMap<String, SwitchesOut>,
    /// For notifications of a type.
    types: BTreeMap<String, SwitchesOut>,
    /// When nothing but what is urgent disturbs.
    quiet_hours: Option<QuietHours>,
    /// An IANA name.
    time_zone: Zone,
    /// Types that nobody can switch off.
    mandatory_types: Vec<String>,
}

impl PreferencesOut {
    fn new(preferences: Preferences, mandatory: &[String]) -> Self {
        let values::Wanted { in_app, email, push, sms } = values::Wanted::of(preferences.channels);
        Self {
            email,
            push,
            sms,
            in_app,
            channels: values::wanted_of(preferences.topics),
            types: values::wanted_of(preferences.types),
            quiet_hours: preferences.quiet_hours,
            time_zone: preferences.time_zone,
            mandatory_types: mandatory.to_vec(),
        }
    }
}

/// What the caller prefers.
#[utoipa::path(
    get,
    path = "/api/notifications/preferences",
    tag = "feed",
    responses(
        (status = 200, description = "All of it; who never said wants everything at once.", body = PreferencesOut),
        (status = 422)
    ),
)]
pub async fn preferences(
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
    path = "/api/notifications/preferences",
    tag = "feed",
    request_body = PreferencesIn,
    responses((status = 200, description = "All that is preferred now.", body = PreferencesOut)),
)]
pub async fn prefer(
    State(api): State<Api>,
    Owner(recipient): Owner,
    _: NoParams,
    Body(given): Body<PreferencesIn>,
) -> Result<Json<PreferencesOut>, Problem> {
    let preferences = api.choices.change(&recipient, given.into()).await;
    let preferences = preferences.map_err(|fault| Problem::from(fault).respelled(spelled))?;
    Ok(Json(PreferencesOut::new((*preferences).clone(), api.choices.mandatory())))
}

fn spelled(field: &str) -> &str {
    match field {
        "topics" => "channels",
        "quiet_hours" => "quietHours",
        other => other,
    }
}
