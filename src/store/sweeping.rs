//! Removes what is old and done. Compiled twice, like `commit.rs`.
//!
//! Promise: what was counted of an inbox stays right, and what is told of notifications as a whole stays what it was.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::{Connection, RunQueryDsl, keep_counts_of, shift};
use crate::domain::Place;
use crate::store::facts;
use crate::store::retention::Sweep;
use crate::store::schema::{
    analytics_place, counts, deliveries, delivery_attempts, deployment, expansions, notifications,
    recurrences, traces,
};

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = BigInt)]
    recipient_id: i64,
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Bool)]
    is_unread: bool,
}

body! {
    /// Removes these; tells how many there were.
    pub fn sweep(connection: &mut Connection, which: &Sweep) -> QueryResult<usize> {
        // One node at a time: the row is this one's until the commit.
        let same = analytics_place::counted.eq(analytics_place::counted);
        wait!(diesel::update(analytics_place::table).set(same).execute(connection))?;
        match which {
            Sweep::Entries(entries) => wait!(sweep_entries(connection, entries)),
            Sweep::Notifications(ids) => wait!(sweep_notifications(connection, ids)),
        }
    }
}

body! {
    fn sweep_entries(connection: &mut Connection, entries: &[(i64, i64)]) -> QueryResult<usize> {
        if entries.is_empty() {
            return Ok(0);
        }
        let mut people: Vec<i64> = entries.iter().map(|(recipient, _)| *recipient).collect();
        people.sort_unstable();
        people.dedup();
        wait!(keep_counts_of(connection, &people))?;
        let counted: Vec<i64> = wait!(counts::table
            .filter(counts::recipient_id.eq_any(&people))
            .select(counts::recipient_id)
            .distinct()
            .load(connection))?;
        if !counted.is_empty() {
            let counted: HashSet<i64> = counted.into_iter().collect();
            let held: Vec<Held> = wait!(diesel::sql_query(facts::held_of(entries)).load(connection))?;
            for Held { recipient_id: recipient, position, is_unread } in held {
                if counted.contains(&recipient) {
                    let place = Place { recipient, position };
                    wait!(shift(connection, place, -1, -i64::from(is_unread)))?;
                }
            }
        }
        wait!(diesel::sql_query(facts::remove(entries)).execute(connection))
    }
}

body! {
    fn sweep_notifications(connection: &mut Connection, ids: &[i64]) -> QueryResult<usize> {
        let theirs = || deliveries::table.filter(deliveries::notification_id.eq_any(ids));
        let tries = delivery_attempts::delivery_id.eq_any(theirs().select(deliveries::id));
        wait!(diesel::delete(delivery_attempts::table.filter(tries)).execute(connection))?;
        wait!(diesel::delete(theirs()).execute(connection))?;
        let made = recurrences::table.filter(recurrences::notification_id.eq_any(ids));
        wait!(diesel::delete(made).execute(connection))?;
        let told = traces::table.filter(traces::notification_id.eq_any(ids));
        wait!(diesel::delete(told).execute(connection))?;
        let spread = || expansions::table.filter(expansions::notification_id.eq_any(ids));
        let chunks: Vec<i64> = wait!(spread().select(expansions::chunks).load(connection))?;
        wait!(diesel::delete(spread()).execute(connection))?;
        let these = notifications::table.filter(notifications::id.eq_any(ids));
        let many = wait!(diesel::delete(these).execute(connection))?;
        // Their numbers, and those of their chunks, are no notification's any more.
        let burned = i64::try_from(many).unwrap_or(0) + chunks.iter().sum::<i64>();
        wait!(diesel::update(deployment::table)
            .set(deployment::burned.eq(deployment::burned + burned))
            .execute(connection))?;
        Ok(many)
    }
}
