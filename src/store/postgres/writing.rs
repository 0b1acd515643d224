//! The write bodies, async; and whole batches in one statement each: a round trip costs more than a row.

macro_rules! wait {
    ($query:expr) => {
        $query.await
    };
}
macro_rules! body {
    ($(#[$doc:meta])* $access:vis fn $name:ident $arguments:tt -> $output:ty $body:block) => {
        $(#[$doc])* $access async fn $name $arguments -> $output $body
    };
}

use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::pg::Pg;
use diesel::prelude::{ExpressionMethods, QueryDsl, QueryResult};
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::AsyncPgConnection as Connection;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::domain::{NewNotification, NotificationId, Position, Recipient};
use crate::store::schema::connections;
use crate::store::types::{At, Instant, Uuid128, UuidColumn};
use crate::store::{Presence, Sent};

#[path = "../commit.rs"]
mod commit;
pub use commit::apply;
use commit::{Earlier, Seen};

/// What the writer knows without asking: nothing, since other nodes write too.
#[derive(Default)]
pub struct Memory;

impl Memory {
    async fn begin(&mut self, _: &mut Connection) -> QueryResult<()> {
        Ok(())
    }
}

/// A statement over arrays, prepared once: its text is always the same.
macro_rules! over_arrays {
    ($name:ident { $($field:ident: $sql:ty => $rust:ty),* } -> $output:ty, $before:expr, $after:expr) => {
        struct $name<'a> {
            $($field: Vec<$rust>,)*
            borrowed: PhantomData<&'a str>,
        }

        impl QueryFragment<Pg> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($before);
                let mut between = "unnest(";
                $(
                    out.push_sql(between);
                    out.push_bind_param::<Array<$sql>, _>(&self.$field)?;
                    between = ", ";
                )*
                let _ = between;
                out.push_sql($after);
                Ok(())
            }
        }

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl Query for $name<'_> {
            type SqlType = $output;
        }
    };
}

over_arrays! {
    InsertContents {
        uuids: Uuid128 => UuidColumn,
        tenants: Text => &'a str,
        kinds: Text => &'a str,
        topics: Text => &'a str,
        titles: Text => &'a str,
        messages: Text => &'a str,
        datas: Text => &'a str,
        keys: Nullable<Binary> => Option<&'a [u8]>,
        digests: Nullable<Binary> => Option<&'a [u8]>,
        instants: Instant => At
    } -> (BigInt, Uuid128),
    "INSERT INTO notifications (uuid, tenant, kind, topic, title, message, data, idempotency_key, \
     request_digest, created_at) SELECT * FROM ",
    ") ON CONFLICT DO NOTHING RETURNING id, uuid"
}

over_arrays! {
    ReservePlaces {
        tenants: Text => &'a str,
        users: Text => &'a str,
        counts: BigInt => i64
    } -> (BigInt, Text, Text, BigInt),
    "INSERT INTO recipients AS r (tenant, user_id, last_position) SELECT * FROM ",
    ") ON CONFLICT (tenant, user_id) DO UPDATE SET last_position = r.last_position + excluded.last_position \
     RETURNING id, tenant, user_id, last_position"
}

over_arrays! {
    InsertEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        notifications: BigInt => i64
    } -> (),
    "INSERT INTO inbox (recipient_id, position, notification_id) SELECT * FROM ",
    ")"
}

over_arrays! {
    ConfirmEntries {
        recipients: BigInt => i64,
        positions: BigInt => i64,
        sent: Instant => At,
        confirmed: Instant => At
    } -> (),
    "UPDATE inbox SET sent_at = e.sent, confirmed_at = e.confirmed, confirmed_by = 'heartbeat' FROM ",
    ") AS e (recipient, place, sent, confirmed) \
     WHERE recipient_id = e.recipient AND position = e.place AND confirmed_at IS NULL"
}

over_arrays! {
    EarlierOf {
        keys: Nullable<Binary> => Option<&'a [u8]>,
        tenants: Text => &'a str,
        users: Text => &'a str
    } -> EarlierColumns,
    "SELECT e.place, n.id, n.uuid, n.request_digest, n.created_at, i.recipient_id, i.position, \
     coalesce(i.sent_at, i.confirmed_at) FROM ",
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
);

