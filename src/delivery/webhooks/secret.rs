//! By what messages are signed, as Standard Webhooks writes it: `whsec_` and 24 to 64 bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::domain::Secret;

const PREFIX: &str = "whsec_";
/// Bytes of one that is made here.
const USUAL: usize = 32;

/// What was given is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("whsec_ and 24 to 64 random bytes in base64; leave it out to have one made")]
pub struct NoSecret;

/// A secret.
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    /// The secret that is written so.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(written: &Secret) -> Result<Self, NoSecret> {
        let text = written.expose().strip_prefix(PREFIX).ok_or(NoSecret)?;
        let bytes = STANDARD.decode(text).map_err(|_| NoSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NoSecret) }
    }

    /// A new one, as it is written; nothing, if there are no random bytes.
    pub fn random() -> Option<Secret> {
        let mut bytes = [0; USUAL];
        getrandom::fill(&mut bytes).ok()?;
        Some(Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes))))
    }

    /// A signature, as the header has it.
    pub fn sign(&self, text: &str) -> String {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(text.as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_enough_bytes_are_a_secret() {
        let written = |bytes: usize| Secret::new(format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes])));
        for bytes in [24, 32, 64] {
            assert!(WebhookSecret::new(&written(bytes)).is_ok(), "{bytes}");
        }
        for bytes in [0, 23, 65] {
            assert!(WebhookSecret::new(&written(bytes)).is_err(), "{bytes}");
        }
        for text in ["", "whsec_", "secret", "whsec_!!!!", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(WebhookSecret::new(&Secret::new(text)).is_err(), "{text}");
        }
        assert!(WebhookSecret::new(&WebhookSecret::random().unwrap()).is_ok());
    }
}
