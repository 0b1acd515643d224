//! What polling clients need besides the engine: back-pressure within a request, answers that every
//! client can decode, and a way to be sent back.

use std::collections::HashMap;
use std::fmt;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use crate::realtime::{Gate, Line};

/// Packets in one answer: python-engineio refuses more.
const MOST_PACKETS: usize = 16;
/// What separates them (Engine.IO 4).
const SEPARATOR: u8 = 0x1e;
/// A client that sends nothing of the body it announced for this long is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a packet beside its message.
const FRAMING: usize = 64;
/// No body takes longer, however slowly it drips or is held.
const LONGEST: Duration = Duration::from_secs(120);

/// Polling clients, by session id.
#[derive(Clone, Default)]
pub struct Pollers(Arc<Mutex<HashMap<String, Arc<Poller>>>>);

impl Pollers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Poller>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A client has joined by polling.
    pub fn joined(&self, sid: &str, line: Arc<Line>) {
        let (rest, drained) = (Mutex::default(), Notify::new());
        let posting = AtomicBool::new(false);
        let poller = Poller { line, rest, drained, posting };
        self.lock().insert(sid.to_owned(), Arc::new(poller));
    }

    /// It has left.
    pub fn left(&self, sid: &str) {
        self.lock().remove(sid);
    }

    /// The client of this session.
    pub fn get(&self, sid: &str) -> Option<Arc<Poller>> {
        self.lock().get(sid).cloned()
    }
}

#[derive(Default)]
struct Rest {
    /// Encoded packets that the next answers carry.
    packets: Bytes,
    /// It becomes a WebSocket: it will not poll for long, so nothing may be kept back.
    upgrading: bool,
}

/// One polling client.
pub struct Poller {
    /// Its valve.
    pub line: Arc<Line>,
    rest: Mutex<Rest>,
    drained: Notify,
    posting: AtomicBool,
}

/// The right to send; one request has it at a time.
pub struct Posting<'a>(&'a Poller);

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.0.posting.store(false, Ordering::Release);
    }
}

impl Poller {
    /// Takes the right to send, unless another request has it.
    pub fn post(&self) -> Option<Posting<'_>> {
        (!self.posting.swap(true, Ordering::AcqRel)).then_some(Posting(self))
    }

    /// Its upgrade came to nothing.
    pub fn stays(&self) {
        self.rest().upgrading = false;
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The next answer, if an earlier one left something over.
    pub fn leftover(&self) -> Option<Bytes> {
        let mut rest = self.rest();
        if rest.packets.is_empty() {
            return None;
        }
        let packets = std::mem::take(&mut rest.packets);
        Some(self.cut(&mut rest, packets))
    }

    /// What of `packets` is answered now; the rest is kept for the next request.
    pub fn answer(&self, packets: Bytes) -> Bytes {
        self.cut(&mut self.rest(), packets)
    }

    fn cut(&self, rest: &mut Rest, packets: Bytes) -> Bytes {
        let mut separators =
            packets.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR).map(|(at, _)| at);
        let now = match separators.nth(MOST_PACKETS - 1) {
            Some(end) if !rest.upgrading => {
                rest.packets = packets.slice(end + 1..);
                packets.slice(..end)
            }
            _ => packets,
        };
        let separators = now.iter().filter(|byte| **byte == SEPARATOR).count();
        self.line.sent(now.len() - separators);
        if rest.packets.is_empty() {
            self.drained.notify_waiters();
        }
        now
    }

    /// The client begins to upgrade: waits until it has fetched what was kept back.
    pub async fn upgrade(&self) {
        loop {
            let mut drained = std::pin::pin!(self.drained.notified());
            drained.as_mut().enable();
            {
                let mut rest = self.rest();
                rest.upgrading = true;
                if rest.packets.is_empty() {
                    return;
                }
            }
            tokio::select! {
                () = drained => {}
                () = self.line.closed() => return,
            }
        }
    }
}

/// The body of a polling request, behind the client's valve.
pub struct GatedBody {
    inner: axum::body::Body,
    gate: Gate,
    /// Read, and not yet handed on.
    piece: Bytes,
    /// Bytes of the packet that has begun: the engine holds them until it is whole.
    begun: usize,
    /// It may have so many.
    longest: usize,
    idle: Option<Pin<Box<Sleep>>>,
    deadline: Pin<Box<Sleep>>,
}

impl GatedBody {
    /// Puts `line` in front of `inner`, whose messages have `longest` bytes at most; attachments, which are written in Base64, too.
    pub fn new(inner: axum::body::Body, line: Arc<Line>, longest: usize) -> Self {
        let deadline = Box::pin(sleep(LONGEST));
        let longest = longest.div_ceil(3).saturating_mul(4).saturating_add(FRAMING);
        let gate = Gate::new(line);
        Self { inner, gate, piece: Bytes::new(), begun: 0, longest, idle: None, deadline }
    }
}

impl fmt::Debug for GatedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatedBody")
    }
}

impl Body for GatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        ready!(this.gate.poll(context));
        let line = this.gate.line();
        if line.is_closed() {
            // What was read is still answered: an error here would end the session before that.
            line.register_reader(context);
            if line.is_cut() {
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
            }
            return Poll::Pending;
        }
        if this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        if this.piece.is_empty() {
            match Pin::new(&mut this.inner).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(fault))) => return Poll::Ready(Some(Err(io::Error::other(fault)))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    let idle = this.idle.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
                    ready!(idle.as_mut().poll(context));
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
            }
            this.idle = None;
        }
        // One packet at a time: the engine takes a piece for each packet it handles, so that it can be
        // held in between.
        let end = this.piece.iter().position(|byte| *byte == SEPARATOR);
        let piece = this.piece.split_to(end.map_or(this.piece.len(), |end| end + 1));
        this.begun += piece.len();
        if this.begun > this.longest {
            return Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())));
        }
        if end.is_some() {
            this.begun = 0;
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poller() -> Poller {
        let (line, rest, drained) = (Arc::default(), Mutex::default(), Notify::new());
        Poller { line, rest, drained, posting: AtomicBool::new(false) }
    }

    fn packets(from: usize, to: usize) -> Bytes {
        (from..to).map(|number| format!("4{number}")).collect::<Vec<_>>().join("\u{1e}").into()
    }

    #[test]
    fn long_answers_come_in_parts_and_in_order() {
        let poller = poller();
        assert_eq!(poller.answer(packets(0, 16)), packets(0, 16));
        assert_eq!(poller.leftover(), None);
        assert_eq!(poller.answer(packets(0, 40)), packets(0, 16));
        assert_eq!(poller.leftover(), Some(packets(16, 32)));
        assert_eq!(poller.leftover(), Some(packets(32, 40)));
        assert_eq!(poller.leftover(), None);
    }

    #[tokio::test]
    async fn an_upgrade_waits_for_what_was_kept_back() {
        let poller = Arc::new(poller());
        poller.answer(packets(0, 60));
        let upgrade = tokio::spawn({
            let poller = poller.clone();
            async move { poller.upgrade().await }
        });
        tokio::task::yield_now().await;
        assert!(!upgrade.is_finished());
        assert_eq!(poller.leftover(), Some(packets(16, 60)), "all of it at once");
        assert!(upgrade.await.is_ok());
        assert_eq!(poller.answer(packets(0, 20)), packets(0, 20));
    }
}
