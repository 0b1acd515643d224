//! One WebSocket: a task that reads, sends and watches the heartbeat. It holds no buffer while nothing is under way.

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
use super::outbox::{Outbox, Wire};
use super::packet::{self, Malformed, Packet};
use super::{House, Sid};
use crate::gateway::socketio::pace::Pace;
use crate::gateway::socketio::{Ack, Event, Unwelcome, wire};
use crate::realtime::{Connection, Gate, Line};
use crate::telemetry::Refusal;

/// Read at once.
const BLOCK: usize = 8 * 1024;
/// Blocks read before others get their turn.
const MOST_BLOCKS: usize = 4;
/// Frames sent by one system call.
const MOST_SLICES: usize = 64;
/// Who is sent away has this long to hear it.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Where the session stands in Socket.IO.
enum Standing {
    /// It has joined no namespace, and must until then.
    Outside(Instant),
    /// It may not join, and will hear so; until then nothing is read.
    Refused(Box<Refused>),
    /// It has joined.
    Joined(Arc<Connection>),
    /// It is sent away, and everything ends then at the latest.
    Leaving(Instant),
}

/// A refusal that waits.
struct Refused {
    /// Until then.
    told_at: Instant,
    answer: Bytes,
    /// When it must have joined.
    until: Instant,
}

/// Why a session ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the stream ended")]
    Gone,
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("the client left")]
    Left,
    #[error("{0}")]
    Broken(#[from] frame::Broken),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("attachments that are too many or too big")]
    Attachments,
    #[error("the client reads too slowly")]
    Full,
    #[error("no answer to a ping came in time")]
    Silent,
    #[error("the client joined no namespace in time")]
    Idle,
    #[error("the server sent it back")]
    SentBack,
}

impl Ended {
    /// What the close frame says; nothing if there is nobody to read one.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Gone | Self::Lost(_) | Self::Full => None,
            Self::Left => Some(1000),
            Self::SentBack | Self::Silent | Self::Idle => Some(1001),
            Self::Broken(broken) => Some(broken.code()),
            Self::Malformed(_) => Some(1002),
            Self::Attachments => Some(1009),
        }
    }
}

