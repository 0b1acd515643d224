//! Seals the audit log, and shortens it (decision 44). Compiled twice, like `commit.rs`.
//!
//! Promise: whatever is done here, seals that were true stay true. Nobody waits here for another node that is at it.

use diesel::prelude::*;

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
            ChainWrite::Shorten { from, upto, rows, deed } => {
                wait!(shorten(connection, from, upto, *rows, deed))
            }
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
    /// One removal: the row that tells of it comes first, then go the rows.
    fn shorten(
        connection: &mut Connection,
        from: &Chain,
        upto: &Link,
        rows: i64,
        deed: &Deed,
    ) -> QueryResult<usize> {
        let seal = audit_seals::table.find(upto.id).select(audit_seals::hash);
        let seal: Option<Vec<u8>> = wait!(seal.get_result(connection)).optional()?;
        let old = audit_log::table.filter(audit_log::id.le(upto.id));
        let many: i64 = wait!(old.count().get_result(connection))?;
        if seal.as_ref() != Some(&upto.hash) || many != rows {
            return Ok(0);
        }
        let next = diesel::update(chain::table.find(ONE))
            .filter(chain::removed.eq(from.anchor.id))
            .filter(chain::anchor.eq(&from.anchor.hash))
            .filter(chain::gone.eq(from.gone))
            .filter(chain::sealed.ge(upto.id))
            .set((
                chain::removed.eq(upto.id),
                chain::anchor.eq(&upto.hash),
                chain::gone.eq(chain::gone + rows),
                chain::told.eq(upto.id),
            ));
        if wait!(next.execute(connection))? == 0 {
            return Ok(0);
        }
        wait!(record(connection, std::slice::from_ref(deed)))?;
        wait!(diesel::delete(audit_log::table.filter(audit_log::id.le(upto.id))).execute(connection))?;
        wait!(diesel::delete(audit_seals::table.filter(audit_seals::id.le(upto.id))).execute(connection))?;
        Ok(usize::try_from(rows).unwrap_or(0))
    }
}
