//! Everything that runs for one measurement: one node or several, and what they store in and speak through. Promises:
//! fresh and empty at the start; all of it ended, and its directory removed, when the [`Site`] is dropped.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::postgres::Postgres;
use crate::procfs::{Sample, Watched};
use crate::redis::Redis;
use crate::server::{Backing, LINE_IS_UP, Server};
use crate::settings::{Kind, Settings, Shape};

/// Nodes that somebody is connected to, where there are several: back ends to the first, facilitators to the second.
const INVOLVED: usize = 2;

/// Its parts end from top to bottom: first the servers, last the directory.
pub struct Site {
    pub kind: Kind,
    nodes: Vec<Server>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    _dir: Scratch,
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Site {
    /// Starts what the shape needs. Databases share the load tool's core: the servers have theirs for themselves.
    pub fn start(shape: Shape, kind: Kind, settings: &Settings) -> Result<Self> {
        let dir = settings.dir.join(format!("{}-{kind:?}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let dir = dir.canonicalize()?;
        let scratch = Scratch(dir.clone());
        let core = settings.load_core;
        let postgres = shape.on_postgres().then(|| Postgres::start(&dir.join("pg"), core)).transpose()?;
        let mut redis = shape.on_redis().then(|| Redis::start(&dir.join("redis"), core)).transpose()?;
        redis.as_mut().map_or(Ok(()), Redis::wait)?;

        let backing =
            Backing { postgres: postgres.as_ref().map(Postgres::url), redis: redis.as_ref().map(Redis::socket) };
        let node = |number| Server::start(shape, kind, settings, &dir.join(format!("node{number}")), &backing);
        let nodes = (1..=shape.nodes()).map(node).collect::<Result<Vec<_>>>()?;
        if shape.on_redis() && kind == Kind::Carillon {
            nodes.iter().try_for_each(|node| node.await_line(LINE_IS_UP))?;
        }
        if let (Shape::PgQueue, Some(postgres)) = (shape, &postgres) {
            let sql = "INSERT INTO recipients (tenant, user_id, contacts) SELECT 'default', 'p' || n, \
                       json_build_object('email', 'p' || n || '@example.com') FROM generate_series(1, {}) n";
            postgres.run(&sql.replace("{}", &settings.audience.to_string()))?;
            postgres.run("ANALYZE recipients")?;
        }
        Ok(Self { kind, nodes, redis, postgres, _dir: scratch })
    }

    /// The node that back ends connect to.
    pub fn here(&self) -> &Server {
        &self.nodes[0]
    }

    /// The node that facilitators connect to.
    pub fn there(&self) -> &Server {
        self.nodes.get(1).unwrap_or(&self.nodes[0])
    }

    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    pub fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    pub fn redis_mut(&mut self) -> Result<&mut Redis> {
        self.redis.as_mut().context("this shape has no Redis")
    }

    pub fn has_postgres(&self) -> bool {
        self.postgres.is_some()
    }

    /// Whether there are nodes that nobody is connected to.
    pub fn has_bystanders(&self) -> bool {
        self.nodes.len() > INVOLVED
    }

    /// Whether somebody else works on the load tool's core.
    pub fn has_neighbours(&self) -> bool {
        self.postgres.is_some() || self.redis.is_some()
    }

    /// The CPU time of everything, as of now.
    pub fn sample(&self) -> Result<Sample> {
        let pids = |nodes: &[Server]| nodes.iter().map(Server::pid).collect();
        let (involved, bystanders) = self.nodes.split_at(self.nodes.len().min(INVOLVED));
        Sample::take(&Watched {
            servers: pids(involved),
            bystanders: pids(bystanders),
            postgres: self.postgres.as_ref().map(Postgres::pid),
            redis: self.redis.as_ref().map(Redis::pid),
        })
    }
}
