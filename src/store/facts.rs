//! What analytics count: each notification, each entry of an inbox and each delivery, as what it is now. The same facts are
//! told by triggers (`migrations`) when they change of what was counted before: what changes here changes there, by a new
//! migration.

use std::sync::LazyLock;

use crate::domain::{BOOKING_KIND, latency};

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
    /// Where the entries `i` of notifications `n` are found that stand behind the first of two numbers, up to the second; of
    /// tenant `$1` only, if it is asked for.
    entries: fn(&Range<'_>) -> Vec<String>,
    /// That connection `c` is of a node that gave a sign of life within `$2` seconds.
    alive: &'static str,
}

/// Which notifications.
pub struct Range<'a> {
    /// Behind this number.
    after: &'a str,
    /// Up to that one.
    upto: &'a str,
    /// Only those of tenant `$1`.
    is_of_tenant: bool,
}

impl Range<'_> {
    /// That notification `n` is in it.
    fn condition(&self) -> String {
        let tenant = if self.is_of_tenant { "n.tenant = $1 AND " } else { "" };
        format!("{tenant}n.id > {} AND n.id <= {}", self.after, self.upto)
    }
}

/// On SQLite.
pub const SQLITE: Dialect = Dialect {
    hour: |at| format!("{at} / 3600000000"),
    millis: |end, start| format!("max(({end} - {start}) / 1000, 0)"),
    // What is for one person has its number as its place; to whom it came is not written beside its number (decision 9), so
    // each inbox is looked at in these places.
    entries: |range| {
        let Range { after, upto, .. } = range;
        let tenant = if range.is_of_tenant { " AND r.tenant = $1" } else { "" };
        let which = range.condition();
        vec![
            format!(
                "recipients AS r CROSS JOIN inbox AS i CROSS JOIN notifications AS n WHERE i.recipient_id = r.id \
                 AND i.position > {after} AND i.position <= {upto} AND i.position = i.notification_id \
                 AND n.id = i.notification_id{tenant}"
            ),
            format!(
                "notifications AS n CROSS JOIN inbox AS i WHERE i.notification_id = n.id \
                 AND i.position <> i.notification_id AND {which}"
            ),
        ]
    },
    // There is one node.
    alive: "$2 > 0",
};

