//! Server-sent events (the WHATWG's HTML standard, section 9.2): `GET /api/v1/stream`. The same inbox in the same order,
//! for whoever has only HTTP. Nothing comes back on it, so nothing is confirmed by it.

use std::future::Future as _;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use serde_json::value::RawValue;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::task::TaskTracker;

use super::Permit;
use super::frames::{Dismissal, Outbox, Sid};
use super::websocket::{Replayer, asks_for_all, campus, dialect};
use crate::access::Principal;
use crate::domain::Clock;
use crate::realtime::{
    self, Close, Connection, ConnectionId, Dialect, Encode, Encoded, Form, Hub, Line, Outlet, PushError,
    Transport,
};
use crate::service::{Error, ReplayFrom, Session};

/// Between two comments that keep proxies from thinking that nobody is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Which are these.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// A client that lost its connection comes back after so many milliseconds.
const GREETING: Bytes = Bytes::from_static(b"retry: 2000\n\n");

static NOTIFICATION: Form = Form { event: "event: notification", encode: Encode::Personal(campus) };

/// How streams are told things; and those that asked for all there is to tell.
static DIALECTS: [Dialect; 2] = [
    dialect("event stream", |_| &NOTIFICATION, false),
    dialect("event stream, all", |_| &NOTIFICATION, true),
];

/// Opens streams.
pub struct Streams {
    hub: Arc<Hub>,
    session: Arc<Session>,
    replayer: Replayer,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    send_buffer: usize,
}

impl Streams {
    /// Streams of people who are known to `session`.
    pub fn new(
        hub: Arc<Hub>,
        session: Arc<Session>,
        replayer: Replayer,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        settings: &realtime::Settings,
    ) -> Self {
        Self { hub, session, replayer, clock, tasks, send_buffer: settings.send_buffer }
    }

    /// A stream for `who`, which goes on behind the notification of the name `last`; without one, it begins with
    /// what was neither confirmed nor read. Whatever is sent to many from then on comes to them, too. `events` says whether
    /// they want to hear of notifications only. `permit` is the right to a socket.
    ///
    /// # Errors
    /// When the token speaks for nobody, or that person has too many connections.
    pub async fn open(
        &self,
        who: Principal,
        address: Option<IpAddr>,
        last: Option<String>,
        events: Option<&str>,
        permit: Permit,
    ) -> Result<Body, Error> {
        let nobody = "it names no user, so there is no inbox; send a token of the person whose inbox it is";
        let recipient = who.inbox().ok_or(Error::Forbidden(nobody))?;
        let sid = Sid::new().map_err(|_| Error::NoRandomBytes)?;
        let outbox = Outbox::new(Arc::default(), self.send_buffer);
        outbox.add_own(GREETING);
        let (id, since) = (self.hub.next_id(), self.clock.now());
        let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let wire = Box::new(Wire(outbox.clone()));
        let dialect = &DIALECTS[usize::from(asks_for_all(events))];
        let connection = Arc::new(Connection::new(id, sid.as_str(), address, since, dialect, wire));
        self.hub.enter(connection.clone());
        let events = Events {
            hub: self.hub.clone(),
            connection: id,
            outbox,
            taken: Vec::new().into_iter(),
            heartbeat: Box::pin(sleep(HEARTBEAT)),
            _permit: permit,
        };
        // Whatever goes wrong from here on, dropping `events` is the end of the connection.
        let recipient = self.session.enter(&connection, who, recipient, dialect, None)?;
        self.session.settled().await;
        let from = last.map_or(ReplayFrom::Unconfirmed, ReplayFrom::Sequence);
        let replayer = self.replayer.clone();
        self.tasks.spawn(async move { replayer.replay(&connection, &recipient, from).await });
        Ok(Body::from_stream(events))
    }
}

/// A connection's share of its outbox.
struct Wire(Arc<Outbox>);

impl Outlet for Wire {
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError> {
        self.0.push(format!("{event}\ndata: {}\n\n", payload.get()).into())
    }

    fn push_encoded(&self, encoded: &Encoded) -> Result<(), PushError> {
        let written = || {
            let Encoded { id, event, payload, .. } = encoded;
            format!("id: {id}\n{event}\ndata: {}\n\n", payload.get()).into()
        };
        self.0.push(encoded.frame.get_or_init(written).clone())
    }

    fn line(&self) -> &Line {
        self.0.line()
    }

    fn close(&self, how: Close) {
        let dismissal = |instead| Dismissal { code: 0, reason: "", instead };
        match how {
            Close::AfterFlush => self.line().close(),
            Close::Expired => self.0.dismiss(dismissal(false)),
            Close::Now => self.0.dismiss(dismissal(true)),
        }
    }

    fn transport(&self) -> Transport {
        Transport::OneWay
    }
}

/// The body of the answer. Dropping it ends the connection.
struct Events {
    hub: Arc<Hub>,
    connection: ConnectionId,
    outbox: Arc<Outbox>,
    taken: std::vec::IntoIter<Bytes>,
    heartbeat: Pin<Box<Sleep>>,
    _permit: Permit,
}

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before anything is looked at, so that no change is missed.
        self.outbox.line().register_reader(context);
        let dismissed = self.outbox.awake();
        if dismissed.is_some_and(|dismissal| dismissal.instead) || self.outbox.line().is_cut() {
            return Poll::Ready(None);
        }
        loop {
            if let Some(event) = self.taken.next() {
                self.outbox.line().sent(event.len());
                self.outbox.sent(self.taken.len());
                return Poll::Ready(Some(Ok(event)));
            }
            match self.outbox.take(context) {
                Some(events) => self.taken = Vec::from(events).into_iter(),
                None if dismissed.is_some() || self.outbox.line().is_closed() => return Poll::Ready(None),
                None => break,
            }
        }
        if self.heartbeat.as_mut().poll(context).is_ready() {
            self.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
            // It must be polled once more to wake the task.
            context.waker().wake_by_ref();
            return Poll::Ready(Some(Ok(COMMENT)));
        }
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.outbox.close();
        self.hub.leave(self.connection);
    }
}
