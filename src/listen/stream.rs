//! A client's TCP stream behind its valve.

use std::future::Future as _;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::open::{Guest, Opened};
use crate::gateway::Permit;
use crate::realtime::Gate;

/// Read at once from a back end.
const BLOCK: usize = 8 * 1024;

/// Counts what comes in: a bucket of bytes that refills.
#[derive(Clone, Copy, Debug)]
struct Meter {
    per_second: f64,
    left: f64,
    refilled: Instant,
}

impl Meter {
    fn new(bytes_per_second: u32) -> Self {
        let per_second = f64::from(bytes_per_second.max(1));
        Self { per_second, left: per_second * 4.0, refilled: Instant::now() }
    }

    /// Counts `bytes`; returns how long to wait before reading on.
    fn count(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        let refill = now.duration_since(self.refilled).as_secs_f64() * self.per_second;
        self.refilled = now;
        self.left = (self.left + refill).min(self.per_second * 4.0) - bytes as f64;
        (self.left < 0.0).then(|| Duration::from_secs_f64(-self.left / self.per_second))
    }
}

/// What carries the bytes.
pub enum Socket {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over it.
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($socket:expr, $method:ident ( $($argument:expr),* )) => {
        match $socket {
            Socket::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Socket::Encrypted(tls) => Pin::new(&mut **tls).$method($($argument),*),
        }
    };
}

/// A TCP stream that can be held and cut from elsewhere.
pub struct ClientStream {
    socket: Socket,
    gate: Gate,
    /// Bytes read from the stream that are to be read again.
    head: Bytes,
    meter: Option<Meter>,
    bytes_per_second: u32,
    /// A write that has waited for this long means that the client does not read. The kernel's own
    /// timeout does not fire while the client still sends.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    /// The right to a socket, given back when the stream ends.
    permit: Option<Permit>,
    /// Hears whether the client reads what it asked for.
    guest: Weak<Guest>,
    /// Counts this connection among all.
    _opened: Opened,
}

impl ClientStream {
    /// Puts the line of `opened` in front of `socket`. Metered WebSockets may send `bytes_per_second`; a client that
    /// reads nothing for as long as `patience` is cut.
    pub fn new(socket: Socket, bytes_per_second: u32, patience: Duration, opened: Opened) -> Self {
        let gate = Gate::new(opened.line().clone());
        Self {
            socket,
            gate,
            head: Bytes::new(),
            meter: None,
            bytes_per_second,
            patience,
            stalled: None,
            permit: None,
            guest: Weak::new(),
            _opened: opened,
        }
    }

    /// Keeps `permit` for as long as the stream lives.
    pub fn keep(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Has `guest` know whether the client reads, for as long as there is one.
    pub fn tell(&mut self, guest: &Arc<Guest>) {
        self.guest = Arc::downgrade(guest);
    }

    /// Gives `head` to the next readers, before what follows.
    pub fn unread(&mut self, head: Bytes) {
        self.head = head;
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // Registered before the state is looked at, so that no change is missed.
        this.gate.line().register_reader(context);
        ready!(this.gate.poll(context));
        if this.gate.line().is_closed() {
            // The protocol library drops what it has not written when it reads the end.
            return if this.gate.line().is_over() { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if this.head.has_remaining() {
            // Others on this thread get their turn, as they would at a read from the network.
            ready!(poll_proceed(context)).made_progress();
            let bytes = this.head.len().min(buffer.remaining());
            buffer.put_slice(&this.head.split_to(bytes));
            return Poll::Ready(Ok(()));
        }
        if this.gate.line().is_trusted() && buffer.remaining() < BLOCK {
            // A back end sends many events at once: one system call for all of them, where the protocol
            // library's small buffer (right for a million idle pages) would make many.
            let mut block = [MaybeUninit::<u8>::uninit(); BLOCK];
            let mut read = ReadBuf::uninit(&mut block);
            ready!(either!(&mut this.socket, poll_read(context, &mut read)))?;
            let bytes = read.filled().len().min(buffer.remaining());
            buffer.put_slice(&read.filled()[..bytes]);
            this.head = Bytes::copy_from_slice(&read.filled()[bytes..]);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(either!(&mut this.socket, poll_read(context, buffer)))?;
        if this.gate.line().is_metered() {
            let rate = this.bytes_per_second;
            let meter = this.meter.get_or_insert_with(|| Meter::new(rate));
            if let Some(pause) = meter.count(buffer.filled().len() - before, Instant::now()) {
                this.gate.wait(pause);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl ClientStream {
    /// Ends a write that waits, when the line is cut or the client has not read for too long.
    fn watched<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = poll {
            if self.stalled.take().is_some()
                && let Some(guest) = self.guest.upgrade()
            {
                guest.is_unread(false);
            }
            return Poll::Ready(written.inspect(|written| self.gate.line().sent(bytes(written))));
        }
        let line = self.gate.line();
        line.register_writer(context);
        if self.stalled.is_none()
            && let Some(guest) = self.guest.upgrade()
        {
            guest.is_unread(true);
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        if line.is_cut() {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        } else if stalled.as_mut().poll(context).is_ready() {
            line.cut();
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gate.line().is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let poll = either!(&mut self.socket, poll_write(context, bytes));
        self.watched(context, poll, |written| *written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.gate.line().is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let poll = either!(&mut self.socket, poll_write_vectored(context, slices));
        self.watched(context, poll, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(tcp) => tcp.is_write_vectored(),
            Socket::Encrypted(tls) => tls.is_write_vectored(),
        }
    }

    /// Under TLS, what was written may still wait here.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.line().is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let poll = either!(&mut self.socket, poll_flush(context));
        match &self.socket {
            Socket::Plain(_) => poll,
            Socket::Encrypted(_) => self.watched(context, poll, |()| 0),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(&mut self.socket, poll_shutdown(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_lets_a_burst_through_and_then_its_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(1_000);
        assert_eq!(meter.count(4_000, start), None);
        assert_eq!(meter.count(500, start), Some(Duration::from_millis(500)));
        assert_eq!(meter.count(400, start + Duration::from_secs(1)), None);
    }
}
