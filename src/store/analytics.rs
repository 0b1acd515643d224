//! What became of notifications, counted up to a place (decision 35).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use diesel::sql_types::{BigInt, Integer, Text};

use super::{Readers, Store, StoreError, Write, Written, on, postgres, sqlite};
use crate::domain::{Tenant, Timestamp};

pub use super::facts::{ACCEPTED, ITSELF, LOOKED_AT, READ};

/// Notifications that are counted in one query.
const TOGETHER: i64 = 10_000;
/// Changes that are added up in one transaction.
pub(super) const ADDED_UP: i64 = 1_000;

/// Up to where it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountedUpto {
    /// Up to this notification all is.
    pub counted: i64,
    /// Up to this one changes are noted.
    pub announced: i64,
    /// The last notification there is.
    pub last: i64,
}

/// So many of one tenant, hour, channel, kind, outcome and class of latency.
#[derive(Clone, Debug, diesel::QueryableByName)]
pub struct Tallied {
    #[diesel(sql_type = Text)]
    pub tenant: String,
    #[diesel(sql_type = BigInt)]
    pub hour: i64,
    #[diesel(sql_type = Integer)]
    pub channel: i32,
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Integer)]
    pub outcome: i32,
    /// -1: it took no time.
    #[diesel(sql_type = Integer)]
    pub class: i32,
    #[diesel(sql_type = BigInt)]
    pub many: i64,
    #[diesel(sql_type = BigInt)]
    pub millis: i64,
}

/// So many of one day: of a channel, a kind and an outcome; or, of all days, of a channel and a class of latency.
#[derive(Clone, Debug, diesel::QueryableByName)]
pub struct OfDay {
    /// Which day, from 0.
    #[diesel(sql_type = BigInt)]
    pub day: i64,
    /// The channel's number, or [`ITSELF`].
    #[diesel(sql_type = Integer)]
    pub channel: i32,
    /// The kind.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// The state of a delivery, [`ACCEPTED`] or [`READ`].
    #[diesel(sql_type = Integer)]
    pub outcome: i32,
    /// The class of latency; -1, where it is an outcome that is told.
    #[diesel(sql_type = Integer)]
    pub class: i32,
    /// How many.
    #[diesel(sql_type = BigInt)]
    pub many: i64,
    /// How many milliseconds they took together.
    #[diesel(sql_type = BigInt)]
    pub millis: i64,
}

/// What is done with what is counted.
#[derive(Clone, Debug)]
pub enum AnalyticsWrite {
    /// The next place is announced, if all is counted up to the last one and so many seconds have passed.
    Announce {
        /// The present.
        now: Timestamp,
        /// How long notifications are left alone, in seconds.
        settle: i64,
    },
    /// This was counted.
    Counted {
        /// Behind this place.
        after: i64,
        /// Up to that one.
        upto: i64,
        /// So many.
        all: Arc<[Tallied]>,
    },
    /// What changed of what is counted is added to it.
    AddUp,
}

/// A row of `analytics`: of which tenant, hour, channel, kind and outcome.
pub(super) type Part<'a> = (&'a str, i64, i32, &'a str, i32);
/// A row of `analytics_latencies`: of which tenant, hour, channel and class.
pub(super) type Class<'a> = (&'a str, i64, i32, i32);

/// Adds up by rows, in one order for all nodes: of each part how many there are and what they took, of each class how many.
pub(super) fn rows(all: &[Tallied]) -> (BTreeMap<Part<'_>, (i64, i64)>, BTreeMap<Class<'_>, i64>) {
    let mut parts = BTreeMap::<Part<'_>, (i64, i64)>::new();
    let mut classes = BTreeMap::<Class<'_>, i64>::new();
    for one in all {
        let part = parts.entry((&one.tenant, one.hour, one.channel, &one.kind, one.outcome)).or_default();
        *part = (part.0 + one.many, part.1 + one.millis);
        if one.class >= 0 {
            *classes.entry((&one.tenant, one.hour, one.channel, one.class)).or_default() += one.many;
        }
    }
    parts.retain(|_, sum| *sum != (0, 0));
    classes.retain(|_, many| *many != 0);
    (parts, classes)
}

impl Store {
    /// Up to where analytics are counted.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn counted_upto(&self) -> Result<CountedUpto, StoreError> {
        on!(&self.readers, counted_upto())
    }

    /// What became of `tenant`'s notifications on these days, each from one hour (since 1970) until another.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn analytics(&self, tenant: &Tenant, days: &[(i64, i64)]) -> Result<Vec<OfDay>, StoreError> {
        on!(&self.readers, analytics(tenant, days))
    }

    /// How many connections of `tenant`'s people there are, on nodes that gave a sign of life within `lease` seconds, and whose
    /// they are.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn connected(&self, tenant: &Tenant, lease: i64) -> Result<(i64, i64), StoreError> {
        on!(&self.readers, connected(tenant, lease))
    }

    /// Whose transactions may have begun before the last place was announced, by names. None on SQLite, where one writes.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn under_way(&self) -> Result<HashSet<String>, StoreError> {
        on!(&self.readers, under_way())
    }

    /// Counts the next notifications up to the announced place; tells whether some are left.
    ///
    /// # Errors
    /// When the database cannot answer, or what the commit failed with.
    pub async fn count_next(&self) -> Result<bool, StoreError> {
        let CountedUpto { counted, announced, .. } = self.counted_upto().await?;
        if counted >= announced {
            return Ok(false);
        }
        let (upto, all) = on!(&self.readers, count_next(counted, announced, TOGETHER))?;
        let write = AnalyticsWrite::Counted { after: counted, upto, all: all.into() };
        self.write(Write::Analytics(write)).await?;
        Ok(upto < announced)
    }

    /// Adds changes up; tells whether some are left.
    ///
    /// # Errors
    /// What the commit failed with.
    pub async fn add_up(&self) -> Result<bool, StoreError> {
        let added = self.write(Write::Analytics(AnalyticsWrite::AddUp)).await?;
        Ok(matches!(added, Written::Changed(many) if i64::try_from(many).is_ok_and(|many| many >= ADDED_UP)))
    }
}
