//! Adds to the audit log.

use diesel::RunQueryDsl;
use diesel::prelude::*;

use super::Connection;
use crate::domain::Deed;
use crate::store::audit::written;
use crate::store::schema::audit_log;
use crate::store::types::At;

/// Writes down `deeds`. One cached statement for each: nearly always there is one.
pub fn record(connection: &mut Connection, deeds: &[Deed]) -> QueryResult<()> {
    for deed in deeds {
        diesel::insert_into(audit_log::table)
            .values((
                audit_log::at.eq(At(deed.at)),
                audit_log::tenant.eq(deed.tenant.as_str()),
                audit_log::actor.eq(deed.actor.as_deref()),
                audit_log::action.eq(deed.action.name()),
                audit_log::subject.eq(deed.subject.as_deref()),
                audit_log::detail.eq(&deed.detail),
                audit_log::address.eq(written(deed.address)),
            ))
            .execute(connection)?;
    }
    Ok(())
}
