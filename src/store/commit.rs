//! One transaction for a whole batch of writes. Compiled twice: blocking for SQLite, async for
//! PostgreSQL (`wait!`, `body!` and what is special to each database stand in the parents).

use std::slice;
use std::sync::Arc;

use diesel::prelude::*;
use uuid::Uuid;

use super::{
    Connection, Memory, RunQueryDsl, Wanted, claim, confirm, count_on, digesting, disclosing, earlier,
    erasing, insert_all, keep_analytics, keep_chain, keep_counts, mark, now, one_chunk, outbox, place_all,
    presence, reach, reaching, read_on, record, recur, release, row_of, settle, sweep, telling,
    template_writes, webhook_writes,
};
use crate::domain::{
    Accepted, Audience, Deed, Group, Handed, Matter, NewNotification, NotificationId, Placed, Recipient,
    Tenant, Timestamp,
};
use crate::store::audit::of_batch;
use crate::store::schema::{audit_log, deployment, expansions, nodes, notifications, subscriptions, traces};
use crate::store::sealing::{Opening, legible};
use crate::store::types::At;
use crate::store::write::{Beat, Mark};
use crate::store::{TAKEN_BACK, Task, Write, Written};

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
        wait!(marks(connection, memory, batch, &mut written))?;
        let settled = batch.iter().filter_map(|write| match write {
            Write::Settled { recipient, upto } => Some((*recipient, *upto)),
            _ => None,
        });
        wait!(settle(connection, &settled.collect::<Vec<_>>()))?;
        for (write, written) in batch.iter().zip(&mut written) {
            *written = match write {
                Write::Accept { .. } | Write::Mark { .. } => continue,
                Write::Confirm(entries) => {
                    wait!(telling::of_confirmed(connection, memory, entries))?;
                    Written::Changed(wait!(confirm(connection, entries))?)
                }
                Write::ReadAll { recipient, at, after, upto } => {
                    wait!(read_on(connection, memory, recipient, *at, (*after, *upto)))?
                }
                Write::Subscribe { recipient, topics, wanted } => {
                    wait!(subscribe(connection, memory, recipient, topics, *wanted))?;
                    Written::Done
                }
                Write::Reschedule { tenant, notification, due_at, deed } => {
                    if wait!(was_done(connection, deed))? {
                        Written::Changed(1)
                    } else {
                        let changed = wait!(reschedule(connection, tenant, *notification, *due_at))?;
                        wait!(record(connection, if changed > 0 { slice::from_ref(deed) } else { &[] }))?;
                        Written::Changed(changed)
                    }
                }
                Write::Prefer { recipient, change } => {
                    Written::Preferred(wait!(release::prefer(connection, memory, recipient, change))?)
                }
                Write::Digest(write) => wait!(digesting::of_digests(connection, memory, write))?,
                Write::Device(write) => wait!(reaching::of_devices(connection, memory, write))?,
                Write::Reachable(write) => wait!(reaching::of_contacts(connection, memory, write))?,
                Write::Keep { id, new } => Written::Kept(wait!(recur::keep(connection, *id, new))?),
                Write::Cease { whose, id, deed } => {
                    if wait!(was_done(connection, deed))? {
                        Written::Changed(1)
                    } else {
                        let ceased = wait!(recur::cease(connection, whose, *id))?;
                        wait!(record(connection, if ceased > 0 { slice::from_ref(deed) } else { &[] }))?;
                        Written::Changed(ceased)
                    }
                }
                Write::Template(change) => {
                    Written::Template(wait!(template_writes::change_template(connection, change))?)
                }
                Write::Webhook(write) => wait!(webhook_writes::of_webhooks(connection, memory, write))?,
                Write::Audit(deeds) => {
                    wait!(record(connection, deeds))?;
                    Written::Done
                }
                Write::Traced(id, parent) => {
                    let row = (traces::notification_id.eq(id.0), traces::parent.eq(parent));
                    let kept = diesel::insert_into(traces::table).values(row).on_conflict_do_nothing();
                    wait!(kept.execute(connection))?;
                    Written::Done
                }
                Write::Chain(write) => Written::Changed(wait!(keep_chain(connection, write))?),
                Write::Analytics(write) => Written::Changed(wait!(keep_analytics(connection, write))?),
                Write::Privacy(write) => wait!(erasing::of_privacy(connection, memory, write))?,
                Write::Sweep(which) => Written::Changed(wait!(sweep(connection, which))?),
                Write::Count { recipient, which, now } => {
                    Written::Changed(wait!(count_on(connection, recipient, which, *now))?)
                }
                Write::Claim { channel, most, caps } => {
                    let (claimed, looked) = wait!(claim(connection, memory, *channel, *most, *caps))?;
                    Written::Claimed { claimed: claimed.into(), looked }
                }
                Write::Retract(recipient) => Written::Changed(wait!(outbox::retract(connection, recipient))?),
                Write::Tried(all) => Written::Changed(wait!(outbox::tried(connection, memory, all))?),
                Write::Revive { tenant, ids, deed } => {
                    let revived = wait!(outbox::revive(connection, tenant, ids))?;
                    // Once, in however many commits.
                    if revived > 0 && !wait!(was_done(connection, deed))? {
                        wait!(record(connection, slice::from_ref(deed)))?;
                    }
                    Written::Changed(revived)
                }
                Write::Reach(recipient, now) => wait!(reach(connection, memory, recipient, *now))?,
                Write::Work { task, ids, most, now } => {
                    wait!(work(connection, memory, *task, ids, *most, *now))?
                }
                Write::Presence { came, gone } => {
                    wait!(presence::note_presence(connection, memory, came, gone))?;
                    Written::Done
                }
                Write::Beat(sign) => wait!(beat(connection, sign))?,
                Write::Reap(lease) => wait!(presence::reap(connection, *lease))?,
                Write::Leave(node) => wait!(presence::leave(connection, node))?,
                Write::Probe => {
                    let same = deployment::name.eq(deployment::name);
                    wait!(diesel::update(deployment::table).set(same).execute(connection))?;
                    Written::Done
                }
                Write::Settled { .. } | Write::Barrier | Write::Last | Write::Scrub(_) => Written::Done,
            };
        }
        Ok(written)
    }
}

