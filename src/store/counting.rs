//! Goes through an inbox, some of its entries in each transaction: counts on (what was counted is not looked at again), or
//! marks them all read. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::{Connection, Memory, RunQueryDsl, hold, read_between, telling};
use crate::domain::{Position, Recipient, Timestamp};
use crate::store::COUNTED_TOGETHER;
use crate::store::Written;
use crate::store::held::{HeldCounts, Which};
use crate::store::schema::{counts, inbox, recipients};
use crate::store::tally::{Tallied, Tally};

body! {
    /// Counts the next of these entries; returns how many were looked at.
    pub fn count_on(
        connection: &mut Connection,
        recipient: &Recipient,
        which: &Which,
        now: Timestamp,
    ) -> QueryResult<usize> {
        // No entry comes before the last one, and none is marked, until the commit.
        if !wait!(hold(connection, recipient))? {
            return Ok(0);
        }
        let before = wait!(Tally::new(recipient, which, now).upto(0).get_result::<Tallied>(connection))
            .optional()?;
        let Some(before) = before else { return Ok(0) };
        if !before.may_be_kept(which) {
            return Ok(0);
        }
        let end = wait!(end_of_some(connection, before.row, before.counted_upto))?;
        let all = Tally::new(recipient, which, now).upto(end.unwrap_or(i64::MAX));
        let tallied = wait!(all.get_result::<Tallied>(connection))?;
        let counted = tallied.counted();
        let HeldCounts { total, unread } = counted.counts;
        let values = || (
            counts::upto.eq(tallied.upto()),
            counts::counted_at.eq(tallied.at(now)),
            counts::total.eq(total),
            counts::unread.eq(unread),
            counts::read_upto.eq(counted.read_upto),
        );
        wait!(diesel::insert_into(counts::table)
            .values((
                counts::recipient_id.eq(tallied.row),
                counts::kind.eq(&which.kind),
                counts::topic.eq(&which.topic),
                counts::priority.eq(which.priority),
                values(),
            ))
            .on_conflict((counts::recipient_id, counts::kind, counts::topic, counts::priority))
            .do_update()
            .set(values())
            .execute(connection))?;
        Ok(usize::try_from(tallied.looked_at).unwrap_or(0))
    }
}

body! {
    /// Where those end that are gone through together, behind this place; nothing, if there are fewer.
    fn end_of_some(connection: &mut Connection, row: i64, after: Position) -> QueryResult<Option<Position>> {
        let end = inbox::table
            .filter(inbox::recipient_id.eq(row))
            .filter(inbox::position.gt(after))
            .order(inbox::position)
            .offset(COUNTED_TOGETHER as i64 - 1)
            .limit(1)
            .select(inbox::position);
        wait!(end.get_result(connection)).optional()
    }
}

body! {
    /// Marks the next of these entries read.
    pub fn read_on(
        connection: &mut Connection,
        memory: &mut Memory,
        recipient: &Recipient,
        at: Timestamp,
        (after, upto): (Position, Option<Position>),
    ) -> QueryResult<Written> {
        let row: Option<i64> = wait!(recipients::table
            .filter(recipients::tenant.eq(recipient.tenant.as_str()))
            .filter(recipients::user_id.eq(recipient.user.as_str()))
            .select(recipients::id)
            .get_result(connection))
        .optional()?;
        let Some(row) = row else { return Ok(Written::Read { many: 0, confirmed: 0, rest: None }) };
        let last: Option<i64> = match upto {
            Some(upto) => Some(upto),
            None => {
                let all = inbox::table.filter(inbox::recipient_id.eq(row));
                wait!(all.select(diesel::dsl::max(inbox::position)).get_result(connection))?
            }
        };
        let Some(upto) = last else { return Ok(Written::Read { many: 0, confirmed: 0, rest: None }) };
        let end = wait!(end_of_some(connection, row, after))?.filter(|end| *end < upto);
        let between = (after, end.unwrap_or(upto));
        wait!(telling::of_read(connection, memory, row, at, between))?;
        let (many, confirmed) = wait!(read_between(connection, row, at, between))?;
        Ok(Written::Read { many, confirmed, rest: end.map(|end| (end, upto)) })
    }
}
