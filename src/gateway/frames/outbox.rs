//! The writing end of a WebSocket: whoever pushes leaves whole frames, the session's task sends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};

use bytes::Bytes;

use crate::realtime::{Line, PushError};

/// A client that leaves this many bytes unread is closed.
pub const MOST_UNSENT: usize = 32 * 1024 * 1024;

/// Why a session is to end.
#[derive(Clone, Copy, Debug)]
pub struct Dismissal {
    /// The close code.
    pub code: u16,
    /// What it says beside it.
    pub reason: &'static str,
    /// Whether that comes instead of what waits, not behind it.
    pub instead: bool,
}

/// What waits to be sent to one client.
pub struct Outbox {
    line: Arc<Line>,
    /// So many packets may wait.
    most: usize,
    queue: Mutex<Queue>,
}

struct Queue {
    waiting: VecDeque<Bytes>,
    /// Frames that were taken and are not sent yet.
    taken: usize,
    /// The session's task, if it sleeps.
    sleeper: Option<Waker>,
    /// Why the session is to end, if it is.
    dismissed: Option<Dismissal>,
    is_closed: bool,
}

impl Outbox {
    /// Empty; `most` packets may wait in it.
    pub fn new(line: Arc<Line>, most: usize) -> Arc<Self> {
        let queue =
            Queue { waiting: VecDeque::new(), taken: 0, sleeper: None, dismissed: None, is_closed: false };
        Arc::new(Self { line, most, queue: Mutex::new(queue) })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Leaves a frame to be sent.
    ///
    /// # Errors
    /// When too much waits already, or nothing will be sent any more.
    pub fn push(&self, frame: Bytes) -> Result<(), PushError> {
        let mut queue = self.lock();
        if queue.dismissed.is_some() {
            return Err(PushError::Gone);
        }
        if !queue.is_closed && queue.waiting.len() + queue.taken >= self.most {
            return Err(PushError::Full);
        }
        self.add(&mut queue, frame)?;
        let sleeper = queue.sleeper.take();
        drop(queue);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Ok(())
    }

    /// Leaves a frame of the session itself, whatever waits already; to be called by its task.
    pub fn add_own(&self, frame: Bytes) {
        self.add(&mut self.lock(), frame).ok();
    }

    /// The last frame; nothing can be pushed any more. To be called by the session's task.
    pub fn end(&self, frame: Bytes) {
        let mut queue = self.lock();
        self.add(&mut queue, frame).ok();
        queue.is_closed = true;
    }

    fn add(&self, queue: &mut Queue, frame: Bytes) -> Result<(), PushError> {
        if queue.is_closed {
            return Err(PushError::Gone);
        }
        // Counted before it can be sent.
        let bytes = frame.len();
        if self.line.queued(bytes) - bytes > MOST_UNSENT {
            return Err(PushError::Full);
        }
        queue.waiting.push_back(frame);
        Ok(())
    }

    /// The session's task runs: who pushes need not wake it. Returns why it is to end, if it is.
    pub fn awake(&self) -> Option<Dismissal> {
        let mut queue = self.lock();
        queue.sleeper = None;
        queue.dismissed
    }

    /// Ends the session. Nothing can be pushed any more.
    pub fn dismiss(&self, dismissal: Dismissal) {
        let mut queue = self.lock();
        queue.dismissed.get_or_insert(dismissal);
        if dismissal.instead {
            let bytes = queue.waiting.drain(..).map(|frame| frame.len()).sum();
            self.line.sent(bytes);
        }
        let sleeper = queue.sleeper.take();
        drop(queue);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// The valve of its client.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Of the frames that were taken, so many are not sent yet.
    pub fn sent(&self, left: usize) {
        self.lock().taken = left;
    }

    /// Takes what waits. If nothing does, whoever pushes next wakes the task.
    pub fn take(&self, context: &Context<'_>) -> Option<VecDeque<Bytes>> {
        let mut queue = self.lock();
        queue.taken = queue.waiting.len();
        if queue.waiting.is_empty() {
            queue.sleeper = Some(context.waker().clone());
            return None;
        }
        Some(std::mem::take(&mut queue.waiting))
    }

    /// Nobody is there any more.
    pub fn close(&self) {
        let mut queue = self.lock();
        queue.is_closed = true;
        queue.sleeper = None;
        queue.waiting = VecDeque::new();
        drop(queue);
        self.line.cut();
    }
}
