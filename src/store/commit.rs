//! One transaction for a whole batch of writes. Compiled twice: blocking for SQLite, async for
//! PostgreSQL (`wait!`, `body!` and what is special to each database stand in the parents).

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::{Connection, Memory, RunQueryDsl, insert, next_position, place, reserve};
use crate::domain::{Accepted, NewNotification, NotificationId, Position, Recipient, Timestamp};
use crate::store::schema::{connections, inbox, notifications, recipients};
use crate::store::types::At;
use crate::store::{Presence, Sent, Write, Written};

body! {
    /// Does all of `batch`, in order; the caller holds the transaction. No query here ends in `first`:
    /// the limit it adds keeps diesel from caching the prepared statement.
    pub fn apply(
        connection: &mut Connection,
        memory: &mut Memory,
        batch: &[Write],
    ) -> QueryResult<Vec<Written>> {
        let mut written = Vec::with_capacity(batch.len());
        wait!(memory.begin(connection))?;
        let mut fresh: BTreeMap<&Recipient, Vec<usize>> = BTreeMap::new();
        for (index, write) in batch.iter().enumerate() {
            written.push(match write {
                Write::Accept { notification, window_start } => {
                    let accepted = wait!(content(connection, memory, notification, *window_start))?;
                    if matches!(accepted, Accepted::New { .. }) {
                        fresh.entry(&notification.recipient).or_default().push(index);
                    }
                    Written::Accepted(accepted)
                }
                Write::Confirm(entries) => Written::Confirmed(wait!(confirm(connection, entries))?),
                Write::Read { recipient, notification, at } => {
                    Written::Read(wait!(read(connection, recipient, *notification, *at))?)
                }
                Write::Settled { recipient, upto } => wait!(settled(connection, *recipient, *upto))?,
                Write::Connected(presence) => wait!(connected(connection, presence))?,
                Write::Gone(socket_id) => wait!(gone(connection, socket_id))?,
                Write::Probe => {
                    wait!(connected(connection, &Presence::probe()))?;
                    wait!(gone(connection, &Presence::probe().socket_id))?
                }
                Write::Barrier | Write::Last => Written::Done,
            });
        }
        // Recipients in sorted order: two batches on two nodes cannot deadlock.
        for (recipient, entries) in fresh {
            let (row, mut last) = wait!(reserve(connection, memory, recipient, entries.len()))?;
            for index in entries {
                if let Written::Accepted(Accepted::New { id, recipient, position }) = &mut written[index] {
                    *recipient = row;
                    *position = next_position(&mut last, *id);
                    wait!(entry(connection, row, *position, *id))?;
                }
            }
        }
        Ok(written)
    }
}

body! {
    /// Stores the content, unless this request was accepted before.
    fn content(
        connection: &mut Connection,
        memory: &mut Memory,
        new: &NewNotification,
        window_start: Timestamp,
    ) -> QueryResult<Accepted> {
        loop {
            let id: Option<i64> = wait!(insert(connection, memory, new))?;
            if let Some(id) = id {
                // Row and place follow in `apply`, once per recipient of the batch.
                return Ok(Accepted::New { id: NotificationId(id), recipient: 0, position: 0 });
            }
            let Some(same) = &new.idempotency else {
                return Err(diesel::result::Error::NotFound);
            };
            let (id, request, created_at, delivered_at) =
                wait!(earlier(connection, &same.key, &new.recipient))?;
            if created_at < window_start {
                wait!(diesel::update(notifications::table.find(id.0))
                    .set(notifications::idempotency_key.eq(None::<&[u8]>))
                    .execute(connection))?;
                continue;
            }
            return Ok(if request.as_deref() == Some(same.request.0.as_slice()) {
                Accepted::Duplicate { id, created_at, delivered_at }
            } else {
                Accepted::KeyReused
            });
        }
    }
}

type Earlier = (NotificationId, Option<Vec<u8>>, Timestamp, Option<Timestamp>);

body! {
    /// What was accepted under this key, and when it was delivered to `recipient`, if it was.
    fn earlier(connection: &mut Connection, key: &[u8], recipient: &Recipient) -> QueryResult<Earlier> {
        let (id, request, created_at) =
            wait!(notifications::table
                .filter(notifications::idempotency_key.eq(key))
                .select((notifications::id, notifications::request_digest, notifications::created_at))
                .get_result::<(i64, Option<Vec<u8>>, At)>(connection))?;
        let id = NotificationId(id);
        let mut delivered_at = None;
        if let Some((row, position)) = wait!(place(connection, recipient, id))? {
            let (sent_at, confirmed_at) = wait!(inbox::table
                .find((row, position))
                .select((inbox::sent_at, inbox::confirmed_at))
                .get_result::<(Option<At>, Option<At>)>(connection))?;
            delivered_at = sent_at.or(confirmed_at).map(|at| at.0);
        }
        Ok((id, request, created_at.0, delivered_at))
    }
}

body! {
    fn entry(
        connection: &mut Connection,
        recipient: i64,
        position: i64,
        notification: NotificationId,
    ) -> QueryResult<usize> {
        wait!(diesel::insert_into(inbox::table)
            .values((
                inbox::recipient_id.eq(recipient),
                inbox::position.eq(position),
                inbox::notification_id.eq(notification.0),
            ))
            .execute(connection))
    }
}

body! {
    fn confirm(connection: &mut Connection, entries: &[Sent]) -> QueryResult<usize> {
        let mut confirmed = 0;
        for entry in entries {
            confirmed += wait!(diesel::update(inbox::table.find((entry.recipient, entry.position)))
                .filter(inbox::confirmed_at.is_null())
                .set((
                    inbox::sent_at.eq(At(entry.sent_at)),
                    inbox::confirmed_at.eq(At(entry.confirmed_at)),
                    inbox::confirmed_by.eq("heartbeat"),
                ))
                .execute(connection))?;
        }
        Ok(confirmed)
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
