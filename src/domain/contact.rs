//! Where somebody can be reached who is not connected. None of it can be printed.

use std::fmt;

/// An e-mail address: one, without a name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// A telephone number: E.164.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Phone(String);

/// One browser that takes pushes (RFC 8030).
#[derive(Clone, PartialEq, Eq)]
pub struct Device {
    /// The number of its subscription.
    pub id: i64,
    /// Where its push service takes messages.
    pub endpoint: String,
    /// Its public key: an uncompressed point on P-256 (RFC 8291).
    pub p256dh: Vec<u8>,
    /// Its secret: 16 bytes.
    pub auth: Vec<u8>,
}

impl Email {
    /// What is meant for a mail server.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Phone {
    /// What is meant for a provider.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(***)")
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(***)")
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.id)
    }
}
