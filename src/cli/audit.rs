//! The audit log, for auditors: whether it is what was sealed. Reads the database, whether a server runs on it or not.

use anyhow::Context as _;
use clap::Subcommand;

use crate::config::Config;
use crate::domain::chain::Link;
use crate::domain::{Clock as _, SystemClock};
use crate::service::proof::{Proof, prove};
use crate::store::{AuditLog, StoreError};

/// Seconds after which somebody should have sealed what was written.
const USUAL: i64 = 60;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Look whether every row is what was sealed, and none is missing; ends with 1, and the first row at fault, if not
    Verify {
        /// A head that was noted elsewhere (`carillon audit head`, or the server's log): it must be part of the chain; may be
        /// repeated
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Vec<String>,
    },
    /// Print the last seal, to be noted elsewhere
    Head,
}

/// Looks, and prints what was found; false, if something is at fault.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(config: &Config, what: &AuditCommand) -> anyhow::Result<bool> {
    let log = AuditLog::open(&config.database)?;
    let unread = "the audit log cannot be read; a database of an earlier release is brought up to date by `carillon migrate`";
    match what {
        AuditCommand::Head => {
            println!("{}", log.chain().await.context(unread)?.head.written());
            Ok(true)
        }
        AuditCommand::Verify { head } => {
            let read = |text: &String| {
                Link::read(text).with_context(|| format!("`{text}` is no head; it looks like 1234:9f86d0…"))
            };
            let heads = head.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
            let proof = match prove(&log, &heads, false).await {
                Err(fault @ StoreError::Shortened) => return Err(fault.into()),
                proof => proof.context(unread)?,
            };
            tell(&proof, heads.len());
            Ok(proof.damage.is_none())
        }
    }
}

fn tell(proof: &Proof, heads: usize) {
    if let Some(damage) = &proof.damage {
        println!("BROKEN  {damage}");
        println!("        {} rows before it are what was sealed", proof.rows);
    } else {
        println!("ok      {} rows are what was sealed, in their order, and none is missing", proof.rows);
        if heads > proof.older {
            println!("        and the chain has {} heads that were noted elsewhere", heads - proof.older);
        }
    }
    if proof.older > 0 {
        println!(
            "        {} heads that were noted elsewhere are older than where the chain begins: nothing can be said of them",
            proof.older
        );
    }
    if proof.gone > 0 {
        println!(
            "        {} older rows were removed; the chain begins at {}",
            proof.gone,
            proof.anchor.written()
        );
    }
    if proof.pseudonymous > 0 {
        println!("        {} rows name somebody by a pseudonym, who was forgotten", proof.pseudonymous);
    }
    if let (many @ 1.., Some(since)) = (proof.waiting.many, proof.waiting.since) {
        let seconds = SystemClock.now().as_seconds().saturating_sub(since.as_seconds());
        let advice = match seconds > USUAL {
            true => "; nobody seals them: is a server (or `carillon worker`) running on this database?",
            false => "",
        };
        println!("        {many} rows are not sealed yet, the first since {seconds} s{advice}");
    }
    println!("head    {}", proof.head.written());
}
