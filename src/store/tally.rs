//! How much of an inbox there is: what was counted before, less what has expired since, and what came behind it.
//!
//! The one place that says which entries count. Marks keep what was counted true (`shift` in `sqlite/writing.rs`, `SHIFT`
//! in `postgres/statements.rs`), so what changes here changes there.

use diesel::backend::Backend;
use diesel::prelude::{QueryResult, Queryable};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, HasSqlType, Integer, Nullable, Text};

use super::held::{Counted, HeldCounts, Which};
use super::types::{At, Instant};
use crate::domain::{Position, Recipient, Timestamp};

/// Entries that are looked at in each count; with more of them, they are counted once and for all.
const LOOKED_AT: i64 = 64;

/// Parts of one inbox whose counts are kept.
const PARTS: i64 = 9;

/// Which entries `i` are in the inbox, whatever the time.
const HELD: &str = "i.deleted_at IS NULL AND (i.hush IS NULL OR i.hush <> 1)";

/// The question: one statement, and so one state of the database.
pub struct Tally<'a> {
    recipient: &'a Recipient,
    which: &'a Which,
    now: At,
    upto: Position,
}

impl<'a> Tally<'a> {
    /// How much `recipient` has of `which`.
    pub const fn new(recipient: &'a Recipient, which: &'a Which, now: Timestamp) -> Self {
        Self { recipient, which, now: At(now), upto: Position::MAX }
    }

    /// The same, but nothing that stands behind this place and has not been counted before.
    pub const fn upto(self, upto: Position) -> Self {
        Self { upto, ..self }
    }

