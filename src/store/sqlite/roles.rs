//! Connections, and the roles that come of them.

use diesel::RunQueryDsl;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::presence::People;
use super::{Connection, Memory, row_of};
use crate::store::Presence;
use crate::store::schema::connections;
use crate::store::types::At;

/// Takes from somebody who is connected the roles that none of their connections has.
const TAKE_ROLES: &str = "DELETE FROM roles WHERE tenant = ?1 \
     AND recipient_id = (SELECT id FROM recipients WHERE tenant = ?1 AND user_id = ?2) \
     AND EXISTS (SELECT 1 FROM connections WHERE tenant = ?1 AND user_id = ?2) \
     AND role NOT IN (SELECT each.value FROM connections AS c, json_each(c.roles) AS each \
         WHERE c.tenant = ?1 AND c.user_id = ?2)";
/// Gives them those that one has.
const GIVE_ROLES: &str = "INSERT OR IGNORE INTO roles (tenant, role, recipient_id) \
     SELECT r.tenant, each.value, r.id FROM recipients AS r \
     JOIN connections AS c ON c.tenant = r.tenant AND c.user_id = r.user_id, json_each(c.roles) AS each \
     WHERE r.tenant = ?1 AND r.user_id = ?2";

/// Notes these connections. Their people have rows from now on.
pub fn connect(connection: &mut Connection, memory: &mut Memory, came: &[Presence]) -> QueryResult<()> {
    for presence in came {
        row_of(connection, memory, &presence.recipient)?;
        diesel::replace_into(connections::table)
            .values((
                connections::socket_id.eq(&presence.socket_id),
                connections::node.eq(&presence.node),
                connections::tenant.eq(presence.recipient.tenant.as_str()),
                connections::user_id.eq(presence.recipient.user.as_str()),
                connections::connected_at.eq(At(presence.connected_at)),
                connections::roles.eq(presence.roles.as_str()),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Gives each of these people the roles of all their connections; who has no connection keeps what they had.
pub fn unite_roles(connection: &mut Connection, people: &People) -> QueryResult<()> {
    for (tenant, user) in people {
        for statement in [TAKE_ROLES, GIVE_ROLES] {
            diesel::sql_query(statement).bind::<Text, _>(tenant).bind::<Text, _>(user).execute(connection)?;
        }
    }
    Ok(())
}
