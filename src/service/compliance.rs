//! How well the rules on what is kept of people are kept, as far as that can be counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Mutex;

use super::Error;
use super::privacy::{ADMIN, Privacy};
use super::proof::prove;
use crate::access::Principal;
use crate::domain::removal::Here;
use crate::domain::{Action, Deed, Tenant, Timestamp};
use crate::store::{AuditLog, Figure, StoreError, Write, key_ids};

/// Counting people may take up to this share of the time: one part in ten.
const REST: u32 = 10;
/// The audit log is looked through for a report, if nobody has done so yet, and if it takes no longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was counted of the people of tenants, and until when it is good. Whoever asks waits for who counts the same tenant, and for
/// nobody else.
#[derive(Default)]
pub(super) struct Counted(Mutex<HashMap<Tenant, Arc<Mutex<Option<Known>>>>>);

type Known = (Instant, Vec<Figure>);

impl Counted {
    async fn of(&self, tenant: &Tenant) -> Arc<Mutex<Option<Known>>> {
        let mut all = self.0.lock().await;
        let now = Instant::now();
        all.retain(|_, one| {
            one.try_lock().map_or(true, |known| known.as_ref().is_some_and(|(until, _)| now < *until))
        });
        all.entry(tenant.clone()).or_default().clone()
    }
}

/// What is counted of a tenant in a time.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose.
    pub tenant: String,
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// What is counted.
    pub figures: Vec<Figure>,
    /// What is looked at, whether it is as it should be, and what to do otherwise.
    pub findings: Vec<Finding>,
}

/// One thing that is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub is_well: bool,
    /// What there is to say.
    pub words: String,
}

impl Privacy {
    /// How many people there are, and of which kinds. What took long is used again for ten times as long.
    async fn standing(&self, tenant: &Tenant) -> Result<Vec<Figure>, StoreError> {
        let counted = self.counted.of(tenant).await;
        let mut counted = counted.lock().await;
        if let Some((until, known)) = &*counted
            && Instant::now() < *until
        {
            return Ok(known.clone());
        }
        let started = Instant::now();
        let figures = self.store.standing(tenant).await?;
        *counted = Some((Instant::now() + started.elapsed() * REST, figures.clone()));
        Ok(figures)
    }

    /// What is counted of `who`'s tenant between these times, and how what is kept is protected. That it was asked for is written
    /// down first.
    ///
    /// # Errors
    /// When `who` may not know, or the database cannot answer.
    pub async fn report(
        &self,
        who: &Principal,
        (from, to): (Timestamp, Timestamp),
        address: Option<IpAddr>,
    ) -> Result<Report, Error> {
        if !who.can_manage_privacy {
            return Err(Error::Forbidden(ADMIN));
        }
        let made_at = self.clock.now();
        let deed = Deed {
            at: made_at,
            tenant: who.tenant.clone(),
            actor: Some(who.name().to_owned()),
            action: Action::ComplianceRead,
            subject: None,
            detail: json!({"from": from, "to": to}).to_string(),
            address,
        };
        self.store.write(Write::Audit(vec![deed])).await?;
        let mut figures = self.store.figures(&who.tenant, from, to).await?;
        let sealed = self.sealed(&mut figures).await?;
        figures.extend(self.standing(&who.tenant).await?);
        let mut findings = findings(&figures);
        findings.extend([sealed, encryption()]);
        Ok(Report { tenant: who.tenant.as_str().to_owned(), from, to, made_at, figures, findings })
    }

