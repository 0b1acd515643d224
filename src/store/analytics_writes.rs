//! What is counted of notifications is kept. Compiled twice, like `commit.rs`.
//!
//! Promise: each change counts once: it is added, and the row that tells of it removed, in one transaction.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Integer, Text};

use super::{Connection, DIALECT, RunQueryDsl};
use crate::domain::latency::class_of;
use crate::domain::{NotificationId, Timestamp};
use crate::store::analytics::{ADDED_UP, AnalyticsWrite, Class, Part, Tallied, rows};
use crate::store::facts;
use crate::store::schema::{analytics_changes, analytics_place, notifications};
use crate::store::types::At;

/// Rows of one statement.
const TOGETHER: usize = 500;
/// The one row of `analytics_place`.
const ONE: i64 = 1;

body! {
    /// Does it; tells how many changes were added up.
    pub fn keep_analytics(connection: &mut Connection, write: &AnalyticsWrite) -> QueryResult<usize> {
        match write {
            AnalyticsWrite::Announce { now, settle } => {
                wait!(announce(connection, *now, *settle))?;
                Ok(0)
            }
            AnalyticsWrite::Counted { after, upto, all } => {
                let next = diesel::update(analytics_place::table.find(ONE))
                    .filter(analytics_place::counted.eq(after))
                    .filter(analytics_place::announced.ge(upto))
                    .set(analytics_place::counted.eq(upto));
                // Another node may have counted it.
                if wait!(next.execute(connection))? > 0 {
                    wait!(add(connection, all))?;
                }
                Ok(0)
            }
            AnalyticsWrite::AddUp => wait!(add_up(connection)),
        }
    }
}

body! {
    fn announce(connection: &mut Connection, now: Timestamp, settle: i64) -> QueryResult<()> {
        let last: Option<i64> =
            wait!(notifications::table.select(diesel::dsl::max(notifications::id)).get_result(connection))?;
        let candidate = (
            analytics_place::candidate.eq(last.unwrap_or(0)),
            analytics_place::candidate_at.eq(At(now)),
        );
        let due = diesel::update(analytics_place::table.find(ONE))
            .filter(analytics_place::counted.eq(analytics_place::announced))
            .filter(analytics_place::candidate_at.le(At(now.plus_seconds(-settle))))
            .set((analytics_place::announced.eq(analytics_place::candidate), candidate));
        if wait!(due.execute(connection))? == 0 {
            let first = (
                analytics_place::id.eq(ONE),
                analytics_place::counted.eq(0),
                analytics_place::announced.eq(0),
                candidate,
            );
            let first = diesel::insert_into(analytics_place::table).values(first);
            wait!(first.on_conflict_do_nothing().execute(connection))?;
        }
        Ok(())
    }
}

body! {
    fn add_up(connection: &mut Connection) -> QueryResult<usize> {
        // One node at a time: the row is this one's until the commit.
        let same = analytics_place::counted.eq(analytics_place::counted);
        wait!(diesel::update(analytics_place::table.find(ONE)).set(same).execute(connection))?;
        let counted: Option<i64> =
            wait!(analytics_place::table.select(analytics_place::counted).get_result(connection)).optional()?;
        type Row = (i64, String, i64, i32, String, i32, Option<i64>, i64);
        let rows: Vec<Row> = wait!(analytics_changes::table
            .filter(analytics_changes::notification_id.le(counted.unwrap_or(0)))
            .order(analytics_changes::id)
            .limit(ADDED_UP)
            .select((
                analytics_changes::id,
                analytics_changes::tenant,
                analytics_changes::hour,
                analytics_changes::channel,
                analytics_changes::kind,
                analytics_changes::outcome,
                analytics_changes::millis,
                analytics_changes::many,
            ))
            .load(connection))?;
        let ids: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let changes = rows.into_iter().map(|(_, tenant, hour, channel, kind, outcome, millis, many)| {
            let class = millis.map_or(-1, class_of);
            Tallied { tenant, hour, channel, kind, outcome, class, many, millis: millis.unwrap_or(0) * many }
        });
        let changes: Vec<Tallied> = changes.collect();
        wait!(add(connection, &changes))?;
        if !ids.is_empty() {
            let these = analytics_changes::table.filter(analytics_changes::id.eq_any(&ids));
            wait!(diesel::delete(these).execute(connection))?;
        }
        Ok(ids.len())
    }
}

