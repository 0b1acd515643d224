//! Writes of digests. Compiled twice, as `commit.rs` is.
//!
//! A person's row is this transaction's while their digest is stored or what they want of it changes: what reaches their inbox
//! meanwhile stands behind it.

use std::slice;

use diesel::prelude::*;

use super::outbox::{asked, post};
use super::recur::clock;
use super::{
    Connection, Memory, RunQueryDsl, Wanted, digest_due, insert_all, place_all, preferences_of, record,
    row_of,
};
use crate::domain::{
    Deed, DigestTerms, Matter, NotificationId, Placed, Preferences, Priority, Recipient, Timestamp, Zone,
};
use crate::store::digests::{DigestOutcome, DigestWrite, NewDigest, Row};
use crate::store::schema::{digest_subscriptions, digests, inbox};
use crate::store::sealing::SealedStr;
use crate::store::types::At;
use crate::store::write::{Spread, Written};

fn unwritable(fault: serde_json::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(fault))
}

body! {
    /// Does something with digests.
    pub fn of_digests(connection: &mut Connection, memory: &mut Memory, write: &DigestWrite) -> QueryResult<Written> {
        match write {
            DigestWrite::Subscribe { recipient, terms, deed } => {
                let next_at = wait!(subscribe(connection, memory, recipient, terms, deed))?;
                Ok(Written::DigestDue(next_at))
            }
            DigestWrite::Unsubscribe { recipient, deed } => {
                wait!(preferences_of(connection, memory, recipient))?;
                let row = wait!(row_of(connection, memory, recipient))?;
                let ended = wait!(diesel::delete(digest_subscriptions::table.find(row)).execute(connection))?;
                wait!(record(connection, if ended > 0 { slice::from_ref(deed) } else { &[] }))?;
                Ok(Written::Changed(ended))
            }
            DigestWrite::Make(new) => {
                let made = wait!(make(connection, memory, new))?;
                let done = usize::from(made.is_some());
                let spreads: Vec<Spread> = made.flatten().into_iter().collect();
                Ok(Written::Worked { done, spreads: spreads.into() })
            }
            DigestWrite::Forget { before, most } => {
                let old: Vec<i64> = wait!(digests::table
                    .filter(digests::created_at.lt(At(*before)))
                    .order(digests::created_at)
                    .limit(*most)
                    .select(digests::id)
                    .load(connection))?;
                let old = digests::table.filter(digests::id.eq_any(old));
                Ok(Written::Changed(wait!(diesel::delete(old).execute(connection))?))
            }
        }
    }
}

body! {
    /// What they want from now on, and when it is due. It begins behind what is there; whoever has one already, and only wants
    /// it otherwise, misses nothing.
    fn subscribe(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        terms: &DigestTerms,
        deed: &Deed,
    ) -> QueryResult<Option<Timestamp>> {
        let preferences = wait!(preferences_of(connection, memory, recipient))?.unwrap_or_default();
        let row = wait!(row_of(connection, memory, recipient))?;
        let now = wait!(clock(connection))?;
        let before: Option<Row> =
            wait!(digest_subscriptions::table.find(row).get_result(connection)).optional()?;
        let due = before.as_ref().and_then(|before| before.next_at).map(|at| at.0);
        let next_at = match due {
            _ if !terms.is_enabled => None,
            // It is due, or was and is put off: it comes.
            Some(due) if due <= now || is_put_off(&before, due, preferences.time_zone) => Some(due),
            _ => terms.rhythm(preferences.time_zone).next_after(now),
        };
        let last: Option<i64> = wait!(inbox::table
            .filter(inbox::recipient_id.eq(row))
            .select(diesel::dsl::max(inbox::position))
            .get_result(connection))?;
        let reached = match (&before, due) {
            (Some(before), Some(_)) => before.reached,
            (before, _) => last.unwrap_or(0).max(before.as_ref().map_or(0, |before| before.reached)),
        };
        let text = serde_json::to_string(terms).map_err(unwritable)?;
        let told = (
            digest_subscriptions::terms.eq(text),
            digest_subscriptions::next_at.eq(next_at.map(At)),
            digest_subscriptions::reached.eq(reached),
            digest_subscriptions::updated_at.eq(At(now)),
        );
        if before.is_some() {
            wait!(diesel::update(digest_subscriptions::table.find(row)).set(told).execute(connection))?;
        } else {
            let new = (told, digest_subscriptions::recipient_id.eq(row), digest_subscriptions::created_at.eq(At(now)));
            wait!(diesel::insert_into(digest_subscriptions::table).values(new).execute(connection))?;
        }
        wait!(record(connection, slice::from_ref(deed)))?;
        Ok(next_at)
    }
}

