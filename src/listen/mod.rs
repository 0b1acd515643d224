//! The listener: TCP connections in, each to the door it asks for.
//!
//! Promises: small answers go out at once (`TCP_NODELAY`); a peer that vanishes is noticed
//! (`TCP_USER_TIMEOUT`); a client that takes its time over greetings or the request's head is dropped; who says
//! nothing, or keeps it waiting, makes room for who comes; who finds no place is told so.

mod accept;
mod away;
mod candidates;
pub mod certificates;
mod head;
mod open;
mod raw;
mod stream;
mod tls;

pub use accept::{Listener, Proxies, Servant};
pub use away::Away;
pub use open::{Open, Places};
pub use tls::Tls;
