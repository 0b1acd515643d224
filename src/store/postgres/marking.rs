//! What recipients do with their entries, in statements over arrays; what was counted of them follows.

use std::collections::HashSet;
use std::marker::PhantomData;

use diesel::prelude::{ExpressionMethods, OptionalExtension, QueryDsl, QueryResult};
use diesel_async::RunQueryDsl;

use super::super::statements::{
    KeepCounts, MarkConfirmed, MarkDeleted, MarkRead, MarkUnread, READ_BETWEEN, SHIFT_ONE,
};
use super::{Connection, Marked, nth};
use crate::domain::{Handed, Place, Position, Recipient, Timestamp};
use crate::store::schema::{audit_chain, recipients};
use crate::store::types::{At, Instant, UuidColumn};
use crate::store::{Before, Mark, Write};

/// Marks entries; tells how each stood before, and nothing of those that their recipients do not have.
pub async fn mark(
    connection: &mut Connection,
    mark: Mark,
    entries: &[&Marked<'_>],
) -> QueryResult<Vec<Option<Before>>> {
    type Columns = (i64, UuidColumn, Option<String>, Option<At>, Option<At>, bool, bool);
    let over: Vec<Option<String>> = entries.iter().map(|marked| marked.handed.map(Handed::way)).collect();
    macro_rules! marked {
        ($statement:ident) => {
            $statement {
                tenants: entries.iter().map(|marked| marked.recipient.tenant.as_str()).collect(),
                users: entries.iter().map(|marked| marked.recipient.user.as_str()).collect(),
                notifications: entries.iter().map(|marked| marked.notification.0).collect(),
                instants: entries.iter().map(|marked| At(marked.at)).collect(),
                handed: entries.iter().map(|marked| marked.handed.map(|handed| At(handed.at))).collect(),
                over: over.iter().map(Option::as_deref).collect(),
                borrowed: PhantomData,
            }
            .load::<Columns>(connection)
            .await?
        };
    }
    let there = match mark {
        Mark::Read => marked!(MarkRead),
        Mark::Confirmed => marked!(MarkConfirmed),
        Mark::Unread => marked!(MarkUnread),
        Mark::Deleted => marked!(MarkDeleted),
    };
    let mut found = vec![None; entries.len()];
    let mut confirmed = HashSet::new();
    for (which, UuidColumn(uuid), sender, confirmed_at, read_at, is_beyond, is_confirmed_now) in there {
        // Of marks that came together one did it.
        let entry = usize::try_from(which - 1).ok().and_then(|which| entries.get(which));
        let is_confirmed_now = is_confirmed_now
            && entry.is_some_and(|marked| confirmed.insert((marked.notification.0, marked.recipient)));
        if let Some(found) = nth(&mut found, which) {
            let (confirmed_at, read_at) = (confirmed_at.map(|at| at.0), read_at.map(|at| at.0));
            *found = Some(Before { uuid, sender, confirmed_at, read_at, is_beyond, is_confirmed_now });
        }
    }
    Ok(found)
}

/// Marks what row `recipient` has behind one place and up to another read; returns how much was not, of what is listed, and
/// how much was not confirmed.
pub async fn read_between(
    connection: &mut Connection,
    recipient: i64,
    at: Timestamp,
    (after, upto): (Position, Position),
) -> QueryResult<(usize, usize)> {
    #[derive(diesel::QueryableByName)]
    struct Read {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        many: i64,
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        confirmed: i64,
    }
    let read: Read = diesel::sql_query(READ_BETWEEN)
        .bind::<Instant, _>(At(at))
        .bind::<diesel::sql_types::BigInt, _>(recipient)
        .bind::<diesel::sql_types::BigInt, _>(after)
        .bind::<diesel::sql_types::BigInt, _>(upto)
        .get_result(connection)
        .await?;
    Ok((usize::try_from(read.many).unwrap_or(0), usize::try_from(read.confirmed).unwrap_or(0)))
}

/// Lets nobody count the inboxes that `batch` marks until the commit. Nor does it wait for those who store: they lock
/// these rows in another way.
pub async fn keep_counts(connection: &mut Connection, batch: &[Write]) -> QueryResult<()> {
    let marked = || {
        batch.iter().filter_map(|write| match write {
            Write::Mark { mark: Mark::Confirmed, .. } => None,
            Write::Mark { recipient, .. } | Write::ReadAll { recipient, .. } => Some(recipient),
            _ => None,
        })
    };
    if marked().next().is_none() {
        return Ok(());
    }
    let keep = KeepCounts {
        tenants: marked().map(|recipient| recipient.tenant.as_str()).collect(),
        users: marked().map(|recipient| recipient.user.as_str()).collect(),
        borrowed: PhantomData,
    };
    keep.execute(connection).await?;
    Ok(())
}

/// The same of these rows, in the order in which marks take them.
pub async fn keep_counts_of(connection: &mut Connection, rows: &[i64]) -> QueryResult<()> {
    let these = recipients::table.filter(recipients::id.eq_any(rows)).order(recipients::id);
    let _: Vec<i64> = these.select(recipients::id).for_key_share().load(connection).await?;
    Ok(())
}

/// Lets nobody mark or store anything of `recipient` until the commit; `false` if somebody does now.
pub async fn hold(connection: &mut Connection, recipient: &Recipient) -> QueryResult<bool> {
    let row: Option<i64> = recipients::table
        .filter(recipients::tenant.eq(recipient.tenant.as_str()))
        .filter(recipients::user_id.eq(recipient.user.as_str()))
        .select(recipients::id)
        .for_update()
        .skip_locked()
        .get_result(connection)
        .await
        .optional()?;
    Ok(row.is_some())
}

/// Lets nobody else seal or shorten the audit log until the commit; `false` if somebody does now.
pub async fn hold_chain(connection: &mut Connection) -> QueryResult<bool> {
    let row: Option<i64> = audit_chain::table
        .select(audit_chain::id)
        .for_update()
        .skip_locked()
        .get_result(connection)
        .await
        .optional()?;
    Ok(row.is_some())
}

/// The entry at `place`, as it is now, changes: so many more (or fewer) are held, and unread, of what was counted with
/// it. Its recipient's row is this transaction's.
pub async fn shift(connection: &mut Connection, place: Place, total: i64, unread: i64) -> QueryResult<()> {
    diesel::sql_query(SHIFT_ONE)
        .bind::<diesel::sql_types::BigInt, _>(place.recipient)
        .bind::<diesel::sql_types::BigInt, _>(place.position)
        .bind::<diesel::sql_types::BigInt, _>(total)
        .bind::<diesel::sql_types::BigInt, _>(unread)
        .execute(connection)
        .await?;
    Ok(())
}
