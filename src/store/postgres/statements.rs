//! Statements over arrays: one for a whole batch.

use std::marker::PhantomData;

use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

use crate::store::content::ContentSql;
use crate::store::sealing::{ActionUrl, DataText, Message, Sealed, SealedStr, Title, WishText};
use crate::store::types::{At, Instant, Uuid128, UuidColumn};

/// A statement over arrays, prepared once: its text is always the same.
macro_rules! over_arrays {
    ($name:ident { $($field:ident: $sql:ty => $rust:ty),* } -> $output:ty, $before:expr, $after:expr) => {
        pub struct $name<'a> {
            $(pub $field: Vec<$rust>,)*
            pub borrowed: PhantomData<&'a str>,
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($before);
                let mut between = "unnest(";
                $(
                    out.push_sql(between);
                    out.push_bind_param::<diesel::sql_types::Array<$sql>, _>(&self.$field)?;
                    between = ", ";
                )*
                let _ = between;
                out.push_sql($after);
                Ok(())
            }
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = $output;
        }
    };
}
pub(super) use over_arrays;

over_arrays! {
    InsertContents {
        uuids: Uuid128 => UuidColumn,
        tenants: Text => &'a str,
        kinds: Text => &'a str,
        topics: Text => &'a str,
        titles: Title => SealedStr<'a>,
        messages: Message => SealedStr<'a>,
        datas: DataText => SealedStr<'a>,
        keys: Binary => &'a [u8],
        digests: Binary => &'a [u8],
        instants: Instant => At,
        priorities: Integer => i32,
        action_urls: Nullable<ActionUrl> => Option<SealedStr<'a>>,
        senders: Nullable<Text> => Option<&'a str>,
        ends: Nullable<Instant> => Option<At>,
        wishes: Nullable<WishText> => Option<Sealed>
    } -> (BigInt, Uuid128),
    "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, idempotency_key, \
     request_digest, created_at, priority, action_url, sender, expires_at, wish) SELECT * FROM ",
    ") ON CONFLICT DO NOTHING RETURNING id, uuid"
}

over_arrays! {
    ReservePlaces {
        tenants: Text => &'a str,
        users: Text => &'a str,
        counts: BigInt => i64
    } -> (BigInt, Text, Text, BigInt, Nullable<Text>),
    "INSERT INTO recipients AS r (tenant, user_id, last_position) SELECT * FROM ",
    ") ON CONFLICT (tenant, user_id) DO UPDATE SET last_position = r.last_position + excluded.last_position \
     RETURNING id, tenant, user_id, last_position, preferences"
}

over_arrays! {
    InsertEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        notifications: BigInt => i64,
        ends: Nullable<Instant> => Option<At>,
        hushes: Nullable<Integer> => Option<i32>,
        reasons: Nullable<Text> => Option<String>
    } -> (),
    "INSERT INTO inbox (recipient_id, position, notification_id, expires_at, hush, hush_reason) SELECT * FROM ",
    ")"
}

over_arrays! {
    HushEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        hushes: Integer => i32,
        reasons: Text => String
    } -> (),
    "UPDATE inbox SET hush = e.hush, hush_reason = e.reason FROM ",
    ") AS e (recipient, place, hush, reason) WHERE recipient_id = e.recipient AND position = e.place"
}

over_arrays! {
    Defer {
        recipients: BigInt => i64,
        ends: Instant => At
    } -> (),
    "INSERT INTO deferrals (recipient_id, due_at) SELECT * FROM ",
    ") ON CONFLICT DO NOTHING"
}

over_arrays! {
    Record {
        instants: Instant => At,
        tenants: Text => &'a str,
        actors: Nullable<Text> => Option<&'a str>,
        actions: Text => &'a str,
        subjects: Nullable<Text> => Option<&'a str>,
        details: Text => &'a str,
        addresses: Nullable<Text> => Option<&'a str>
    } -> (),
    "INSERT INTO audit_log (at, tenant, actor, action, subject, detail, address) SELECT * FROM ",
    ")"
}

