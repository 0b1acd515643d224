//! What a run can be asked for. Defaults are the published run; every one of them is printed under the table.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{postgres, redis};

#[derive(Clone, Debug, Parser)]
#[command(version, about = "Measures Carillon and its Node peer, in turn, on one core each")]
pub struct Settings {
    /// The repository's root.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// The Carillon binary, if not `target/release/carillon` under the root.
    #[arg(long)]
    pub carillon: Option<PathBuf>,
    /// Which servers: `both` is Carillon and the peer; `all` adds the tuned peer on SQLite, on PostgreSQL `single`, which
    /// is Carillon with one commit for each notification, and for the fan-out `topic` and Bun. A shape is measured on those that can do it.
    #[arg(long, value_enum, default_value_t = Servers::All)]
    pub server: Servers,
    /// Which shapes, separated by commas; all that PostgreSQL and Redis are installed for, if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Shape>,
    /// Quiet rounds wanted per shape (a disturbed round is repeated, at most as many times again).
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds of measured load per round, after a warm-up.
    #[arg(long, default_value_t = 5)]
    pub seconds: u64,
    /// Seconds of warm-up load before each measurement (caches, just-in-time compilation).
    #[arg(long, default_value_t = 2)]
    pub warm_up: u64,
    /// Bookings outstanding at any time, over all back ends.
    #[arg(long, default_value_t = 256)]
    pub window: usize,
    /// Back ends connected at once.
    #[arg(long, default_value_t = 4)]
    pub backends: usize,
    /// Distinct facilitators booked in the offline shape.
    #[arg(long, default_value_t = 1_000)]
    pub offline_facilitators: u64,
    /// Facilitators connected in the online, latency and nodes shapes.
    #[arg(long, default_value_t = 200)]
    pub online_facilitators: u64,
    /// Bookings per second in the latency shape, on a fixed schedule.
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// Bookings per second in the nodes, broadcast and flood shapes, likewise.
    #[arg(long, default_value_t = 500)]
    pub cross_rate: u64,
    /// What a flooder does per second, in the flood shape.
    #[arg(long, default_value_t = 1_000)]
    pub flood_rate: u64,
    /// Only this door in the flood shape (`crowd`, say); all, if not given.
    #[arg(long, value_name = "DOOR")]
    pub flood_door: Option<String>,
    /// Facilitators connected in the catch-up shape.
    #[arg(long, default_value_t = 10_000)]
    pub crowd: u64,
    /// Idle sockets in the rss shape.
    #[arg(long, default_value_t = 10_000)]
    pub sockets: u32,
    /// Seconds to let memory settle in the rss shape (longer than a ping interval).
    #[arg(long, default_value_t = 30)]
    pub settle: u64,
    /// Notifications of the user who has many, in the list shape.
    #[arg(long, default_value_t = 1_000_000)]
    pub many: u64,
    /// People who get each broadcast, in the broadcast and queue shapes.
    #[arg(long, default_value_t = 100_000)]
    pub audience: u64,
    /// Deliveries under way at once, in the queue shapes.
    #[arg(long, default_value_t = 256)]
    pub at_once: usize,
    /// Connections being opened or closed at any time in the connects shape; kept open in the rest shape.
    #[arg(long, default_value_t = 64)]
    pub pool: u32,
    /// Seconds after each booking round whose server CPU is counted too, to catch work put off.
    #[arg(long, default_value_t = 0)]
    pub tail: u64,
    /// Seconds to wait, at most, for the machine to be quiet before each measurement.
    #[arg(long, default_value_t = 30)]
    pub patience: u64,
    /// Load one shape of one server for this many seconds and print its pid, for a profiler.
    #[arg(long, value_name = "SECONDS")]
    pub attach: Option<u64>,
    /// The Markdown file whose benchmark section is rewritten. Without it, nothing but the screen.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Where the raw rounds go.
    #[arg(long, default_value = "bench/load/target/rounds.json")]
    pub json: PathBuf,
    /// Go on where a run ended early: the shapes that `--json` has are not measured again.
    #[arg(long)]
    pub resume: bool,
    /// Where the servers' databases, and PostgreSQL's, live for the length of a round.
    #[arg(long, default_value = "bench/load/target/run")]
    pub dir: PathBuf,
    /// The core every thread of the server is held on.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core the load tool is held on, and PostgreSQL and Redis with it.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

/// Notifications of the user who has few, in the list shape.
pub const FEW: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Servers {
    Carillon,
    Single,
    Topic,
    /// Carillon by Socket.IO and by raw WebSockets, and the floor under both.
    Raw,
    Node,
    NodeTuned,
    Bun,
    Both,
    All,
}

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Carillon,
    /// Carillon with one commit for each notification.
    Single,
    /// Carillon, where a room is a topic of different users.
    Topic,
    /// Carillon, whose sockets are raw WebSockets.
    Raw,
    /// Both.
    RawTopic,
    Node,
    NodeTuned,
    Bun,
    /// An axum server that only writes.
    Floor,
}

impl Kind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Carillon => "Carillon",
            Self::Single => "Carillon, single commits",
            Self::Topic => "Carillon, a topic",
            Self::Raw => "Carillon, raw",
            Self::RawTopic => "Carillon, raw, a topic",
            Self::Node => "Node",
            Self::NodeTuned => "Node, tuned",
            Self::Bun => "Bun",
            Self::Floor => "axum, the floor",
        }
    }

    /// Whether its sockets are raw WebSockets.
    pub fn is_raw(self) -> bool {
        matches!(self, Self::Raw | Self::RawTopic | Self::Floor)
    }

    /// Whether a room is a topic.
    pub fn is_topic(self) -> bool {
        matches!(self, Self::Topic | Self::RawTopic)
    }

    /// Whether it is Carillon in any way.
    pub fn is_carillon(self) -> bool {
        !matches!(self, Self::Node | Self::NodeTuned | Self::Bun | Self::Floor)
    }
}