/// An event whose attachments are still coming. They are counted and forgotten: no protocol here takes any.
struct Incomplete {
    /// Nobody hears it if it is of another namespace, or an ack.
    event: Option<(String, Option<u64>)>,
    missing: usize,
    bytes: usize,
}

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
        while alarm.as_mut().poll(context).is_ready() {
            self.act(Instant::now())?;
            alarm.as_mut().reset(self.due());
        }
        if !matches!(self.standing, Standing::Leaving(_))
            && let Poll::Ready(read) = self.read(context)
        {
            read?;
        }
        ready!(self.send(context))?;
        match self.standing {
            // It has heard all there was.
            Standing::Leaving(_) => Poll::Ready(Ok(())),
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
    fn act(&mut self, now: Instant) -> Result<(), Ended> {
        match &self.standing {
            Standing::Outside(until) if *until <= now => return Err(Ended::Idle),
            Standing::Leaving(until) if *until <= now => return Err(Ended::Full),
            // Nothing is read meanwhile, so no pong either.
            Standing::Refused(refused) if refused.told_at > now => return Ok(()),
            Standing::Refused(refused) => {
                self.outbox.add_own(refused.answer.clone());
                self.standing = Standing::Outside(refused.until.max(now + LAST_WORD));
                self.pong_until = self.pong_until.map(|_| now + self.house.terms.ping_timeout);
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

    fn answer(&self, frame: Bytes) -> Result<(), Ended> {
        self.outbox.push(frame).map_err(|_| Ended::Full)
    }

    fn text(&mut self, text: &str) -> Result<(), Ended> {
        let packet = Packet::parse(text)?;
        match packet {
            Packet::Close => return Err(Ended::Left),
            Packet::Pong => self.pong_until = None,
            // Attachments directly follow their event.
            _ if self.incomplete.is_some() => return Err(Malformed.into()),
            Packet::Connect { namespace, auth } => self.connect(namespace, auth)?,
            Packet::Disconnect { namespace } => self.disconnect(namespace)?,
            Packet::Event { namespace, ack, attachments, data } => {
                let is_ours = Packet::is_default(namespace);
                match attachments {
                    None | Some(0) if is_ours => self.event(data, ack)?,
                    None | Some(0) => {}
                    Some(missing) => self.announced(missing, is_ours.then(|| (data.to_owned(), ack)))?,
                }
            }
            Packet::Ack { attachments: None | Some(0) } => {}
            Packet::Ack { attachments: Some(missing) } => self.announced(missing, None)?,
        }
        Ok(())
    }

    fn announced(&mut self, missing: usize, event: Option<(String, Option<u64>)>) -> Result<(), Ended> {
        if missing > self.house.max_attachments {
            return Err(Ended::Attachments);
        }
        self.incomplete = Some(Box::new(Incomplete { event, missing, bytes: 0 }));
        Ok(())
    }

    fn attachment(&mut self, length: usize) -> Result<(), Ended> {
        let mut incomplete = self.incomplete.take().ok_or(Malformed)?;
        incomplete.bytes += length;
        incomplete.missing -= 1;
        if incomplete.bytes > self.house.inside.max_message_bytes {
            return Err(Ended::Attachments);
        }
        if incomplete.missing > 0 {
            self.incomplete = Some(incomplete);
        } else if let Some((data, ack)) = incomplete.event {
            self.event(&data, ack)?;
        }
        Ok(())
    }

    // ---- Socket.IO ---------------------------------------------------------------------------

    fn connect(&mut self, namespace: &str, auth: Option<&str>) -> Result<(), Ended> {
        if !Packet::is_default(namespace) {
            return self.answer(packet::no_namespace(namespace));
        }
        let Standing::Outside(until) = self.standing else { return Ok(()) };
        match self.house.inside.protocol.admit(auth, self.address, self.sid.as_str()) {
            Ok(proved) => {
                self.answer(packet::joined(self.sid.as_str()))?;
                let outlet = Box::new(Wire(self.outbox.clone()));
                let connection = self.house.inside.connection(self.sid.as_str(), self.address, outlet);
                self.standing = Standing::Joined(connection.clone());
                self.house.inside.hub.enter(connection.clone());
                self.house.inside.protocol.connected(&connection, proved);
            }
            Err(Unwelcome { message, code, detail, after }) => {
                let answer = packet::refused(message, wire::Refusal { code, detail: &detail });
                if after.is_zero() {
                    return self.answer(answer);
                }
                let told_at = Instant::now() + after;
                self.standing = Standing::Refused(Box::new(Refused { told_at, answer, until }));
            }
        }
        Ok(())
    }

    fn disconnect(&mut self, namespace: &str) -> Result<(), Ended> {
        if Packet::is_default(namespace) {
            self.joined()?;
            self.leave();
            // It may join again.
            self.standing = Standing::Outside(Instant::now() + self.house.connect_timeout);
        }
        Ok(())
    }

    fn joined(&self) -> Result<&Arc<Connection>, Ended> {
        match &self.standing {
            Standing::Joined(connection) => Ok(connection),
            _ => Err(Ended::Malformed(Malformed)),
        }
    }

    fn event(&mut self, data: &str, ack: Option<u64>) -> Result<(), Ended> {
        let connection = self.joined()?.clone();
        let (name, payload) = wire::event(data).ok_or(Malformed)?;
        if self.gate.line().is_trusted() {
            self.pace.refill();
        } else {
            // One that comes too fast is still handled, the next ones are read later.
            let rate = self.house.inside.events_per_second;
            if let Some(pause) = self.pace.count(rate, std::time::Instant::now()) {
                self.house.inside.metrics.refused(Refusal::Events);
                self.gate.line().hold(pause);
            }
        }
        let ack = ack.map_or_else(Ack::default, |number| self.outbox.ack(number));
        self.house.inside.protocol.event(&connection, Event { name: &name, payload, ack });
        Ok(())
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
