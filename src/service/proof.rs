//! Looks whether the audit log is what was sealed (decision 44).

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::chain::{Damage, Link};
use crate::domain::pseudonym::is_pseudonym;
use crate::store::{AuditLog, Chain, Sealed, StoreError, Unsealed};

/// Old rows may be removed while somebody looks: it begins anew so often.
const TRIES: usize = 3;

/// How the log stands.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// Rows that are what was sealed, up to the damage if there is any.
    pub rows: i64,
    /// The last one that was removed because it was old, and how many were.
    pub anchor: Link,
    /// How many that were.
    pub gone: i64,
    /// The last seal.
    pub head: Link,
    /// How many of the heads that were looked for are older than where the chain begins: nothing can be said of them.
    pub older: usize,
    /// Rows that name somebody by a pseudonym.
    pub pseudonymous: i64,
    /// Rows that nobody has sealed yet.
    pub waiting: Unsealed,
    /// What is wrong.
    pub damage: Option<Damage>,
}

/// Goes through all of `log`, and looks for each of `heads`, which somebody noted elsewhere. Between two pages it rests as long as
/// one took, if it is `patient`.
///
/// # Errors
/// When the database cannot answer, or rows go faster than they can be looked at.
pub async fn prove(log: &AuditLog, heads: &[Link], patient: bool) -> Result<Proof, StoreError> {
    for _ in 0..TRIES {
        let chain = log.chain().await?;
        let mut proof = walk(log, &chain, heads, patient).await?;
        // What was removed meanwhile because it is old is no damage.
        if proof.damage.is_none() || log.chain().await?.anchor == chain.anchor {
            proof.waiting = log.waiting().await?;
            return Ok(proof);
        }
    }
    Err(StoreError::Shortened)
}

async fn walk(log: &AuditLog, chain: &Chain, heads: &[Link], patient: bool) -> Result<Proof, StoreError> {
    let mut proof = Proof {
        anchor: chain.anchor.clone(),
        gone: chain.gone,
        head: chain.head.clone(),
        ..Proof::default()
    };
    let (older, since): (Vec<&Link>, Vec<&Link>) = heads.iter().partition(|head| head.id < chain.anchor.id);
    proof.older = older.len();
    let mut missing: Vec<&Link> = since.into_iter().filter(|head| **head != chain.anchor).collect();
    if let Some(id) = log.unsealed(-1, chain.anchor.id).await? {
        proof.damage = Some(Damage::PutIn(id));
        return Ok(proof);
    }
    let mut before = chain.anchor.clone();
    'pages: loop {
        let started = Instant::now();
        let page = log.sealed(before.id).await?;
        let Some(last) = page.last() else { break };
        let put_in = log.unsealed(before.id, last.seal.id.min(chain.head.id)).await?;
        for sealed in page {
            if sealed.seal.id > chain.head.id {
                // It was sealed meanwhile, or it is no link of the chain.
                if log.chain().await?.head.id < sealed.seal.id {
                    proof.damage = Some(Damage::OtherHead(sealed.seal.id));
                    return Ok(proof);
                }
                break 'pages;
            }
            let put_in = put_in.filter(|id| *id < sealed.seal.id).map(Damage::PutIn);
            if let Some(damage) = put_in.or_else(|| fault(&sealed, &before)) {
                proof.damage = Some(damage);
                return Ok(proof);
            }
            proof.rows += 1;
            proof.pseudonymous += i64::from(names_nobody(&sealed));
            missing.retain(|head| **head != sealed.seal);
            before = sealed.seal;
        }
        if patient {
            tokio::time::sleep(started.elapsed().max(Duration::from_millis(1))).await;
        }
    }
    let sealed = chain.many - chain.gone;
    proof.damage = match log.unsealed(before.id, chain.head.id).await? {
        _ if before.id < chain.head.id => Some(Damage::CutOff(before.id, chain.head.id)),
        _ if before != chain.head => Some(Damage::OtherHead(before.id)),
        _ if proof.rows != sealed => Some(Damage::Miscounted(proof.rows, sealed)),
        Some(id) => Some(Damage::PutIn(id)),
        None => missing.first().map(|head| Damage::NotThere(head.written())),
    };
    Ok(proof)
}

/// What is wrong with a row behind the seal `before`.
fn fault(sealed: &Sealed, before: &Link) -> Option<Damage> {
    let id = sealed.seal.id;
    let Some(row) = &sealed.row else { return Some(Damage::Gone(id)) };
    match row.seal(&before.hash) {
        None => Some(Damage::Nameless(id)),
        Some(hash) if hash != sealed.seal.hash => Some(Damage::Changed(id)),
        Some(_) => None,
    }
}

fn names_nobody(sealed: &Sealed) -> bool {
    let Some(row) = &sealed.row else { return false };
    [&row.actor, &row.subject].into_iter().flatten().any(|name| is_pseudonym(name))
}
