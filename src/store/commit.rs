//! One transaction for a whole batch of writes. Compiled twice: blocking for SQLite, async for
//! PostgreSQL (`wait!`, `body!` and what is special to each database stand in the parents).

use diesel::prelude::*;
use uuid::Uuid;

use super::{Connection, Memory, RunQueryDsl, ago, confirm, insert_all, now, place, place_all};
use crate::domain::{Accepted, NewNotification, NotificationId, Position, Recipient, Timestamp};
use crate::store::schema::{connections, deployment, inbox, nodes, notifications, recipients};
use crate::store::types::{At, UuidColumn};
use crate::store::writer::Beat;
use crate::store::{Presence, Write, Written};

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
        for (write, written) in batch.iter().zip(&mut written) {
            *written = match write {
                Write::Accept { .. } => continue,
                Write::Confirm(entries) => Written::Confirmed(wait!(confirm(connection, entries))?),
                Write::Read { recipient, notification, at } => {
                    Written::Read(wait!(read(connection, recipient, *notification, *at))?)
                }
                Write::Settled { recipient, upto } => wait!(settled(connection, *recipient, *upto))?,
                Write::Connected(presence) => wait!(connected(connection, presence))?,
                Write::Gone(socket_id) => wait!(gone(connection, socket_id))?,
                Write::Beat(sign) => wait!(beat(connection, sign))?,
                Write::Leave(node) => wait!(leave(connection, node))?,
                Write::Probe => {
                    let same = deployment::name.eq(deployment::name);
                    wait!(diesel::update(deployment::table).set(same).execute(connection))?;
                    Written::Done
                }
                Write::Barrier | Write::Last => Written::Done,
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
        let accepts = || batch.iter().enumerate().filter_map(|(index, write)| match write {
            Write::Accept { notification, window_start } => Some((index, &**notification, *window_start)),
            _ => None,
        });
        let contents: Vec<&NewNotification> = accepts().map(|(_, new, _)| new).collect();
        let inserted = wait!(insert_all(connection, memory, &contents))?;
        let mut fresh: Vec<(usize, &Recipient, NotificationId)> = Vec::with_capacity(contents.len());
        for ((index, new, window_start), id) in accepts().zip(inserted) {
            let accepted = match id {
                Some(id) => Accepted::New { id: NotificationId(id), recipient: 0, position: 0 },
                None => wait!(again(connection, memory, new, window_start))?,
            };
            if let Accepted::New { id, position: 0, .. } = accepted {
                fresh.push((index, &new.recipient, id));
            }
            written[index] = Written::Accepted(accepted);
        }
        let wanted: Vec<_> = fresh.iter().map(|(_, recipient, id)| (*recipient, *id)).collect();
        let places = wait!(place_all(connection, memory, &wanted))?;
        for ((index, _, id), (recipient, position)) in fresh.into_iter().zip(places) {
            written[index] = Written::Accepted(Accepted::New { id, recipient, position });
        }
        Ok(())
    }
}

body! {
    /// A notification whose key is taken: by an earlier request like it, by another request, by one that no
    /// longer counts, or by itself, when the answer to an earlier commit was lost.
    fn again(
        connection: &mut Connection,
        memory: &mut Memory,
        new: &NewNotification,
        window_start: Timestamp,
    ) -> QueryResult<Accepted> {
        let Some(same) = &new.idempotency else {
            return Err(diesel::result::Error::NotFound);
        };
        loop {
            let earlier = wait!(earlier(connection, &same.key, &new.recipient))?;
            if earlier.uuid == new.uuid && let Some((recipient, position)) = earlier.place {
                return Ok(Accepted::New { id: earlier.id, recipient, position });
            }
            if earlier.created_at >= window_start {
                let Earlier { id, created_at, delivered_at, .. } = earlier;
                return Ok(match earlier.request.as_deref() == Some(same.request.0.as_slice()) {
                    true => Accepted::Duplicate { id, created_at, delivered_at },
                    false => Accepted::KeyReused,
                });
            }
            wait!(diesel::update(notifications::table.find(earlier.id.0))
                .set(notifications::idempotency_key.eq(None::<&[u8]>))
                .execute(connection))?;
            let inserted = wait!(insert_all(connection, memory, &[new]))?;
            if let [Some(id)] = inserted[..] {
                return Ok(Accepted::New { id: NotificationId(id), recipient: 0, position: 0 });
            }
        }
    }
}