over_arrays! {
    EarlierOf {
        keys: Binary => &'a [u8],
        tenants: Nullable<Text> => Option<&'a str>,
        users: Nullable<Text> => Option<&'a str>
    } -> EarlierColumns,
    "SELECT e.place, n.id, n.uuid, n.request_digest, n.created_at, i.recipient_id, i.position, \
     coalesce(i.sent_at, i.confirmed_at), i.hush FROM ",
    ") WITH ORDINALITY AS e (key, tenant, user_id, place) \
     JOIN notifications AS n ON n.idempotency_key = e.key \
     LEFT JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
     LEFT JOIN inbox AS i ON i.notification_id = n.id AND i.recipient_id = r.id AND i.deleted_at IS NULL"
}
type EarlierColumns = (
    BigInt,
    BigInt,
    Uuid128,
    Nullable<Binary>,
    Instant,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<Instant>,
    Nullable<Integer>,
);

/// What is told of an entry that is marked: which of them it is, and how it stood before.
type MarkedColumns = (BigInt, Uuid128, Nullable<Text>, Nullable<Instant>, Nullable<Instant>, Bool, Bool);

/// Keeps counts true: `marked` has the entries that were changed, as they are now. Of each, so many more (or fewer)
/// are held and unread.
macro_rules! shift {
    ($total:literal, $unread:literal) => {
        concat!(
            "shift AS (UPDATE counts AS c SET total = c.total + d.total, unread = c.unread + d.unread, \
                 read_upto = CASE WHEN c.unread + d.unread = 0 THEN c.upto \
                     WHEN d.unread > 0 AND c.read_upto >= d.first THEN d.first - 1 ELSE c.read_upto END \
                 FROM (SELECT c.recipient_id, c.kind, c.topic, c.priority, min(m.position) AS first, sum(",
            $total,
            ")::bigint AS total, sum(",
            $unread,
            ")::bigint AS unread FROM marked AS m \
                     JOIN counts AS c ON c.recipient_id = m.recipient_id AND c.upto >= m.position \
                         AND m.hush IS DISTINCT FROM 1 AND (m.expires_at IS NULL OR m.expires_at > c.counted_at) \
                     JOIN notifications AS n ON n.id = m.notification_id \
                         AND c.kind IN ('', n.kind) AND c.topic IN ('', n.topic) AND c.priority IN (-1, n.priority) \
                     GROUP BY c.recipient_id, c.kind, c.topic, c.priority) AS d \
                 WHERE c.recipient_id = d.recipient_id AND c.kind = d.kind AND c.topic = d.topic \
                     AND c.priority = d.priority)"
        )
    };
}

/// Marks one person's entries between two places read; tells how many were not.
pub const READ_BETWEEN: &str = concat!(
    "WITH marked AS (UPDATE inbox AS i SET read_at = $1, confirmed_at = coalesce(i.confirmed_at, $1), \
         confirmed_by = coalesce(i.confirmed_by, 'read') \
         WHERE i.recipient_id = $2 AND i.position > $3 AND i.position <= $4 AND i.read_at IS NULL \
             AND i.deleted_at IS NULL \
         RETURNING i.recipient_id, i.position, i.notification_id, i.expires_at, i.hush, i.confirmed_at, i.confirmed_by), ",
    shift!("0", "-1"),
    " SELECT count(*) FILTER (WHERE (hush IS NULL OR hush <> 1) AND (expires_at IS NULL OR expires_at > $1)) AS many, \
         count(*) FILTER (WHERE confirmed_at = $1 AND confirmed_by = 'read') AS confirmed FROM marked"
);

