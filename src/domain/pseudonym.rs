//! What stands in somebody's place once they are forgotten. It is made with a secret of theirs, which is forgotten with them:
//! without it nothing leads back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// Each begins so.
pub const ERASED: &str = "erased:";
/// Bytes of a pseudonym.
const BYTES: usize = 16;
/// Characters of a pseudonym, behind [`ERASED`].
const LETTERS: usize = 22;

/// Which of a person's things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Their name.
    Name,
    /// Where they were.
    Address,
}

/// What stands in place of `value` once its owner is forgotten.
pub fn pseudonym(secret: &[u8], of: Of, value: &str) -> String {
    let label: &[u8] = match of {
        Of::Name => b"name:",
        Of::Address => b"address:",
    };
    // A key of any length will do.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret) else { return ERASED.to_owned() };
    mac.update(label);
    mac.update(value.as_bytes());
    let bytes = mac.finalize().into_bytes();
    format!("{ERASED}{}", URL_SAFE_NO_PAD.encode(&bytes[..BYTES]))
}

/// Whether that stands in somebody's place.
pub fn is_pseudonym(value: &str) -> bool {
    value.strip_prefix(ERASED).is_some_and(|rest| {
        rest.len() == LETTERS
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_its_secret_and_on_what_it_is_of() {
        let name = pseudonym(b"one", Of::Name, "ana");
        assert!(is_pseudonym(&name), "{name}");
        assert_eq!(name, pseudonym(b"one", Of::Name, "ana"));
        for other in [
            pseudonym(b"two", Of::Name, "ana"),
            pseudonym(b"one", Of::Address, "ana"),
            pseudonym(b"one", Of::Name, "ben"),
        ] {
            assert_ne!(name, other);
        }
        for no in ["ana", "erased:", "erased:ana", &format!("{name}x")] {
            assert!(!is_pseudonym(no), "{no}");
        }
    }
}
