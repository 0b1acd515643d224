//! What is sent about a student, written down in the commit that stores it. Compiled twice, like `commit.rs`.

use diesel::prelude::*;

use super::{Connection, RunQueryDsl};
use crate::domain::{Action, Audience, Group, NewNotification, NotificationId, Tenant, students_of};
use crate::store::audit::actor;
use crate::store::schema::{disclosures, notifications};
use crate::store::types::At;

/// Rows that are stored by one statement.
const TOGETHER: usize = 1_000;

/// Whom it is for: people by name, or an audience.
fn receivers(audience: &Audience) -> Vec<String> {
    match audience {
        Audience::Whoever(_, Group::People(users)) => users.clone(),
        Audience::Whoever(_, group) => group.subject().into_iter().collect(),
        named => named.named().iter().map(|one| one.user.as_str().to_owned()).collect(),
    }
}

body! {
    /// Notes who is sent something about a student, but for the student.
    pub fn disclose(
        connection: &mut Connection,
        fresh: &[(usize, &NewNotification, NotificationId)],
    ) -> QueryResult<()> {
        let mut rows = Vec::new();
        for (_, new, id) in fresh {
            let about = students_of(&new.data);
            if about.is_empty() {
                continue;
            }
            let receivers = receivers(&new.audience);
            let pairs = about.iter().flat_map(|about| receivers.iter().map(move |recipient| (about, recipient)));
            for (about, recipient) in pairs.filter(|(about, recipient)| about != recipient) {
                rows.push((
                    disclosures::tenant.eq(new.tenant.as_str()),
                    disclosures::at.eq(At(new.created_at)),
                    disclosures::about.eq(about.clone()),
                    disclosures::recipient.eq(recipient.clone()),
                    disclosures::actor.eq(Some(actor(new.sender.as_deref()))),
                    disclosures::action.eq(Action::Send.name()),
                    disclosures::notification_id.eq(Some(id.0)),
                    disclosures::kind.eq(new.kind.clone().into_owned()),
                ));
            }
        }
        for some in rows.chunks(TOGETHER) {
            wait!(diesel::insert_into(disclosures::table).values(some.to_vec()).execute(connection))?;
        }
        Ok(())
    }
}

body! {
    /// This never went out: nobody was sent anything by it.
    pub fn undisclose(connection: &mut Connection, tenant: &Tenant, id: NotificationId) -> QueryResult<()> {
        let noted = notifications::table.find(id.0).select(notifications::created_at);
        let at: At = wait!(noted.get_result(connection))?;
        let by_it = disclosures::table
            .filter(disclosures::tenant.eq(tenant.as_str()))
            .filter(disclosures::at.eq(at))
            .filter(disclosures::notification_id.eq(id.0))
            .filter(disclosures::action.eq(Action::Send.name()));
        wait!(diesel::delete(by_it).execute(connection))?;
        Ok(())
    }
}
