//! What a database remembers of the keys that its columns were sealed by: whoever comes with others is told at the start.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::keys::{self, MARK, Unopened};
use super::marks::{self, Remembered, Secret};
use super::rows::{COLUMNS, Line};
use crate::store::{DatabaseUrl, LEASE_SECONDS, Settings, StoreError};

/// Begins the names of keys.
pub const KEY: &str = "key:";
/// The name of what is mixed into digests of contacts.
pub const INDEX: &str = "index";
/// Begins a digest into which it was mixed.
pub const BLIND: &str = "k:";
/// What a key seals to be recognised.
pub const PROOF: &[u8] = b"carillon";

/// What is mixed into digests of contacts; it stays, whichever keys there are.
static MIXED: OnceLock<Secret> = OnceLock::new();

/// A digest into which the secret of this database was mixed, if there are keys.
pub fn blinded(digest: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(MIXED.get()?).ok()?;
    mac.update(digest.as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{BLIND}{hex}"))
}

/// Says that a key is missing.
pub fn missing(id: &str) -> StoreError {
    StoreError::Keys(format!(
        "this database is encrypted by the key `{id}`, which is not among ENCRYPTION_KEYS. Put it back behind the newer ones \
         (ENCRYPTION_KEYS=new,old); it may go after `carillon keys rotate` has said that nothing remains"
    ))
}

/// Ids of the keys of this process, between commas: they have no comma in them.
pub fn ids() -> String {
    super::keys().map(|keys| keys.ids().collect::<Vec<_>>().join(",")).unwrap_or_default()
}

/// The first of these, as the database remembers keys, that this process lacks. That is told in the log when it changes.
pub fn lacking(names: &[String]) -> Option<String> {
    static TOLD: Mutex<Option<String>> = Mutex::new(None);
    let has = |id: &str| super::keys().is_some_and(|keys| keys.ids().any(|own| own == id));
    let lacking =
        names.iter().filter_map(|name| name.strip_prefix(KEY)).find(|id| !has(id)).map(str::to_owned);
    let mut told = TOLD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if *told != lacking {
        match &lacking {
            Some(id) => tracing::error!(
                key = id,
                "another server encrypts by a key that this one lacks: it is not ready. Put that key into its \
                 ENCRYPTION_KEYS, and restart it"
            ),
            None => tracing::info!("all keys by which the database is encrypted are here again"),
        }
        told.clone_from(&lacking);
    }
    lacking
}

/// What other nodes must have before they may be left behind: whether these, which are alive, lack the key `id`. Who has none at
/// all is about to get its first.
fn without(nodes: &[Alive], id: &str, is_strict: bool) -> Vec<String> {
    let has = |keys: &str| keys.split(',').any(|own| own == id);
    let lacks = |node: &&Alive| match node.keys.as_deref() {
        None => is_strict,
        Some("") => is_strict,
        Some(keys) => !has(keys),
    };
    nodes.iter().filter(lacks).map(|node| node.name.clone()).collect()
}

/// Refuses what would be encrypted by the key `id` while nodes serve that could not read it.
///
/// # Errors
/// With the names of those nodes, and what to do.
pub async fn needed_by(line: &mut Line, id: &str) -> Result<(), StoreError> {
    refuse(without(&line.alive().await?, id, true), id)
}

fn refuse(nodes: Vec<String>, id: &str) -> Result<(), StoreError> {
    if nodes.is_empty() {
        return Ok(());
    }
    Err(StoreError::Keys(format!(
        "nodes are running that do not have the key `{id}`, and could not read what it encrypts: {}. Put it behind the present \
         ones on each node first (ENCRYPTION_KEYS=old,new), restart them one by one, and go on then (one that was killed counts \
         for {LEASE_SECONDS} seconds)",
        nodes.join(", ")
    )))
}

/// The same, for a server that is about to encrypt by its newest key; what was killed a moment ago is waited for.
async fn let_others_know(line: &mut Line, id: &str) -> Result<(), StoreError> {
    let until = Instant::now() + Duration::from_secs(LEASE_SECONDS.unsigned_abs() + 2);
    loop {
        let nodes = without(&line.alive().await?, id, false);
        if nodes.is_empty() || Instant::now() > until {
            return refuse(nodes, id);
        }
        tracing::info!(
            key = id,
            nodes = nodes.join(","),
            "waiting for nodes that lack the newest key, if they are gone"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Refuses a key that is missing and was used: the last of each column tells. A damaged value may name a key that never was; no
/// other does.
async fn check_newest(line: &mut Line) -> Result<(), StoreError> {
    for column in COLUMNS.iter().filter(|column| column.is_in_each) {
        let Some(newest) = line.newest(column).await? else { continue };
        if let Some(rest) = newest.value.strip_prefix(MARK)
            && let Err(Unopened::NoKey(id)) = keys::open(super::keys(), column.kind, rest)
        {
            if line.is_used(&id).await? {
                return Err(missing(&id));
            }
            tracing::error!(
                "{} {} of {} names a key that nothing else names: it was damaged; `carillon keys check` lists what is",
                column.table,
                newest.id,
                column.name
            );
        }
    }
    Ok(())
}

/// Ids of the keys that the database of `settings` needs and that are not among these settings.
///
/// # Errors
/// When the keys are none, or the database cannot be read.
pub async fn missing_keys(settings: &Settings) -> Result<Vec<String>, StoreError> {
    super::install(settings)?;
    let mut line = Line::open(&settings.url.parse()?).await?;
    let has = |id: &str| super::keys().is_some_and(|keys| keys.ids().any(|own| own == id));
    let remembered = line.remembered().await?;
    let mut missing: BTreeSet<String> =
        remembered.iter().filter_map(Remembered::key).filter(|id| !has(id)).collect();
    for column in COLUMNS.iter().filter(|column| column.is_in_each) {
        let Some(newest) = line.newest(column).await? else { continue };
        if let Some(rest) = newest.value.strip_prefix(MARK)
            && let Err(Unopened::NoKey(id)) = keys::open(super::keys(), column.kind, rest)
        {
            missing.insert(id);
        }
    }
    Ok(missing.into_iter().collect())
}

/// A node that gave a sign of life lately.
#[derive(QueryableByName)]
pub struct Alive {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// Ids of its keys, between commas; nothing: it does not tell.
    #[diesel(sql_type = Nullable<Text>)]
    pub keys: Option<String>,
}

/// How keys and a database fit together.
#[derive(Debug, Default)]
pub struct KeysFound {
    /// The key that encrypts, if there is one.
    pub newest: Option<String>,
    /// Others by which something may still be encrypted.
    pub older: Vec<String>,
    /// Nodes that serve and lack the newest.
    pub nodes: Vec<String>,
}

/// Looks whether the keys of `settings` open what is in their database; changes nothing.
///
/// # Errors
/// When they are none, or one that is needed is not among them or is another one.
pub async fn examine_keys(settings: &Settings) -> Result<KeysFound, StoreError> {
    super::install(settings)?;
    let newest = super::keys().map(|keys| keys.newest().to_owned());
    let url = settings.url.parse()?;
    if matches!(&url, DatabaseUrl::Sqlite(path) if !path.is_file()) {
        return Ok(KeysFound { newest, ..KeysFound::default() });
    }
    let mut line = Line::open(&url).await?;
    // An earlier release's remembers nothing.
    let Ok(remembered) = line.remembered().await else {
        return Ok(KeysFound { newest, ..KeysFound::default() });
    };
    marks::check(super::keys(), &remembered)?;
    check_newest(&mut line).await?;
    let id = newest.as_deref().unwrap_or_default();
    let older = remembered.iter().filter_map(Remembered::key).filter(|one| *one != id).collect();
    let nodes = match newest {
        Some(_) => without(&line.alive().await.unwrap_or_default(), id, true),
        None => Vec::new(),
    };
    Ok(KeysFound { newest: newest.clone(), older, nodes })
}

/// Makes sure that the keys of this process open what is in the database at `url`, and lets it know of the newest one. What is
/// damaged of what it remembers is mended, if nothing is lost by that.
///
/// # Errors
/// When a key is missing or another one, or the database cannot be reached.
pub async fn acquaint(url: &DatabaseUrl) -> Result<(), StoreError> {
    let mut line = Line::open(url).await?;
    let Some(keys) = super::keys() else {
        marks::check(None, &line.remembered().await?)?;
        return check_newest(&mut line).await;
    };
    marks::settle(&mut line, keys).await?;
    check_newest(&mut line).await?;
    let name = format!("{KEY}{}", keys.newest());
    let_others_know(&mut line, keys.newest()).await?;
    line.remember(&name, &text(keys.seal(KEY, PROOF))?).await?;
    // Another node may have been quicker.
    match mixed(marks::begin(&mut line, keys).await?) {
        true => Ok(()),
        false => Err(StoreError::Keys("this process has another database already".to_owned())),
    }
}

/// Takes this for what is mixed into digests; `false`, if something else is.
pub fn mixed(secret: Secret) -> bool {
    *MIXED.get_or_init(|| secret) == secret
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

/// What was sealed, as a text.
///
/// # Errors
/// When the system has no randomness to give.
pub fn text(sealed: Result<Vec<u8>, Unopened>) -> Result<String, StoreError> {
    let sealed = sealed.map_err(|fault| StoreError::Keys(fault.to_string()))?;
    String::from_utf8(sealed).map_err(|fault| StoreError::Keys(fault.to_string()))
}
