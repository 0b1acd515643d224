//! What is kept so that whoever reads the database alone cannot read it: encrypted in the column, at the edge of the rows.
//! Whoever asks the store sees plain values.
//!
//! A sealed value is the text `\x01sealed:KEY:BASE64`: the id of its key, and a nonce, what was encrypted and its tag
//! (XChaCha20-Poly1305). It belongs to one kind of column, and opens in no other. What was stored before there were keys
//! stays as it was, and is read as it is.

mod checking;
mod columns;
mod illegible;
mod keys;
mod known;
mod marks;
mod reindexing;
mod rotation;
mod rows;
mod signing;

use std::borrow::Cow;
use std::sync::OnceLock;

pub use checking::{Checked, check_values};
pub use columns::*;
pub use keys::{Keys, Unopened, new_key};
pub use known::{KEY, KeysFound, acquaint, examine_keys, hand_over, ids, lacking, missing_keys};
pub use rotation::{Rotated, rotate};
pub use signing::{sign, signed};

use super::{Settings, StoreError};
use crate::domain::Digest;

/// The keys of this process. Columns are written and read where nothing but their values is at hand (decision 41).
static KEYS: OnceLock<Keys> = OnceLock::new();

/// Takes the keys of `settings`; from then on columns are encrypted. Tells whether there are any.
///
/// # Errors
/// When there is none to be read, or this process has others already.
pub fn install(settings: &Settings) -> Result<bool, StoreError> {
    let given = given(settings)?;
    let Some(keys) = Keys::read(&given)? else { return Ok(KEYS.get().is_some()) };
    let is_other = || StoreError::Keys("this process has other keys already; it has one database".to_owned());
    match KEYS.get() {
        Some(known) if keys == *known => Ok(true),
        Some(_) => Err(is_other()),
        None => KEYS.set(keys).map(|()| true).map_err(|_| is_other()),
    }
}

fn given(settings: &Settings) -> Result<String, StoreError> {
    let keys = settings.encryption_keys.expose();
    let file = &settings.encryption_keys_file;
    match (keys.trim().is_empty(), file.is_empty()) {
        (false, false) => Err(StoreError::Keys(
            "ENCRYPTION_KEYS and database.encryption_keys_file are both set; keep one of them".to_owned(),
        )),
        (_, true) => Ok(keys.to_owned()),
        (true, false) => match std::fs::read_to_string(file) {
            Ok(keys) if keys.trim().is_empty() => Err(StoreError::Keys(format!(
                "database.encryption_keys_file: {file} is empty; put the keys there, or leave the setting out to store in plain"
            ))),
            Ok(keys) => Ok(keys),
            Err(fault) => {
                Err(StoreError::Keys(format!("database.encryption_keys_file: cannot read {file} ({fault})")))
            }
        },
    }
}

/// The keys of this process, if there are any.
pub fn keys() -> Option<&'static Keys> {
    KEYS.get()
}

/// As it is stored in columns of this kind.
fn sealed<'a>(kind: &str, plain: &'a [u8]) -> Result<Cow<'a, [u8]>, Unopened> {
    match KEYS.get() {
        Some(keys) => Ok(Cow::Owned(keys.seal(kind, plain)?)),
        // What only looks like a sealed value.
        None if plain.starts_with(keys::MARK) => Ok(Cow::Owned(keys::escaped(plain))),
        None => Ok(Cow::Borrowed(plain)),
    }
}

/// What was stored so in a column of this kind.
fn opened(kind: &str, stored: Vec<u8>) -> Result<Vec<u8>, Unopened> {
    match stored.strip_prefix(keys::MARK) {
        None => Ok(stored),
        Some(rest) => keys::open(KEYS.get(), kind, rest),
    }
}

/// Why a value could not be opened, if that is what a query failed by.
pub fn unopened(fault: &diesel::result::Error) -> Option<&Unopened> {
    let diesel::result::Error::DeserializationError(fault) = fault else { return None };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**fault);
    while let Some(this) = cause {
        if let Some(why) = this.downcast_ref::<Unopened>() {
            return Some(why);
        }
        cause = this.source();
    }
    None
}

/// The present way of what may have been made before.
pub fn as_blind(digest: &str) -> String {
    match digest.starts_with(known::BLIND) {
        true => digest.to_owned(),
        false => blind(digest).swap_remove(0),
    }
}

/// What is compared with what was made of the same contact: nobody without the keys finds the contact by trying all there are.
/// In the order in which it may have been made, the present way first.
pub fn blind(digest: &str) -> Vec<String> {
    match known::blinded(digest) {
        Some(blinded) => vec![blinded, digest.to_owned()],
        None => vec![digest.to_owned()],
    }
}

/// What is kept of a contact; after that, what was kept of it before there were keys.
pub fn digests_of(contact: &str) -> Vec<String> {
    let digest: String = Digest::of(&[contact]).0.iter().map(|byte| format!("{byte:02x}")).collect();
    blind(&digest)
}
