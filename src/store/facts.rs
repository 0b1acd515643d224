//! What analytics count: each notification, each entry of an inbox and each delivery, as what it is now. The same facts are
//! told by triggers (`migrations`) when they change of what was counted before: what changes here changes there, by a new
//! migration.

use std::sync::LazyLock;

use crate::domain::latency;

/// The number of what is told of the notification itself, in place of a channel's.
pub const ITSELF: i32 = 9;
/// It was accepted.
pub const ACCEPTED: i32 = 8;
/// It was read.
pub const READ: i32 = 9;

/// Notifications behind the place up to which all is counted that are looked at for one answer.
pub const LOOKED_AT: i64 = 250_000;

/// What the two databases spell differently.
pub struct Dialect {
    /// Hours from 1970 until an instant.
    hour: fn(&str) -> String,
    /// Whole milliseconds from the second of two instants until the first.
    millis: fn(&str, &str) -> String,
    /// That connection `c` is of a node that gave a sign of life within `$2` seconds.
    alive: &'static str,
}

/// On SQLite.
pub const SQLITE: Dialect = Dialect {
    hour: |at| format!("{at} / 3600000000"),
    millis: |end, start| format!("max(({end} - {start}) / 1000, 0)"),
    // There is one node.
    alive: "$2 > 0",
};

/// On PostgreSQL.
pub const POSTGRES: Dialect = Dialect {
    hour: |at| format!("floor(extract(epoch FROM {at}) / 3600)::bigint"),
    millis: |end, start| format!("greatest(floor(extract(epoch FROM {end} - {start}) * 1000)::bigint, 0)"),
    alive: "c.node IN (SELECT name FROM nodes WHERE seen_at >= now() - make_interval(secs => $2))",
};

/// The class of how long it took: a tree of questions, so that each row is asked only a few.
static CLASS: LazyLock<String> = LazyLock::new(|| {
    fn tree(classes: &[i64], first: usize) -> String {
        match classes.len() {
            0 | 1 => first.to_string(),
            many => {
                let (low, high) = classes.split_at(many / 2);
                let (less, more) = (tree(low, first), tree(high, first + low.len()));
                format!("CASE WHEN millis < {} THEN {less} ELSE {more} END", high[0])
            }
        }
    }
    format!("CASE WHEN millis IS NULL THEN -1 ELSE {} END", tree(latency::classes(), 0))
});

/// The facts of notifications `n` for which `which` is true.
fn facts(dialect: &Dialect, which: &str) -> String {
    let hour = (dialect.hour)("n.created_at");
    let arrived = (dialect.millis)("coalesce(i.sent_at, i.confirmed_at)", "n.created_at");
    let taken = (dialect.millis)("d.finished_at", "d.created_at");
    format!(
        "SELECT n.tenant, {hour} AS hour, {ITSELF} AS channel, n.kind, {ACCEPTED} AS outcome, CAST(NULL AS BIGINT) AS millis \
           FROM notifications AS n WHERE {which} \
         UNION ALL SELECT n.tenant, {hour}, 0, n.kind, \
           CASE WHEN i.hush = 1 THEN 5 WHEN i.confirmed_at IS NULL THEN 0 ELSE 3 END, \
           CASE WHEN i.hush = 1 OR i.confirmed_at IS NULL THEN NULL ELSE {arrived} END \
           FROM notifications AS n CROSS JOIN inbox AS i WHERE i.notification_id = n.id AND {which} \
         UNION ALL SELECT n.tenant, {hour}, 0, n.kind, {READ}, NULL \
           FROM notifications AS n CROSS JOIN inbox AS i WHERE i.notification_id = n.id AND {which} \
             AND i.read_at IS NOT NULL AND (i.hush IS NULL OR i.hush <> 1) \
         UNION ALL SELECT n.tenant, {hour}, d.channel, n.kind, d.state, \
           CASE WHEN d.state BETWEEN 2 AND 3 THEN {taken} END \
           FROM notifications AS n CROSS JOIN deliveries AS d WHERE d.notification_id = n.id AND {which} \
             AND d.state BETWEEN 2 AND 6"
    )
}

