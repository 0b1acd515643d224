//! Looks whether the audit log is what was sealed (decision 44).

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Action;
use crate::domain::chain::{Damage, Link};
use crate::domain::pseudonym::is_pseudonym;
use crate::domain::removal::{Backing, Here, Told, judge};
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
    /// What tells of what was removed.
    pub backing: Backing,
    /// Of the heads that were looked for, those that are older than where the chain begins, and of which no removal tells:
    /// nothing can be said of them.
    pub older: Vec<Link>,
    /// How many are where a removal ended.
    pub ended: usize,
    /// Rows that name somebody by a pseudonym.
    pub pseudonymous: i64,
    /// Rows that nobody has sealed yet.
    pub waiting: Unsealed,
    /// The highest number that was given out, if there is no row of it: perhaps it was not committed.
    pub given: Option<i64>,
    /// What is wrong.
    pub damage: Option<Damage>,
}

impl Proof {
    /// Whether nothing is at fault, and something is shown by nothing.
    pub fn is_doubtful(&self) -> bool {
        self.damage.is_none() && (self.backing.doubt.is_some() || !self.older.is_empty())
    }
}

/// Goes through all of `log`, and looks for each of `heads`, which somebody noted elsewhere. Between two pages it rests as long as
/// one took, if it is `patient`.
///
/// # Errors
/// When the database cannot answer, or rows go faster than they can be looked at.
pub async fn prove(
    log: &AuditLog,
    heads: &[Link],
    here: Here<'_>,
    patient: bool,
) -> Result<Proof, StoreError> {
    for _ in 0..TRIES {
        let (given, is_certain) = log.given().await?;
        let chain = log.chain().await?;
        let mut told = Vec::new();
        let mut proof = walk(log, &chain, heads, &mut told, patient).await?;
        proof.given = Some(given).filter(|given| *given > chain.last.max(chain.head.id));
        if proof.damage.is_none() {
            told.extend(log.removals(chain.head.id).await?.iter().map(AuditLog::told));
            match judge(&told, &chain.anchor, chain.gone, here) {
                Ok(backing) => proof.backing = backing,
                Err(damage) => proof.damage = Some(damage),
            }
            hold_against(&mut proof, &told);
            if let Some(given) = proof.given.filter(|_| is_certain) {
                proof.damage = proof.damage.take().or(Some(Damage::SetBack(chain.last, given)));
            }
        }
        // What was removed meanwhile because it is old is no damage.
        if proof.damage.is_none() || log.chain().await?.anchor == chain.anchor {
            proof.waiting = log.waiting().await?;
            return Ok(proof);
        }
    }
    Err(StoreError::Shortened)
}

/// Holds heads that are older than where the chain begins against the removals that are told.
fn hold_against(proof: &mut Proof, told: &[Told]) {
    let removals = || told.iter().filter_map(|told| told.removal.as_ref());
    let links = || removals().flat_map(|one| [Some(&one.anchor), one.more.as_ref().map(|more| &more.from)]);
    let many = proof.older.len();
    if let Some(other) = proof
        .older
        .iter()
        .find(|head| links().flatten().any(|link| link.id == head.id && link.hash != head.hash))
    {
        proof.damage = proof.damage.take().or(Some(Damage::NotThere(other.written())));
    }
    proof.older.retain(|head| !links().flatten().any(|link| link == head));
    proof.ended = many - proof.older.len();
}

async fn walk(
    log: &AuditLog,
    chain: &Chain,
    heads: &[Link],
    told: &mut Vec<Told>,
    patient: bool,
) -> Result<Proof, StoreError> {
    let mut proof = Proof {
        anchor: chain.anchor.clone(),
        gone: chain.gone,
        head: chain.head.clone(),
        ..Proof::default()
    };
    let (older, since): (Vec<&Link>, Vec<&Link>) = heads.iter().partition(|head| head.id < chain.anchor.id);
    proof.older = older.into_iter().cloned().collect();
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
            let removal = sealed.row.as_ref().filter(|row| row.action == Action::AuditShorten.name());
            told.extend(removal.map(AuditLog::told));
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
