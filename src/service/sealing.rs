//! Seals the audit log, a second behind those who write it (decision 44); looks now and then whether it still is what was sealed,
//! and removes what is older than it is to be kept. Each server does it, or processes of their own; several may.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::Alarms;
use super::proof::prove;
use crate::domain::chain::{Link, Row};
use crate::domain::removal::{Here, More, Next, Removal, next};
use crate::domain::{Action, AlertKind, Clock, Deed, Tenant};
use crate::store::{AuditLog, Chain, ChainWrite, Old, Store, StoreError, Write, Written, chain_secret};
use crate::telemetry::Metrics;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether those who write have committed, and for how long.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);
/// After the start the log is looked through within this.
const FIRST: Duration = Duration::from_secs(3);
/// How often it is looked what is old.
const HOUR: u64 = 60 * 60;
/// How often it is tried again to remove rows while another node is at the chain.
const TRIES: usize = 20;
const SECONDS_A_DAY: i64 = 24 * 60 * 60;

/// Settings of `[audit]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// Days after which rows are removed; 0 keeps them for ever.
    pub keep_days: u16,
    /// Seconds after which a server looks again whether the whole log is what was sealed; 0: never.
    pub verify_seconds: u32,
    /// Seconds after which the last seal is told in the log again; 0: never.
    pub head_seconds: u32,
    /// The last row that is missing without being shown to have gone rightly, and its seal, if an operator has accepted that.
    pub accepted: Link,
}

impl AuditSettings {
    /// What is known here of removals.
    pub fn here(&self) -> Here<'_> {
        Here { keep_days: self.keep_days, has_keys: AuditLog::has_keys(), accepted: &self.accepted }
    }
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { keep_days: 0, verify_seconds: 6 * 60 * 60, head_seconds: 60 * 60, accepted: Link::default() }
    }
}

/// Does that.
pub struct Sealing {
    store: Arc<Store>,
    log: AuditLog,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    alarms: Arc<Alarms>,
    settings: AuditSettings,
    /// What an alarm was raised about: the last row that is missing without being shown to have gone rightly.
    doubted: Mutex<Option<Link>>,
}

impl Sealing {
    /// For everybody who shares `store`; `alarms` hears of what was done, and of damage.
    pub fn new(
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        alarms: Arc<Alarms>,
        settings: &AuditSettings,
    ) -> Arc<Self> {
        let log = store.audit_log();
        let (settings, doubted) = (settings.clone(), Mutex::default());
        Arc::new(Self { store, log, clock, metrics, alarms, settings, doubted })
    }

    /// Does it, without end.
    pub async fn run(self: Arc<Self>) {
        tokio::join!(self.always(), self.watch(), self.tell(), self.shorten());
    }

