//! Counts an inbox on: what was counted is not looked at again. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::{Connection, RunQueryDsl, hold};
use crate::domain::{Recipient, Timestamp};
use crate::store::COUNTED_TOGETHER;
use crate::store::held::{HeldCounts, Which};
use crate::store::schema::{counts, inbox};
use crate::store::tally::{Tallied, Tally};

/// Parts of one inbox whose counts are kept: every mark looks at them.
const PARTS: i64 = 9;

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
        if !before.is_known() && !which.is_all() {
            let kept = counts::table.filter(counts::recipient_id.eq(before.row)).count();
            if wait!(kept.get_result::<i64>(connection))? >= PARTS {
                return Ok(0);
            }
        }
        let end: Option<i64> = wait!(inbox::table
            .filter(inbox::recipient_id.eq(before.row))
            .filter(inbox::position.gt(before.counted_upto))
            .order(inbox::position)
            .offset(COUNTED_TOGETHER as i64 - 1)
            .limit(1)
            .select(inbox::position)
            .get_result(connection))
        .optional()?;
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