/// On PostgreSQL.
pub const POSTGRES: Dialect = Dialect {
    hour: |at| format!("floor(extract(epoch FROM {at}) / 3600)::bigint"),
    millis: |end, start| format!("greatest(floor(extract(epoch FROM {end} - {start}) * 1000)::bigint, 0)"),
    entries: |range| {
        let which = range.condition();
        vec![format!("notifications AS n CROSS JOIN inbox AS i WHERE i.notification_id = n.id AND {which}")]
    },
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

/// The facts of these notifications.
fn facts(dialect: &Dialect, range: &Range<'_>) -> String {
    let (hour, which) = ((dialect.hour)("n.created_at"), range.condition());
    let arrived = (dialect.millis)("coalesce(i.sent_at, i.confirmed_at)", "n.created_at");
    let taken = (dialect.millis)("d.finished_at", "d.created_at");
    let mut facts = format!(
        "SELECT n.tenant, {hour} AS hour, {ITSELF} AS channel, n.kind, {ACCEPTED} AS outcome, CAST(NULL AS BIGINT) AS millis \
           FROM notifications AS n WHERE {which} \
         UNION ALL SELECT n.tenant, {hour}, d.channel, n.kind, d.state, \
           CASE WHEN d.state BETWEEN 2 AND 3 THEN {taken} END \
           FROM notifications AS n CROSS JOIN deliveries AS d WHERE d.notification_id = n.id AND {which} \
             AND d.state BETWEEN 2 AND 6 AND d.retraction <> 2"
    );
    for entries in (dialect.entries)(range) {
        facts.push_str(&format!(
            " UNION ALL SELECT n.tenant, {hour}, 0, n.kind, \
               CASE WHEN i.hush = 1 THEN 5 WHEN i.confirmed_at IS NULL THEN 0 ELSE 3 END, \
               CASE WHEN i.hush = 1 OR i.confirmed_at IS NULL THEN NULL ELSE {arrived} END FROM {entries} \
             UNION ALL SELECT n.tenant, {hour}, 0, n.kind, {READ}, NULL FROM {entries} \
               AND i.read_at IS NOT NULL AND (i.hush IS NULL OR i.hush <> 1)"
        ));
    }
    facts
}

/// What is to be counted of notifications behind `after`, up to `upto`; what changes of them are noted already stays to be
/// added up. One statement, and so one state of the database.
pub fn of_range(dialect: &Dialect, after: i64, upto: i64) -> String {
    let (first, last) = (after.to_string(), upto.to_string());
    let facts = facts(dialect, &Range { after: &first, upto: &last, is_of_tenant: false });
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
    let rows: Vec<_> =
        days.iter().enumerate().map(|(day, (from, to))| format!("({day}, {from}, {to})")).collect();
    let (rows, class) = (rows.join(", "), &*CLASS);
    let (from, to) = (days.first().map_or(0, |day| day.0), days.last().map_or(0, |day| day.1));
    let counted = "coalesce((SELECT counted FROM analytics_place), 0)";
    // While very many are counted for the first time, what stands behind is left to that.
    let last = format!(
        "CASE WHEN (SELECT max(id) FROM notifications) > {counted} + {LOOKED_AT} THEN {counted} \
         ELSE {counted} + {LOOKED_AT} END"
    );
    let facts = facts(dialect, &Range { after: counted, upto: &last, is_of_tenant: true });
    // What is late is added up by hours before it is looked for in days.
    format!(
        "WITH days (day, since, until) AS (VALUES {rows}), \
         late AS MATERIALIZED (SELECT hour, channel, kind, outcome, {class} AS class, sum(many) AS many, \
           coalesce(sum(millis * many), 0) AS millis FROM (\
             SELECT hour, channel, kind, outcome, millis, 1 AS many FROM ({facts}) AS f \
             UNION ALL SELECT hour, channel, kind, outcome, millis, many FROM analytics_changes \
               WHERE tenant = $1 AND notification_id <= {counted}) AS l WHERE hour >= {from} AND hour < {to} \
           GROUP BY hour, channel, kind, outcome, {class}) \
         SELECT CAST(day AS BIGINT) AS day, channel, kind, outcome, class, CAST(sum(many) AS BIGINT) AS many, \
           CAST(sum(millis) AS BIGINT) AS millis FROM (\
           SELECT d.day, a.channel, a.kind, a.outcome, -1 AS class, a.many, a.millis \
             FROM days AS d CROSS JOIN analytics AS a WHERE a.tenant = $1 AND a.hour >= d.since AND a.hour < d.until \
           UNION ALL SELECT 0, channel, '', -1, class, many, 0 FROM analytics_latencies \
             WHERE tenant = $1 AND hour >= {from} AND hour < {to} \
           UNION ALL SELECT d.day, l.channel, l.kind, l.outcome, -1, l.many, l.millis \
             FROM late AS l JOIN days AS d ON l.hour >= d.since AND l.hour < d.until \
           UNION ALL SELECT 0, channel, '', -1, class, many, 0 FROM late WHERE class >= 0) AS a \
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

/// That entry `i` of notification `n`, which was accepted before `$1`, is done at `$2`, or was accepted before `$3`; and that
/// nothing is on its way any more.
static DONE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "n.created_at < $1 AND (i.confirmed_at IS NOT NULL OR i.read_at IS NOT NULL OR i.deleted_at IS NOT NULL \
         OR i.hush = 1 OR (i.hush = 3 AND n.kind <> '{BOOKING_KIND}') OR i.expires_at <= $2 OR n.created_at < $3) \
         AND NOT EXISTS (SELECT 1 FROM expansions AS x WHERE x.notification_id = n.id AND x.finished_at IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM deliveries AS d WHERE d.notification_id = n.id \
             AND d.recipient_id = i.recipient_id AND d.state < 2)"
    )
});

/// Entries of notifications behind `after`, up to `upto`, that are [`DONE`]; at most so many.
pub fn done(dialect: &Dialect, after: i64, upto: i64, most: usize) -> String {
    let (after, upto) = (after.to_string(), upto.to_string());
    let range = Range { after: &after, upto: &upto, is_of_tenant: false };
    let of = |entries: &String| format!("SELECT i.recipient_id, i.position FROM {entries} AND {}", *DONE);
    let all: Vec<_> = (dialect.entries)(&range).iter().map(of).collect();
    format!("SELECT recipient_id, position FROM ({}) AS a LIMIT {most}", all.join(" UNION ALL "))
}

/// Which of these notifications have an entry that is not.
pub fn kept(dialect: &Dialect, after: i64, upto: i64) -> String {
    let (after, upto) = (after.to_string(), upto.to_string());
    let range = Range { after: &after, upto: &upto, is_of_tenant: false };
    let of = |entries: &String| format!("SELECT n.id FROM {entries} AND ({}) IS NOT TRUE", *DONE);
    let all: Vec<_> = (dialect.entries)(&range).iter().map(of).collect();
    format!("SELECT DISTINCT id FROM ({}) AS a", all.join(" UNION ALL "))
}

fn these(entries: &[(i64, i64)]) -> String {
    let all: Vec<_> =
        entries.iter().map(|(recipient, position)| format!("({recipient}, {position})")).collect();
    format!("(recipient_id, position) IN (VALUES {})", all.join(", "))
}

/// Which of these entries are in an inbox, as [`HELD`](super::tally) has it.
pub fn held_of(entries: &[(i64, i64)]) -> String {
    format!(
        "SELECT recipient_id, position, read_at IS NULL AS is_unread FROM inbox WHERE deleted_at IS NULL AND {}",
        these(entries)
    )
}

/// Removes these entries.
pub fn remove(entries: &[(i64, i64)]) -> String {
    format!("DELETE FROM inbox WHERE {}", these(entries))
}
