//! Who is here, and telling them.
//!
//! Promises: pushing never blocks; a connection that cannot keep up is closed, not waited for; what
//! the registry calls online has not been seen to fail. Knows no wire format: a connection brings its
//! [`Dialect`] along, and each notification is encoded once per dialect, not once per socket.

pub mod backplane;
mod connection;
mod flow;
mod hub;
mod line;
mod push;
mod room;
mod shown;

pub use connection::{
    Close, Connection, ConnectionId, Dialect, Encode, Encoded, Form, Identity, ListState, Outlet, PushError,
    Transport,
};
pub use hub::{Census, Hub};
pub use line::{Gate, Line};
pub use room::{Pass, Source};
pub use shown::{Delivery, Shown};

use serde::{Deserialize, Serialize};

/// Settings of `[realtime]`. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Between two pings of a socket.
    pub ping_interval_ms: u64,
    /// A socket that does not answer a ping for this long is closed.
    pub ping_timeout_ms: u64,
    /// A TCP connection whose peer acknowledges nothing for this long is ended by the kernel.
    pub tcp_user_timeout_ms: u64,
    /// Added to a full heartbeat round before what was sent counts as confirmed.
    pub confirm_margin_ms: u64,
    /// Packets that may wait for one socket; beyond them it is closed and served by replay.
    pub send_buffer: usize,
    /// A transport upgrade that takes longer is given up.
    pub upgrade_timeout_ms: u64,
    /// A client that opened a connection but joined no namespace for this long is closed.
    pub connect_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            tcp_user_timeout_ms: 20_000,
            confirm_margin_ms: 1_000,
            send_buffer: 4_096,
            upgrade_timeout_ms: 10_000,
            connect_timeout_ms: 20_000,
        }
    }
}