    /// That entry `i` is of the kind, topic and priority asked for.
    fn fits<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Backend + HasSqlType<Text> + HasSqlType<Integer>,
        str: ToSql<Text, DB>,
        i32: ToSql<Integer, DB>,
    {
        let Which { kind, topic, priority } = self.which;
        if self.which.is_all() {
            return Ok(());
        }
        out.push_sql(" AND EXISTS (SELECT 1 FROM notifications AS n WHERE n.id = i.notification_id");
        for (condition, word) in [(" AND n.kind = ", kind), (" AND n.topic = ", topic)] {
            if !word.is_empty() {
                out.push_sql(condition);
                out.push_bind_param::<Text, str>(word)?;
            }
        }
        if *priority >= 0 {
            out.push_sql(" AND n.priority = ");
            out.push_bind_param::<Integer, i32>(priority)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

/// The answer.
#[derive(Queryable, Clone, Copy, Debug)]
pub struct Tallied {
    /// The recipient's row.
    pub row: i64,
    /// The last place that was counted before.
    pub counted_upto: Position,
    counted_at: Option<At>,
    total: i64,
    unread: i64,
    read_upto: Position,
    /// Entries looked at.
    pub looked_at: i64,
    new: i64,
    new_unread: i64,
    last: Option<Position>,
    gone: i64,
    gone_unread: i64,
    owed: i64,
    parts: i64,
}

impl Tallied {
    /// Whether somebody counted before.
    pub const fn is_known(&self) -> bool {
        self.counted_at.is_some()
    }

    /// Whether its counts are kept, or may be: every mark looks at all that are.
    pub const fn may_be_kept(&self, which: &Which) -> bool {
        self.is_known() || self.parts < PARTS || which.is_all()
    }

    /// Up to where all is counted now.
    pub fn upto(&self) -> Position {
        self.last.unwrap_or(self.counted_upto)
    }

    /// When, if that was to be `now`: never before the last time.
    pub fn at(&self, now: Timestamp) -> At {
        At(self.counted_at.map_or(now, |at| at.0.max(now)))
    }

    /// What came of it.
    pub fn counted(&self) -> Counted {
        let total = self.total + self.new - self.gone;
        let unread = self.unread + self.new_unread - self.gone_unread;
        let read_upto = if unread == 0 { self.upto() } else { self.read_upto };
        let is_long = self.looked_at > LOOKED_AT || self.gone > LOOKED_AT;
        let (upto, is_owed) = (self.upto(), self.owed > 0);
        Counted { counts: HeldCounts { total, unread }, upto, read_upto, is_long, is_owed }
    }
}

impl<DB> QueryFragment<DB> for Tally<'_>
where
    DB: Backend + HasSqlType<Text> + HasSqlType<Integer> + HasSqlType<BigInt> + HasSqlType<Instant>,
    str: ToSql<Text, DB>,
    i32: ToSql<Integer, DB>,
    i64: ToSql<BigInt, DB>,
    At: ToSql<Instant, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(
            "SELECT r.id, coalesce(c.upto, 0), c.counted_at, coalesce(c.total, 0), coalesce(c.unread, 0), \
             coalesce(c.read_upto, 0), count(i.position)",
        );
        for unread in ["", " AND i.read_at IS NULL"] {
            out.push_sql(", count(CASE WHEN i.position IS NOT NULL AND ");
            out.push_sql(HELD);
            out.push_sql(unread);
            out.push_sql(" AND (i.expires_at IS NULL OR (i.expires_at > ");
            out.push_bind_param::<Instant, At>(&self.now)?;
            // Clocks of nodes differ: what was counted as expired stays so.
            out.push_sql(" AND (c.counted_at IS NULL OR i.expires_at > c.counted_at)))");
            self.fits(&mut out)?;
            out.push_sql(" THEN 1 END)");
        }
        out.push_sql(", max(i.position)");
        for unread in ["", " AND i.read_at IS NULL"] {
            out.push_sql(
                // The plus keeps SQLite from going through all places: few entries expire.
                ", (SELECT count(*) FROM inbox AS i WHERE i.recipient_id = r.id AND +i.position <= c.upto \
                 AND i.expires_at > c.counted_at AND i.expires_at <= ",
            );
            out.push_bind_param::<Instant, At>(&self.now)?;
            out.push_sql(" AND ");
            out.push_sql(HELD);
            out.push_sql(unread);
            self.fits(&mut out)?;
            out.push_sql(")");
        }
        // A hint: on PostgreSQL a place may happen to be a number.
        out.push_sql(
            ", (SELECT count(*) FROM expansions AS x WHERE x.finished_at IS NULL AND x.tenant = r.tenant \
             AND NOT EXISTS (SELECT 1 FROM inbox AS h WHERE h.notification_id = x.notification_id \
             AND h.recipient_id = r.id AND h.position <> h.notification_id) AND x.due_at <= ",
        );
        out.push_bind_param::<Instant, At>(&self.now)?;
        out.push_sql(
            "), (SELECT count(*) FROM counts AS k WHERE k.recipient_id = r.id) \
             FROM recipients AS r LEFT JOIN counts AS c ON c.recipient_id = r.id AND c.kind = ",
        );
        out.push_bind_param::<Text, str>(&self.which.kind)?;
        out.push_sql(" AND c.topic = ");
        out.push_bind_param::<Text, str>(&self.which.topic)?;
        out.push_sql(" AND c.priority = ");
        out.push_bind_param::<Integer, i32>(&self.which.priority)?;
        out.push_sql(
            " LEFT JOIN inbox AS i ON i.recipient_id = r.id AND i.position > coalesce(c.upto, 0) \
             AND i.position <= ",
        );
        out.push_bind_param::<BigInt, i64>(&self.upto)?;
        out.push_sql(" WHERE r.tenant = ");
        out.push_bind_param::<Text, str>(self.recipient.tenant.as_str())?;
        out.push_sql(" AND r.user_id = ");
        out.push_bind_param::<Text, str>(self.recipient.user.as_str())?;
        out.push_sql(" GROUP BY r.id, r.tenant, c.upto, c.counted_at, c.total, c.unread, c.read_upto");
        Ok(())
    }
}

impl QueryId for Tally<'_> {
    type QueryId = ();
    // Its text depends on what is asked for.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Tally<'_> {
    type SqlType = (
        BigInt,
        BigInt,
        Nullable<Instant>,
        BigInt,
        BigInt,
        BigInt,
        BigInt,
        BigInt,
        BigInt,
        Nullable<BigInt>,
        BigInt,
        BigInt,
        BigInt,
        BigInt,
    );
}

impl<C> diesel::RunQueryDsl<C> for Tally<'_> {}