    async fn always(&self) {
        loop {
            if let Err(fault) = self.round().await {
                tracing::warn!(%fault, "the audit log could not be sealed; trying again");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Seals what was written before.
    ///
    /// # Errors
    /// When the database cannot answer, or what the commit failed with.
    pub async fn round(&self) -> Result<(), StoreError> {
        let Chain { head, last: upto, .. } = self.log.chain().await?;
        let sealed = match upto > head.id {
            true => self.seal(upto).await,
            false => Ok(()),
        };
        // However it came about: another node may have sealed them.
        let head = self.log.chain().await?.head;
        self.metrics.audit_unsealed.set((upto - head.id).max(0));
        sealed
    }

    /// Seals what there is up to this row.
    async fn seal(&self, upto: i64) -> Result<(), StoreError> {
        if !self.is_settled().await? {
            return Ok(());
        }
        loop {
            let started = Instant::now();
            // First how it stands: who is forgotten meanwhile shows in it.
            let from = self.log.chain().await?;
            let rows = self.log.rows(from.head.id, upto).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let Some((rows, people)) = named(rows) else {
                tracing::warn!("the system gives no random bytes; the audit log is sealed later");
                return Ok(());
            };
            let Some(seals) = seals(&rows, &from.head) else { return Err(StoreError::Closed) };
            let seal =
                ChainWrite::Seal { from, seals: seals.into(), people: people.into(), now: self.clock.now() };
            if !matches!(self.store.write(Write::Chain(Arc::new(seal))).await?, Written::Changed(1..)) {
                // Another node was faster, or is at it.
                return Ok(());
            }
            rows.iter().for_each(|row| self.alarms.done(row));
            tokio::time::sleep(started.elapsed()).await;
        }
    }

    /// Waits until those have committed who may hold numbers up to the last that is seen.
    async fn is_settled(&self) -> Result<bool, StoreError> {
        let started = Instant::now();
        let mut before = self.log.writers().await?;
        while !before.is_empty() {
            if started.elapsed() > PATIENCE {
                return Ok(false);
            }
            tokio::time::sleep(LOOK).await;
            let now = self.log.writers().await?;
            before.retain(|writer| now.contains(writer));
        }
        Ok(true)
    }

    /// Looks again and again whether the log is what was sealed.
    async fn watch(&self) {
        let Some(pause) = every(self.settings.verify_seconds) else { return };
        let mut next = pause.min(FIRST);
        loop {
            tokio::time::sleep(next).await;
            next = pause;
            match prove(&self.log, &[], self.settings.here(), true).await {
                Ok(proof) => {
                    if let Some(doubt) = &proof.backing.doubt {
                        tracing::warn!(%doubt, "of the beginning of the audit log nothing shows why it is missing");
                    }
                    // What is damaged tells nothing of its beginning.
                    if proof.damage.is_none() {
                        self.doubt(proof.backing.unproved.as_ref());
                    }
                    self.metrics.audit_intact.set(i64::from(proof.damage.is_none()));
                    if let Some(damage) = proof.damage {
                        tracing::error!(%damage, "the audit log is not what was sealed; ask `carillon audit verify`");
                        let row = damage.row().map(|id| format!("row {id}"));
                        self.alarms.raise(AlertKind::AuditChain, &Tenant::default(), row.as_deref());
                    }
                }
                Err(fault) => {
                    tracing::warn!(%fault, "the audit log could not be looked through; trying again")
                }
            }
        }
    }

    /// Nothing shows that the rows up to this one went rightly: that is told once.
    fn doubt(&self, unproved: Option<&Link>) {
        self.metrics.audit_unproved.set(i64::from(unproved.is_some()));
        let is_new = {
            let mut doubted = self.doubted.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let is_new = doubted.as_ref() != unproved;
            *doubted = unproved.cloned();
            is_new
        };
        if let Some(link) = unproved.filter(|_| is_new) {
            let row = format!("row {}", link.id);
            self.alarms.raise(AlertKind::AuditUnproved, &Tenant::default(), Some(&row));
        }
    }

    async fn tell(&self) {
        let Some(pause) = every(self.settings.head_seconds) else { return };
        loop {
            tokio::time::sleep(pause).await;
            self.tell_head().await;
        }
    }

    /// Tells the last seal, for those who keep logs elsewhere.
    pub async fn tell_head(&self) {
        match self.log.chain().await {
            Ok(Chain { head, .. }) if head.id > 0 => {
                tracing::info!(event = "audit.head", head = %head.written(), "the audit log is sealed up to here");
            }
            _ => {}
        }
    }

    async fn shorten(&self) {
        if self.settings.keep_days == 0 {
            return;
        }
        let mut pause = PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = Duration::from_secs(HOUR);
            match self.remove_old().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "old rows of the audit log were removed"),
                Err(fault) => {
                    tracing::warn!(%fault, "old rows of the audit log could not be removed; trying again")
                }
            }
        }
    }

