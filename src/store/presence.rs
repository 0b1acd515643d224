//! Who is connected, and which roles people have for that. Compiled twice, like `commit.rs`.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::{Connection, Memory, RunQueryDsl, ago, connect, unite_roles};
use crate::store::schema::{connections, nodes};
use crate::store::{Presence, Written};

/// Tenants, and their users.
pub type People = BTreeSet<(String, String)>;

/// Connections of these people.
macro_rules! people {
    ($connection:expr, $connections:expr) => {{
        let theirs = $connections.select((connections::tenant, connections::user_id));
        wait!(theirs.load::<(String, String)>($connection))?.into_iter().collect::<People>()
    }};
}

body! {
    /// Notes who came, with which roles, and who left.
    pub fn note_presence(
        connection: &mut Connection,
        memory: &mut Memory,
        came: &[Presence],
        gone: &[String],
    ) -> QueryResult<()> {
        let sockets = came.iter().map(|presence| &presence.socket_id).chain(gone);
        let known = connections::table.filter(connections::socket_id.eq_any(sockets.collect::<Vec<_>>()));
        let mut people = people!(connection, known);
        people.extend(came.iter().map(|Presence { recipient, .. }| {
            (recipient.tenant.as_str().to_owned(), recipient.user.as_str().to_owned())
        }));
        wait!(connect(connection, memory, came))?;
        let left = connections::table.filter(connections::socket_id.eq_any(gone));
        wait!(diesel::delete(left).execute(connection))?;
        wait!(unite_roles(connection, &people))
    }
}

body! {
    /// Forgets nodes that gave no sign of life for `lease` seconds, with their connections.
    pub fn reap(connection: &mut Connection, lease: i64) -> QueryResult<Written> {
        wait!(diesel::delete(nodes::table.filter(nodes::seen_at.lt(ago(lease)))).execute(connection))?;
        let orphans = || {
            let living = nodes::table.select(nodes::name);
            connections::table.filter(connections::node.ne_all(living))
        };
        let people = people!(connection, orphans());
        wait!(diesel::delete(orphans()).execute(connection))?;
        wait!(unite_roles(connection, &people))?;
        Ok(Written::Done)
    }
}

body! {
    /// Nobody is connected to this node any more.
    pub fn leave(connection: &mut Connection, node: &str) -> QueryResult<Written> {
        let here = connections::table.filter(connections::node.eq(node));
        let people = people!(connection, here);
        wait!(diesel::delete(here).execute(connection))?;
        wait!(diesel::delete(nodes::table.find(node)).execute(connection))?;
        wait!(unite_roles(connection, &people))?;
        Ok(Written::Done)
    }
}
