//! Several servers that are one service: the same database, the same Redis.

use std::process::ExitStatus;

use nix::sys::signal::Signal;

use super::{Ground, Server, Shared, on_postgres};

/// Nodes, each on its own port.
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// On a fresh database and prefix; `None` where there is no PostgreSQL to stage it on.
    pub fn start(count: usize) -> Option<Self> {
        Self::start_with(count, &[])
    }

    /// The same, with these settings.
    pub fn start_with(count: usize, settings: &[(&str, &str)]) -> Option<Self> {
        on_postgres().then(|| Self::on(&Shared::fresh().into(), count, settings))
    }

    /// On this ground, with these settings for all. They start at the same moment, as they do after a deployment.
    pub fn on(ground: &Ground, count: usize, settings: &[(&str, &str)]) -> Self {
        let nodes = std::thread::scope(|all| {
            let started: Vec<_> = (0..count).map(|_| all.spawn(|| Server::on(ground, settings))).collect();
            started.into_iter().map(|node| node.join().expect("a node to start")).collect()
        });
        Self { nodes }
    }

    pub fn node(&self, number: usize) -> &Server {
        &self.nodes[number]
    }

    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// Takes one node away at once, as a power cut would.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
    }

    /// Asks one node to stop; what it does meanwhile is seen from outside.
    pub fn begin_stop(&self, number: usize) {
        self.nodes[number].signal(Signal::SIGTERM);
    }

    /// Waits until it has stopped.
    pub fn end_stop(&mut self, number: usize) -> ExitStatus {
        self.nodes[number].wait_for_exit()
    }

    /// Starts one that was killed or stopped, on its port.
    pub fn restart(&mut self, number: usize) {
        self.nodes[number].restart();
    }
}
