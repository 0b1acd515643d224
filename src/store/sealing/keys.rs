//! Keys, and what they seal.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::AeadInPlace as _;
use chacha20poly1305::{KeyInit as _, Tag, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::store::StoreError;

/// Begins each sealed value. A control character, so that hardly anything else does; what does is escaped.
pub const MARK: &[u8] = b"\x01sealed:";
/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a nonce: enough for each to be made by chance.
const NONCE: usize = 24;
/// Bytes that show that nothing was changed.
const TAG: usize = 16;
/// Bytes of an id that is made from its key.
const ID: usize = 4;

/// Base64 with or without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a value cannot be opened, or sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// Its key is not there.
    #[error(
        "it is encrypted by the key `{0}`, which is not among ENCRYPTION_KEYS; put that key back behind the newer ones, and \
         take it away after `carillon keys rotate`"
    )]
    NoKey(String),
    /// Somebody has changed it, or moved it here from another column.
    #[error(
        "what the key `{0}` has encrypted was changed since, or belongs elsewhere; restore it from a backup"
    )]
    Damaged(String),
    /// It is no text any more.
    #[error("what is stored is no text: it was damaged; restore it from a backup")]
    NoText,
    /// The system has no randomness to give.
    #[error("no randomness: {0}")]
    NoRandomness(String),
}

/// The newest seals; all open.
pub struct Keys(Vec<Key>);

struct Key {
    id: String,
    secret: [u8; KEY],
    cipher: XChaCha20Poly1305,
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |(one, other): (&Key, &Key)| one.id == other.id && bool::from(one.secret.ct_eq(&other.secret));
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

/// A new key, as settings have it.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_key() -> Result<String, StoreError> {
    let mut secret = [0; KEY];
    getrandom::fill(&mut secret).map_err(|fault| StoreError::Keys(format!("no randomness: {fault}")))?;
    Ok(STANDARD.encode(secret))
}

impl Keys {
    /// Reads keys, the newest first, between commas or on lines: 32 bytes in base64 or hexadecimal, after `id:` if they are to
    /// have a name of their own. Nothing if there are none.
    ///
    /// # Errors
    /// When one is none; it is not told what was given.
    pub fn read(text: &str) -> Result<Option<Self>, StoreError> {
        let all = text.split([',', '\n']).map(str::trim).filter(|one| !one.is_empty());
        let all: Vec<Key> =
            all.enumerate().map(|(index, one)| Key::read(index + 1, one)).collect::<Result<_, _>>()?;
        let ids: HashSet<&str> = all.iter().map(|key| key.id.as_str()).collect();
        if ids.len() < all.len() {
            return Err(StoreError::Keys(
                "two of ENCRYPTION_KEYS are the same, or have the same id".to_owned(),
            ));
        }
        Ok((!all.is_empty()).then_some(Self(all)))
    }

    /// The id of the newest.
    pub fn newest(&self) -> &str {
        self.0.first().map(|key| key.id.as_str()).unwrap_or_default()
    }

    /// The ids of all of them, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// What each value begins with that the newest has sealed.
    pub fn newest_begins(&self) -> Vec<u8> {
        [MARK, self.newest().as_bytes(), b":"].concat()
    }

    /// Seals `plain` by the newest key, for columns of this kind.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn seal(&self, kind: &str, plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.seal_by(self.newest(), kind, plain)
    }

    /// Seals `plain` by the key `id`.
    ///
    /// # Errors
    /// When it is not there, or the system has no randomness to give.
    pub fn seal_by(&self, id: &str, kind: &str, plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        let failed = |why: &dyn std::fmt::Display| Unopened::NoRandomness(why.to_string());
        let Some(key) = self.0.iter().find(|key| key.id == id) else {
            return Err(Unopened::NoKey(id.to_owned()));
        };
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|fault| failed(&fault))?;
        let mut bytes = Vec::with_capacity(NONCE + plain.len() + TAG);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let tag =
            key.cipher.encrypt_in_place_detached(&XNonce::from(nonce), kind.as_bytes(), &mut bytes[NONCE..]);
        bytes.extend_from_slice(&tag.map_err(|_| failed(&"a value is too long"))?);
        let mut stored = String::with_capacity(MARK.len() + key.id.len() + 1 + bytes.len().div_ceil(3) * 4);
        stored.push_str(&String::from_utf8_lossy(MARK));
        stored.push_str(&key.id);
        stored.push(':');
        STANDARD_NO_PAD.encode_string(bytes, &mut stored);
        Ok(stored.into_bytes())
    }
}

impl Key {
    fn read(number: usize, text: &str) -> Result<Self, StoreError> {
        let (id, text) =
            text.split_once(':').map_or((None, text), |(id, text)| (Some(id.trim()), text.trim()));
        let secret = bytes(text).ok_or_else(|| {
            StoreError::Keys(format!(
                "number {number} of ENCRYPTION_KEYS is no key: write 32 bytes in base64, as `carillon keys new` prints them, \
                 with commas between several, the newest first"
            ))
        })?;
        let id = match id {
            None => Sha256::digest(secret)[..ID].iter().map(|byte| format!("{byte:02x}")).collect(),
            Some(id) if is_id(id) => id.to_owned(),
            Some(_) => {
                return Err(StoreError::Keys(format!(
                    "the id of number {number} of ENCRYPTION_KEYS must be 1 to 32 letters, digits, `-`, `_` or `.`"
                )));
            }
        };
        Ok(Self { id, secret, cipher: XChaCha20Poly1305::new(&secret.into()) })
    }
}

