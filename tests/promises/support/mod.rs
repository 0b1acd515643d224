//! What every promise needs: a real server, real clients, and patience.

mod agent;
mod authority;
mod balancer;
mod bookings;
pub mod certificates;
pub mod channels;
mod clients;
mod clock;
mod cluster;
mod dice;
mod disk;
mod events;
mod ground;
pub mod hooks;
mod http;
mod keeper;
mod patience;
mod peers;
mod postgres;
mod program;
mod proxy;
mod raw;
mod redis;
mod rest;
mod server;
mod sink;
mod tokens;
mod traces;

pub use agent::{Agent, Connect, Socket};
pub use authority::Authority;
pub use balancer::Balancer;
pub use bookings::{PendingList, booking, booking_ids, large_booking, notification_ids};
pub use clients::{Clients, Kind, Library, Route, backend_hello, facilitator_hello};
pub use clock::Clock;
pub use cluster::Cluster;
pub use dice::Dice;
pub use disk::SmallDisk;
pub use events::Events;
pub use ground::{Ground, Shared, on_postgres};
pub use http::{Reply, call, get, get_with, post, try_get};
pub use keeper::{Keeper, home_of};
pub use patience::{AtTheEnd, PATIENCE, eventually};
pub use peers::{Peers, SENDGRID_KEY, TWILIO_SID, TWILIO_TOKEN, by_twilio};
pub use postgres::{Database, NO_PASSWORD, Postgres};
pub use program::program;
pub use proxy::{Proxy, Side, Upstream};
pub use raw::Raw;
pub use redis::{Redis, RedisCluster, SHARDS};
pub use rest::{Rest, note, quiet_now, quiet_until};
pub use server::{DESCRIPTORS, Server, quiet_port, run_command, run_command_in};
pub use sink::SinkFile;
pub use tokens::{
    BACKEND_TOKEN, JWT_SECRET, METRICS_TOKEN, in_seconds, instant, service_token, sign, sign_with, user_token,
};
pub use traces::{beside_redis, dead_letters, in_redis};
