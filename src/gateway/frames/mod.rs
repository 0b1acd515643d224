//! WebSockets (RFC 6455), for every protocol that is spoken over them. Promises: one task for each, no buffer while
//! nothing is under way; what many are told is made into a frame once and shared; what a client says is heard in
//! order, on the task that read it.
//!
//! `frame` is rules about bytes, without I/O; `session` reads and sends; `outbox` is where others leave what is to be
//! sent; `pace` says who speaks too fast.

mod frame;
mod outbox;
mod pace;
mod session;
mod sid;

pub use frame::{Body, Broken, Kind, frame};
pub use outbox::{Dismissal, MOST_UNSENT, Outbox};
pub use pace::Pace;
pub use session::{Ended, LAST_WORD, Session, Talk};
pub use sid::Sid;
