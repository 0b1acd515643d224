//! Keys by which columns are encrypted: making one, and putting everything under the newest. Rotation opens the database
//! itself, beside servers that use it.

use clap::Subcommand;

use crate::config::Config;
use crate::store;

#[derive(Subcommand)]
pub enum Keys {
    /// Print a new key, as ENCRYPTION_KEYS has them
    New,
    /// Encrypt everything by the newest key, while servers serve; may be ended at any time, and goes on when it is run again
    Rotate,
    /// Open everything that is encrypted, and tell what does not open
    Check {
        /// Put a word in the place of what does not open, for good: it can be read again only out of a backup
        #[arg(long)]
        give_up: bool,
    },
}

/// Does it.
///
/// # Errors
/// When there are no keys, no server has the newest one yet, the database does not answer, or something remains under older
/// keys or does not open.
pub async fn run(config: &Config, what: &Keys) -> anyhow::Result<()> {
    match what {
        Keys::New => println!("{}", store::new_key()?),
        Keys::Rotate => {
            store::use_keys(&config.database)?;
            let url = config.database.url.parse()?;
            let all = store::rotate(&url, |fault| eprintln!("carillon: {fault}")).await?;
            println!("{:<20} {:<15} {:>12} {:>12}", "TABLE", "COLUMN", "ENCRYPTED", "REMAIN");
            for one in all.iter().filter(|one| one.done > 0 || one.left > 0) {
                println!("{:<20} {:<15} {:>12} {:>12}", one.table, one.column, one.done, one.left);
            }
            let left: i64 = all.iter().map(|one| one.left).sum();
            anyhow::ensure!(
                left == 0,
                "{left} values remain; run it again. If some cannot be opened, put the key that is missing back behind the \
                 newer ones; what is damaged, restore from a backup, or give it up (`carillon keys check --give-up`)"
            );
            println!(
                "Nothing remains. Keep the newest of ENCRYPTION_KEYS, and take the others away on all servers."
            );
        }
        Keys::Check { give_up } => {
            store::use_keys(&config.database)?;
            let url = config.database.url.parse()?;
            let found = store::check_values(&url, *give_up, |fault| eprintln!("carillon: {fault}")).await?;
            println!("{} values are encrypted, {} do not open.", found.sealed, found.shut);
            if *give_up {
                println!("{} were given up.", found.given_up);
            }
            anyhow::ensure!(
                found.shut == found.given_up,
                "{} values do not open. Restore them from a backup; or run `carillon keys check --give-up`, which puts a word in \
                 the place of each (or does what is said there), removes devices, puts webhooks to rest, and leaves people without contacts (but with what they \
                 agreed to): enter them anew then, and whether they are minors",
                found.shut - found.given_up
            );
        }
    }
    Ok(())
}
