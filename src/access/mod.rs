//! Who may do what: tokens become principals here, and nowhere else.
//!
//! Promises: the same token means the same on every door; no token is ever logged; comparing a
//! secret takes the same time whether it is right or wrong.

mod jwks;
mod known;
mod links;
mod mint;
mod refusal;
mod roles;
mod settings;
mod shown;
mod throttle;
mod token;
mod vapid;

pub use links::Links;
pub use mint::Mint;
pub use refusal::TokenError;
pub use settings::Settings;
pub use shown::{bearer, is_shaped_as_token};
pub use throttle::{Throttle, address_key, hold};
pub use token::{Keyring, KeyringError, Principal};
pub use vapid::{Vapid, VapidError, from_base64};
