//! Two nodes on one PostgreSQL and one Redis, with every line between them, and to the clients, in our hands.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::{Dice, Postgres, Proxy, Redis, Server, Shared, Upstream};

pub const NODES: usize = 2;

pub struct Stage {
    pub nodes: Vec<Server>,
    /// To each node, for its clients.
    pub doors: Vec<Proxy>,
    /// From each node to Redis.
    pub to_redis: Vec<Proxy>,
    /// From each node to PostgreSQL.
    pub to_postgres: Vec<Proxy>,
    pub redis: Redis,
    pub postgres: Postgres,
    /// Whether there is time for faults of a minute.
    pub is_patient: bool,
    people: AtomicU64,
}

impl Stage {
    pub fn set(is_patient: bool) -> Self {
        let (postgres, redis) = (Postgres::private(), Redis::private());
        let shared = Shared::of(&postgres, &redis.url());
        let lines = |to: Upstream| (0..NODES).map(|_| Proxy::to(to.clone())).collect::<Vec<_>>();
        let to_redis = lines(Upstream::Unix(redis.socket()));
        let to_postgres = lines(Upstream::Unix(shared.database.socket()));
        let start = |(redis, postgres): (&Proxy, &Proxy)| {
            let database = shared.database.url_at(postgres.address);
            let ground =
                shared.clone().reached_at(&database).with_redis(&format!("redis://{}", redis.address));
            Server::on(&ground.into(), &[])
        };
        let nodes: Vec<Server> = to_redis.iter().zip(&to_postgres).map(start).collect();
        nodes.iter().for_each(|node| node.wait_for_health("healthy"));
        let doors = nodes.iter().map(|node| Proxy::to(Upstream::Tcp(node.address))).collect();
        Self { nodes, doors, to_redis, to_postgres, redis, postgres, is_patient, people: AtomicU64::new(2) }
    }

    /// So many numbers of people that nobody had before; the first of them.
    pub fn newcomers(&self, count: u64) -> u64 {
        self.people.fetch_add(count, Ordering::Relaxed)
    }

    pub fn any_node(dice: &mut Dice) -> usize {
        dice.below(NODES as u64) as usize
    }
}