over_arrays! {
    MarkRead {
        tenants: Text => &'a str,
        users: Text => &'a str,
        notifications: BigInt => i64,
        instants: Instant => At
    } -> (BigInt,),
    "WITH found AS (SELECT e.place, e.at, i.recipient_id, i.position FROM ",
    ") WITH ORDINALITY AS e (tenant, user_id, notification, at, place) \
         JOIN recipients AS r ON r.tenant = e.tenant AND r.user_id = e.user_id \
         JOIN inbox AS i ON i.notification_id = e.notification AND i.recipient_id = r.id \
         WHERE i.deleted_at IS NULL), \
     unread AS (SELECT recipient_id, position, min(at) AS at FROM found GROUP BY recipient_id, position), \
     marked AS (UPDATE inbox SET read_at = unread.at, \
             confirmed_at = coalesce(inbox.confirmed_at, unread.at), \
             confirmed_by = coalesce(inbox.confirmed_by, 'read') FROM unread \
         WHERE inbox.recipient_id = unread.recipient_id AND inbox.position = unread.position \
             AND inbox.read_at IS NULL) \
     SELECT place FROM found"
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
        instants: Instant => At
    } -> (),
    "INSERT INTO connections (socket_id, node, tenant, user_id, connected_at) SELECT * FROM ",
    ") ON CONFLICT (socket_id) DO UPDATE SET tenant = excluded.tenant, user_id = excluded.user_id, \
     connected_at = excluded.connected_at"
}

/// Stores the contents; `None` for each whose idempotency key is taken.
async fn insert_all(
    connection: &mut Connection,
    _: &mut Memory,
    all: &[&NewNotification],
) -> QueryResult<Vec<Option<i64>>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let insert = InsertContents {
        uuids: all.iter().map(|new| UuidColumn(new.uuid)).collect(),
        tenants: all.iter().map(|new| new.recipient.tenant.as_str()).collect(),
        kinds: all.iter().map(|new| new.kind).collect(),
        topics: all.iter().map(|new| new.topic).collect(),
        titles: all.iter().map(|new| new.title.as_str()).collect(),
        messages: all.iter().map(|new| new.message.as_str()).collect(),
        datas: all.iter().map(|new| new.data.as_str()).collect(),
        keys: all.iter().map(|new| Some(new.idempotency.as_ref()?.key.as_slice())).collect(),
        digests: all.iter().map(|new| Some(new.idempotency.as_ref()?.request.0.as_slice())).collect(),
        instants: all.iter().map(|new| At(new.created_at)).collect(),
        borrowed: PhantomData,
    };
    let inserted: Vec<(i64, UuidColumn)> = insert.load(connection).await?;
    let ids: HashMap<Uuid, i64> = inserted.into_iter().map(|(id, uuid)| (uuid.0, id)).collect();
    Ok(all.iter().map(|new| ids.get(&new.uuid).copied()).collect())
}

/// Gives each its place in its recipient's inbox. A recipient's row stays locked until the commit, so that
/// places are given in commit order, without gaps; all are locked in one order, so that two nodes do not
/// wait for each other.
async fn place_all(
    connection: &mut Connection,
    _: &mut Memory,
    all: &[(&Recipient, NotificationId)],
) -> QueryResult<Vec<(i64, i64)>> {
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let mut counts: BTreeMap<&Recipient, i64> = BTreeMap::new();
    for (recipient, _) in all {
        *counts.entry(recipient).or_default() += 1;
    }
    let reserve = ReservePlaces {
        tenants: counts.keys().map(|recipient| recipient.tenant.as_str()).collect(),
        users: counts.keys().map(|recipient| recipient.user.as_str()).collect(),
        counts: counts.values().copied().collect(),
        borrowed: PhantomData,
    };
    let reserved: Vec<(i64, String, String, i64)> = reserve.load(connection).await?;
    let mut next: HashMap<(&str, &str), (i64, i64)> = HashMap::with_capacity(reserved.len());
    for (row, tenant, user, last) in &reserved {
        next.insert((tenant, user), (*row, *last));
    }
    for (recipient, many) in counts {
        if let Some((_, last)) = next.get_mut(&(recipient.tenant.as_str(), recipient.user.as_str())) {
            *last -= many;
        }
    }
    let mut places = Vec::with_capacity(all.len());
    for (recipient, _) in all {
        let place = next.get_mut(&(recipient.tenant.as_str(), recipient.user.as_str()));
        let (row, last) = place.ok_or(diesel::result::Error::NotFound)?;
        *last += 1;
        places.push((*row, *last));
    }
    let insert = InsertEntries {
        recipients: places.iter().map(|(row, _)| *row).collect(),
        positions: places.iter().map(|(_, position)| *position).collect(),
        notifications: all.iter().map(|(_, notification)| notification.0).collect(),
        borrowed: PhantomData,
    };
    insert.execute(connection).await?;
    Ok(places)
}

