//! The writing end of a WebSocket: whoever pushes leaves whole frames, the session's task sends them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::packet;
use crate::gateway::socketio::{Ack, MOST_UNSENT};
use crate::realtime::{Close, Encoded, Line, Outlet, PushError, Transport};

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
    is_closed: bool,
}

impl Outbox {
    /// Empty; `most` packets may wait in it.
    pub fn new(line: Arc<Line>, most: usize) -> Arc<Self> {
        let queue = Queue { waiting: VecDeque::new(), taken: 0, sleeper: None, is_closed: false };
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

    /// The session's task runs: who pushes need not wake it.
    pub fn awake(&self) {
        self.lock().sleeper = None;
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

    /// The ack that an event with this number wants.
    pub fn ack(self: &Arc<Self>, number: u64) -> Ack {
        let outbox = self.clone();
        Ack::wanted(move |payload| {
            // An ack that finds no room must not vanish while its socket lives on.
            if outbox.push(packet::ack(number, payload)) == Err(PushError::Full) {
                outbox.line.cut();
            }
        })
    }
}

/// A connection's share of its outbox.
pub struct Wire(pub Arc<Outbox>);

impl Outlet for Wire {
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError> {
        self.0.push(packet::event(event, payload))
    }

    fn push_encoded(&self, encoded: &Encoded) -> Result<(), PushError> {
        let frame = encoded.frame.get_or_init(|| packet::event(encoded.event, &encoded.payload));
        self.0.push(frame.clone())
    }

    fn close(&self, how: Close) {
        match how {
            Close::AfterFlush => self.0.line.close(),
            Close::Now => self.0.line.cut(),
        }
    }

    fn pause(&self, paused: bool) {
        if paused { self.0.line.pause() } else { self.0.line.resume() }
    }

    fn hold(&self, pause: Duration) {
        self.0.line.hold(pause);
    }

    fn trust(&self, trusted: bool) {
        if trusted { self.0.line.trust() } else { self.0.line.distrust() }
    }

    fn unsent(&self) -> usize {
        self.0.line.unsent()
    }

    fn transport(&self) -> Transport {
        Transport::Stream
    }
}
