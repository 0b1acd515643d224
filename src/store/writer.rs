//! Group commit: while one commit is in flight, the next batch gathers. An idle server adds no delay.
//!
//! One writer commits batches in order. Completions run in that order too, on one task, so that what
//! they do for a recipient happens in the order of the recipient's positions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{DigestWrite, Done, PrivacyWrite, StoreError, Write, Written};
use crate::telemetry::{Metrics, vital};

/// A queued write.
pub(super) struct Job {
    pub write: Write,
    pub done: Done,
}

type Finished = Vec<(Done, Result<Written, StoreError>)>;

/// The queue in front of the one writer.
pub(super) struct Writer {
    jobs: mpsc::UnboundedSender<Job>,
    metrics: Arc<Metrics>,
    well: Arc<AtomicBool>,
    started: Instant,
    /// When something last came that somebody waits for: milliseconds after the start, and one more.
    awaited: AtomicU64,
}

/// The writer's end of the queue.
pub(super) struct Inlet {
    jobs: mpsc::UnboundedReceiver<Job>,
    /// What hands out places by itself, notes who is connected, or holds the audit log's chain has a commit of its own:
    /// nobody else's write waits for it in theirs, and places are given in the order in which completions run.
    chunk: Option<Job>,
    finished: mpsc::UnboundedSender<Finished>,
    batch: usize,
    metrics: Arc<Metrics>,
    well: Arc<AtomicBool>,
}

/// A queue whose batches hold at most `batch` writes. Must be called inside the runtime.
pub(super) fn queue(batch: usize, metrics: Arc<Metrics>) -> (Writer, Inlet) {
    // Unbounded by type, bounded by its users: a connection stops being read while too much of its
    // own is under way (`realtime::Line`), and the tasks beside them wait for each write.
    let (jobs, waiting) = mpsc::unbounded_channel();
    let (finished, completions) = mpsc::unbounded_channel();
    vital("completions", complete(completions));
    let well = Arc::new(AtomicBool::new(true));
    let (batch, noted, shared) = (batch.max(1), metrics.clone(), well.clone());
    let inlet = Inlet { jobs: waiting, chunk: None, finished, batch, metrics: noted, well: shared };
    (Writer { jobs, metrics, well, started: Instant::now(), awaited: AtomicU64::new(0) }, inlet)
}

impl Writer {
    pub fn submit(&self, write: Write, done: Done) {
        self.metrics.write_queue.inc();
        if write.is_awaited() {
            self.awaited.store(self.age() + 1, Ordering::Relaxed);
        }
        if let Err(refused) = self.jobs.send(Job { write, done }) {
            self.metrics.write_queue.dec();
            (refused.0.done)(Err(StoreError::Closed));
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// Whether something that somebody waits for came within so long.
    pub fn was_awaited_within(&self, span: Duration) -> bool {
        let last = self.awaited.load(Ordering::Relaxed);
        last > 0 && u128::from(self.age() + 1 - last.min(self.age() + 1)) < span.as_millis()
    }

    /// Whether the last commit went well (true before the first one).
    pub fn is_well(&self) -> bool {
        self.well.load(Ordering::Acquire) && !self.jobs.is_closed()
    }
}

impl Inlet {
    /// The next batch, for a writer that owns its thread; `None` when the store is closed.
    pub fn next_blocking(&mut self) -> Option<Vec<Job>> {
        match self.chunk.take() {
            Some(chunk) => Some(vec![chunk]),
            None => self.jobs.blocking_recv().map(|first| self.gather(first)),
        }
    }

    /// The next batch, for a writer that is a task; `None` when the store is closed.
    pub async fn next(&mut self) -> Option<Vec<Job>> {
        match self.chunk.take() {
            Some(chunk) => Some(vec![chunk]),
            None => self.jobs.recv().await.map(|first| self.gather(first)),
        }
    }

    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut batch = Vec::with_capacity(self.jobs.len().min(self.batch) + 1);
        batch.push(first);
        while batch.len() < self.batch && !is_chunk(&batch[0]) {
            match self.jobs.try_recv() {
                Ok(job) if is_chunk(&job) => {
                    self.chunk = Some(job);
                    break;
                }
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
        }
        batch
    }

    /// Notes how long the commit took.
    pub fn committed(&self, writes: usize, since: Instant) {
        self.metrics.commit_seconds.observe(since.elapsed().as_secs_f64());
        self.metrics.commit_writes.observe(writes as f64);
    }

    /// Reports what came of a whole batch.
    pub fn report(&self, writes: &[Write], done: Vec<Done>, outcomes: Vec<Result<Written, StoreError>>) {
        self.metrics.write_queue.dec_by(i64::try_from(writes.len()).unwrap_or(0));
        // A barrier goes well whatever the database does.
        let mut real = writes.iter().zip(&outcomes).filter(|(write, _)| write.is_stored()).peekable();
        if real.peek().is_some() {
            self.well.store(real.any(|(_, outcome)| outcome.is_ok()), Ordering::Release);
        }
        let finished: Finished = done.into_iter().zip(outcomes).collect();
        // Nobody listens only when the runtime is gone, and with it everybody who waits.
        self.finished.send(finished).ok();
    }
}

fn is_chunk(job: &Job) -> bool {
    match &job.write {
        Write::Work { .. }
        | Write::Analytics(_)
        | Write::Chain(_)
        | Write::Sweep(_)
        | Write::Scrub(_)
        | Write::Reach(..)
        | Write::Presence { .. }
        | Write::Reap(_)
        | Write::Leave(_) => true,
        Write::Digest(write) => matches!(**write, DigestWrite::Make(_)),
        Write::Privacy(write) => matches!(**write, PrivacyWrite::Erase { .. }),
        _ => false,
    }
}

/// Runs completions in commit order. One that panics is logged and takes nobody with it.
async fn complete(mut batches: mpsc::UnboundedReceiver<Finished>) {
    while let Some(batch) = batches.recv().await {
        for (done, outcome) in batch {
            if catch_unwind(AssertUnwindSafe(|| done(outcome))).is_err() {
                tracing::error!("a completion panicked; its write is durable, its caller has no answer");
            }
        }
        // Sockets drain what this batch gave them before the next one comes.
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::{DigestTerms, Locale, Preferences, Recipient, Tenant, UserId};
    use crate::store::{DigestOutcome, NewDigest, Subscriber};

    fn digest() -> Write {
        let recipient = Recipient { tenant: Tenant::default(), user: UserId::new("1").unwrap() };
        let subscriber = Subscriber {
            row: 1,
            recipient,
            terms: DigestTerms::default(),
            next_at: None,
            reached: 0,
            preferences: Preferences::default(),
            locale: Locale::default(),
        };
        Write::Digest(Arc::new(DigestWrite::Make(Box::new(NewDigest {
            subscriber,
            outcome: DigestOutcome::Nothing(0),
        }))))
    }

    #[tokio::test]
    async fn what_hands_out_places_by_itself_has_a_commit_of_its_own() {
        let (writer, mut inlet) = queue(256, Arc::default());
        for write in [
            Write::Probe,
            digest(),
            Write::Probe,
            Write::Probe,
            Write::Leave("node".into()),
            digest(),
            Write::Probe,
        ] {
            writer.submit(write, Box::new(|_| ()));
        }
        let mut batches = Vec::new();
        for _ in 0..6 {
            let batch = inlet.next().await.unwrap();
            batches.push(batch.iter().map(is_chunk).collect::<Vec<_>>());
        }
        assert_eq!(
            batches,
            [vec![false], vec![true], vec![false, false], vec![true], vec![true], vec![false]]
        );
    }
}
