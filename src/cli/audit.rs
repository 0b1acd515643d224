//! The audit log, for auditors: whether it is what was sealed. Reads the database, whether a server runs on it or not.

use anyhow::Context as _;
use clap::Subcommand;

use crate::config::Config;
use crate::domain::chain::Link;
use crate::domain::removal::{Backing, Doubt};
use crate::domain::{Clock as _, SystemClock};
use crate::service::proof::{Proof, prove};
use crate::store::{AuditLog, StoreError, use_keys};

/// Seconds after which somebody should have sealed what was written.
const USUAL: i64 = 60;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Look whether every row is what was sealed, and none is missing; ends with 1, and the first row at fault, if not, and
    /// with 3 if something can be neither shown nor refuted
    Verify {
        /// A head that was noted elsewhere (`carillon audit head`, or the server's log): it must be part of the chain; may be
        /// repeated
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Vec<String>,
    },
    /// Print the last seal, to be noted elsewhere
    Head,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is as it should be.
    Whole,
    /// Nothing is at fault, and something is shown by nothing.
    Unproved,
    /// Something is at fault.
    Broken,
}

/// Looks, and prints what was found.
///
/// # Errors
/// When the database cannot be read.
pub async fn run(config: &Config, what: &AuditCommand) -> anyhow::Result<Verdict> {
    let log = AuditLog::open(&config.database).await?;
    let unread = "the audit log cannot be read: is the database whole, and may its user read it? (One of an earlier release is brought up to \
                  date by `carillon migrate`.)";
    match what {
        AuditCommand::Head => {
            println!("{}", log.chain().await.context(unread)?.head.written());
            Ok(Verdict::Whole)
        }
        AuditCommand::Verify { head } => {
            let read = |text: &String| {
                Link::read(text).with_context(|| format!("`{text}` is no head; it looks like 1234:9f86d0…"))
            };
            let heads = head.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
            use_keys(&config.database)?;
            let proof = match prove(&log, &heads, config.audit.here(), false).await {
                Err(fault @ StoreError::Shortened) => return Err(fault.into()),
                proof => proof.context(unread)?,
            };
            tell(&proof, heads.len());
            Ok(match &proof.damage {
                Some(_) => Verdict::Broken,
                None if proof.is_doubtful() => Verdict::Unproved,
                None => Verdict::Whole,
            })
        }
    }
}

fn tell(proof: &Proof, heads: usize) {
    if let Some(damage) = &proof.damage {
        println!("BROKEN  {damage}");
        println!("        {} rows before it are what was sealed", proof.rows);
    } else {
        let word = if proof.is_doubtful() { "UNPROVED " } else { "ok      " };
        println!(
            "{word}{} rows are what was sealed, in their order, and none is missing among them",
            proof.rows
        );
        let there = heads - proof.older.len() - proof.ended;
        if there > 0 {
            println!("        and the chain has {there} heads that were noted elsewhere");
        }
    }
    if proof.ended > 0 {
        println!(
            "        {} heads that were noted elsewhere are where a removal of old rows ended",
            proof.ended
        );
    }
    for head in &proof.older {
        println!(
            "        the head {} is older than where the chain begins: its row was removed, and no removal ended there, so \
             nothing here shows that it was ever in this chain; hold it against a backup, or note a newer one",
            head.written()
        );
    }
    if proof.gone > 0 {
        let (gone, anchor) = (proof.gone, proof.anchor.written());
        println!("        {gone} older rows were removed; the chain begins at {anchor}");
    }
    match &proof.backing {
        Backing { doubt: Some(doubt), unproved, .. } => {
            println!("        {doubt}");
            println!(
                "        only a head, or a backup, from before that is kept elsewhere shows which rows these were"
            );
            if let (false, Some(link)) = (matches!(doubt, Doubt::OtherDays(..)), unproved) {
                println!(
                    "        if you know that they went rightly, accept that by --set audit.accepted={}, and in the servers' \
                     settings until the next removal",
                    link.written()
                );
            }
        }
        Backing { row: Some(row), key: Some(key), .. } => {
            println!("        row {row} tells of it, signed by the key `{key}`");
            if let Some(link) = &proof.backing.accepted {
                println!(
                    "        what went before up to {} is not shown, and was accepted (audit.accepted)",
                    link.written()
                );
            }
        }
        Backing { row: Some(row), accepted: Some(link), .. } => {
            println!(
                "        row {row} tells of it, unsigned, and you have accepted that (audit.accepted) up to {}",
                link.written()
            );
        }
        Backing { row: Some(row), is_earlier: true, .. } => {
            println!(
                "        row {row} tells of it as earlier releases did: without a key, and without the days that rows were kept"
            );
        }
        Backing { row: Some(row), .. } => {
            println!("        row {row} tells of it; there is no key that could sign it");
        }
        Backing { .. } => {}
    }
    if let (Some(given), None) = (proof.given, &proof.damage) {
        println!(
            "        numbers up to {given} were given out, and the last rows of them are not there: so it is after a commit that failed; \
             if there was none, hold a head that is kept elsewhere against it"
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
