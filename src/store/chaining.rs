//! Seals the audit log, and shortens it (decision 44). Compiled twice, like `commit.rs`.
//!
//! Promise: whatever is done here, seals that were true stay true. Nobody waits here for another node that is at it.

use diesel::prelude::*;
use serde_json::json;

use super::{Connection, RunQueryDsl, hold_chain, record};
use crate::domain::chain::Link;
use crate::domain::{Deed, Timestamp};
use crate::store::audit_chain::{Chain, ChainWrite};
use crate::store::schema::{audit_chain as chain, audit_log, audit_people, audit_seals};
use crate::store::types::At;

/// The one row of `audit_chain`.
const ONE: i64 = 1;
/// Rows of one statement.
const TOGETHER: usize = 500;

body! {
    /// Does it; tells how many rows were sealed, or removed: none, if the chain stands otherwise by now.
    pub fn keep_chain(connection: &mut Connection, write: &ChainWrite) -> QueryResult<usize> {
        wait!(begin(connection))?;
        if !wait!(hold_chain(connection))? {
            return Ok(0);
        }
        match write {
            ChainWrite::Seal { from, seals, people, now } => {
                wait!(seal(connection, from, seals, people, *now))
            }
            ChainWrite::Shorten { from, upto, deed } => wait!(shorten(connection, from, *upto, deed)),
        }
    }
}

body! {
    /// Sees to it that the chain's row is there.
    pub fn begin(connection: &mut Connection) -> QueryResult<()> {
        let nothing: &[u8] = &[];
        let first = (
            chain::id.eq(ONE),
            chain::sealed.eq(0),
            chain::head.eq(nothing),
            chain::many.eq(0),
            chain::sealed_at.eq(At(Timestamp::from_micros(0))),
            chain::removed.eq(0),
            chain::anchor.eq(nothing),
            chain::gone.eq(0),
            chain::erasures.eq(0),
        );
        let first = diesel::insert_into(chain::table).values(first).on_conflict_do_nothing();
        wait!(first.execute(connection))?;
        Ok(())
    }
}

body! {
    /// Lets nobody seal until the commit; whoever seals now is waited for.
    pub fn keep_sealers_out(connection: &mut Connection) -> QueryResult<()> {
        wait!(begin(connection))?;
        let same = chain::erasures.eq(chain::erasures);
        wait!(diesel::update(chain::table.find(ONE)).set(same).execute(connection))?;
        Ok(())
    }
}

body! {
    fn seal(
        connection: &mut Connection,
        from: &Chain,
        seals: &[Link],
        people: &[(String, String, Vec<u8>)],
        now: Timestamp,
    ) -> QueryResult<usize> {
        let Some(head) = seals.last() else { return Ok(0) };
        let many = i64::try_from(seals.len()).unwrap_or(0);
        // Another node may have sealed them, or somebody was forgotten, whose secret was read.
        let next = diesel::update(chain::table.find(ONE))
            .filter(chain::sealed.eq(from.head.id))
            .filter(chain::head.eq(&from.head.hash))
            .filter(chain::erasures.eq(from.erasures))
            .set((
                chain::sealed.eq(head.id),
                chain::head.eq(&head.hash),
                chain::many.eq(chain::many + many),
                chain::sealed_at.eq(At(now)),
            ));
        if wait!(next.execute(connection))? == 0 {
            return Ok(0);
        }
        for some in people.chunks(TOGETHER) {
            let rows = some.iter().map(|(tenant, name, secret)| {
                (audit_people::tenant.eq(tenant), audit_people::name.eq(name), audit_people::secret.eq(secret))
            });
            let rows: Vec<_> = rows.collect();
            wait!(diesel::insert_into(audit_people::table).values(rows).execute(connection))?;
        }
        for some in seals.chunks(TOGETHER) {
            let rows = some.iter().map(|link| (audit_seals::id.eq(link.id), audit_seals::hash.eq(link.hash.clone())));
            let rows: Vec<_> = rows.collect();
            wait!(diesel::insert_into(audit_seals::table).values(rows).execute(connection))?;
        }
        Ok(seals.len())
    }
}

body! {
    fn shorten(connection: &mut Connection, from: &Chain, upto: i64, deed: &Deed) -> QueryResult<usize> {
        let anchor: Option<Vec<u8>> = wait!(audit_seals::table
            .find(upto)
            .select(audit_seals::hash)
            .get_result(connection))
        .optional()?;
        let Some(hash) = anchor else { return Ok(0) };
        let many: i64 = wait!(audit_log::table.filter(audit_log::id.le(upto)).count().get_result(connection))?;
        let next = diesel::update(chain::table.find(ONE))
            .filter(chain::removed.eq(from.anchor.id))
            .filter(chain::sealed.ge(upto))
            .set((chain::removed.eq(upto), chain::anchor.eq(&hash), chain::gone.eq(chain::gone + many)));
        if wait!(next.execute(connection))? == 0 {
            return Ok(0);
        }
        wait!(diesel::delete(audit_log::table.filter(audit_log::id.le(upto))).execute(connection))?;
        wait!(diesel::delete(audit_seals::table.filter(audit_seals::id.le(upto))).execute(connection))?;
        let detail = json!({"rows": many, "anchor": Link { id: upto, hash }.written()});
        let deed = Deed { detail: detail.to_string(), ..deed.clone() };
        wait!(record(connection, std::slice::from_ref(&deed)))?;
        Ok(usize::try_from(many).unwrap_or(0))
    }
}
