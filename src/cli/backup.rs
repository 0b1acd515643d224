//! Backups of an SQLite file, and going back to one.

use std::path::Path;

use super::runtime;
use crate::config::Config;
use crate::secrets;
use crate::store::{self, backup};

/// Makes one, and says what is in it.
///
/// # Errors
/// See [`backup::backup`].
pub fn make(config: &Config, file: &Path, may_replace: bool) -> anyhow::Result<()> {
    let url = config.database.url.parse()?;
    let copied = runtime(1)?.block_on(backup::backup(&url, file, may_replace))?;
    println!(
        "Backed up {} notifications, up to number {}, into {} ({} bytes).",
        copied.notifications,
        copied.last,
        file.display(),
        copied.bytes
    );
    if let Some(keys) = secrets::push_keys_file(config) {
        println!(
            "Keep {} with it: it never changes, and without it, browsers that take pushes have to subscribe anew.",
            keys.display()
        );
    }
    Ok(())
}

/// Puts one back, and says what became of what was there.
///
/// # Errors
/// See [`backup::restore`].
pub fn put_back(config: &Config, file: Option<&Path>) -> anyhow::Result<()> {
    let url = config.database.url.parse()?;
    let restored = runtime(2)?.block_on(backup::restore(&url, file))?;
    println!(
        "Restored {} notifications; the next one gets a number above {}.",
        restored.notifications, restored.last
    );
    match &restored.kept {
        Some(kept) => {
            println!("What was there before is {}; remove it when all is well.", kept.display());
        }
        None if file.is_some() => println!("Nothing was there before."),
        None => {}
    }
    let missing = runtime(1)?.block_on(store::missing_keys(&config.database))?;
    if missing.is_empty() {
        println!("Now start the server.");
        return Ok(());
    }
    let (known, missing) = (known_as(&missing), missing.join(", "));
    println!(
        "It is encrypted by {known} {missing}, which is not among ENCRYPTION_KEYS here. Put back what was kept beside the backup, \
         behind newer ones if there are any; no server starts without. Then start it."
    );
    Ok(())
}

fn known_as(keys: &[String]) -> &'static str {
    if keys.len() == 1 { "the key" } else { "the keys" }
}
