//! What every promise needs: a real server, real clients, and patience.

mod agent;
mod bookings;
mod clients;
mod dice;
mod disk;
mod http;
mod patience;
mod raw;
mod server;
mod tokens;

pub use agent::{Agent, Connect, Socket};
pub use bookings::{PendingList, booking, booking_ids, large_booking, notification_ids};
pub use clients::{Clients, Kind, Library, Route, backend_hello, facilitator_hello};
pub use dice::Dice;
pub use disk::SmallDisk;
pub use http::{Reply, get, get_with, post};
pub use patience::{PATIENCE, eventually};
pub use raw::Raw;
pub use server::{Server, run_command, run_command_in};
pub use tokens::{
    BACKEND_TOKEN, JWT_SECRET, METRICS_TOKEN, in_seconds, service_token, sign, sign_with, user_token,
};
