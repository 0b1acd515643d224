//! The servers that share the work.

use askama::Template;
use axum::extract;

use super::overview::nodes_alive;
use super::session::{Seat, Viewer};
use super::words::{self, count};
use super::{Answer, Dashboard, Parted, View, parted};
use crate::service::Error;
use crate::store::Node;

struct Row {
    name: String,
    is_this: bool,
    is_alive: bool,
    sign: String,
    connections: String,
    senders: String,
}

#[derive(Template)]
#[template(path = "dashboard/nodes.html")]
struct Nodes {
    is_known: bool,
    is_shared: bool,
    version: &'static str,
    rows: Vec<Row>,
}

/// What is told anew.
pub async fn parts(dashboard: &Dashboard, seat: &Seat) -> Result<Parted, Error> {
    let watch = &dashboard.watch;
    let everywhere = watch.everywhere(&seat.who).await?;
    let mut nodes = everywhere.known.as_ref().map(|known| known.nodes.clone()).unwrap_or_default();
    // On SQLite this one is alone, and has no row.
    if !nodes.iter().any(|node| node.name == watch.node) && !watch.is_shared() {
        let census = everywhere.health.census;
        let number = |many: usize| i64::try_from(many).unwrap_or(i64::MAX);
        let connections = everywhere.known.as_ref().map_or(0, |known| known.online.sessions);
        let senders = number(census.senders);
        nodes.push(Node { name: watch.node.clone(), silent: 0.0, connections, senders });
    }
    let row = |node: Node| Row {
        is_this: node.name == watch.node,
        is_alive: nodes_alive(node.silent),
        sign: match node.silent {
            ..10.0 => "now".to_owned(),
            silent => format!("{} ago", words::lasted(silent)),
        },
        connections: count(node.connections),
        senders: count(node.senders),
        name: node.name,
    };
    let nodes = Nodes {
        is_known: everywhere.known.is_some(),
        is_shared: watch.is_shared(),
        version: env!("CARGO_PKG_VERSION"),
        rows: nodes.into_iter().map(row).collect(),
    };
    Ok(vec![("nodes", nodes.render().unwrap_or_default())])
}

/// `GET /dashboard/nodes`.
pub async fn page(dashboard: extract::State<Dashboard>, Viewer(seat): Viewer) -> Answer {
    let parts = parts(&dashboard, &seat).await.map_err(|fault| seat.fault(fault))?;
    let lead = "The servers that share this database. Each gives a sign of life every few seconds; one that is silent for \
                20 seconds counts as gone, and others take over its work.";
    let body = parted("Nodes", lead, "", &parts);
    Ok(View { title: "Nodes", here: "nodes", live: "nodes", body }.show(Some(&seat)))
}
