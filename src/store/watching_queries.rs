//! Reads for those who run the server. Compiled twice, once for each database.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;

use super::Connection;
use super::writing::now;
use crate::domain::{Tenant, Timestamp};
use crate::store::StoreError;
use crate::store::schema::{connections, nodes as all_nodes};
use crate::store::types::{At, Instant};
use crate::store::watching::{Backlogs, Node, backlog, failed};

/// Nodes that are told.
const MOST: i64 = 200;

#[derive(QueryableByName)]
struct Many {
    #[diesel(sql_type = BigInt)]
    many: i64,
}

/// See [`crate::store::Store::backlogs`].
pub async fn backlogs(connection: &mut Connection, now: Timestamp) -> Result<Backlogs, StoreError> {
    let query = diesel::sql_query(backlog()).bind::<Instant, _>(At(now));
    Ok(Backlogs(query.load(connection).await?))
}

/// See [`crate::store::Store::failed_many`].
pub async fn failed_many(connection: &mut Connection, tenant: &Tenant) -> Result<i64, StoreError> {
    let query = diesel::sql_query(failed()).bind::<Text, _>(tenant.as_str());
    let Many { many } = query.get_result(connection).await?;
    Ok(many)
}

/// See [`crate::store::Store::nodes`].
pub async fn nodes(connection: &mut Connection) -> Result<Vec<Node>, StoreError> {
    let known: Vec<(String, At, i64, At)> = all_nodes::table
        .order(all_nodes::name)
        .limit(MOST)
        .select((all_nodes::name, all_nodes::seen_at, all_nodes::senders, now()))
        .load(connection)
        .await?;
    let by_node: Vec<(String, i64)> = connections::table
        .group_by(connections::node)
        .select((connections::node, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    let by_node: HashMap<String, i64> = by_node.into_iter().collect();
    let node = |(name, At(seen_at), senders, At(now)): (String, At, i64, At)| {
        let connections = by_node.get(&name).copied().unwrap_or(0);
        Node { silent: now.seconds_since(seen_at).max(0.0), connections, senders, name }
    };
    Ok(known.into_iter().map(node).collect())
}
