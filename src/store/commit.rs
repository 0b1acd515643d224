//! One transaction for a whole batch of writes. Compiled twice: blocking for SQLite, async for
//! PostgreSQL (`wait!`, `body!` and what is special to each database stand in the parents).

use diesel::prelude::*;
use uuid::Uuid;

use super::{
    Connection, Memory, RunQueryDsl, ago, confirm, earlier, insert_all, mark_read, note_presence, now,
    place_all, settle,
};
use crate::domain::{Accepted, NewNotification, NotificationId, Position, Recipient, Timestamp};
use crate::store::schema::{connections, deployment, nodes, notifications};
use crate::store::writer::Beat;
use crate::store::{Write, Written};

body! {
    /// Does all of `batch`; the caller holds the transaction. New notifications come first: nothing else in
    /// the batch can be about them, since nobody knows their numbers yet. No query here ends in `first`:
    /// the limit it adds keeps diesel from caching the prepared statement.
    pub fn apply(
        connection: &mut Connection,
        memory: &mut Memory,
        batch: &[Write],
    ) -> QueryResult<Vec<Written>> {
        wait!(memory.begin(connection))?;
        let mut written = vec![Written::Done; batch.len()];
        wait!(accept(connection, memory, batch, &mut written))?;
        wait!(read(connection, batch, &mut written))?;
        let settled = batch.iter().filter_map(|write| match write {
            Write::Settled { recipient, upto } => Some((*recipient, *upto)),
            _ => None,
        });
        wait!(settle(connection, &settled.collect::<Vec<_>>()))?;
        for (write, written) in batch.iter().zip(&mut written) {
            *written = match write {
                Write::Accept { .. } | Write::Read { .. } => continue,
                Write::Confirm(entries) => Written::Confirmed(wait!(confirm(connection, entries))?),
                Write::Presence { came, gone } => {
                    wait!(note_presence(connection, came, gone))?;
                    Written::Done
                }
                Write::Beat(sign) => wait!(beat(connection, sign))?,
                Write::Reap(lease) => wait!(reap(connection, *lease))?,
                Write::Leave(node) => wait!(leave(connection, node))?,
                Write::Probe => {
                    let same = deployment::name.eq(deployment::name);
                    wait!(diesel::update(deployment::table).set(same).execute(connection))?;
                    Written::Done
                }
                Write::Settled { .. } | Write::Barrier | Write::Last => Written::Done,
            };
        }
        Ok(written)
    }
}

body! {
    /// Stores what is new, and gives it its places.
    fn accept(
        connection: &mut Connection,
        memory: &mut Memory,
        batch: &[Write],
        written: &mut [Written],
    ) -> QueryResult<()> {
        let accepts = batch.iter().enumerate().filter_map(|(index, write)| match write {
            Write::Accept { notification, window_start } => Some((index, &**notification, *window_start)),
            _ => None,
        });
        let mut waiting: Vec<Accept<'_>> = accepts.collect();
        let mut fresh: Vec<(usize, &Recipient, NotificationId)> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let contents: Vec<&NewNotification> = waiting.iter().map(|(_, new, _)| *new).collect();
            let inserted = wait!(insert_all(connection, memory, &contents))?;
            let mut taken = Vec::new();
            for (accept, id) in waiting.into_iter().zip(inserted) {
                match id {
                    Some(id) => fresh.push((accept.0, &accept.1.recipient, NotificationId(id))),
                    None => taken.push(accept),
                }
            }
            if taken.is_empty() {
                break;
            }
            let news: Vec<&NewNotification> = taken.iter().map(|(_, new, _)| *new).collect();
            let earlier = wait!(earlier(connection, &news))?;
            let outdated;
            (waiting, outdated) = again(taken, earlier, written);
            if !outdated.is_empty() {
                wait!(diesel::update(notifications::table.filter(notifications::id.eq_any(outdated)))
                    .set(notifications::idempotency_key.eq(None::<&[u8]>))
                    .execute(connection))?;
            }
        }
        // As they came: places are given in this order.
        fresh.sort_unstable_by_key(|(index, ..)| *index);
        let wanted: Vec<_> = fresh.iter().map(|(_, recipient, id)| (*recipient, *id)).collect();
        let places = wait!(place_all(connection, memory, &wanted))?;
        for ((index, _, id), (recipient, position)) in fresh.into_iter().zip(places) {
            written[index] = Written::Accepted(Accepted::New { id, recipient, position });
        }
        Ok(())
    }
}