/// One entry changes by so much.
pub const SHIFT_ONE: &str = concat!(
    "WITH marked AS (SELECT recipient_id, position, notification_id, expires_at, hush FROM inbox \
         WHERE recipient_id = $1 AND position = $2), ",
    shift!("$3", "$4"),
    " SELECT 1"
);

/// A statement that marks entries, and tells which of them there are.
macro_rules! marking {
    ($name:ident, $set:literal, $which:literal, $by:literal, $total:literal, $unread:literal) => {
        over_arrays! {
            $name {
                tenants: Text => &'a str,
                users: Text => &'a str,
                notifications: BigInt => i64,
                instants: Instant => At,
                handed: Nullable<Instant> => Option<At>,
                over: Nullable<Text> => Option<&'a str>
            } -> MarkedColumns,
            "WITH found AS (SELECT e.place, e.at, e.handed, e.via, e.notification, i.recipient_id, i.position, i.confirmed_at, \
                 i.read_at FROM ",
            concat!(
                ") WITH ORDINALITY AS e (tenant, user_id, notification, at, handed, via, place) \
                     JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
                     JOIN inbox AS i ON i.notification_id = e.notification AND i.recipient_id = r.id \
                     WHERE i.deleted_at IS NULL), \
                 one AS (SELECT recipient_id, position, min(at) AS at, min(handed) AS handed, min(via) AS via \
                     FROM found GROUP BY recipient_id, position), \
                 marked AS (UPDATE inbox SET ", $set, " FROM one \
                     WHERE inbox.recipient_id = one.recipient_id AND inbox.position = one.position \
                         AND inbox.deleted_at IS NULL AND ", $which, " \
                     RETURNING inbox.recipient_id, inbox.position, inbox.notification_id, inbox.expires_at, inbox.hush, \
                         inbox.read_at, inbox.confirmed_at, inbox.confirmed_by), ",
                shift!($total, $unread),
                // Another node may have confirmed it since it was found.
                " SELECT found.place, n.uuid, n.sender, found.confirmed_at, found.read_at, n.wish IS NOT NULL, \
                     found.confirmed_at IS NULL AND coalesce(m.confirmed_at = one.at AND m.confirmed_by = '", $by, "', false) \
                     FROM found JOIN notifications AS n ON n.id = found.notification \
                     JOIN one ON one.recipient_id = found.recipient_id AND one.position = found.position \
                     LEFT JOIN marked AS m ON m.recipient_id = found.recipient_id AND m.position = found.position"
            )
        }
    };
}

marking!(
    MarkRead,
    "read_at = one.at, confirmed_at = coalesce(inbox.confirmed_at, one.at), \
     confirmed_by = coalesce(inbox.confirmed_by, 'read'), sent_at = coalesce(inbox.sent_at, one.handed), \
     sent_over = CASE WHEN inbox.sent_at IS NULL THEN one.via ELSE inbox.sent_over END",
    "inbox.read_at IS NULL",
    "read",
    "0",
    "-1"
);
marking!(
    MarkConfirmed,
    "confirmed_at = one.at, confirmed_by = 'ack', sent_at = coalesce(inbox.sent_at, one.handed), \
     sent_over = CASE WHEN inbox.sent_at IS NULL THEN one.via ELSE inbox.sent_over END",
    "inbox.confirmed_at IS NULL",
    "ack",
    "0",
    "0"
);
marking!(MarkUnread, "read_at = NULL", "inbox.read_at IS NOT NULL", "", "0", "1");
marking!(
    MarkDeleted,
    "deleted_at = one.at",
    "true",
    "",
    "-1",
    "CASE WHEN m.read_at IS NULL THEN -1 ELSE 0 END"
);

