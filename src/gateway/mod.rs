//! Long-lived doors: each turns its protocol into service calls, and notifications into its protocol.

mod admission;
pub mod frames;
pub mod ingest;
pub mod socketio;
pub mod sse;
pub mod websocket;

use serde::{Deserialize, Serialize};

pub use admission::{Admission, Origins, Permit, Refused};

/// Settings of `[limits]`. Per-address limits do not count loopback or trusted proxies.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one incoming message.
    pub max_message_bytes: usize,
    /// Bytes of one polling request (clients put everything that waits into one), or of one to the API.
    pub max_request_bytes: usize,
    /// Binary attachments of one incoming event.
    pub max_attachments: usize,
    /// Events a socket may send per second, twice as many at once; faster ones are read later. An
    /// authenticated back end has no such limit.
    pub events_per_second: u32,
    /// Bytes a WebSocket may send per second, four times as many at once. Not for back ends.
    pub bytes_per_second: u32,
    /// Requests of one back end that may be under way before it is read no further.
    pub requests_in_flight: u32,
    /// Sockets of one address (IPv6: of one /64).
    pub sockets_per_address: usize,
    /// Sockets that one address may open in a minute, and at once; 0 is no limit.
    pub opened_per_minute: u32,
    /// Sockets of one person.
    pub sockets_per_user: usize,
    /// Requests to the API that a person may make per minute, as many at once; 0 is no limit.
    pub user_per_minute: u32,
    /// The same of a service: whoever may send to others.
    pub service_per_minute: u32,
    /// The same of all people and services of one tenant together.
    pub tenant_per_minute: u32,
    /// Requests of a person to the API that may be under way at once.
    pub user_at_once: usize,
    /// The same of a service.
    pub service_at_once: usize,
    /// The same of all people and services of one tenant together.
    pub tenant_at_once: usize,
    /// The same in all.
    pub requests_at_once: usize,
    /// Bytes of bodies over 16 KiB that are held at once: of one tenant half of it, of one caller a quarter.
    pub bodies_at_once: usize,
    /// With so many writes waiting for their commit, requests that would add one are refused.
    pub writes_waiting: u32,
    /// Requests that may write and are worked on at once; beyond them callers are let in by turns.
    pub writes_at_work: usize,
    /// Recurring notifications of one tenant's services.
    pub recurring_per_tenant: u32,
    /// Recurring notifications of one person.
    pub recurring_per_user: u32,
    /// Browsers of one person that take pushes.
    pub devices_per_user: u32,
    /// Sockets in all; 0 takes what the process may open, less a reserve.
    pub sockets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 100_000,
            max_request_bytes: 1_000_000,
            max_attachments: 10,
            events_per_second: 100,
            bytes_per_second: 65_536,
            requests_in_flight: 512,
            sockets_per_address: 200,
            opened_per_minute: 1_200,
            sockets_per_user: 50,
            user_per_minute: 600,
            service_per_minute: 0,
            tenant_per_minute: 0,
            user_at_once: 32,
            service_at_once: 512,
            tenant_at_once: 1_024,
            requests_at_once: 2_048,
            bodies_at_once: 64 * 1024 * 1024,
            writes_waiting: 50_000,
            writes_at_work: 64,
            recurring_per_tenant: 1_000,
            recurring_per_user: 20,
            devices_per_user: 20,
            sockets: 0,
        }
    }
}

/// Settings of `[booking]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BookingSettings {
    /// How long the automatic list of pending notifications waits for the page to ask first.
    pub pending_delay_ms: u64,
    /// Notifications in one list; older ones follow when these have been read.
    pub pending_limit: i64,
}

impl Default for BookingSettings {
    fn default() -> Self {
        Self { pending_delay_ms: 200, pending_limit: 10_000 }
    }
}
