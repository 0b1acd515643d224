//! Makes digests when their turn has come. What came since the last one is read and put into words beside the writer; one
//! small commit then stores the digest, what tells of it and how far it reaches, if nothing has changed meanwhile. Whoever dies
//! before it has done nothing, and nobody does it again after it: on one node or on many.
//!
//! Nobody waits for it: a few are made at once, and while others use the database it rests between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::spread::hand_out;
use super::{Dispatch, Live, TemplateFault, Templates};
use crate::domain::{
    Audience, Clock, Escalation, Idempotency, NewNotification, Priority, TemplateName, Templated, Timestamp,
    Wish,
};
use crate::render::{Scene, Template, Texts, built_in};
use crate::store::{
    DigestOutcome, DigestWrite, Gathered, NewDigest, Store, StoreError, Subscriber, Write, Written,
};

/// How often it is looked whose turn has come.
const LOOK: Duration = Duration::from_secs(5);
/// After a fault, and while somebody else is at all that is due.
const RESPITE: Duration = Duration::from_secs(1);
/// One that failed is left alone for so long.
const REST: Duration = Duration::from_secs(30);
/// Digests that are made at once.
const TOGETHER: usize = 8;
/// So long after somebody had something written, others count as using the database.
const IN_USE: Duration = Duration::from_secs(1);
/// Between a few digests and the next ones others have the database for as long as these took, at most so long.
const LONGEST_REST: Duration = Duration::from_millis(100);
/// What waits for the end of quiet hours is let out first; a digest waits for that, but not longer, in seconds.
const PATIENCE: i64 = 60;

/// How often old ones are looked for, how many are removed in one commit, and what is waited then.
const CLEARING: Duration = Duration::from_secs(60 * 60);
const FORGOTTEN_TOGETHER: i64 = 500;
const BREATH: Duration = Duration::from_millis(100);
const A_DAY: i64 = 24 * 60 * 60;

/// The template that puts them into words.
const TEMPLATE: &str = "digest";

/// Makes digests.
pub struct Digesting {
    store: Arc<Store>,
    live: Arc<Live>,
    dispatch: Arc<Dispatch>,
    templates: Arc<Templates>,
    clock: Arc<dyn Clock>,
    keep_days: u32,
}

/// Why one was not made.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Template(#[from] TemplateFault),
    #[error("there are no words for it")]
    NoWords,
}

impl Digesting {
    /// Of what stands in `store`, in the words of `templates`; goes out by `live` and `dispatch`. Those that were sent are
    /// kept for so many days; 0: for good.
    pub fn new(
        store: Arc<Store>,
        live: Arc<Live>,
        dispatch: Arc<Dispatch>,
        templates: Arc<Templates>,
        clock: Arc<dyn Clock>,
        keep_days: u32,
    ) -> Self {
        Self { store, live, dispatch, templates, clock, keep_days }
    }

    /// Makes them, without end, and clears old ones away.
    pub async fn run(self) {
        tokio::join!(self.make_all(), self.clear());
    }

    async fn make_all(&self) {
        let mut resting = HashMap::new();
        loop {
            match self.round(&mut resting).await {
                Ok(pause) => tokio::time::sleep(pause).await,
                Err(fault) => {
                    tracing::warn!(%fault, "the database does not tell whose digest is due; asking again");
                    tokio::time::sleep(RESPITE).await;
                }
            }
        }
    }

    /// Makes those that are due; returns for how long none will be.
    async fn round(&self, resting: &mut HashMap<i64, Instant>) -> Result<Duration, StoreError> {
        let now = self.clock.now();
        resting.retain(|_, until| *until > Instant::now());
        // Those that rest are the earliest: others are found behind them.
        let soon = self.store.due_digests(now.plus_seconds(LOOK.as_secs() as i64), resting.len()).await?;
        let due = soon.partition_point(|(_, at)| *at <= now);
        let (due, later) = soon.split_at(due);
        let mut rows: Vec<i64> =
            due.iter().map(|(row, _)| *row).filter(|row| !resting.contains_key(row)).collect();
        if self.store.is_shared() && !rows.is_empty() {
            // Other nodes begin elsewhere.
            let start = Uuid::now_v7().as_u64_pair().1 as usize % rows.len();
            rows.rotate_left(start);
        }
        let mut done = 0;
        for some in rows.chunks(TOGETHER) {
            let begun = Instant::now();
            let made = join_all(some.iter().map(|row| self.make(*row, now))).await;
            for (row, made) in some.iter().zip(made) {
                match made {
                    Ok(is_done) => done += usize::from(is_done),
                    Err(fault) => {
                        resting.insert(*row, Instant::now() + REST);
                        tracing::warn!(%fault, recipient.row = row, "a digest could not be made; trying again");
                    }
                }
            }
            self.dispatch.wake();
            if self.store.is_in_use(IN_USE) {
                tokio::time::sleep(begun.elapsed().min(LONGEST_REST)).await;
            }
        }
        if done > 0 {
            return Ok(Duration::ZERO);
        }
        let next = later.first().map(|(_, at)| at.as_micros() - now.as_micros());
        let next = next.and_then(|left| u64::try_from(left).ok()).map_or(LOOK, Duration::from_micros);
        Ok(if due.is_empty() { next } else { next.min(RESPITE) })
    }

