//! From stored to confirmed: what is durable is handed to live sockets, and what was handed is
//! watched until a heartbeat round proves that somebody received it.
//!
//! Promise: nothing here says *confirmed* of bytes in a dead socket or a full buffer.

mod breaker;
pub mod catch_up;
pub mod channel;
mod confirm;
mod digests;
mod dispatch;
mod letter;
mod live;
mod noting;
pub mod outbound;
mod replay;
pub mod settings;
mod spread;
mod templates;
pub mod webhooks;

pub use catch_up::CatchUp;
pub use confirm::{Confirmations, Rounds};
pub use digests::Digesting;
pub use dispatch::{Condition, Dispatch, Way};
pub use letter::Letters;
pub use live::Live;
pub use replay::Replays;
pub use settings::Settings;
pub use spread::Spreading;
pub use templates::{BUILT_IN, TemplateFault, Templates, compiled};
