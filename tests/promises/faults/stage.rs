//! Two nodes on one PostgreSQL and one Redis, with every line between them, and to the clients, in our hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::network::Network;
use crate::support::{Clock, Database, Dice, Postgres, Proxy, Redis, RedisCluster, Server, Shared, Upstream};

pub const NODES: usize = 2;

/// What a fault needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    Usual,
    /// A network of its own.
    Network,
    /// The first node's clock can be set.
    Clock,
    /// Redis is a cluster, and no proxies stand before it.
    Cluster,
}

pub struct Stage {
    pub nodes: Vec<Server>,
    /// To each node, for its clients.
    pub doors: Vec<Proxy>,
    /// From each node to Redis; none to a cluster.
    pub to_redis: Vec<Proxy>,
    /// From each node to PostgreSQL.
    pub to_postgres: Vec<Proxy>,
    /// One, or those of a cluster: three, and then the replica of each.
    pub redis: Vec<Redis>,
    pub postgres: Postgres,
    pub database: Arc<Database>,
    pub network: Option<Network>,
    pub clock: Option<Clock>,
    /// Whether there is time for faults of a minute.
    pub is_patient: bool,
    people: AtomicU64,
}

impl Drop for Stage {
    /// A node whose clock is not its own leaves something behind when it is killed.
    fn drop(&mut self) {
        if self.clock.is_some() && !std::thread::panicking() {
            self.nodes[0].stop();
        }
    }
}

impl Stage {
    /// `None` where this machine cannot stage it. Then, and only then, it has said why.
    pub fn set(scene: Scene, is_patient: bool) -> Option<Self> {
        let network = if scene == Scene::Network { Some(Network::own()?) } else { None };
        let clock = if scene == Scene::Clock { Some(Clock::right()?) } else { None };
        let lines = |to: Upstream| (0..NODES).map(|_| Proxy::to(to.clone())).collect::<Vec<_>>();
        let (redis, urls, to_redis) = if scene == Scene::Cluster {
            let cluster = RedisCluster::with_replicas();
            let url = cluster.url();
            (cluster.into_nodes(), vec![url; NODES], Vec::new())
        } else {
            let redis = Redis::private();
            let to_redis = lines(Upstream::Unix(redis.socket()));
            let urls = to_redis.iter().map(|line| format!("redis://{}", line.address)).collect();
            (vec![redis], urls, to_redis)
        };
        let postgres = Postgres::private();
        let shared = Shared::of(&postgres, "");
        let to_postgres = lines(Upstream::Unix(shared.database.socket()));
        let start = |(number, line): (usize, &Proxy)| {
            let ground = shared.clone().reached_at(&shared.database.url_at(line.address));
            let ground = ground.with_redis(&urls[number]).into();
            match clock.as_ref().filter(|_| number == 0) {
                Some(clock) => Server::by_clock(&ground, &[], clock),
                None => Server::on(&ground, &[]),
            }
        };
        let nodes: Vec<Server> = to_postgres.iter().enumerate().map(start).collect();
        nodes.iter().for_each(|node| node.wait_for_health("healthy"));
        let doors = nodes.iter().map(|node| Proxy::to(Upstream::Tcp(node.address))).collect();
        let (database, people) = (shared.database, AtomicU64::new(2));
        Some(Self {
            nodes,
            doors,
            to_redis,
            to_postgres,
            redis,
            postgres,
            database,
            network,
            clock,
            is_patient,
            people,
        })
    }

    /// So many numbers of people that nobody had before; the first of them.
    pub fn newcomers(&self, count: u64) -> u64 {
        self.people.fetch_add(count, Ordering::Relaxed)
    }

    pub fn any_node(dice: &mut Dice) -> usize {
        dice.below(NODES as u64) as usize
    }
}
