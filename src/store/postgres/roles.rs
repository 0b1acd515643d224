//! Connections, and the roles that come of them.

use std::marker::PhantomData;

use diesel::prelude::QueryResult;
use diesel_async::RunQueryDsl;

use super::super::statements::{GiveRoles, HoldPeople, KnowRecipients, NoteConnections, TakeRoles};
use super::presence::People;
use super::{Connection, Memory};
use crate::store::Presence;
use crate::store::types::At;

/// Notes these connections. Their people have rows from now on.
pub async fn connect(connection: &mut Connection, _: &mut Memory, came: &[Presence]) -> QueryResult<()> {
    if came.is_empty() {
        return Ok(());
    }
    // In the order in which others make such rows.
    let mut came: Vec<&Presence> = came.iter().collect();
    came.sort_unstable_by_key(|presence| &presence.recipient);
    let tenants = || came.iter().map(|presence| presence.recipient.tenant.as_str()).collect::<Vec<_>>();
    let users = || came.iter().map(|presence| presence.recipient.user.as_str()).collect::<Vec<_>>();
    let know = KnowRecipients { tenants: tenants(), users: users(), borrowed: PhantomData };
    know.execute(connection).await?;
    let note = NoteConnections {
        socket_ids: came.iter().map(|presence| presence.socket_id.as_str()).collect(),
        nodes: came.iter().map(|presence| presence.node.as_str()).collect(),
        tenants: tenants(),
        users: users(),
        instants: came.iter().map(|presence| At(presence.connected_at)).collect(),
        roles: came.iter().map(|presence| presence.roles.as_str()).collect(),
        borrowed: PhantomData,
    };
    note.execute(connection).await?;
    Ok(())
}

/// Gives each of these people the roles of all their connections; who has no connection keeps what they had. Their rows
/// are this transaction's: another node that does the same waits, and then sees these connections.
pub async fn unite_roles(connection: &mut Connection, people: &People) -> QueryResult<()> {
    if people.is_empty() {
        return Ok(());
    }
    macro_rules! unite {
        ($($statement:ident)*) => {$(
            $statement {
                tenants: people.iter().map(|(tenant, _)| tenant.as_str()).collect(),
                users: people.iter().map(|(_, user)| user.as_str()).collect(),
                borrowed: PhantomData,
            }
            .execute(connection)
            .await?;
        )*};
    }
    unite!(HoldPeople TakeRoles GiveRoles);
    Ok(())
}
