//! By what push services know this deployment (RFC 8292): a pair of keys, and tokens signed with it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use web_push_native::p256::SecretKey;
use web_push_native::p256::elliptic_curve::sec1::ToEncodedPoint as _;

use crate::domain::Timestamp;

/// A token is valid for so long; push services refuse more than a day.
const LASTS: i64 = 12 * 60 * 60;
/// A token that has less left is signed anew.
const LEAST_LEFT: i64 = 60 * 60;
/// Push services that are remembered. There are few, but people may name any.
const REMEMBERED: usize = 1_000;
/// PKCS #8 of a private key on P-256 (RFC 5915), up to the number itself.
const BEFORE_KEY: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VapidError {
    /// The private key is none.
    #[error(
        "push.vapid_private_key (VAPID_PRIVATE_KEY) is no private key on P-256: 32 bytes in base64url; `carillon vapid` \
         makes a pair"
    )]
    Private,
    /// The public key belongs to another private key.
    #[error(
        "push.vapid_public_key (VAPID_PUBLIC_KEY) does not belong to push.vapid_private_key; set both as `carillon vapid` \
         printed them, or leave the public one out"
    )]
    Pair,
    /// There is no randomness to make keys of.
    #[error("there is no randomness to make keys of: {0}")]
    Random(String),
    /// A token could not be signed.
    #[error("a token for a push service could not be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// The keys of this deployment.
pub struct Vapid {
    key: EncodingKey,
    public: String,
    contact: String,
    /// By push service: a token, and when it ends.
    signed: Mutex<HashMap<String, (String, i64)>>,
}

/// Bytes in base64, by either alphabet, padded or not: pages and libraries write all of these.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let alphabet = match text.contains(['+', '/']) {
        true => &base64::alphabet::STANDARD,
        false => &base64::alphabet::URL_SAFE,
    };
    GeneralPurpose::new(alphabet, lenient).decode(text.trim()).ok()
}

fn point(key: &SecretKey) -> Vec<u8> {
    key.public_key().to_encoded_point(false).as_bytes().to_vec()
}

impl Vapid {
    /// Takes the pair, as settings have it; an empty public key is worked out. `contact` is an e-mail address or a URL
    /// by which a push service can reach whoever runs this.
    ///
    /// # Errors
    /// When they are no pair.
    pub fn new(public: &str, private: &str, contact: &str) -> Result<Self, VapidError> {
        let bytes = from_base64(private).ok_or(VapidError::Private)?;
        let key = SecretKey::from_slice(&bytes).map_err(|_| VapidError::Private)?;
        let point = point(&key);
        if !public.is_empty() && from_base64(public).as_ref() != Some(&point) {
            return Err(VapidError::Pair);
        }
        let der = [&BEFORE_KEY[..], bytes.as_slice()].concat();
        let contact = match contact {
            "" => String::new(),
            url if url.starts_with("mailto:") || url.starts_with("https:") => url.to_owned(),
            address => format!("mailto:{address}"),
        };
        Ok(Self {
            key: EncodingKey::from_ec_der(&der),
            public: URL_SAFE_NO_PAD.encode(point),
            contact,
            signed: Mutex::default(),
        })
    }

    /// A new pair: the public key, then the private one, as settings have them.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<(String, String), VapidError> {
        loop {
            let mut bytes = [0_u8; 32];
            getrandom::fill(&mut bytes).map_err(|fault| VapidError::Random(fault.to_string()))?;
            // Nearly all numbers are keys.
            if let Ok(key) = SecretKey::from_slice(&bytes) {
                return Ok((URL_SAFE_NO_PAD.encode(point(&key)), URL_SAFE_NO_PAD.encode(bytes)));
            }
        }
    }

    /// The public key, as pages need it: `applicationServerKey`, in base64url.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// What `Authorization` says to the push service at `origin` (`https://push.example`).
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn authorization(&self, origin: &str, now: Timestamp) -> Result<String, VapidError> {
        let now = now.as_seconds();
        let mut signed = self.signed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        // One that lasts too long was signed before the clock was put back.
        if let Some((token, _)) =
            signed.get(origin).filter(|(_, ends)| (LEAST_LEFT..=LASTS).contains(&(ends - now)))
        {
            return Ok(format!("vapid t={token}, k={}", self.public));
        }
        let ends = now.saturating_add(LASTS);
        let mut claims = json!({"aud": origin, "exp": ends});
        if !self.contact.is_empty() {
            claims["sub"] = json!(self.contact);
        }
        let token = jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)?;
        if signed.len() >= REMEMBERED {
            signed.clear();
        }
        signed.insert(origin.to_owned(), (token.clone(), ends));
        Ok(format!("vapid t={token}, k={}", self.public))
    }
}

impl fmt::Debug for Vapid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vapid({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    const NOW: Timestamp = Timestamp::from_micros(1_900_000_000_000_000);

    /// The pair of RFC 8292's example is not given; this is that of RFC 8291, section 5.
    const PUBLIC: &str =
        "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
    const PRIVATE: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";

    #[test]
    fn a_pair_is_a_pair_however_it_is_written() {
        let vapid = Vapid::new(PUBLIC, PRIVATE, "").unwrap();
        assert_eq!(vapid.public_key(), PUBLIC);
        assert_eq!(Vapid::new("", PRIVATE, "").unwrap().public_key(), PUBLIC);
        let standard = PRIVATE.replace('-', "+").replace('_', "/") + "=";
        assert_eq!(Vapid::new(&(PUBLIC.to_owned() + "="), &standard, "").unwrap().public_key(), PUBLIC);
        let (public, private) = Vapid::generate().unwrap();
        assert_eq!(Vapid::new(&public, &private, "").unwrap().public_key(), public);
        assert!(matches!(Vapid::new(PUBLIC, &private, ""), Err(VapidError::Pair)));
        for bad in ["", "your-vapid-private-key", &"A".repeat(43), &"_".repeat(43), PUBLIC] {
            assert!(matches!(Vapid::new("", bad, ""), Err(VapidError::Private)), "{bad}");
        }
    }

    #[test]
    fn tokens_are_signed_for_a_push_service_and_kept_for_a_while() {
        let vapid = Vapid::new(PUBLIC, PRIVATE, "admin@example.com").unwrap();
        let said = vapid.authorization("https://push.example", NOW).unwrap();
        let token = said.strip_prefix("vapid t=").unwrap().split(", k=").next().unwrap();
        let point = from_base64(PUBLIC).unwrap();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let key = DecodingKey::from_ec_components(&x, &y).unwrap();
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&["https://push.example"]);
        let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims;
        assert_eq!(claims["sub"], "mailto:admin@example.com");
        assert_eq!(claims["exp"], NOW.as_seconds() + LASTS);
        assert_eq!(vapid.authorization("https://push.example", NOW.plus_seconds(LASTS / 2)).unwrap(), said);
        assert_ne!(vapid.authorization("https://push.example", NOW.plus_seconds(LASTS)).unwrap(), said);
        assert_ne!(vapid.authorization("https://other.example", NOW).unwrap(), said);
        assert!(!format!("{vapid:?}").contains(PRIVATE));
    }
}