    /// Makes one. Whether it is done, and not somebody else's.
    async fn make(&self, row: i64, now: Timestamp) -> Result<bool, Fault> {
        let Some(subscriber) = self.store.subscriber(row).await? else { return Ok(false) };
        let Some(due) = subscriber.next_at.filter(|due| *due <= now) else { return Ok(false) };
        if let Some(until) = subscriber.preferences.quiet_until(Priority::Normal, now) {
            return self.write(subscriber, DigestOutcome::PutOff(until)).await;
        }
        let waits = self.store.first_waiting(row, subscriber.reached).await?.is_some();
        if waits && now < due.plus_seconds(PATIENCE) {
            return Ok(false);
        }
        let gathered = self.store.gathered(&subscriber, now).await?;
        if gathered.gathering.total() == 0 {
            let upto = gathered.upto;
            return self.write(subscriber, DigestOutcome::Nothing(upto)).await;
        }
        let date = subscriber.rhythm().last_until(now).map_or_else(|| now.date(), |(day, _)| day.to_string());
        let notification = Box::new(self.notification(&subscriber, &gathered, &date, now).await?);
        self.write(subscriber, DigestOutcome::Sent { upto: gathered.upto, date, notification }).await
    }

    /// What tells of it.
    async fn notification(
        &self,
        whom: &Subscriber,
        gathered: &Gathered,
        date: &str,
        now: Timestamp,
    ) -> Result<NewNotification, Fault> {
        let data = gathered.gathering.content(date, &gathered.items);
        let zone = whom.rhythm().zone;
        let (template, texts) = self.texts(whom, &data).await?;
        let templated = Templated {
            name: template.name().clone(),
            version: template.version(),
            locale: Some(whom.locale.clone()),
            zone: Some(zone),
        };
        let wish = Wish {
            channels: whom.terms.channels.clone(),
            // All at once: it does not wait for a socket to show that it has it.
            escalation: Escalation { order: Vec::new(), ..Escalation::default() },
            template: Some(templated),
            ..Wish::default()
        };
        let uuid = Uuid::now_v7();
        Ok(NewNotification {
            tenant: whom.recipient.tenant.clone(),
            audience: Audience::One(whom.recipient.clone()),
            kind: whom.terms.kind().into(),
            topic: "".into(),
            title: texts.title,
            message: texts.message,
            data: data.to_string(),
            priority: Priority::Normal,
            action_url: None,
            sender: None,
            expires_at: None,
            wish: Some(wish),
            due_at: None,
            idempotency: Idempotency::none(uuid),
            uuid,
            created_at: now,
        })
    }

    /// Its words, by the tenant's template; by the one that is built in, if that one cannot say it.
    async fn texts(
        &self,
        whom: &Subscriber,
        data: &serde_json::Value,
    ) -> Result<(Arc<Template>, Texts), Fault> {
        let name = TemplateName::new(TEMPLATE).map_err(|_| Fault::NoWords)?;
        let own = match self.templates.current(&whom.recipient.tenant, &name).await {
            Err(TemplateFault::Store(fault)) => return Err(fault.into()),
            own => own.map_err(|fault| fault.to_string()),
        };
        let scene = Scene::new(data, whom.locale.clone(), whom.rhythm().zone).map_err(TemplateFault::from)?;
        let said = match own {
            Ok(template) => match self.templates.said(&template, scene.clone()).await {
                Ok(words) => Ok((template, words.texts)),
                Err(fault) => Err(fault.to_string()),
            },
            Err(fault) => Err(fault),
        };
        if let Err(fault) = &said {
            tracing::warn!(
                template = TEMPLATE,
                fault,
                "a tenant's template cannot say a digest; the built-in one does"
            );
        }
        if let Ok(said) = said {
            return Ok(said);
        }
        let template = built_in(&name).ok_or(Fault::NoWords)?;
        let words = template.words(&scene).map_err(TemplateFault::from)?;
        Ok((template, words.texts))
    }

    async fn write(&self, subscriber: Subscriber, outcome: DigestOutcome) -> Result<bool, Fault> {
        let (tell, told) = oneshot::channel();
        let live = self.live.clone();
        let done = move |written: Result<Written, StoreError>| {
            // Here, in the order of commits.
            if let Ok(Written::Worked { spreads, .. }) = &written {
                spreads.iter().for_each(|spread| hand_out(&live, spread));
            }
            tell.send(written).ok();
        };
        let write = DigestWrite::Make(Box::new(NewDigest { subscriber, outcome }));
        self.store.submit(Write::Digest(Arc::new(write)), Box::new(done));
        match told.await.unwrap_or(Err(StoreError::Closed))? {
            Written::Worked { done, .. } => Ok(done > 0),
            _ => Err(StoreError::Closed.into()),
        }
    }

    /// Clears away what is older than it is to be kept.
    async fn clear(&self) {
        if self.keep_days == 0 {
            return;
        }
        loop {
            let before = self.clock.now().plus_seconds(-A_DAY * i64::from(self.keep_days));
            let forget = DigestWrite::Forget { before, most: FORGOTTEN_TOGETHER };
            match self.store.write(Write::Digest(Arc::new(forget))).await {
                Ok(Written::Changed(1..)) => tokio::time::sleep(BREATH).await,
                Ok(_) => tokio::time::sleep(CLEARING).await,
                Err(fault) => {
                    tracing::warn!(%fault, "old digests could not be cleared away; trying again");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}
