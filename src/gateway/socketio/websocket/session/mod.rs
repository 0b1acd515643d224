//! One WebSocket: a task that reads, sends and watches the heartbeat. It holds no buffer while nothing is under way.
//! `talk` is what it does about what the client says.

mod state;
mod talk;

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::frame::{self, Kind, Reader, Said};
use super::outbox::Outbox;
use super::packet;
use super::{House, Sid};
use crate::gateway::socketio::pace::Pace;
use crate::realtime::{Gate, Line};
use state::{Ended, Incomplete, Standing};

/// Read at once.
const BLOCK: usize = 8 * 1024;
/// Blocks read before others get their turn.
const MOST_BLOCKS: usize = 4;
/// Frames sent by one system call.
const MOST_SLICES: usize = 64;
/// Who is sent away has this long to hear it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// One WebSocket session.
pub struct Session<S> {
    stream: S,
    house: Arc<House>,
    sid: Sid,
    address: IpAddr,
    outbox: Arc<Outbox>,
    gate: Gate,
    standing: Standing,
    reader: Reader,
    /// Bytes of frames that have not been read to their end.
    inbox: Vec<u8>,
    incomplete: Option<Box<Incomplete>>,
    pace: Pace,
    /// Taken from the outbox, and under way.
    sending: VecDeque<Bytes>,
    next_ping: Instant,
    pong_until: Option<Instant>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A session over `stream`, on which `agreed` (the end of the handshake) is sent first.
    pub fn new(
        stream: S,
        agreed: Bytes,
        sid: Sid,
        address: IpAddr,
        line: Arc<Line>,
        house: Arc<House>,
    ) -> Self {
        let now = Instant::now();
        let outbox = Outbox::new(line.clone(), house.send_buffer);
        outbox.add_own(agreed);
        outbox.add_own(packet::open(sid.as_str(), &house.terms));
        Self {
            stream,
            sid,
            address,
            outbox,
            gate: Gate::new(line),
            standing: Standing::Outside(now + house.connect_timeout),
            reader: Reader::new(house.inside.max_message_bytes),
            inbox: Vec::new(),
            incomplete: None,
            pace: Pace::new(now.into_std()),
            sending: VecDeque::new(),
            next_ping: now + house.terms.ping_interval,
            pong_until: None,
            house,
        }
    }

    /// Serves it to its end.
    pub async fn run(mut self) {
        let mut alarm = pin!(sleep_until(self.due()));
        let ended = poll_fn(|context| self.poll(context, alarm.as_mut())).await;
        if let Err(ended) = ended {
            tracing::debug!(socket.id = self.sid.as_str(), reason = %ended, "socket closed");
        }
    }

    fn poll(&mut self, context: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Result<(), Ended>> {
        // Before anything is looked at, so that no change is missed.
        self.gate.line().register_reader(context);
        self.outbox.awake();
        if self.gate.line().is_cut() {
            return Poll::Ready(Err(Ended::Gone));
        }
        let step = match self.step(context, alarm.as_mut()) {
            Poll::Ready(Err(ended)) => self.see_off(context, ended),
            step => step,
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
        if !matches!(self.standing, Standing::Leaving(_))
            && let Poll::Ready(read) = self.read(context)
        {
            read?;
        }
        while alarm.as_mut().poll(context).is_ready() {
            self.act(context, Instant::now())?;
            alarm.as_mut().reset(self.due());
        }
        ready!(self.send(context))?;
        match self.standing {
            // It has heard all there was.
            Standing::Leaving(_) => Poll::Ready(Ok(())),
            // What it said while the line was being closed is answered first; who closes it looks again.
            Standing::Joined(ref connection) if connection.is_busy() => Poll::Pending,
            _ if self.gate.line().is_closed() => Poll::Ready(Err(Ended::SentBack)),
            _ => Poll::Pending,
        }
    }

    /// Ends politely, if there is somebody who can be told.
    fn see_off(&mut self, context: &mut Context<'_>, ended: Ended) -> Poll<Result<(), Ended>> {
        let (Some(code), false) = (ended.code(), matches!(self.standing, Standing::Leaving(_))) else {
            return Poll::Ready(Err(ended));
        };
        tracing::debug!(socket.id = self.sid.as_str(), reason = %ended, "socket sent away");
        self.leave();
        self.standing = Standing::Leaving(Instant::now() + LAST_WORD);
        self.outbox.end(packet::close(code));
        ready!(self.send(context))?;
        Poll::Ready(Ok(()))
    }

    // ---- time --------------------------------------------------------------------------------

    /// When something is to be done next, whatever comes.
    fn due(&self) -> Instant {
        let beat = self.pong_until.unwrap_or(self.next_ping);
        match self.standing {
            Standing::Outside(until) => beat.min(until),
            Standing::Refused(ref refused) => refused.told_at,
            Standing::Joined(_) => beat,
            Standing::Leaving(until) => until,
        }
    }

    /// Does what is due.
    fn act(&mut self, context: &Context<'_>, now: Instant) -> Result<(), Ended> {
        match &self.standing {
            Standing::Outside(until) if *until <= now => return Err(Ended::Idle),
            Standing::Leaving(until) if *until <= now => return Err(Ended::Full),
            // Nothing is read meanwhile, so no pong either.
            Standing::Refused(refused) if refused.told_at > now => return Ok(()),
            Standing::Refused(refused) => {
                self.outbox.add_own(refused.answer.clone());
                self.standing = Standing::Outside(refused.until.max(now + LAST_WORD));
                self.pong_until = self.pong_until.map(|_| now + self.house.terms.ping_timeout);
                // Reading goes on.
                context.waker().wake_by_ref();
            }
            _ => {}
        }
        match self.pong_until {
            Some(until) if until <= now => return Err(Ended::Silent),
            None if self.next_ping <= now => {
                self.outbox.add_own(packet::PING);
                self.pong_until = Some(now + self.house.terms.ping_timeout);
                self.next_ping = now + self.house.terms.ping_interval;
            }
            _ => {}
        }
        Ok(())
    }

    // ---- reading -----------------------------------------------------------------------------

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        for _ in 0..MOST_BLOCKS {
            ready!(self.gate.poll(context));
            if self.gate.line().is_closed() || matches!(self.standing, Standing::Refused(..)) {
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
        while self.gate.line().is_open() && !matches!(self.standing, Standing::Refused(..)) {
            let Some((length, said)) = self.reader.next(&mut bytes[read..])? else { break };
            read += length;
            match said {
                Said::Piece | Said::Pong => {}
                Said::Text(text) => self.text(&text)?,
                Said::Binary(length) => self.attachment(length)?,
                Said::Ping(payload) => self.answer(frame::frame(Kind::Pong, payload))?,
                Said::Close => return Err(Ended::Left),
            }
        }
        Ok(read)
    }
}

impl<S> Session<S> {
    /// Nobody is here under this name any more.
    fn leave(&mut self) {
        if let Standing::Joined(connection) = &self.standing {
            self.house.inside.hub.leave(connection.id);
        }
    }
}

// ---- sending -----------------------------------------------------------------------------------

impl<S: AsyncWrite + Unpin> Session<S> {
    /// Sends what waits, as much as possible at once. Ready when nothing does: then whoever pushes wakes the task.
    fn send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.sending.is_empty() {
                match self.outbox.take(context) {
                    Some(frames) => self.sending = frames,
                    None => {
                        self.sending = VecDeque::new();
                        return Poll::Ready(Ok(()));
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
impl<S> Drop for Session<S> {
    fn drop(&mut self) {
        self.outbox.close();
        self.leave();
    }
}
