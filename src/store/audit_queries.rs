//! Reads of the audit log. Compiled twice, once for each database.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Connection;
use crate::domain::Tenant;
use crate::store::StoreError;
use crate::store::audit::{Recorded, Sought};
use crate::store::schema::audit_log;
use crate::store::sealing::{Opening, legible};
use crate::store::types::At;

type Columns = (i64, At, Option<Opening>, Opening, Option<Opening>, Opening, Option<Opening>);

/// See [`crate::store::Store::audited`].
pub async fn audited(
    connection: &mut Connection,
    tenant: &Tenant,
    sought: &Sought,
    limit: i64,
) -> Result<Vec<Recorded>, StoreError> {
    let mut query = audit_log::table
        .filter(audit_log::tenant.eq(tenant.as_str()))
        .filter(audit_log::id.lt(sought.before.unwrap_or(i64::MAX)))
        .order(audit_log::id.desc())
        .limit(limit)
        .select((
            audit_log::id,
            audit_log::at,
            audit_log::actor,
            audit_log::action,
            audit_log::subject,
            audit_log::detail,
            audit_log::address,
        ))
        .into_boxed();
    if let Some(action) = sought.action {
        query = query.filter(audit_log::action.eq(action.name()));
    }
    if let Some(actor) = &sought.actor {
        query = query.filter(audit_log::actor.eq(actor));
    }
    if let Some(subject) = &sought.subject {
        query = query.filter(audit_log::subject.eq(subject));
    }
    if let Some(from) = sought.from {
        query = query.filter(audit_log::at.ge(At(from)));
    }
    if let Some(to) = sought.to {
        query = query.filter(audit_log::at.lt(At(to)));
    }
    let rows: Vec<Columns> = query.load(connection).await?;
    let recorded = |(id, At(at), actor, action, subject, detail, address): Columns| Recorded {
        id,
        at,
        actor: legible(actor),
        action: action.legible(),
        subject: legible(subject),
        detail: detail.legible_json(),
        address: legible(address),
    };
    Ok(rows.into_iter().map(recorded).collect())
}
