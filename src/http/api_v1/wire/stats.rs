//! Counts of an inbox, as they are written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::Timestamp;
use crate::service::{Many, Tally};

/// Of which days.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, expecting = "a JSON object")]
#[into_params(parameter_in = Query)]
pub struct StatsIn {
    /// So many days in UTC, of which today is the last; 30 if nothing is said.
    #[param(minimum = 1, maximum = 365)]
    pub days: Option<u16>,
}

/// What came in these days.
#[derive(Serialize, ToSchema)]
#[schema(as = InboxStats)]
pub struct StatsOut {
    days: usize,
    since: Timestamp,
    total: i64,
    unread: i64,
    read: i64,
    /// The 100 most frequent kinds.
    by_type: BTreeMap<String, i64>,
    by_priority: BTreeMap<&'static str, i64>,
    /// Each day, from the first.
    by_day: Vec<DayOut>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InboxDay)]
struct DayOut {
    #[schema(format = Date)]
    date: String,
    total: i64,
    unread: i64,
    read: i64,
}

impl From<Tally> for StatsOut {
    fn from(tally: Tally) -> Self {
        let by_day = tally.by_day.into_iter().map(|(begins, Many { total, unread })| DayOut {
            date: begins.date(),
            total,
            unread,
            read: total - unread,
        });
        let Many { total, unread } = tally.all;
        Self {
            since: tally.since,
            total,
            unread,
            read: total - unread,
            by_type: tally.by_kind,
            by_priority: tally.by_priority.map(|(priority, many)| (priority.name(), many)).into(),
            days: by_day.len(),
            by_day: by_day.collect(),
        }
    }
}
