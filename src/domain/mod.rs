//! Nouns and pure rules: no I/O, no runtime, no wire names.
//!
//! Everything above may use this floor; it knows nothing of them.

mod clock;
mod identity;
mod notification;
mod redact;

pub use clock::{Clock, SystemClock, Timestamp};
pub use identity::{DEFAULT_TENANT, IdError, Recipient, Tenant, UserId};
pub use notification::{
    Accepted, Digest, Idempotency, NewNotification, Notification, NotificationId, Position,
};
pub use redact::Secret;
