//! One WebSocket: a task that reads, sends and watches the time. It holds no buffer while nothing is under way. What
//! is said over it is the business of a [`Talk`].

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::frame::{self, Kind, Reader, Said};
use super::outbox::{Dismissal, Outbox};
use crate::realtime::Gate;

/// Read at once.
const BLOCK: usize = 8 * 1024;
/// Blocks read before others get their turn.
const MOST_BLOCKS: usize = 4;
/// Frames sent by one system call.
const MOST_SLICES: usize = 64;
/// Who is sent away has this long to hear it.
pub const LAST_WORD: Duration = Duration::from_secs(1);

/// A protocol over one WebSocket. It answers through the outbox, and never waits.
pub trait Talk: Send + 'static {
    /// Its name in logs.
    fn name(&self) -> &str;
    /// Something may have happened elsewhere.
    fn awake(&mut self) {}
    /// A text message came.
    ///
    /// # Errors
    /// When the session ends by it; as below.
    fn text(&mut self, text: &str) -> Result<(), Ended>;
    /// A binary message of so many bytes came.
    ///
    /// # Errors
    /// As above.
    fn binary(&mut self, bytes: usize) -> Result<(), Ended>;
    /// A ping came; it is answered already.
    fn ping(&mut self) {}
    /// A pong came, which says this.
    fn pong(&mut self, _said: &[u8]) {}
    /// Whether nothing is to be read until [`Talk::act`] says otherwise.
    fn is_deaf(&self) -> bool {
        false
    }
    /// Whether an answer to what was read is under way.
    fn is_busy(&self) -> bool {
        false
    }
    /// When [`Talk::act`] is to be called, whatever comes.
    fn due(&self) -> Instant;
    /// Does what is due.
    ///
    /// # Errors
    /// As above.
    fn act(&mut self, now: Instant) -> Result<(), Ended>;
    /// It has ended, or will in a moment. May be called more than once.
    fn leave(&mut self);
}

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Nobody is there any more.
    #[error("the stream ended")]
    Gone,
    /// Its stream is broken.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// It said goodbye.
    #[error("the client left")]
    Left,
    /// It broke a rule of the WebSocket protocol.
    #[error("{0}")]
    Broken(#[from] frame::Broken),
    /// It does not read.
    #[error("the client reads too slowly")]
    Full,
    /// It is to connect again, to another server maybe.
    #[error("the server sent it back")]
    SentBack,
    /// A close code, and its reason.
    #[error("{1}")]
    Because(u16, &'static str),
}

impl Ended {
    /// What the close frame says; nothing if there is nobody to read one.
    fn words(&self) -> Option<(u16, String)> {
        Some(match self {
            Self::Gone | Self::Lost(_) | Self::Full => return None,
            Self::Left => (1000, String::new()),
            Self::SentBack => (1001, "The server is restarting; connect again.".to_owned()),
            Self::Broken(broken) => (broken.code(), broken.to_string()),
            Self::Because(code, reason) => (*code, (*reason).to_owned()),
        })
    }
}

/// One WebSocket session.
pub struct Session<S, T: Talk> {
    stream: S,
    talk: T,
    outbox: Arc<Outbox>,
    gate: Gate,
    reader: Reader,
    /// Bytes of frames that have not been read to their end.
    inbox: Vec<u8>,
    /// Taken from the outbox, and under way.
    sending: VecDeque<Bytes>,
    /// It is sent away, and everything ends then at the latest.
    leaving: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, T: Talk> Session<S, T> {
    /// A session over `stream`, whose messages may have `longest` bytes.
    pub fn new(stream: S, outbox: Arc<Outbox>, longest: usize, talk: T) -> Self {
        Self {
            stream,
            talk,
            gate: Gate::new(outbox.line().clone()),
            outbox,
            reader: Reader::new(longest),
            inbox: Vec::new(),
            sending: VecDeque::new(),
            leaving: None,
        }
    }

    /// Serves it to its end.
    pub async fn run(mut self) {
        let mut alarm = pin!(sleep_until(self.due()));
        let ended = poll_fn(|context| self.poll(context, alarm.as_mut())).await;
        if let Err(ended) = ended {
            tracing::debug!(socket.id = self.talk.name(), reason = %ended, "socket closed");
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Result<(), Ended>> {
        // Before anything is looked at, so that no change is missed.
        self.gate.line().register_reader(context);
        let dismissed = self.outbox.awake();
        self.talk.awake();
        if self.gate.line().is_cut() {
            return Poll::Ready(Err(Ended::Gone));
        }
        let step = match dismissed.filter(|_| self.leaving.is_none()) {
            Some(Dismissal { code, reason, instead }) => {
                if instead {
                    // What is under way is sent to its end.
                    self.sending.truncate(1);
                }
                self.see_off(context, Ended::Because(code, reason))
            }
            None => match self.step(context, alarm.as_mut()) {
                Poll::Ready(Err(ended)) => self.see_off(context, ended),
                step => step,
            },
        };
        // Where the next thing is due later than it was, the alarm is left to go off: cheaper than setting it.
        if step.is_pending() && self.due() < alarm.deadline() {
            alarm.as_mut().reset(self.due());
            if alarm.poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        step
    }

    fn step(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Result<(), Ended>> {
        // Read first: a pong may have come while this process was kept from looking.
        if self.leaving.is_none()
            && let Poll::Ready(read) = self.read(context)
        {
            read?;
        }
        while alarm.as_mut().poll(context).is_ready() {
            let (now, was_deaf) = (Instant::now(), self.talk.is_deaf());
            match self.leaving {
                Some(until) if until <= now => return Poll::Ready(Err(Ended::Full)),
                Some(_) => {}
                None => self.talk.act(now)?,
            }
            if was_deaf && !self.talk.is_deaf() {
                // Reading goes on.
                context.waker().wake_by_ref();
            }
            alarm.as_mut().reset(self.due());
        }
        ready!(self.send(context))?;
        match self.leaving {
            // It has heard all there was.
            Some(_) => Poll::Ready(Ok(())),
            // What it said while the line was being closed is answered first; who closes it looks again.
            None if self.talk.is_busy() => Poll::Pending,
            None if self.gate.line().is_closed() => Poll::Ready(Err(Ended::SentBack)),
            _ => Poll::Pending,
        }
    }

    /// Ends politely, if there is somebody who can be told.
    fn see_off(&mut self, context: &mut Context<'_>, ended: Ended) -> Poll<Result<(), Ended>> {
        let (Some((code, reason)), None) = (ended.words(), self.leaving) else {
            return Poll::Ready(Err(ended));
        };
        tracing::debug!(socket.id = self.talk.name(), reason = %ended, "socket sent away");
        self.talk.leave();
        self.leaving = Some(Instant::now() + LAST_WORD);
        self.outbox.end(frame::close(code, &reason));
        ready!(self.send(context))?;
        Poll::Ready(Ok(()))
    }

    /// When something is to be done next, whatever comes.
    fn due(&self) -> Instant {
        self.leaving.unwrap_or_else(|| self.talk.due())
    }

    // ---- reading -----------------------------------------------------------------------------

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        for _ in 0..MOST_BLOCKS {
            ready!(self.gate.poll(context));
            if self.gate.line().is_closed() || self.talk.is_deaf() {
                return Poll::Pending;
            }
            if !self.inbox.is_empty() {
                let mut inbox = std::mem::take(&mut self.inbox);
                let read = self.frames(&mut inbox)?;
                if read < inbox.len() {
                    inbox.drain(..read);
                    self.inbox = inbox;
                }
                if !self.gate.line().is_open() {
                    continue;
                }
            }
            let mut block = [MaybeUninit::uninit(); BLOCK];
            let mut block = ReadBuf::uninit(&mut block);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut block))?;
            let came = block.filled_mut();
            if came.is_empty() {
                return Poll::Ready(Err(Ended::Gone));
            }
            let read = if self.inbox.is_empty() { self.frames(came)? } else { 0 };
            self.inbox.extend_from_slice(&came[read..]);
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hears the frames in `bytes`, for as long as reading is allowed; returns how many bytes they were.
    fn frames(&mut self, bytes: &mut [u8]) -> Result<usize, Ended> {
        let mut read = 0;
        while self.gate.line().is_open() && !self.talk.is_deaf() {
            let Some((length, said)) = self.reader.next(&mut bytes[read..])? else { break };
            read += length;
            match said {
                Said::Piece => {}
                Said::Pong(said) => self.talk.pong(said),
                Said::Text(text) => self.talk.text(&text)?,
                Said::Binary(length) => self.talk.binary(length)?,
                Said::Ping(payload) => {
                    self.outbox.push(frame::frame(Kind::Pong, payload)).map_err(|_| Ended::Full)?;
                    self.talk.ping();
                }
                Said::Close => return Err(Ended::Left),
            }
        }
        Ok(read)
    }
}

// ---- sending -----------------------------------------------------------------------------------

impl<S: AsyncWrite + Unpin, T: Talk> Session<S, T> {
    /// Sends what waits, as much as possible at once. Ready when nothing does: then whoever pushes wakes the task.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_empty() {
                match self.outbox.take(context) {
                    Some(frames) => self.sending = frames,
                    None => {
                        self.sending = VecDeque::new();
                        // What was written may wait in a stream that encrypts.
                        return Pin::new(&mut self.stream).poll_flush(context);
                    }
                }
            }
            let stream = Pin::new(&mut self.stream);
            let written = match self.sending.len() {
                1 => ready!(stream.poll_write(context, &self.sending[0]))?,
                _ => {
                    let mut slices = [IoSlice::new(&[]); MOST_SLICES];
                    let frames = self.sending.iter().zip(&mut slices);
                    let many = frames.map(|(frame, slice)| *slice = IoSlice::new(frame)).count();
                    ready!(stream.poll_write_vectored(context, &slices[..many]))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.went_out(written);
        }
    }

    fn went_out(&mut self, mut bytes: usize) {
        while let Some(first) = self.sending.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                break;
            }
            bytes -= first.len();
            self.sending.pop_front();
        }
        if !self.sending.is_empty() {
            self.outbox.sent(self.sending.len());
        }
    }
}

/// However it ends.
impl<S, T: Talk> Drop for Session<S, T> {
    fn drop(&mut self) {
        self.outbox.close();
        self.talk.leave();
    }
}
