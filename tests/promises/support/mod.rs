//! What every promise needs: a real server, real clients, and patience.

mod agent;
mod balancer;
mod bookings;
mod clients;
mod cluster;
mod dice;
mod disk;
mod ground;
mod http;
mod keeper;
mod patience;
mod postgres;
mod proxy;
mod raw;
mod redis;
mod rest;
mod server;
mod tokens;

pub use agent::{Agent, Connect, Socket};
pub use balancer::Balancer;
pub use bookings::{PendingList, booking, booking_ids, large_booking, notification_ids};
pub use clients::{Clients, Kind, Library, Route, backend_hello, facilitator_hello};
pub use cluster::Cluster;
pub use dice::Dice;
pub use disk::SmallDisk;
pub use ground::{Ground, Shared, on_postgres};
pub use http::{Reply, call, get, get_with, post, try_get};
pub use keeper::{Keeper, home_of};
pub use patience::{PATIENCE, eventually};
pub use postgres::{Database, Postgres};
pub use proxy::{Proxy, Side, Upstream};
pub use raw::Raw;
pub use redis::{Redis, RedisCluster};
pub use rest::{Rest, note};
pub use server::{Server, run_command, run_command_in};
pub use tokens::{
    BACKEND_TOKEN, JWT_SECRET, METRICS_TOKEN, in_seconds, service_token, sign, sign_with, user_token,
};