body! {
    fn add(connection: &mut Connection, all: &[Tallied]) -> QueryResult<()> {
        let (parts, classes) = rows(all);
        let parts: Vec<_> = parts.into_iter().collect();
        for some in parts.chunks(TOGETHER) {
            wait!(AddParts(some).execute(connection))?;
        }
        let classes: Vec<_> = classes.into_iter().collect();
        for some in classes.chunks(TOGETHER) {
            wait!(AddClasses(some).execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// So many more entries came of a notification.
    pub fn came_late(connection: &mut Connection, id: NotificationId, many: usize) -> QueryResult<()> {
        if many > 0 {
            let many = i64::try_from(many).unwrap_or(i64::MAX);
            let late = diesel::sql_query(facts::came_late(&DIALECT)).bind::<BigInt, _>(many);
            wait!(late.bind::<BigInt, _>(id.0).execute(connection))?;
        }
        Ok(())
    }
}

/// So many more of each of these parts.
struct AddParts<'a>(&'a [(Part<'a>, (i64, i64))]);

/// So many more of each of these classes.
struct AddClasses<'a>(&'a [(Class<'a>, i64)]);

impl<DB> QueryFragment<DB> for AddParts<'_>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<Integer> + HasSqlType<BigInt>,
    str: ToSql<Text, DB>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        let mut before =
            "INSERT INTO analytics (tenant, hour, channel, kind, outcome, many, millis) VALUES (";
        for ((tenant, hour, channel, kind, outcome), (many, millis)) in self.0 {
            out.push_sql(before);
            out.push_bind_param::<Text, str>(tenant)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, i64>(hour)?;
            out.push_sql(", ");
            out.push_bind_param::<Integer, i32>(channel)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, str>(kind)?;
            out.push_sql(", ");
            out.push_bind_param::<Integer, i32>(outcome)?;
            for sum in [many, millis] {
                out.push_sql(", ");
                out.push_bind_param::<BigInt, i64>(sum)?;
            }
            before = "), (";
        }
        out.push_sql(
            ") ON CONFLICT (tenant, hour, channel, kind, outcome) DO UPDATE \
             SET many = analytics.many + excluded.many, millis = analytics.millis + excluded.millis",
        );
        Ok(())
    }
}

impl<DB> QueryFragment<DB> for AddClasses<'_>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<Integer> + HasSqlType<BigInt>,
    str: ToSql<Text, DB>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        let mut before = "INSERT INTO analytics_latencies (tenant, hour, channel, class, many) VALUES (";
        for ((tenant, hour, channel, class), many) in self.0 {
            out.push_sql(before);
            out.push_bind_param::<Text, str>(tenant)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, i64>(hour)?;
            for number in [channel, class] {
                out.push_sql(", ");
                out.push_bind_param::<Integer, i32>(number)?;
            }
            out.push_sql(", ");
            out.push_bind_param::<BigInt, i64>(many)?;
            before = "), (";
        }
        out.push_sql(
            ") ON CONFLICT (tenant, hour, channel, class) DO UPDATE \
             SET many = analytics_latencies.many + excluded.many",
        );
        Ok(())
    }
}

impl QueryId for AddParts<'_> {
    type QueryId = ();
    // Its text depends on how many there are.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryId for AddClasses<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> diesel::RunQueryDsl<C> for AddParts<'_> {}
impl<C> diesel::RunQueryDsl<C> for AddClasses<'_> {}