    async fn remove_old(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let until = now.plus_seconds(-i64::from(self.settings.keep_days) * SECONDS_A_DAY);
        let (mut removed, mut missed) = (0, 0);
        loop {
            let from = self.log.chain().await?;
            let Some(Old { upto, rows, newest }) =
                self.log.older(from.anchor.id, from.head.id, until).await?
            else {
                return Ok(removed);
            };
            let Some((behind, accepted)) = self.goes_on(&from).await? else { return Ok(removed) };
            let more = More {
                from: from.anchor.clone(),
                gone: from.gone + rows,
                newest,
                keep_days: self.settings.keep_days,
                behind,
                accepted,
            };
            let mut removal = Removal::new(rows, upto.clone(), more);
            AuditLog::sign(&mut removal)?;
            let deed = Deed {
                at: now,
                tenant: Tenant::default(),
                actor: None,
                action: Action::AuditShorten,
                subject: None,
                detail: removal.detail(),
                address: None,
            };
            let started = Instant::now();
            let write = ChainWrite::Shorten { from, upto, rows, deed };
            match self.store.write(Write::Chain(Arc::new(write))).await? {
                Written::Changed(many @ 1..) => removed += many,
                _ if missed == TRIES => return Ok(removed),
                _ => missed += 1,
            }
            tokio::time::sleep(LOOK.max(started.elapsed())).await;
        }
    }

    /// What the next removal says of those before; nothing, if there cannot be one: what somebody cut off is not covered up by
    /// what is removed next.
    async fn goes_on(&self, chain: &Chain) -> Result<Option<(Option<Link>, Option<Link>)>, StoreError> {
        let last = self.log.last_removal().await?.map(|row| AuditLog::told(&row));
        match next(last.as_ref(), &chain.anchor, chain.gone, self.settings.here()) {
            Next::Tells(behind, accepted) => {
                if behind.is_some() {
                    self.doubt(behind.as_ref());
                }
                return Ok(Some((behind, accepted)));
            }
            // Another node has removed rows meanwhile.
            _ if self.log.chain().await?.anchor != chain.anchor => {}
            Next::Untold => tracing::error!(
                "rows at the beginning of the audit log are missing, and no row tells of their removal; nothing more is \
                 removed; ask `carillon audit verify`"
            ),
            Next::LacksKey(key) => {
                self.doubt(Some(&chain.anchor));
                tracing::error!(
                    key,
                    "the last removal of old rows of the audit log is signed by a key that is not among ENCRYPTION_KEYS here; \
                     nothing more is removed until it is; ask `carillon audit verify`"
                );
            }
        }
        Ok(None)
    }
}

fn every(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// Rows, and new secrets: tenant, name, secret.
type Named = (Vec<Row>, Vec<(String, String, Vec<u8>)>);

/// Gives everybody a secret who has none; nothing, if there are no random bytes.
fn named(mut rows: Vec<Row>) -> Option<Named> {
    let mut new: HashMap<(String, String), Vec<u8>> = HashMap::new();
    for row in &rows {
        for name in row.strangers() {
            if let Entry::Vacant(whose) = new.entry((row.tenant.clone(), name.to_owned())) {
                whose.insert(chain_secret()?);
            }
        }
    }
    if !new.is_empty() {
        for row in &mut rows {
            let of = |name: &Option<String>| {
                name.as_ref().and_then(|name| new.get(&(row.tenant.clone(), name.clone())).cloned())
            };
            let (actor, subject) = (of(&row.actor), of(&row.subject));
            row.actor_secret = row.actor_secret.take().or(actor);
            row.subject_secret = row.subject_secret.take().or(subject);
        }
    }
    Some((rows, new.into_iter().map(|((tenant, name), secret)| (tenant, name, secret)).collect()))
}

/// The seals of `rows`, behind `head`.
fn seals(rows: &[Row], head: &Link) -> Option<Vec<Link>> {
    let mut before = head.hash.clone();
    let mut seals = Vec::with_capacity(rows.len());
    for row in rows {
        before = row.seal(&before)?;
        seals.push(Link { id: row.id, hash: before.clone() });
    }
    Some(seals)
}
