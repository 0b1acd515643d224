//! Who is connected, and which roles people have.

use diesel::RunQueryDsl;
use diesel::prelude::*;

use super::{Connection, Memory, row_of};
use crate::store::Presence;
use crate::store::schema::{connections, roles};
use crate::store::types::At;

/// Notes who came, and who left.
pub fn note_presence(
    connection: &mut Connection,
    memory: &mut Memory,
    came: &[Presence],
    gone: &[String],
) -> QueryResult<()> {
    for presence in came {
        let row = row_of(connection, memory, &presence.recipient)?;
        note_roles(connection, row, presence)?;
        diesel::replace_into(connections::table)
            .values((
                connections::socket_id.eq(&presence.socket_id),
                connections::node.eq(&presence.node),
                connections::tenant.eq(presence.recipient.tenant.as_str()),
                connections::user_id.eq(presence.recipient.user.as_str()),
                connections::connected_at.eq(At(presence.connected_at)),
            ))
            .execute(connection)?;
    }
    for socket_id in gone {
        diesel::delete(connections::table.find(socket_id)).execute(connection)?;
    }
    Ok(())
}

/// Notes which roles somebody has now.
fn note_roles(connection: &mut Connection, row: i64, presence: &Presence) -> QueryResult<()> {
    let mut known: Vec<String> =
        roles::table.filter(roles::recipient_id.eq(row)).select(roles::role).load(connection)?;
    known.sort_unstable();
    let mut wanted = presence.roles.clone();
    wanted.sort_unstable();
    wanted.dedup();
    if known == wanted {
        return Ok(());
    }
    diesel::delete(roles::table.filter(roles::recipient_id.eq(row))).execute(connection)?;
    for role in wanted {
        diesel::insert_into(roles::table)
            .values((
                roles::tenant.eq(presence.recipient.tenant.as_str()),
                roles::role.eq(role),
                roles::recipient_id.eq(row),
            ))
            .execute(connection)?;
    }
    Ok(())
}
