//! What a database remembers of the keys that its columns were sealed by: whoever comes with others is told at the start.

use std::sync::OnceLock;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::keys::{self, Keys, MARK, Unopened};
use super::rows::{COLUMNS, Line, Remembered};
use crate::store::{DatabaseUrl, StoreError};

/// Begins the names of keys.
pub const KEY: &str = "key:";
/// The name of what is mixed into digests of contacts.
pub const INDEX: &str = "index";
/// Begins a digest into which it was mixed.
pub const BLIND: &str = "k:";
/// What a key seals to be recognised.
const PROOF: &[u8] = b"carillon";

/// What is mixed into digests of contacts; it stays, whichever keys there are.
static MIXED: OnceLock<[u8; 32]> = OnceLock::new();

/// A digest into which the secret of this database was mixed, if there are keys.
pub fn blinded(digest: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(MIXED.get()?).ok()?;
    mac.update(digest.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{BLIND}{hex}"))
}

/// Refuses keys that cannot open what is here.
///
/// # Errors
/// With the id of the key that is missing, and what to do.
pub fn check(keys: Option<&Keys>, remembered: &[Remembered]) -> Result<(), StoreError> {
    for one in remembered {
        let Some(id) = one.name.strip_prefix(KEY) else { continue };
        match keys::open(keys, KEY, one.value.as_bytes().strip_prefix(MARK).unwrap_or_default()) {
            Ok(_) => {}
            Err(Unopened::NoKey(_)) => return Err(missing(id)),
            Err(_) => {
                return Err(StoreError::Keys(format!(
                    "the key `{id}` among ENCRYPTION_KEYS is another than the one of that id by which this database was \
                     encrypted; put the right one there"
                )));
            }
        }
    }
    Ok(())
}

fn missing(id: &str) -> StoreError {
    StoreError::Keys(format!(
        "this database is encrypted by the key `{id}`, which is not among ENCRYPTION_KEYS. Put it back behind the newer ones \
         (ENCRYPTION_KEYS=new,old); it may go after `carillon keys rotate` has said that nothing remains"
    ))
}

/// Makes sure that the keys of this process open what is in the database at `url`, and lets it know of the newest one.
///
/// # Errors
/// When a key is missing, or the database cannot be reached.
pub async fn acquaint(url: &DatabaseUrl) -> Result<(), StoreError> {
    let mut line = Line::open(url).await?;
    let remembered = line.remembered().await?;
    check(super::keys(), &remembered)?;
    for column in COLUMNS.iter().filter(|column| column.is_in_each) {
        let Some(newest) = line.newest(column).await? else { continue };
        if let Some(rest) = newest.value.strip_prefix(MARK)
            && let Err(Unopened::NoKey(id)) = keys::open(super::keys(), column.kind, rest)
        {
            return Err(missing(&id));
        }
    }
    let Some(keys) = super::keys() else { return Ok(()) };
    let name = format!("{KEY}{}", keys.newest());
    if !remembered.iter().any(|one| one.name == name) {
        line.remember(&name, &text(keys.seal(KEY, PROOF))?).await?;
    }
    if !remembered.iter().any(|one| one.name == INDEX) {
        let mut mixed = [0; 32];
        getrandom::fill(&mut mixed).map_err(|fault| StoreError::Keys(format!("no randomness: {fault}")))?;
        line.remember(INDEX, &text(keys.seal(INDEX, &mixed))?).await?;
    }
    // Another node may have been quicker.
    let remembered = line.remembered().await?;
    let index = remembered.iter().find(|one| one.name == INDEX).ok_or(StoreError::Closed)?;
    let mixed = mixed_in(keys, index)?;
    match *MIXED.get_or_init(|| mixed) == mixed {
        true => Ok(()),
        false => Err(StoreError::Keys("this process has another database already".to_owned())),
    }
}

/// Lets the database at `to` mix the same into digests as that at `from`, from which all is copied there.
///
/// # Errors
/// When a key is missing, or one of them cannot be reached.
pub async fn hand_over(from: &DatabaseUrl, to: &DatabaseUrl) -> Result<(), StoreError> {
    acquaint(from).await?;
    if let (Some(keys), Some(mixed)) = (super::keys(), MIXED.get()) {
        Line::open(to).await?.remember(INDEX, &text(keys.seal(INDEX, mixed))?).await?;
    }
    acquaint(to).await
}

/// What is mixed into digests of contacts, from its row.
pub fn mixed_in(keys: &Keys, row: &Remembered) -> Result<[u8; 32], StoreError> {
    let opened = keys::open(Some(keys), INDEX, row.value.as_bytes().strip_prefix(MARK).unwrap_or_default());
    let opened = opened.map_err(|fault| StoreError::Keys(format!("the table `sealing`: {fault}")))?;
    opened
        .try_into()
        .map_err(|_| StoreError::Keys("the table `sealing` is damaged; restore it from a backup".to_owned()))
}

/// What was sealed, as a text.
pub fn text(sealed: Result<Vec<u8>, Unopened>) -> Result<String, StoreError> {
    let sealed = sealed.map_err(|fault| StoreError::Keys(fault.to_string()))?;
    String::from_utf8(sealed).map_err(|fault| StoreError::Keys(fault.to_string()))
}