/// Whether what is wanted was due before, and waits for the end of quiet hours.
fn is_put_off(wanted: &Option<Row>, due: Timestamp, own: Zone) -> bool {
    let terms = wanted.as_ref().and_then(|wanted| serde_json::from_str::<DigestTerms>(&wanted.terms).ok());
    terms.is_some_and(|terms| !terms.rhythm(own).is_due_at(due))
}

body! {
    /// Their clocks are others than `before` from now on, or their quiet hours are. What is due comes; what waited for the end of
    /// quiet hours comes now, if these are over.
    pub fn elsewhere(connection: &mut Connection, row: i64, before: Zone, preferences: &Preferences) -> QueryResult<()> {
        let known: Option<Row> =
            wait!(digest_subscriptions::table.find(row).get_result(connection)).optional()?;
        let Some(At(due)) = known.as_ref().and_then(|known| known.next_at) else { return Ok(()) };
        let now = wait!(clock(connection))?;
        if due <= now {
            return Ok(());
        }
        let next_at = match is_put_off(&known, due, before) {
            true if preferences.quiet_until(Priority::Normal, now).is_none() => Some(now),
            true => Some(due),
            false => {
                let terms = known.and_then(|known| serde_json::from_str::<DigestTerms>(&known.terms).ok());
                let Some(terms) = terms else { return Ok(()) };
                terms.rhythm(preferences.time_zone).next_after(now)
            }
        };
        wait!(diesel::update(digest_subscriptions::table.find(row))
            .set(digest_subscriptions::next_at.eq(next_at.map(At)))
            .execute(connection))?;
        Ok(())
    }
}

body! {
    /// Stores a digest, what tells of it, and how far it reaches. Nothing (`None`), if it is not due any more, or if anything
    /// has changed since it was made: it is made anew then.
    fn make(connection: &mut Connection, memory: &mut Memory, new: &NewDigest) -> QueryResult<Option<Option<Spread>>> {
        let whom = &new.subscriber;
        let Some(row) = wait!(digest_due(connection, whom.row))? else { return Ok(None) };
        let is_same = row.next_at.map(|at| at.0) == whom.next_at
            && row.reached == whom.reached
            && serde_json::from_str::<DigestTerms>(&row.terms).is_ok_and(|terms| terms == whom.terms);
        if !is_same {
            return Ok(None);
        }
        let now = wait!(clock(connection))?;
        let this = || digest_subscriptions::table.find(whom.row);
        let next_at = whom.rhythm().next_after(now).map(At);
        let (upto, date, notification) = match &new.outcome {
            DigestOutcome::PutOff(until) => {
                let until = digest_subscriptions::next_at.eq(At(*until));
                wait!(diesel::update(this()).set(until).execute(connection))?;
                return Ok(Some(None));
            }
            DigestOutcome::Nothing(upto) => {
                let on = (digest_subscriptions::next_at.eq(next_at), digest_subscriptions::reached.eq(*upto));
                wait!(diesel::update(this()).set(on).execute(connection))?;
                return Ok(Some(None));
            }
            DigestOutcome::Sent { upto, date, notification } => (*upto, date, &**notification),
        };
        let id = wait!(insert_all(connection, memory, &[notification]))?.pop().flatten();
        let id = NotificationId(id.ok_or(diesel::result::Error::NotFound)?);
        let matter = Matter { kind: &notification.kind, topic: &notification.topic, priority: notification.priority };
        let wanted = Wanted {
            recipient: &whom.recipient,
            notification: id,
            matter,
            at: notification.created_at,
            expires_at: None,
            is_unasked: notification.wish.as_ref().is_some_and(|wish| !wish.has_realtime()),
        };
        let places: Vec<Placed> = wait!(place_all(connection, memory, &[wanted]))?;
        let beyond = asked(id, &notification.tenant, notification.wish.as_ref(), notification.created_at, &places);
        wait!(post(connection, &beyond))?;
        wait!(diesel::insert_into(digests::table)
            .values((
                digests::recipient_id.eq(whom.row),
                digests::notification_id.eq(id.0),
                digests::frequency.eq(whom.terms.frequency.name()),
                digests::date.eq(date),
                digests::after_position.eq(whom.reached),
                digests::upto_position.eq(upto),
                digests::created_at.eq(At(notification.created_at)),
                digests::content.eq(SealedStr(&notification.data)),
            ))
            .execute(connection))?;
        let on = (digest_subscriptions::next_at.eq(next_at), digest_subscriptions::reached.eq(upto));
        wait!(diesel::update(this()).set(on).execute(connection))?;
        let places = places.into_iter().map(|placed| (whom.recipient.clone(), placed)).collect();
        Ok(Some(Some(Spread { notification: notification.stored(id), places, is_finished: true })))
    }
}
