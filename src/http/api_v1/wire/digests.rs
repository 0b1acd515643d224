//! Digests, as they are written.

use super::*;
use crate::domain::{Day, DigestTerms, Frequency, TimeOfDay};
use crate::service::DigestWanted;
use crate::store::SentDigest;

/// What somebody wants of their digest. What is left out is as usual.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[schema(as = DigestSubscription, example = json!({
    "is_enabled": true, "delivery_time": "07:00", "timezone": "America/New_York", "frequency": "daily",
    "include_types": ["iep_update", "assessment_complete", "signature_request"], "exclude_weekends": false,
    "min_priority": "normal"
}))]
pub struct DigestIn {
    /// Whether it comes; it does, if nothing is said. What comes while it is switched off is in none.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    is_enabled: Option<bool>,
    /// At which time of the day: `07:00`, if nothing is said.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    delivery_time: Option<TimeOfDay>,
    /// By whose clocks: an IANA time zone; the caller's own, if nothing is said.
    timezone: Option<Zone>,
    /// `daily`, if nothing is said.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    frequency: Option<Frequency>,
    /// On which day of the week, if it is weekly: `mon`, if nothing is said.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    day_of_week: Option<Day>,
    /// Only these types; all, if there are none.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false, value_type = Option<Vec<Label>>, max_items = 100)]
    include_types: Option<Vec<String>>,
    /// Whether none comes on Saturdays and Sundays: what came then is in the next one.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    exclude_weekends: Option<bool>,
    /// Nothing that matters less; `low`, if nothing is said.
    #[serde(default, deserialize_with = "values::priority")]
    min_priority: Option<Priority>,
    /// Any of `in_app` (also `websocket`, `realtime`), `email` and `push`; all of them, if nothing is said.
    #[serde(default, deserialize_with = "values::given")]
    #[schema(nullable = false)]
    channels: Option<Vec<String>>,
}

impl DigestIn {
    /// What is wanted.
    ///
    /// # Errors
    /// When a way of delivery is none.
    pub fn terms(self) -> Result<DigestTerms, Broken> {
        let usual = DigestTerms::default();
        let expected = "any of in_app, email and push";
        let known = |word: &String| Channel::named(word).ok_or(Broken { field: "channels", expected });
        let channels = self.channels.map(|words| words.iter().map(known).collect::<Result<Vec<_>, _>>());
        let mut channels = channels.transpose()?.unwrap_or(usual.channels);
        channels.sort_unstable_by_key(|channel| channel.number());
        channels.dedup();
        Ok(DigestTerms {
            is_enabled: self.is_enabled.unwrap_or(usual.is_enabled),
            delivery_time: self.delivery_time.unwrap_or(usual.delivery_time),
            timezone: self.timezone,
            frequency: self.frequency.unwrap_or(usual.frequency),
            day_of_week: self.day_of_week.unwrap_or(usual.day_of_week),
            include_types: self.include_types.unwrap_or_default(),
            exclude_weekends: self.exclude_weekends.unwrap_or(usual.exclude_weekends),
            min_priority: self.min_priority.unwrap_or(usual.min_priority),
            channels,
        })
    }
}

/// What somebody wants of their digest, and when it is due.
#[derive(Serialize, ToSchema)]
#[schema(as = DigestWanted)]
pub struct DigestWantedOut {
    is_enabled: bool,
    delivery_time: TimeOfDay,
    /// By whose clocks it comes.
    timezone: Zone,
    /// Whether that was said for the digest. Else it is the `time_zone` of the preferences, and changes with it.
    timezone_is_own: bool,
    frequency: Frequency,
    /// Counts only if it is weekly.
    day_of_week: Day,
    /// All, if there are none.
    include_types: Vec<String>,
    exclude_weekends: bool,
    #[schema(value_type = Priority)]
    min_priority: &'static str,
    #[schema(value_type = Vec<String>)]
    channels: Vec<&'static str>,
    /// When the next one is due; nothing: none is.
    next_at: Option<Timestamp>,
}

impl From<DigestWanted> for DigestWantedOut {
    fn from(wanted: DigestWanted) -> Self {
        let terms = wanted.terms;
        let word = |channel: &Channel| match channel {
            Channel::Realtime => "in_app",
            channel => channel.name(),
        };
        Self {
            is_enabled: terms.is_enabled,
            delivery_time: terms.delivery_time,
            timezone: wanted.zone,
            timezone_is_own: terms.timezone.is_some(),
            frequency: terms.frequency,
            day_of_week: terms.day_of_week,
            include_types: terms.include_types,
            exclude_weekends: terms.exclude_weekends,
            min_priority: terms.min_priority.name(),
            channels: terms.channels.iter().map(word).collect(),
            next_at: wanted.next_at,
        }
    }
}

/// What stands in a digest: everything is counted, some of it is named.
#[derive(Serialize, ToSchema)]
#[schema(as = DigestContent, value_type = Object)]
pub struct DigestContentOut(pub Value);

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct DigestsIn {
    /// Entries, 1 to 100; 20 if nothing is said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// The last number seen: those before it follow.
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
}

/// A digest that was sent.
#[derive(Serialize, ToSchema)]
#[schema(as = Digest)]
pub struct DigestOut {
    id: i64,
    /// What told of it.
    notification_id: NotificationId,
    frequency: Frequency,
    /// The day that it is of, where its recipient lives.
    date: String,
    created_at: Timestamp,
    /// What stood in it: everything was counted, some of it was named.
    #[schema(value_type = Object)]
    content: Option<Box<RawValue>>,
}

impl From<SentDigest> for DigestOut {
    fn from(sent: SentDigest) -> Self {
        Self {
            id: sent.id,
            notification_id: sent.notification,
            frequency: sent.frequency,
            date: sent.date,
            created_at: sent.created_at,
            content: values::data(sent.content),
        }
    }
}

/// A page of them, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = DigestPage)]
pub struct DigestPageOut {
    digests: Vec<DigestOut>,
    has_more: bool,
    next_cursor: Option<i64>,
}

impl From<(Vec<SentDigest>, bool)> for DigestPageOut {
    fn from((page, has_more): (Vec<SentDigest>, bool)) -> Self {
        let next_cursor = page.last().map(|last| last.id).filter(|_| has_more);
        Self { digests: page.into_iter().map(DigestOut::from).collect(), has_more, next_cursor }
    }
}