/// An accept: its place in the batch, what it brings, and from when on earlier requests count.
type Accept<'a> = (usize, &'a NewNotification, Timestamp);

/// Notifications whose key is taken: by an earlier request like it, by another request, by one that no longer
/// counts, or by itself, when the answer to an earlier commit was lost. Returns those that are to be stored,
/// and the numbers of those that have to give their keys away.
fn again<'a>(
    taken: Vec<Accept<'a>>,
    earlier: Vec<Option<Earlier>>,
    written: &mut [Written],
) -> (Vec<Accept<'a>>, Vec<i64>) {
    let (mut free, mut outdated) = (Vec::new(), Vec::new());
    for (accept, earlier) in taken.into_iter().zip(earlier) {
        let (index, new, window_start) = accept;
        let accepted = match earlier {
            Some(Earlier { id, uuid, place: Some((recipient, position)), .. }) if uuid == new.uuid => {
                Accepted::New { id, recipient, position }
            }
            Some(Earlier { id, request, created_at, delivered_at, .. }) if created_at >= window_start => {
                let same = new.idempotency.as_ref().map(|same| same.request.0.as_slice());
                match request.as_deref() == same {
                    true => Accepted::Duplicate { id, created_at, delivered_at },
                    false => Accepted::KeyReused,
                }
            }
            earlier => {
                outdated.extend(earlier.map(|earlier| earlier.id.0));
                free.push(accept);
                continue;
            }
        };
        written[index] = Written::Accepted(accepted);
    }
    (free, outdated)
}

/// What was accepted under a key.
pub struct Earlier {
    pub id: NotificationId,
    pub uuid: Uuid,
    pub request: Option<Vec<u8>>,
    pub created_at: Timestamp,
    /// Where the recipient has it: row and position.
    pub place: Option<(i64, Position)>,
    pub delivered_at: Option<Timestamp>,
}

/// Somebody has read something.
pub struct Seen<'a> {
    pub recipient: &'a Recipient,
    pub notification: NotificationId,
    pub at: Timestamp,
}

body! {
    /// Marks what was read, and confirmed with it.
    fn read(connection: &mut Connection, batch: &[Write], written: &mut [Written]) -> QueryResult<()> {
        let reads = batch.iter().enumerate().filter_map(|(index, write)| match write {
            Write::Read { recipient, notification, at } => {
                Some((index, Seen { recipient, notification: *notification, at: *at }))
            }
            _ => None,
        });
        let (indices, seen): (Vec<_>, Vec<_>) = reads.unzip();
        let found = wait!(mark_read(connection, &seen))?;
        for (index, found) in indices.into_iter().zip(found) {
            written[index] = Written::Read(found);
        }
        Ok(())
    }
}

body! {
    fn beat(connection: &mut Connection, sign: &Beat) -> QueryResult<Written> {
        let senders = i64::try_from(sign.senders).unwrap_or(0);
        let alive = || (nodes::seen_at.eq(now()), nodes::senders.eq(senders));
        let known = wait!(diesel::update(nodes::table.find(&sign.node)).set(alive()).execute(connection))? > 0;
        if !known {
            wait!(diesel::insert_into(nodes::table)
                .values((nodes::name.eq(&sign.node), alive()))
                .execute(connection))?;
        }
        Ok(Written::Beat { known })
    }
}

body! {
    fn reap(connection: &mut Connection, lease: i64) -> QueryResult<Written> {
        wait!(diesel::delete(nodes::table.filter(nodes::seen_at.lt(ago(lease)))).execute(connection))?;
        let living = nodes::table.select(nodes::name);
        let orphans = connections::table.filter(connections::node.ne_all(living));
        wait!(diesel::delete(orphans).execute(connection))?;
        Ok(Written::Done)
    }
}

body! {
    fn leave(connection: &mut Connection, node: &str) -> QueryResult<Written> {
        let here = connections::table.filter(connections::node.eq(node));
        wait!(diesel::delete(here).execute(connection))?;
        wait!(diesel::delete(nodes::table.find(node)).execute(connection))?;
        Ok(Written::Done)
    }
}