    /// Whether the audit log is what was sealed, and how long it is.
    async fn sealed(&self, figures: &mut Vec<Figure>) -> Result<Finding, StoreError> {
        let log = self.store.audit_log();
        let (chain, waiting) = (log.chain().await?, log.waiting().await?);
        let rows = chain.many - chain.gone;
        let counted = [
            ("rows that are sealed", rows),
            ("rows that wait to be sealed", waiting.many),
            ("rows that were removed because they were old", chain.gone),
        ];
        let figure = |(name, many): (&str, i64)| Figure { section: "audit log", name: name.to_owned(), many };
        figures.extend(counted.into_iter().map(figure));
        let stands = match (self.metrics.audit_intact.get(), self.metrics.audit_unproved.get()) {
            (Some(0), _) => Some(Stands::Broken),
            (Some(_), Some(1)) => Some(Stands::Unproved),
            (Some(_), _) => Some(Stands::Whole),
            (None, _) => looked_through(&log, self.audit.here()).await?,
        };
        let of_all =
            format!("of all tenants together, {rows} rows are sealed, up to {}", chain.head.written());
        let words = match stands {
            Some(Stands::Whole) => {
                format!("{of_all}; they were what was sealed when this server looked last")
            }
            Some(Stands::Unproved) => format!(
                "{of_all}; they were what was sealed when this server looked last, but unproved: nothing shows that older rows \
                 went only because they were old: ask `carillon audit verify`"
            ),
            Some(Stands::Broken) => format!(
                "{of_all}; they were not what was sealed when this server looked last: ask `carillon audit verify`"
            ),
            None => format!(
                "{of_all}; they were not looked through, as that takes long: ask `carillon audit verify`"
            ),
        };
        Ok(Finding { check: "audit log", is_well: stands == Some(Stands::Whole), words })
    }
}

/// How the audit log stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Whole,
    Unproved,
    Broken,
}

/// How the log stands; nothing, if looking takes long.
async fn looked_through(log: &AuditLog, here: Here<'_>) -> Result<Option<Stands>, StoreError> {
    match tokio::time::timeout(PATIENCE, prove(log, &[], here, true)).await {
        Ok(Ok(proof)) if proof.damage.is_some() => Ok(Some(Stands::Broken)),
        Ok(Ok(proof)) if proof.is_doubtful() => Ok(Some(Stands::Unproved)),
        Ok(Ok(_)) => Ok(Some(Stands::Whole)),
        Ok(Err(StoreError::Shortened)) | Err(_) => Ok(None),
        Ok(Err(fault)) => Err(fault),
    }
}

/// Whether who reads the database alone reads texts.
fn encryption() -> Finding {
    let keys = key_ids();
    let words = match keys.split(',').next().filter(|newest| !newest.is_empty()) {
        Some(newest) => {
            format!("texts, contacts and secrets are encrypted in the database, by the key `{newest}`")
        }
        None => {
            "texts, contacts and secrets are stored in plain: set ENCRYPTION_KEYS, unless the disk itself is \
                 encrypted"
                .to_owned()
        }
    };
    Finding { check: "encryption at rest", is_well: !keys.is_empty(), words }
}

/// What is to be said of what was counted.
fn findings(figures: &[Figure]) -> Vec<Finding> {
    let many = |section: &str, name: &str| {
        figures.iter().find(|one| one.section == section && one.name == name).map_or(0, |one| one.many)
    };
    let minors = many("people", "minors");
    let alone = many("people", "minors without a guardian's contact");
    let failures = many("audit", Action::AuthFailure.name());
    let shut = many("people", "with contacts that cannot be opened");
    let finding = |check, is_well, words| Finding { check, is_well, words };
    let said = |word: &str| -> i64 {
        let such = |one: &&Figure| one.section == "consent" && one.name.ends_with(word);
        figures.iter().filter(such).map(|one| one.many).sum()
    };
    vec![
        finding(
            "consent",
            true,
            format!("{} given and {} withdrawn in this time", said("given"), said("withdrawn")),
        ),
        finding(
            "guardians",
            alone == 0,
            match alone {
                0 => format!("{minors} minors, each with a guardian's contact"),
                _ => format!(
                    "{alone} of {minors} minors have no guardian's contact: they get no e-mail and no text message"
                ),
            },
        ),
        finding(
            "damage",
            shut == 0,
            format!(
                "{shut} people have contacts that do not open; what else does not is not counted here, as that takes a look at \
                 everything: `carillon keys check` lists it"
            ),
        ),
        finding(
            "authentication",
            failures == 0,
            format!("{failures} rows tell of failed attempts to prove who one is"),
        ),
    ]
}