fn is_id(id: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=32).contains(&id.len()) && id.bytes().all(is_fit)
}

/// The bytes of a key, in any of the ways in which people write 32 of them.
fn bytes(text: &str) -> Option<[u8; KEY]> {
    if text.len() == KEY * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let byte = |index: usize| u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok();
        let all: Option<Vec<u8>> = (0..KEY).map(byte).collect();
        return all?.try_into().ok();
    }
    let standard = text.replace('-', "+").replace('_', "/");
    LENIENT.decode(standard).ok()?.try_into().ok()
}

/// A plain value that looks sealed, as it is stored where there are no keys.
pub fn escaped(plain: &[u8]) -> Vec<u8> {
    [MARK, b":", plain].concat()
}

/// Opens what follows the [`MARK`].
///
/// # Errors
/// When its key is not there, or it was changed.
pub fn open(keys: Option<&Keys>, kind: &str, rest: &[u8]) -> Result<Vec<u8>, Unopened> {
    let colon = rest.iter().position(|byte| *byte == b':');
    let (id, rest) = match colon {
        Some(0) => return Ok(rest[1..].to_vec()),
        Some(colon) => (String::from_utf8_lossy(&rest[..colon]).into_owned(), &rest[colon + 1..]),
        None => return Err(Unopened::Damaged("?".to_owned())),
    };
    let Some(key) = keys.and_then(|keys| keys.0.iter().find(|key| key.id == id)) else {
        return Err(Unopened::NoKey(id));
    };
    let damaged = || Unopened::Damaged(key.id.clone());
    let bytes = STANDARD_NO_PAD.decode(rest).map_err(|_| damaged())?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
    let (sealed, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(damaged)?;
    let (nonce, tag, mut plain) = (XNonce::from(*nonce), Tag::from(*tag), sealed.to_vec());
    let opened = key.cipher.decrypt_in_place_detached(&nonce, kind.as_bytes(), &mut plain, &tag);
    opened.map(|()| plain).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn keys(text: &str) -> Keys {
        Keys::read(text).unwrap().unwrap()
    }

    fn opened(keys: &Keys, kind: &str, stored: &[u8]) -> Result<Vec<u8>, Unopened> {
        open(Some(keys), kind, stored.strip_prefix(MARK).unwrap())
    }

    #[test]
    fn what_is_sealed_opens_by_the_same_key_in_the_same_kind_of_column_only() {
        let (old, new) = (new_key().unwrap(), new_key().unwrap());
        let both = keys(&format!("{new},{old}"));
        for plain in ["", "Amara has an appointment", "\u{1}sealed::x", "äöü🎉"] {
            let stored = keys(&old).seal("title", plain.as_bytes()).unwrap();
            assert!(!stored.windows(plain.len().max(1)).any(|part| part == plain.as_bytes()));
            assert_eq!(opened(&both, "title", &stored).unwrap(), plain.as_bytes());
            assert_eq!(
                opened(&both, "message", &stored),
                Err(Unopened::Damaged(keys(&old).newest().to_owned()))
            );
            assert_eq!(
                opened(&keys(&new), "title", &stored),
                Err(Unopened::NoKey(keys(&old).newest().to_owned()))
            );
            assert_ne!(keys(&old).seal("title", plain.as_bytes()).unwrap(), stored, "no two are the same");
        }
        assert!(both.seal("title", b"x").unwrap().starts_with(&both.newest_begins()));
        assert_eq!(both.newest(), keys(&new).newest());
    }

    #[test]
    fn what_only_looks_sealed_is_read_as_it_was_written() {
        let odd = b"\x01sealed:00000000:QUJD";
        assert_eq!(open(None, "title", escaped(odd).strip_prefix(MARK).unwrap()).unwrap(), odd);
    }

    #[test]
    fn no_byte_can_be_changed() {
        let keys = keys(&new_key().unwrap());
        let stored = keys.seal("title", b"to Amara").unwrap();
        let first = keys.newest_begins().len();
        for index in first..stored.len() {
            for other in *b"Aa9/" {
                let mut changed = stored.clone();
                changed[index] = if changed[index] == other { b'B' } else { other };
                assert!(opened(&keys, "title", &changed).is_err(), "byte {index}");
            }
        }
        for length in first..stored.len() {
            assert!(opened(&keys, "title", &stored[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn keys_are_written_in_several_ways() {
        let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHv8=";
        let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
        let url = base64.replace('/', "_");
        for text in [base64, hex, &url, base64.trim_end_matches('='), &format!("2026:{base64}")] {
            assert!(keys(text).0[0].secret == keys(base64).0[0].secret, "{text}");
        }
        assert_eq!(keys(&format!("2026:{base64}")).newest(), "2026");
        assert!(Keys::read(" \n,").unwrap().is_none());
        for wrong in
            ["short", &format!("{base64},{base64}"), &format!("a b:{base64}"), &format!("{base64},x")]
        {
            let said = Keys::read(wrong).err().unwrap().to_string();
            assert!(said.contains("ENCRYPTION_KEYS") && !said.contains("AAEC"), "{said}");
        }
    }
}