body! {
    /// Does what is due.
    fn work(
        connection: &mut Connection,
        memory: &mut Memory,
        task: Task,
        ids: &[i64],
        most: usize,
        now: Timestamp,
    ) -> QueryResult<Written> {
        let (done, spreads) = match task {
            Task::Recur => (wait!(recur::come_round(connection, memory, ids))?, Vec::new()),
            Task::Spread => {
                let mut spreads = Vec::with_capacity(ids.len());
                for id in ids {
                    spreads.extend(wait!(one_chunk(connection, memory, NotificationId(*id), most, now))?);
                }
                (spreads.len(), spreads)
            }
            Task::Release => wait!(release::release(connection, memory, ids, now))?,
        };
        Ok(Written::Worked { done, spreads: spreads.into() })
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
        let mut fresh: Vec<(usize, &NewNotification, NotificationId)> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let contents: Vec<&NewNotification> = waiting.iter().map(|(_, new, _)| *new).collect();
            let inserted = wait!(insert_all(connection, memory, &contents))?;
            let mut taken = Vec::new();
            for (accept, id) in waiting.into_iter().zip(inserted) {
                match id {
                    Some(id) => fresh.push((accept.0, accept.1, NotificationId(id))),
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
        wait!(record(connection, &of_batch(&fresh)))?;
        wait!(disclosing::disclose(connection, &fresh))?;
        let mut wanted: Vec<Wanted<'_>> = Vec::with_capacity(fresh.len());
        for (_, new, id) in &fresh {
            let matter = Matter { kind: &new.kind, topic: &new.topic, priority: new.priority };
            let (at, expires_at) = (new.created_at, new.expires_at);
            let is_unasked = new.wish.as_ref().is_some_and(|wish| !wish.has_realtime());
            let one = |recipient| Wanted { recipient, notification: *id, matter, at, expires_at, is_unasked };
            wanted.extend(new.audience.named().iter().map(one));
        }
        let mut places = wait!(place_all(connection, memory, &wanted))?.into_iter();
        let mut beyond = Vec::new();
        for (index, new, id) in fresh {
            if let Audience::Whoever(tenant, group) = &new.audience {
                let due_at = new.due_at.unwrap_or(new.created_at);
                wait!(expect(connection, tenant, group, due_at, id))?;
            }
            let places: Vec<_> = places.by_ref().take(new.audience.named().len()).collect();
            beyond.extend(outbox::asked(id, &new.tenant, new.wish.as_ref(), new.created_at, &places));
            written[index] = Written::Accepted(Accepted::New { id, places });
        }
        wait!(outbox::post(connection, &beyond))?;
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
            Some(Earlier { id, uuid, place, .. }) if uuid == new.uuid => {
                Accepted::New { id, places: place.into_iter().collect() }
            }
            Some(Earlier { id, uuid, request, created_at, delivered_at, .. })
                if created_at >= window_start =>
            {
                match request.as_deref() == Some(new.idempotency.request.0.as_slice()) {
                    true => Accepted::Duplicate { id, uuid, created_at, delivered_at },
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
    /// Where its recipient has it, if it was for one.
    pub place: Option<Placed>,
    pub delivered_at: Option<Timestamp>,
}

/// Somebody has done something with a notification.
pub struct Marked<'a> {
    pub recipient: &'a Recipient,
    pub notification: NotificationId,
    pub at: Timestamp,
    pub handed: Option<&'a Handed>,
}

body! {
    /// Marks entries, in the order in which that was asked for.
    fn marks(
        connection: &mut Connection,
        memory: &mut Memory,
        batch: &[Write],
        written: &mut [Written],
    ) -> QueryResult<()> {
        let all: Vec<(usize, Mark, Marked<'_>)> = batch.iter().enumerate().filter_map(|(index, write)| match write {
            Write::Mark { recipient, notification, mark, at, handed } => {
                let (notification, at, handed) = (*notification, *at, handed.as_ref());
                Some((index, *mark, Marked { recipient, notification, at, handed }))
            }
            _ => None,
        }).collect();
        wait!(keep_counts(connection, batch))?;
        for alike in all.chunk_by(|(_, one, _), (_, other, _)| one == other) {
            let entries: Vec<&Marked<'_>> = alike.iter().map(|(.., marked)| marked).collect();
            wait!(telling::of_marked(connection, memory, alike[0].1, &entries))?;
            let found = wait!(mark(connection, alike[0].1, &entries))?;
            for ((index, ..), found) in alike.iter().zip(found) {
                written[*index] = Written::Marked(found.map(Arc::new));
            }
        }
        Ok(())
    }
}

body! {
    fn subscribe(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        topics: &[String],
        wanted: bool,
    ) -> QueryResult<()> {
        let row = wait!(row_of(connection, memory, recipient))?;
        for topic in topics {
            let tenant = recipient.tenant.as_str();
            if wanted {
                wait!(diesel::insert_into(subscriptions::table)
                    .values((
                        subscriptions::tenant.eq(tenant),
                        subscriptions::topic.eq(topic),
                        subscriptions::recipient_id.eq(row),
                    ))
                    .on_conflict_do_nothing()
                    .execute(connection))?;
            } else {
                wait!(diesel::delete(subscriptions::table.find((tenant, topic, row))).execute(connection))?;
            }
        }
        Ok(())
    }
}

body! {
    /// Notes that `notification` is to spread, from `due_at` on.
    pub fn expect(
        connection: &mut Connection,
        tenant: &Tenant,
        group: &Group,
        due_at: Timestamp,
        notification: NotificationId,
    ) -> QueryResult<()> {
        // Whose names are known need not be sought among those who are connected.
        let present = (!matches!(group, Group::People(_))).then_some("");
        let group = serde_json::to_string(group)
            .map_err(|fault| diesel::result::Error::SerializationError(Box::new(fault)))?;
        wait!(diesel::insert_into(expansions::table)
            .values((
                expansions::notification_id.eq(notification.0),
                expansions::tenant.eq(tenant.as_str()),
                expansions::audience.eq(group),
                expansions::due_at.eq(At(due_at)),
                expansions::present.eq(present),
            ))
            .execute(connection))?;
        Ok(())
    }
}

body! {
    /// Whether this very deed was done before: by a commit whose answer was lost.
    pub fn was_done(connection: &mut Connection, deed: &Deed) -> QueryResult<bool> {
        let same = audit_log::table
            .filter(audit_log::tenant.eq(deed.tenant.as_str()))
            .filter(audit_log::at.eq(At(deed.at)))
            .filter(audit_log::action.eq(deed.action.name()))
            .select((audit_log::subject, audit_log::actor));
        // Either may be missing, which equals nothing to a database.
        let found: Vec<(Option<Opening>, Option<Opening>)> = wait!(same.load(connection))?;
        let mut found = found.into_iter().map(|(subject, actor)| (legible(subject), legible(actor)));
        Ok(found.any(|(subject, actor)| subject == deed.subject && actor == deed.actor))
    }
}

body! {
    /// Moves what has not begun to go out to another time, or takes it back.
    fn reschedule(
        connection: &mut Connection,
        tenant: &Tenant,
        notification: NotificationId,
        due_at: Option<Timestamp>,
    ) -> QueryResult<usize> {
        let waiting = expansions::table
            .filter(expansions::notification_id.eq(notification.0))
            .filter(expansions::tenant.eq(tenant.as_str()))
            .filter(expansions::finished_at.is_null())
            .filter(expansions::reached.eq(0))
            .filter(expansions::due_at.gt(now()));
        match due_at {
            Some(at) => wait!(diesel::update(waiting).set(expansions::due_at.eq(At(at))).execute(connection)),
            None => {
                let over = (expansions::finished_at.eq(now().nullable()), expansions::reached.eq(TAKEN_BACK));
                let taken_back = wait!(diesel::update(waiting).set(over).execute(connection))?;
                if taken_back > 0 {
                    wait!(disclosing::undisclose(connection, tenant, notification))?;
                }
                Ok(taken_back)
            }
        }
    }
}

body! {
    fn beat(connection: &mut Connection, sign: &Beat) -> QueryResult<Written> {
        let senders = i64::try_from(sign.senders).unwrap_or(0);
        let alive = || (nodes::seen_at.eq(now()), nodes::senders.eq(senders), nodes::keys.eq(&sign.keys));
        let known = wait!(diesel::update(nodes::table.find(&sign.node)).set(alive()).execute(connection))? > 0;
        if !known {
            wait!(diesel::insert_into(nodes::table)
                .values((nodes::name.eq(&sign.node), alive()))
                .execute(connection))?;
        }
        let nodes = wait!(nodes::table.count().get_result(connection))?;
        Ok(Written::Beat { known, nodes })
    }
}
