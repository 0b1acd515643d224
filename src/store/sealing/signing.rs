//! Shows that whoever wrote something had a key.

use sha2::{Digest as _, Sha256};

use super::keys::{MARK, Unopened, open};
use crate::domain::removal::Signed;

/// Signs `words`, for uses of this kind, by the newest key: `KEY:BASE64`. Nothing, if there are no keys.
///
/// # Errors
/// When the system has no randomness to give.
pub fn sign(kind: &str, words: &str) -> Result<Option<String>, Unopened> {
    let Some(keys) = super::keys() else { return Ok(None) };
    let sealed = keys.seal(kind, &Sha256::digest(words))?;
    let rest = sealed.strip_prefix(MARK).unwrap_or(&sealed);
    Ok(Some(String::from_utf8_lossy(rest).into_owned()))
}

/// By which of the keys that are here `words` were signed.
pub fn signed(kind: &str, words: &str, signature: Option<&str>) -> Signed {
    let Some(signature) = signature else { return Signed::Not };
    let key = match signature.split_once(':') {
        Some((key, _)) if !key.is_empty() => key.to_owned(),
        _ => return Signed::Badly,
    };
    match open(super::keys(), kind, signature.as_bytes()) {
        Ok(digest) if digest == Sha256::digest(words)[..] => Signed::By(key),
        Err(Unopened::NoKey(key)) => Signed::ByOther(key),
        Ok(_) | Err(_) => Signed::Badly,
    }
}