impl Servers {
    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Carillon => vec![Kind::Carillon],
            Self::Single => vec![Kind::Single],
            Self::Topic => vec![Kind::Topic],
            Self::Bun => vec![Kind::Bun],
            Self::Raw => vec![Kind::Carillon, Kind::Topic, Kind::Raw, Kind::RawTopic, Kind::Floor],
            Self::Node => vec![Kind::Node],
            Self::NodeTuned => vec![Kind::NodeTuned],
            Self::Both => vec![Kind::Carillon, Kind::Node],
            Self::All => vec![
                Kind::Carillon,
                Kind::Single,
                Kind::Topic,
                Kind::Raw,
                Kind::RawTopic,
                Kind::Node,
                Kind::NodeTuned,
                Kind::Bun,
                Kind::Floor,
            ],
        }
    }
}

/// One way of loading a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    Offline,
    Online,
    Latency,
    Rss,
    Connects,
    /// To 1,000 sockets.
    Fanout,
    /// To 10,000.
    #[value(name = "fanout-10k")]
    Fanout10k,
    Rest,
    List,
    Broadcast,
    /// Deliveries beyond sockets.
    Queue,
    PgOffline,
    PgOnline,
    PgQueue,
    /// Two nodes.
    Nodes,
    #[value(name = "nodes-4")]
    Nodes4,
    #[value(name = "nodes-8")]
    Nodes8,
    CatchUp,
    /// One address floods a door.
    Flood,
}

impl Shape {
    /// How many nodes run.
    pub fn nodes(self) -> usize {
        match self {
            Self::Nodes | Self::CatchUp => 2,
            Self::Nodes4 => 4,
            Self::Nodes8 => 8,
            _ => 1,
        }
    }

    /// How many sockets a fan-out goes to.
    pub fn sockets(self) -> u64 {
        if self == Self::Fanout10k { 10_000 } else { 1_000 }
    }

    pub fn on_redis(self) -> bool {
        self.nodes() > 1
    }

    pub fn on_postgres(self) -> bool {
        self.on_redis() || matches!(self, Self::PgOffline | Self::PgOnline | Self::PgQueue)
    }

    /// Who can do it. Nothing in Node brings back what Redis lost, so nobody else catches up.
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::PgOffline | Self::PgOnline => &[Kind::Carillon, Kind::Single, Kind::Node],
            Self::Nodes | Self::Nodes4 | Self::Nodes8 => &[Kind::Carillon, Kind::Node],
            Self::CatchUp | Self::Flood | Self::List | Self::Broadcast | Self::Queue | Self::PgQueue => {
                &[Kind::Carillon]
            }
            Self::Fanout | Self::Fanout10k => {
                &[Kind::Carillon, Kind::Topic, Kind::Raw, Kind::RawTopic, Kind::Node, Kind::Bun, Kind::Floor]
            }
            Self::Rest => &[Kind::Carillon, Kind::Node],
            _ => &[Kind::Carillon, Kind::Node, Kind::NodeTuned],
        }
    }

    /// What is missing on this machine, if anything.
    fn lacks(self) -> Option<&'static str> {
        if self.on_postgres() && !postgres::found() {
            return Some("PostgreSQL");
        }
        (self.on_redis() && !redis::found()).then_some("redis-server")
    }
}

impl Settings {
    /// The servers that are measured in this shape.
    pub fn kinds(&self, shape: Shape) -> Vec<Kind> {
        let kinds = self.server.kinds();
        kinds.into_iter().filter(|kind| shape.kinds().contains(kind)).collect()
    }

    /// The servers that are measured in any shape.
    pub fn all_kinds(&self) -> Vec<Kind> {
        let is_used = |kind: &Kind| self.only.iter().any(|shape| shape.kinds().contains(kind));
        self.server.kinds().into_iter().filter(is_used).collect()
    }

    /// Leaves what was asked for, or chooses all that is possible here, and says what is not.
    pub fn choose_shapes(&mut self) -> Result<()> {
        for shape in &self.only {
            ensure!(!self.kinds(*shape).is_empty(), "the {shape} shape has nothing to do with this --server");
            let lack = shape.lacks();
            ensure!(lack.is_none(), "the {shape} shape needs {}, which is not installed", lack.unwrap_or_default());
        }
        if self.only.is_empty() {
            let possible = Shape::value_variants().iter().filter(|shape| !self.kinds(**shape).is_empty());
            for shape in possible.copied().collect::<Vec<_>>() {
                match shape.lacks() {
                    None => self.only.push(shape),
                    Some(lack) => eprintln!("bench: {shape} is left out: {lack} is not installed"),
                }
            }
        }
        Ok(())
    }

    /// How many sockets the load tool, or a server, has open at most.
    pub fn most_sockets(&self) -> u64 {
        let sockets = |shape: &Shape| match shape {
            Shape::Rss => u64::from(self.sockets),
            Shape::CatchUp => self.crowd,
            Shape::Fanout | Shape::Fanout10k => shape.sockets(),
            Shape::Flood => self.online_facilitators + 2_000,
            _ => self.online_facilitators,
        };
        self.only.iter().map(sockets).max().unwrap_or(0)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}