/// What is to be counted of notifications behind `after`, up to `upto`; what changes of them are noted already stays to be
/// added up. One statement, and so one state of the database.
pub fn of_range(dialect: &Dialect, after: i64, upto: i64) -> String {
    let facts = facts(dialect, &format!("n.id > {after} AND n.id <= {upto}"));
    let class = &*CLASS;
    format!(
        "SELECT tenant, hour, channel, kind, outcome, {class} AS class, CAST(sum(many) AS BIGINT) AS many, \
           CAST(coalesce(sum(millis * many), 0) AS BIGINT) AS millis FROM (\
             SELECT tenant, hour, channel, kind, outcome, millis, 1 AS many FROM ({facts}) AS f \
             UNION ALL SELECT tenant, hour, channel, kind, outcome, millis, -many FROM analytics_changes \
               WHERE notification_id > {after} AND notification_id <= {upto}) AS a \
         GROUP BY tenant, hour, channel, kind, outcome, {class} \
         HAVING sum(many) <> 0 OR coalesce(sum(millis * many), 0) <> 0"
    )
}

/// What of the tenant `$1` is known of these days, each from one hour until another: what is counted, what changed of it,
/// and what stands behind. One statement.
pub fn of_days(dialect: &Dialect, days: &[(i64, i64)]) -> String {
    let rows: Vec<_> = days.iter().enumerate().map(|(day, (from, to))| format!("({day}, {from}, {to})")).collect();
    let (rows, class) = (rows.join(", "), &*CLASS);
    let (from, to) = (days.first().map_or(0, |day| day.0), days.last().map_or(0, |day| day.1));
    let counted = "coalesce((SELECT counted FROM analytics_place), 0)";
    let facts = facts(
        dialect,
        &format!("n.tenant = $1 AND n.id > {counted} AND n.id <= {counted} + {LOOKED_AT}"),
    );
    format!(
        "WITH days (day, since, until) AS (VALUES {rows}), \
         late AS MATERIALIZED (SELECT hour, channel, kind, outcome, millis, many FROM (\
           SELECT hour, channel, kind, outcome, millis, 1 AS many FROM ({facts}) AS f \
           UNION ALL SELECT hour, channel, kind, outcome, millis, many FROM analytics_changes \
             WHERE tenant = $1 AND notification_id <= {counted}) AS l WHERE hour >= {from} AND hour < {to}) \
         SELECT CAST(day AS BIGINT) AS day, channel, kind, outcome, class, CAST(sum(many) AS BIGINT) AS many, \
           CAST(sum(millis) AS BIGINT) AS millis FROM (\
           SELECT d.day, a.channel, a.kind, a.outcome, -1 AS class, a.many, a.millis \
             FROM days AS d CROSS JOIN analytics AS a WHERE a.tenant = $1 AND a.hour >= d.since AND a.hour < d.until \
           UNION ALL SELECT 0, channel, '', -1, class, many, 0 FROM analytics_latencies \
             WHERE tenant = $1 AND hour >= {from} AND hour < {to} \
           UNION ALL SELECT d.day, l.channel, l.kind, l.outcome, -1, l.many, coalesce(l.millis, 0) * l.many \
             FROM late AS l JOIN days AS d ON l.hour >= d.since AND l.hour < d.until \
           UNION ALL SELECT 0, channel, '', -1, {class}, many, 0 FROM late WHERE millis IS NOT NULL) AS a \
         GROUP BY day, channel, kind, outcome, class HAVING sum(many) <> 0 OR sum(millis) <> 0"
    )
}

/// Notes that `$1` more entries came of notification `$2`, if it stands before the announced place.
pub fn came_late(dialect: &Dialect) -> String {
    let hour = (dialect.hour)("n.created_at");
    format!(
        "INSERT INTO analytics_changes (notification_id, tenant, hour, channel, kind, outcome, millis, many) \
         SELECT n.id, n.tenant, {hour}, 0, n.kind, 0, NULL, $1 FROM notifications AS n \
         WHERE n.id = $2 AND n.id <= (SELECT announced FROM analytics_place)"
    )
}

/// Connections of people of tenant `$1`, and whose they are.
pub fn connected(dialect: &Dialect) -> String {
    format!(
        "SELECT count(*) AS connections, count(DISTINCT c.user_id) AS people FROM connections AS c \
         WHERE c.tenant = $1 AND {}",
        dialect.alive
    )
}
