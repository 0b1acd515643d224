//! Who somebody is: always a tenant and a user, never one alone.

use std::fmt;
use std::sync::Arc;

/// The tenant of tokens and back ends that name none.
pub const DEFAULT_TENANT: &str = "default";

const LONGEST_ID: usize = 128;

/// Why a text cannot be an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or only white space.
    #[error("it is empty")]
    Empty,
    /// More than 128 bytes.
    #[error("it is longer than 128 bytes")]
    TooLong,
    /// A control character: such text could break a log line, a room name or a key.
    #[error("it contains a control character")]
    ControlCharacter,
}

fn checked(text: &str) -> Result<Arc<str>, IdError> {
    if text.trim().is_empty() {
        Err(IdError::Empty)
    } else if text.len() > LONGEST_ID {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(IdError::ControlCharacter)
    } else {
        Ok(text.into())
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes `text`: 1 to 128 bytes, no control characters.
            ///
            /// # Errors
            /// [`IdError`] says which rule it breaks.
            pub fn new(text: &str) -> Result<Self, IdError> {
                checked(text).map(Self)
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A user within a tenant. On the wire a number or a string: `2` and `"2"` are the same user.
    UserId
}

identifier! {
    /// A customer of the deployment; nothing crosses from one to another.
    Tenant
}

impl Default for Tenant {
    fn default() -> Self {
        Self(DEFAULT_TENANT.into())
    }
}

/// A person who is notified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipient {
    /// Whose user it is.
    pub tenant: Tenant,
    /// Which user.
    pub user: UserId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_identifiers_are_refused() {
        assert_eq!(UserId::new(""), Err(IdError::Empty));
        assert_eq!(UserId::new("  "), Err(IdError::Empty));
        assert_eq!(UserId::new("a\nb"), Err(IdError::ControlCharacter));
        assert_eq!(UserId::new("a\0"), Err(IdError::ControlCharacter));
        assert_eq!(UserId::new(&"x".repeat(129)), Err(IdError::TooLong));
        assert!(UserId::new(&"x".repeat(128)).is_ok());
    }
}