/// What was accepted under a key.
struct Earlier {
    id: NotificationId,
    uuid: Uuid,
    request: Option<Vec<u8>>,
    created_at: Timestamp,
    /// Where the recipient has it.
    place: Option<(i64, i64)>,
    delivered_at: Option<Timestamp>,
}

body! {
    fn earlier(connection: &mut Connection, key: &[u8], recipient: &Recipient) -> QueryResult<Earlier> {
        let (id, UuidColumn(uuid), request, At(created_at)) =
            wait!(notifications::table
                .filter(notifications::idempotency_key.eq(key))
                .select((
                    notifications::id,
                    notifications::uuid,
                    notifications::request_digest,
                    notifications::created_at,
                ))
                .get_result::<(i64, UuidColumn, Option<Vec<u8>>, At)>(connection))?;
        let id = NotificationId(id);
        let place = wait!(place(connection, recipient, id))?;
        let mut delivered_at = None;
        if let Some((row, position)) = place {
            let (sent_at, confirmed_at) = wait!(inbox::table
                .find((row, position))
                .select((inbox::sent_at, inbox::confirmed_at))
                .get_result::<(Option<At>, Option<At>)>(connection))?;
            delivered_at = sent_at.or(confirmed_at).map(|at| at.0);
        }
        Ok(Earlier { id, uuid, request, created_at, place, delivered_at })
    }
}

body! {
    /// Marks it read, and confirmed with it. `false` if `recipient` has no such notification.
    fn read(
        connection: &mut Connection,
        recipient: &Recipient,
        notification: NotificationId,
        at: Timestamp,
    ) -> QueryResult<bool> {
        let Some((row, position)) = wait!(place(connection, recipient, notification))? else {
            return Ok(false);
        };
        let (read_at, confirmed_at) = wait!(inbox::table
            .find((row, position))
            .select((inbox::read_at, inbox::confirmed_at))
            .get_result::<(Option<At>, Option<At>)>(connection))?;
        let entry = inbox::table.find((row, position));
        if confirmed_at.is_none() {
            wait!(diesel::update(entry)
                .set((inbox::confirmed_at.eq(At(at)), inbox::confirmed_by.eq("read")))
                .execute(connection))?;
        }
        if read_at.is_none() {
            wait!(diesel::update(entry).set(inbox::read_at.eq(At(at))).execute(connection))?;
        }
        Ok(true)
    }
}

body! {
    fn settled(connection: &mut Connection, recipient: i64, upto: Position) -> QueryResult<Written> {
        wait!(diesel::update(recipients::table.find(recipient))
            .filter(recipients::pending_after.lt(upto))
            .set(recipients::pending_after.eq(upto))
            .execute(connection))?;
        Ok(Written::Done)
    }
}

body! {
    fn connected(connection: &mut Connection, presence: &Presence) -> QueryResult<Written> {
        let identity = (
            connections::tenant.eq(presence.recipient.tenant.as_str()),
            connections::user_id.eq(presence.recipient.user.as_str()),
            connections::connected_at.eq(At(presence.connected_at)),
        );
        wait!(diesel::insert_into(connections::table)
            .values((
                connections::socket_id.eq(&presence.socket_id),
                connections::node.eq(&presence.node),
                identity,
            ))
            .on_conflict(connections::socket_id)
            .do_update()
            .set(identity)
            .execute(connection))?;
        Ok(Written::Done)
    }
}

body! {
    fn gone(connection: &mut Connection, socket_id: &str) -> QueryResult<Written> {
        wait!(diesel::delete(connections::table.find(socket_id)).execute(connection))?;
        Ok(Written::Done)
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
        wait!(diesel::delete(nodes::table.filter(nodes::seen_at.lt(ago(sign.lease)))).execute(connection))?;
        let living = nodes::table.select(nodes::name);
        let orphans = connections::table.filter(connections::node.ne_all(living));
        wait!(diesel::delete(orphans).execute(connection))?;
        Ok(Written::Beat { known })
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