over_arrays! {
    KeepCounts {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (),
    "SELECT 1 FROM recipients AS r JOIN ",
    ") AS e (tenant, user_id) ON r.tenant = e.tenant AND r.user_id = e.user_id ORDER BY r.id FOR KEY SHARE OF r"
}

over_arrays! {
    KnowRecipients {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (),
    "INSERT INTO recipients (tenant, user_id) SELECT * FROM ",
    ") ON CONFLICT DO NOTHING"
}

over_arrays! {
    // In the order in which those who store take them.
    HoldPeople {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (),
    "SELECT 1 FROM recipients AS r JOIN ",
    ") AS e (tenant, user_id) ON r.tenant = e.tenant AND r.user_id = e.user_id \
     ORDER BY r.tenant COLLATE \"C\", r.user_id COLLATE \"C\" FOR NO KEY UPDATE OF r"
}

over_arrays! {
    // Those that none of their connections has; of whoever has a connection.
    TakeRoles {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (),
    "DELETE FROM roles USING recipients AS r, ",
    ") AS e (tenant, user_id) \
     WHERE r.tenant = e.tenant AND r.user_id = e.user_id AND roles.recipient_id = r.id \
         AND EXISTS (SELECT 1 FROM connections AS c WHERE c.tenant = e.tenant AND c.user_id = e.user_id) \
         AND NOT EXISTS (SELECT 1 FROM connections AS c \
             WHERE c.tenant = e.tenant AND c.user_id = e.user_id AND c.roles::jsonb ? roles.role)"
}

over_arrays! {
    GiveRoles {
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> (),
    "INSERT INTO roles (tenant, role, recipient_id) SELECT r.tenant, each.role, r.id FROM ",
    ") AS e (tenant, user_id) JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
     JOIN connections AS c ON c.tenant = e.tenant AND c.user_id = e.user_id \
     CROSS JOIN LATERAL jsonb_array_elements_text(c.roles::jsonb) AS each (role) \
     ON CONFLICT DO NOTHING"
}

over_arrays! {
    // Who else holds such a row stores something for its recipient: this can wait for another time.
    SettlePlaces {
        recipients: BigInt => i64,
        places: BigInt => i64
    } -> (),
    "UPDATE recipients AS r SET pending_after = e.upto FROM (\
         SELECT one.id, e.upto FROM ",
    ") AS e (id, upto) JOIN recipients AS one ON one.id = e.id \
         WHERE one.pending_after < e.upto FOR UPDATE OF one SKIP LOCKED) AS e WHERE r.id = e.id"
}

over_arrays! {
    NoteConnections {
        socket_ids: Text => &'a str,
        nodes: Text => &'a str,
        tenants: Text => &'a str,
        users: Text => &'a str,
        instants: Instant => At,
        roles: Text => &'a str
    } -> (),
    "INSERT INTO connections (socket_id, node, tenant, user_id, connected_at, roles) SELECT * FROM ",
    ") ON CONFLICT (socket_id) DO UPDATE SET tenant = excluded.tenant, user_id = excluded.user_id, \
     connected_at = excluded.connected_at, roles = excluded.roles"
}

over_arrays! {
    // As many as `store::TOGETHER` of each: a limit cannot be an array's.
    EntriesBehind {
        tenants: Text => &'a str,
        users: Text => &'a str,
        places: BigInt => i64
    } -> EntryColumns,
    "SELECT e.which, i.recipient_id, i.position, i.read_at IS NOT NULL OR i.deleted_at IS NOT NULL \
     OR i.hush IS NOT NULL OR coalesce(i.expires_at <= now(), false), n.id, n.uuid, n.kind, n.topic, n.title, \
     n.message, n.data, n.priority, n.action_url, n.created_at, n.expires_at, n.wish FROM ",
    ") WITH ORDINALITY AS e (tenant, user_id, served, which) \
     JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
     CROSS JOIN LATERAL (SELECT * FROM inbox WHERE recipient_id = r.id AND position > e.served \
         ORDER BY position LIMIT 64) AS i \
     JOIN notifications AS n ON n.id = i.notification_id ORDER BY e.which, i.position"
}
type EntryColumns = (BigInt, BigInt, BigInt, Bool, ContentSql);

over_arrays! {
    InsertDeliveries {
        notifications: BigInt => i64,
        recipients: BigInt => i64,
        positions: BigInt => i64,
        tenants: Text => &'a str,
        channels: Integer => i32,
        steps: Integer => i32,
        dues: Instant => At,
        instants: Instant => At
    } -> (),
    "INSERT INTO deliveries \
         (notification_id, recipient_id, position, tenant, channel, step, due_at, created_at) SELECT * FROM ",
    ")"
}

over_arrays! {
    HoldEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64
    } -> (BigInt, BigInt),
    "SELECT i.recipient_id, i.position FROM inbox AS i JOIN ",
    ") AS e (recipient, place) ON i.recipient_id = e.recipient AND i.position = e.place \
     ORDER BY i.recipient_id, i.position FOR NO KEY UPDATE OF i SKIP LOCKED"
}

over_arrays! {
    // Two of one delivery cannot both count: their attempts differ.
    NoteTried {
        ids: BigInt => i64,
        attempts: Integer => i32,
        instants: Instant => At,
        took: Integer => i32,
        providers: Text => &'a str,
        states: Integer => i32,
        reasons: Nullable<Text> => Option<&'a str>,
        provider_ids: Nullable<Text> => Option<&'a str>,
        dues: Instant => At,
        uncounted: Integer => i32,
        ends: Nullable<Instant> => Option<At>
    } -> BigInt,
    "WITH noted AS (UPDATE deliveries AS d SET state = e.state, due_at = e.due_at, reason = e.reason, \
         since = d.since + e.uncounted, provider = e.provider, provider_id = e.provider_id, finished_at = e.finished_at FROM ",
    ") AS e (id, attempt, at, took_ms, provider, state, reason, provider_id, due_at, uncounted, finished_at) \
         WHERE d.id = e.id AND d.attempt = e.attempt AND d.state = 1 \
         RETURNING e.id, e.attempt, e.at, e.took_ms, e.provider, e.state, e.reason, e.uncounted), \
     log AS (INSERT INTO delivery_attempts (delivery_id, attempt, at, took_ms, provider, state, reason) \
         SELECT id, attempt, at, took_ms, provider, state, reason FROM noted WHERE uncounted = 0) \
     SELECT id FROM noted"
}

/// What is told of an entry that somebody wants to hear of.
type ToldColumns =
    (BigInt, BigInt, Nullable<Instant>, Nullable<Instant>, (BigInt, Uuid128, Text, Text, Text), Text);

over_arrays! {
    ToldAt {
        recipients: BigInt => i64,
        positions: BigInt => i64
    } -> ToldColumns,
    "SELECT i.recipient_id, i.position, i.confirmed_at, i.read_at, n.id, n.uuid, n.tenant, n.kind, n.topic, r.user_id FROM ",
    ") AS e (recipient, place) JOIN inbox AS i ON i.recipient_id = e.recipient AND i.position = e.place \
     JOIN recipients AS r ON r.id = i.recipient_id JOIN notifications AS n ON n.id = i.notification_id \
     ORDER BY i.recipient_id, i.position FOR NO KEY UPDATE OF i"
}

over_arrays! {
    ToldOf {
        tenants: Text => &'a str,
        users: Text => &'a str,
        notifications: BigInt => i64
    } -> ToldColumns,
    "SELECT i.recipient_id, i.position, i.confirmed_at, i.read_at, n.id, n.uuid, n.tenant, n.kind, n.topic, r.user_id FROM ",
    ") AS e (tenant, user_id, notification) \
     JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
     JOIN inbox AS i ON i.notification_id = e.notification AND i.recipient_id = r.id \
     JOIN notifications AS n ON n.id = i.notification_id WHERE i.deleted_at IS NULL \
     ORDER BY i.recipient_id, i.position FOR NO KEY UPDATE OF i"
}
