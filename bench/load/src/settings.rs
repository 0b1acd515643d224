//! What a run can be asked for. Defaults are the published run; every one of them is printed under the table.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;

#[derive(Clone, Debug, Parser)]
#[command(version, about = "Measures Carillon and its Node peer, in turn, on one core each")]
pub struct Settings {
    /// The repository's root.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// The Carillon binary, if not `target/release/carillon` under the root.
    #[arg(long)]
    pub carillon: Option<PathBuf>,
    /// Which servers: `both` is Carillon and the peer, `all` adds the tuned peer.
    #[arg(long, value_enum, default_value_t = Servers::All)]
    pub server: Servers,
    /// Which shapes, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Shape::ALL)]
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
    /// Facilitators connected in the online and latency shapes.
    #[arg(long, default_value_t = 200)]
    pub online_facilitators: u64,
    /// Bookings per second in the latency shape, on a fixed schedule.
    #[arg(long, default_value_t = 1_000)]
    pub rate: u64,
    /// Idle sockets in the rss shape.
    #[arg(long, default_value_t = 10_000)]
    pub sockets: u32,
    /// Seconds to let memory settle in the rss shape (longer than a ping interval).
    #[arg(long, default_value_t = 30)]
    pub settle: u64,
    /// Connections being opened or closed at any time in the connects shape.
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
    /// Where the servers' databases live for the length of a round.
    #[arg(long, default_value = "bench/load/target/run")]
    pub dir: PathBuf,
    /// The core every thread of the server is held on.
    #[arg(long, default_value_t = 0)]
    pub server_core: usize,
    /// The core the load tool is held on.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Servers {
    Carillon,
    Node,
    NodeTuned,
    Both,
    All,
}

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Carillon,
    Node,
    NodeTuned,
}

impl Kind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Carillon => "Carillon",
            Self::Node => "Node",
            Self::NodeTuned => "Node, tuned",
        }
    }
}

impl Servers {
    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Carillon => vec![Kind::Carillon],
            Self::Node => vec![Kind::Node],
            Self::NodeTuned => vec![Kind::NodeTuned],
            Self::Both => vec![Kind::Carillon, Kind::Node],
            Self::All => vec![Kind::Carillon, Kind::Node, Kind::NodeTuned],
        }
    }
}

/// One way of loading a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    Offline,
    Online,
    Latency,
    Rss,
    Connects,
}

impl Shape {
    pub const ALL: [Self; 5] = [Self::Offline, Self::Online, Self::Latency, Self::Rss, Self::Connects];
}

impl std::fmt::Display for Shape {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}
