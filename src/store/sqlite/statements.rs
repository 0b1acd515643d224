//! What is run for each notification, entry or chunk. Each is one text, prepared once: diesel walks through what it puts
//! together several times for each row, and prepares every UPDATE anew.

use diesel::RunQueryDsl;
use diesel::prelude::QueryResult;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

use crate::store::sealing::{ActionUrl, DataText, Message, Sealed, SealedStr, Title, WishText};
use crate::store::types::{At, Instant, Uuid128, UuidColumn};

/// A statement: text, a value, text, a value, and so on.
macro_rules! statement {
    ($name:ident { $($text:literal $field:ident: $sql:ty => $rust:ty,)* } $end:literal) => {
        pub struct $name<'a> {
            $(pub $field: $rust,)*
            pub borrowed: std::marker::PhantomData<&'a ()>,
        }

        impl QueryFragment<Sqlite> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
                $(
                    out.push_sql($text);
                    out.push_bind_param::<$sql, _>(&self.$field)?;
                )*
                out.push_sql($end);
                Ok(())
            }
        }

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl RunQueryDsl<SqliteConnection> for $name<'_> {}
    };
}

statement! {
    InsertContent {
        "INSERT OR IGNORE INTO notifications (id, uuid, tenant, kind, topic, title, message, data, idempotency_key, \
         request_digest, created_at, priority, action_url, sender, expires_at, wish) VALUES (" id: BigInt => i64,
        ", " uuid: Uuid128 => UuidColumn,
        ", " tenant: Text => &'a str,
        ", " kind: Text => &'a str,
        ", " topic: Text => &'a str,
        ", " title: Title => SealedStr<'a>,
        ", " message: Message => SealedStr<'a>,
        ", " data: DataText => SealedStr<'a>,
        ", " key: Nullable<Binary> => Option<&'a [u8]>,
        ", " digest: Nullable<Binary> => Option<&'a [u8]>,
        ", " created_at: Instant => At,
        ", " priority: Integer => i32,
        ", " action_url: Nullable<ActionUrl> => Option<SealedStr<'a>>,
        ", " sender: Nullable<Text> => Option<&'a str>,
        ", " expires_at: Nullable<Instant> => Option<At>,
        ", " wish: Nullable<WishText> => Option<Sealed>,
    } ")"
}

statement! {
    InsertEntry {
        "INSERT INTO inbox (recipient_id, position, notification_id, expires_at, hush, hush_reason) VALUES (" recipient: BigInt => i64,
        ", " position: BigInt => i64,
        ", " notification: BigInt => i64,
        ", " expires_at: Nullable<Instant> => Option<At>,
        ", " hush: Nullable<Integer> => Option<i32>,
        ", " reason: Nullable<Text> => Option<&'a str>,
    } ")"
}

statement! {
    ConfirmEntry {
        "UPDATE inbox SET confirmed_by = 'heartbeat', sent_at = " sent_at: Instant => At,
        ", sent_over = " sent_over: Text => &'a str,
        ", confirmed_at = " confirmed_at: Instant => At,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } " AND confirmed_at IS NULL"
}

statement! {
    NoteHanded {
        "UPDATE inbox SET sent_at = " sent_at: Instant => At,
        ", sent_over = " sent_over: Text => &'a str,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } " AND sent_at IS NULL"
}

statement! {
    RememberNumber {
        "UPDATE sqlite_sequence SET seq = " number: BigInt => i64,
    } " WHERE name = 'notifications'"
}

statement! {
    NoteProgress {
        "UPDATE expansions SET reached = " reached: BigInt => i64,
        ", present = " present: Nullable<Text> => Option<&'a str>,
        ", recipients = recipients + " many: BigInt => i64,
        ", chunks = chunks + " chunks: BigInt => i64,
        " WHERE notification_id = " notification: BigInt => i64,
    } ""
}

statement! {
    ConfirmMarked {
        "UPDATE inbox SET confirmed_at = " at: Instant => At,
        ", confirmed_by = " by: Text => &'a str,
        ", sent_at = " sent_at: Nullable<Instant> => Option<At>,
        ", sent_over = " sent_over: Nullable<Text> => Option<&'a str>,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } " AND confirmed_at IS NULL"
}

statement! {
    ReadEntry {
        "UPDATE inbox SET read_at = " at: Nullable<Instant> => Option<At>,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } " AND (read_at IS NULL) <> (?1 IS NULL)"
}

statement! {
    DeleteEntry {
        "UPDATE inbox SET deleted_at = " at: Instant => At,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } ""
}

statement! {
    HushEntry {
        "UPDATE inbox SET hush = " hush: Integer => i32,
        ", hush_reason = " reason: Text => &'a str,
        " WHERE recipient_id = " recipient: BigInt => i64,
        " AND position = " position: BigInt => i64,
    } ""
}

statement! {
    ShiftCounts {
        "UPDATE counts SET total = total + " total: BigInt => i64,
        ", unread = unread + " unread: BigInt => i64,
        ", read_upto = CASE WHEN unread + ?2 = 0 THEN upto ELSE min(read_upto, " read_upto: BigInt => i64,
        ") END WHERE recipient_id = " recipient: BigInt => i64,
        " AND upto >= " position: BigInt => i64,
    } " AND EXISTS (SELECT 1 FROM inbox AS i JOIN notifications AS n ON n.id = i.notification_id \
        WHERE i.recipient_id = ?4 AND i.position = ?5 AND (i.hush IS NULL OR i.hush <> 1) \
        AND (i.expires_at IS NULL OR i.expires_at > counts.counted_at) AND counts.kind IN ('', n.kind) \
        AND counts.topic IN ('', n.topic) AND counts.priority IN (-1, n.priority))"
}

statement! {
    SettlePlace {
        "UPDATE recipients SET pending_after = " upto: BigInt => i64,
        " WHERE id = " recipient: BigInt => i64,
    } " AND pending_after < ?1"
}

statement! {
    NoteDelivery {
        "UPDATE deliveries SET state = " state: Integer => i32,
        ", due_at = " due_at: Instant => At,
        ", since = since + " since: Integer => i32,
        ", reason = " reason: Nullable<Text> => Option<&'a str>,
        ", provider = " provider: Text => &'a str,
        ", provider_id = " provider_id: Nullable<Text> => Option<&'a str>,
        ", finished_at = " finished_at: Nullable<Instant> => Option<At>,
        " WHERE id = " id: BigInt => i64,
        " AND attempt = " attempt: Integer => i32,
        " AND state = " under_way: Integer => i32,
    } ""
}
