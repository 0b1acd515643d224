//! The valve on a client's line: it can be held, and it can be cut.
//!
//! Whoever moves bytes asks it first. That is how a sender is slowed by back-pressure instead of
//! errors, and how a connection is closed when the protocol library offers no way to do it.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

const CLOSED: u8 = 1;
const CUT: u8 = 2;
const PAUSED: u8 = 4;
const TRUSTED: u8 = 8;
const METERED: u8 = 16;
const BACKLOGGED: u8 = 32;

/// With more unsent bytes than this, a back end is not read.
const BACKLOG: usize = 256 * 1024;

/// The valve of one client.
#[derive(Default)]
pub struct Line {
    state: AtomicU8,
    /// Reading is held until this many milliseconds after [`epoch`].
    held_until: AtomicU64,
    /// Bytes that were pushed and not sent yet, roughly.
    unsent: AtomicUsize,
    reader: AtomicWaker,
    writer: AtomicWaker,
    changed: Notify,
    /// The connection that a polling client upgraded to; it is held and cut with this one.
    successor: OnceLock<Arc<Line>>,
    /// The polling client's line, which counts what this one sends.
    predecessor: OnceLock<Weak<Line>>,
}

/// Process start, near enough: what `held_until` counts from.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn millis_now() -> u64 {
    u64::try_from(epoch().elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Line {
    fn set(&self, flags: u8) {
        self.state.fetch_or(flags, Ordering::AcqRel);
        self.wake();
        if let Some(successor) = self.successor.get() {
            successor.set(flags);
        }
    }

    fn has(&self, flags: u8) -> bool {
        self.state.load(Ordering::Acquire) & flags != 0
    }

    fn wake(&self) {
        self.reader.wake();
        self.writer.wake();
        self.changed.notify_waiters();
    }

    /// Ends reading: what was pushed still goes out, then the client is told and comes back.
    pub fn close(&self) {
        self.set(CLOSED);
    }

    /// Ends both directions at once: for clients that do not read.
    pub fn cut(&self) {
        self.set(CLOSED | CUT);
    }

    /// Holds reading until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.set(PAUSED);
    }

    /// Reads on.
    pub fn resume(&self) {
        self.clear(PAUSED);
    }

    fn clear(&self, flags: u8) {
        self.state.fetch_and(!flags, Ordering::AcqRel);
        self.wake();
        if let Some(successor) = self.successor.get() {
            successor.clear(flags);
        }
    }

    /// `bytes` more wait to be sent; returns how many do. A back end with many unread answers is read no
    /// further: it would only get more.
    pub fn queued(&self, bytes: usize) -> usize {
        let unsent = self.unsent.fetch_add(bytes, Ordering::AcqRel) + bytes;
        if unsent > BACKLOG {
            self.set(BACKLOGGED);
        }
        unsent
    }

    /// How many bytes wait to be sent; none when the line is cut.
    pub fn unsent(&self) -> usize {
        if self.is_cut() {
            return 0;
        }
        match self.predecessor.get().and_then(Weak::upgrade) {
            Some(predecessor) => predecessor.unsent(),
            None => self.unsent.load(Ordering::Acquire),
        }
    }

    /// Whether the client is to see the end of the stream: reading has ended, and it has what was pushed.
    pub fn is_over(&self) -> bool {
        self.is_closed() && self.unsent() == 0
    }

    /// `bytes` were sent, framing included.
    pub fn sent(&self, bytes: usize) {
        if let Some(predecessor) = self.predecessor.get().and_then(Weak::upgrade) {
            predecessor.sent(bytes);
        } else {
            self.count_sent(bytes);
        }
        if self.is_over() {
            self.reader.wake();
        }
    }

    fn count_sent(&self, bytes: usize) {
        let left = |unsent: usize| Some(unsent.saturating_sub(bytes));
        let before = self.unsent.fetch_update(Ordering::AcqRel, Ordering::Acquire, left);
        let unsent = before.unwrap_or_else(|same| same).saturating_sub(bytes);
        if unsent < BACKLOG / 2 && self.has(BACKLOGGED) {
            self.clear(BACKLOGGED);
        }
    }

    fn is_held(&self) -> bool {
        let state = self.state.load(Ordering::Acquire);
        let backlogged = state & (BACKLOGGED | TRUSTED) == BACKLOGGED | TRUSTED;
        (state & PAUSED != 0 || backlogged) && state & CLOSED == 0
    }

    /// Holds reading for `pause` from now: the client sent faster than it may.
    pub fn hold(&self, pause: Duration) {
        let until = millis_now().saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        self.held_until.fetch_max(until, Ordering::AcqRel);
        if let Some(successor) = self.successor.get() {
            successor.hold(pause);
        }
    }

    /// Counts what comes in from now on.
    pub fn meter(&self) {
        self.set(METERED);
    }

    /// Whether what comes in is counted.
    pub fn is_metered(&self) -> bool {
        self.has(METERED) && !self.has(TRUSTED)
    }

    /// An authenticated back end: it is not metered.
    pub fn trust(&self) {
        self.set(TRUSTED);
    }

    /// It is one no longer.
    pub fn distrust(&self) {
        self.clear(TRUSTED);
    }

    /// Whether this is an authenticated back end's.
    pub fn is_trusted(&self) -> bool {
        self.has(TRUSTED)
    }

    /// Whether reading has ended.
    pub fn is_closed(&self) -> bool {
        self.has(CLOSED)
    }

    /// Whether both directions have ended.
    pub fn is_cut(&self) -> bool {
        self.has(CUT)
    }

    /// Whether reading may go on now.
    pub fn is_open(&self) -> bool {
        !self.is_closed() && !self.is_held() && self.held_for().is_none()
    }

    /// Makes `next` follow this line, as a WebSocket follows the polling client that opened it.
    pub fn succeed(self: &Arc<Self>, next: &Arc<Self>) {
        if self.successor.set(next.clone()).is_ok() {
            next.set(self.state.load(Ordering::Acquire));
            next.predecessor.set(Arc::downgrade(self)).ok();
        }
    }

    /// How much longer reading is held for speed, if it is.
    pub fn held_for(&self) -> Option<Duration> {
        let until = self.held_until.load(Ordering::Acquire);
        if until == 0 {
            return None;
        }
        let left = until.saturating_sub(millis_now());
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// Ready when reading may go on or has ended; not aware of [`held_for`](Self::held_for).
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_held() {
            self.reader.register(context.waker());
            if self.is_held() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Lets [`close`](Self::close) wake a reader that waits for bytes.
    pub fn register_reader(&self, context: &Context<'_>) {
        self.reader.register(context.waker());
    }

    /// Lets [`cut`](Self::cut) wake a writer that waits for the client.
    pub fn register_writer(&self, context: &Context<'_>) {
        self.writer.register(context.waker());
    }

    /// Waits until the line is closed.
    pub async fn closed(&self) {
        self.until(|| self.is_closed()).await;
    }

    async fn until(&self, reached: impl Fn() -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached() {
                return;
            }
            poll_fn(|context| changed.as_mut().poll(context)).await;
        }
    }
}

/// Asks a line before reading; also waits while it is held for speed.
pub struct Gate {
    line: Arc<Line>,
    held: Option<Pin<Box<Sleep>>>,
}

impl Gate {
    /// In front of whoever reads from this `line`'s client.
    pub fn new(line: Arc<Line>) -> Self {
        Self { line, held: None }
    }

    /// The line.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Waits `pause` before the next read.
    pub fn wait(&mut self, pause: Duration) {
        self.held = Some(Box::pin(sleep(pause)));
    }

    /// Ready when reading may go on, or has ended.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        ready!(self.line.poll_readable(context));
        loop {
            if let Some(held) = &mut self.held {
                if !self.line.is_closed() {
                    ready!(held.as_mut().poll(context));
                }
                self.held = None;
            }
            match self.line.held_for() {
                Some(left) if !self.line.is_closed() => self.wait(left),
                _ => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_successor_is_held_and_cut_with_its_line() {
        let (old, new) = (Arc::new(Line::default()), Arc::new(Line::default()));
        old.pause();
        old.succeed(&new);
        assert!(new.has(PAUSED));
        old.resume();
        assert!(!new.has(PAUSED));
        old.cut();
        assert!(new.is_cut());
        new.closed().await;
    }

    #[tokio::test]
    async fn a_back_end_that_reads_no_answers_is_read_no_further() {
        let line = Arc::new(Line::default());
        line.queued(BACKLOG + 1);
        assert!(!line.is_held(), "a page may be slow");
        line.trust();
        assert!(line.is_held());
        line.resume();
        assert!(line.is_held(), "requests in flight are another matter");
        line.sent(BACKLOG);
        assert!(!line.is_held());
        line.pause();
        let waiter = tokio::spawn({
            let line = line.clone();
            async move { poll_fn(|context| line.poll_readable(context)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        line.close();
        assert!(waiter.await.is_ok(), "waiting ends when the line is closed");
    }
}