/// Notes confirmations; returns how many entries were not confirmed before.
async fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
    let mut entries: Vec<&Sent> = entries.iter().collect();
    entries.sort_unstable_by_key(|entry| (entry.recipient, entry.position));
    let confirm = ConfirmEntries {
        recipients: entries.iter().map(|entry| entry.recipient).collect(),
        positions: entries.iter().map(|entry| entry.position).collect(),
        sent: entries.iter().map(|entry| At(entry.sent_at)).collect(),
        confirmed: entries.iter().map(|entry| At(entry.confirmed_at)).collect(),
        borrowed: PhantomData,
    };
    confirm.execute(connection).await
}

/// The database's own time: the clocks of nodes may differ.
fn now() -> SqlLiteral<Instant> {
    sql("now()")
}

/// So many seconds before it.
fn ago(seconds: i64) -> SqlLiteral<Instant> {
    sql(&format!("now() - make_interval(secs => {seconds})"))
}

/// What was accepted before under the keys of `news`.
async fn earlier(
    connection: &mut Connection,
    news: &[&NewNotification],
) -> QueryResult<Vec<Option<Earlier>>> {
    type Columns = (i64, i64, UuidColumn, Option<Vec<u8>>, At, Option<i64>, Option<i64>, Option<At>);
    let query = EarlierOf {
        keys: news.iter().map(|new| Some(new.idempotency.as_ref()?.key.as_slice())).collect(),
        tenants: news.iter().map(|new| new.recipient.tenant.as_str()).collect(),
        users: news.iter().map(|new| new.recipient.user.as_str()).collect(),
        borrowed: PhantomData,
    };
    let rows: Vec<Columns> = query.load(connection).await?;
    let mut earlier: Vec<Option<Earlier>> = news.iter().map(|_| None).collect();
    for (which, id, UuidColumn(uuid), request, At(created_at), row, position, sent_at) in rows {
        let (place, delivered_at) = (row.zip(position), sent_at.map(|at| at.0));
        let id = NotificationId(id);
        if let Some(earlier) = nth(&mut earlier, which) {
            *earlier = Some(Earlier { id, uuid, request, created_at, place, delivered_at });
        }
    }
    Ok(earlier)
}

/// What PostgreSQL counts as the `which`th, from one.
fn nth<T>(all: &mut [T], which: i64) -> Option<&mut T> {
    usize::try_from(which - 1).ok().and_then(|index| all.get_mut(index))
}

/// Marks read; `false` for each that its recipient does not have.
async fn mark_read(connection: &mut Connection, seen: &[Seen<'_>]) -> QueryResult<Vec<bool>> {
    let mut found = vec![false; seen.len()];
    if seen.is_empty() {
        return Ok(found);
    }
    let mark = MarkRead {
        tenants: seen.iter().map(|seen| seen.recipient.tenant.as_str()).collect(),
        users: seen.iter().map(|seen| seen.recipient.user.as_str()).collect(),
        notifications: seen.iter().map(|seen| seen.notification.0).collect(),
        instants: seen.iter().map(|seen| At(seen.at)).collect(),
        borrowed: PhantomData,
    };
    for (which,) in mark.load::<(i64,)>(connection).await? {
        if let Some(found) = nth(&mut found, which) {
            *found = true;
        }
    }
    Ok(found)
}

/// Nothing of these recipients (rows) is pending up to these places.
async fn settle(connection: &mut Connection, settled: &[(i64, Position)]) -> QueryResult<()> {
    // One row can be updated once.
    let furthest: BTreeMap<i64, Position> =
        settled.iter().copied().fold(BTreeMap::new(), |mut all, (row, upto)| {
            let place = all.entry(row).or_insert(upto);
            *place = upto.max(*place);
            all
        });
    if furthest.is_empty() {
        return Ok(());
    }
    let settle = SettlePlaces {
        recipients: furthest.keys().copied().collect(),
        places: furthest.values().copied().collect(),
        borrowed: PhantomData,
    };
    settle.execute(connection).await?;
    Ok(())
}

/// Notes who came, and who left.
async fn note_presence(connection: &mut Connection, came: &[Presence], gone: &[String]) -> QueryResult<()> {
    if !came.is_empty() {
        let note = NoteConnections {
            socket_ids: came.iter().map(|presence| presence.socket_id.as_str()).collect(),
            nodes: came.iter().map(|presence| presence.node.as_str()).collect(),
            tenants: came.iter().map(|presence| presence.recipient.tenant.as_str()).collect(),
            users: came.iter().map(|presence| presence.recipient.user.as_str()).collect(),
            instants: came.iter().map(|presence| At(presence.connected_at)).collect(),
            borrowed: PhantomData,
        };
        note.execute(connection).await?;
    }
    if !gone.is_empty() {
        let left = connections::table.filter(connections::socket_id.eq_any(gone));
        diesel::delete(left).execute(connection).await?;
    }
    Ok(())
}
