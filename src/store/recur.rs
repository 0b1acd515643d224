//! Writes of what recurs. Compiled twice, as `commit.rs` is.

use diesel::prelude::*;

use super::commit::expect;
use super::disclosing::disclose;
use super::opening::leave_to_others;
use super::{Connection, Memory, RunQueryDsl, due_rounds, insert_all, now, record};
use crate::domain::{Action, Deed, NotificationId, Timestamp};
use crate::store::audit::actor;
use crate::store::recurring::{Kept, NewRecurring, Row, Seen, Whose};
use crate::store::schema::{recurrences, recurring};
use crate::store::sealing::Unopened;
use crate::store::types::At;

body! {
    /// The database's own time.
    pub fn clock(connection: &mut Connection) -> QueryResult<Timestamp> {
        let at: At = wait!(diesel::select(now()).get_result(connection))?;
        Ok(at.0)
    }
}

body! {
    /// Keeps a new one, or changes the one of number `id`. It is due from now on: what was due before has gone out
    /// or never will.
    pub fn keep(connection: &mut Connection, id: Option<i64>, new: &NewRecurring) -> QueryResult<Kept> {
        let now = wait!(clock(connection))?;
        let all = recurring::table
            .filter(recurring::tenant.eq(new.whose.tenant.as_str()))
            .filter(recurring::owner.eq(new.whose.owner()));
        let Some(id) = id else {
            let (key, request) = (new.idempotency.key.as_slice(), new.idempotency.request.0);
            let earlier: Option<(i64, Vec<u8>, Option<At>)> = wait!(all
                .filter(recurring::idempotency_key.eq(key))
                .select((recurring::id, recurring::request_digest, recurring::next_at))
                .get_result(connection))
            .optional()?;
            if let Some((id, earlier, next_at)) = earlier {
                return Ok(match next_at {
                    Some(At(next_at)) if earlier == request => Kept::Due(id, next_at),
                    _ => Kept::KeyReused,
                });
            }
            let many: i64 = wait!(all.count().get_result(connection))?;
            if many >= new.most {
                return Ok(Kept::TooMany);
            }
            let Some(next_at) = new.recurrence.next_after(now) else { return Ok(Kept::Never) };
            let id = wait!(diesel::insert_into(recurring::table)
                .values((
                    &new.columns(next_at)?,
                    recurring::idempotency_key.eq(key),
                    recurring::request_digest.eq(request.as_slice()),
                    recurring::created_at.eq(At(now)),
                ))
                .returning(recurring::id)
                .get_result(connection))?;
            wait!(record(connection, &[new.deed(Action::Recur, id, now)]))?;
            return Ok(Kept::Due(id, next_at));
        };
        let one = all.filter(recurring::id.eq(id));
        let last: Option<Option<At>> =
            wait!(one.select(recurring::last_at).get_result(connection)).optional()?;
        let Some(last) = last else { return Ok(Kept::Unknown) };
        let after = last.map_or(now, |last| last.0.max(now));
        let Some(next_at) = new.recurrence.next_after(after) else { return Ok(Kept::Never) };
        wait!(diesel::update(one).set(&new.columns(next_at)?).execute(connection))?;
        wait!(record(connection, &[new.deed(Action::RecurOtherwise, id, now)]))?;
        Ok(Kept::Due(id, next_at))
    }
}

body! {
    /// It goes out no more. Returns how many there were.
    pub fn cease(connection: &mut Connection, whose: &Whose, id: i64) -> QueryResult<usize> {
        let one = recurring::table
            .filter(recurring::tenant.eq(whose.tenant.as_str()))
            .filter(recurring::owner.eq(whose.owner()))
            .filter(recurring::id.eq(id));
        wait!(diesel::delete(one).execute(connection))
    }
}

body! {
    /// Makes notifications of those of `ids` that are due; they spread like others. Tells how many were.
    pub fn come_round(connection: &mut Connection, memory: &mut Memory, ids: &[i64]) -> QueryResult<usize> {
        let due = wait!(due_rounds(connection, ids))?;
        if due.is_empty() {
            return Ok(0);
        }
        let now = wait!(clock(connection))?;
        let seen: Vec<Seen> = wait!(recurring::table
            .filter(recurring::id.eq_any(&due))
            .order((recurring::next_at, recurring::id))
            .load(connection))?;
        for (row, why) in seen.into_iter().map(Seen::row) {
            match why {
                None => wait!(one_round(connection, memory, &row, now))?,
                Some(why) => wait!(end_shut(connection, &row, why))?,
            }
        }
        Ok(due.len())
    }
}

body! {
    /// What cannot be read goes out no more, unless another server can read it.
    fn end_shut(connection: &mut Connection, row: &Row, why: Unopened) -> QueryResult<()> {
        wait!(leave_to_others(connection, &why))?;
        tracing::error!(recurring.id = row.id, fault = %why, "a recurring notification ends: what is stored of it cannot be read");
        let this = diesel::update(recurring::table.find(row.id));
        wait!(this.set(recurring::next_at.eq(None::<At>)).execute(connection))?;
        Ok(())
    }
}

body! {
    /// Of what was missed, the last goes out. The notification and the next time are one commit: whoever dies before it
    /// has done nothing, and nobody does it again after it.
    fn one_round(connection: &mut Connection, memory: &mut Memory, row: &Row, now: Timestamp) -> QueryResult<()> {
        let this = recurring::table.find(row.id);
        let Some(due_at) = row.next_at else { return Ok(()) };
        let recurrence = match row.recurrence() {
            Ok(recurrence) => recurrence,
            Err(fault) => {
                tracing::error!(recurring.id = row.id, %fault, "a recurring notification ends: its times cannot be read");
                wait!(diesel::update(this).set(recurring::next_at.eq(None::<At>)).execute(connection))?;
                return Ok(());
            }
        };
        let (due_at, next_at) = recurrence.come_round(due_at.0, now);
        let (new, group) = row.notification(due_at)?;
        let stored = wait!(insert_all(connection, memory, &[&new]))?;
        // Its key is taken when this time has gone out before.
        if let Some(id) = stored.into_iter().next().flatten() {
            wait!(expect(connection, &new.tenant, &group, due_at, NotificationId(id)))?;
            wait!(disclose(connection, &[(0, &new, NotificationId(id))]))?;
            wait!(diesel::insert_into(recurrences::table)
                .values((
                    recurrences::notification_id.eq(id),
                    recurrences::recurring_id.eq(row.id),
                    recurrences::due_at.eq(At(due_at)),
                ))
                .execute(connection))?;
            let detail = serde_json::json!({"notification_id": id, "due_at": due_at, "audience": group.subject()});
            let deed = Deed {
                at: now,
                tenant: new.tenant,
                actor: Some(actor(new.sender.as_deref())),
                action: Action::RecurringSend,
                subject: Some(format!("recurring:{}", row.id)),
                detail: detail.to_string(),
                address: None,
            };
            wait!(record(connection, &[deed]))?;
            wait!(diesel::update(this)
                .set((recurring::last_at.eq(At(due_at)), recurring::last_notification_id.eq(id)))
                .execute(connection))?;
        }
        wait!(diesel::update(this).set(recurring::next_at.eq(next_at.map(At))).execute(connection))?;
        Ok(())
    }
}
