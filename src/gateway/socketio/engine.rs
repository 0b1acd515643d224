//! The only file that knows socketioxide.
//!
//! Around what the library does (version 0.18):
//! - Its handlers are async closures, each event a spawned task, so events of one socket may overtake
//!   each other. Here the handler traits are implemented directly: events are handled in order, on the
//!   task that read them.
//! - It sends CONNECT before the connect handler runs. Handlers are registered in the middleware,
//!   which runs earlier, and events that come too soon wait in a [`Gate`].
//! - It tells nobody whose send buffer is full in a room emit: rooms are the `Hub`'s, not its own.
//! - It cannot close the transport of one socket: the [`Line`] does.

use std::convert::Infallible;
use std::fmt::Display;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use socketioxide::adapter::LocalAdapter;
use socketioxide::extract::{AckSender, SocketRef};
use socketioxide::handler::{ConnectHandler, DisconnectHandler, FromMessageParts, MessageHandler, Value};
use socketioxide::service::SocketIoService;
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, SendError, SocketError, SocketIo, TransportType};

use super::polling::Pollers;
use super::{Ack, Event, Inside, Unwelcome, wire};
use crate::access::Principal;
use crate::gateway::frames::{MOST_UNSENT, Pace};
use crate::gateway::{Limits, Permit};
use crate::realtime::{self, Connection, Line, Outlet, PushError, Transport};
use crate::telemetry::Refusal;

/// The service that speaks Engine.IO and Socket.IO over HTTP requests and upgraded streams.
pub type Service = SocketIoService<Nowhere>;

/// What a packet has around its event and payload, in bytes: `42["",]`.
const FRAMING: usize = 7;
/// What an ack has around its number and payload: `43[]`.
const ACK_FRAMING: usize = 4;

/// What a packet of `bytes` takes on the socket's transport (RFC 6455, section 5.2). Never too many: what
/// is counted must be sent in the end, or the count would creep up.
fn framed(socket: &Socket, bytes: usize) -> usize {
    match (socket.transport_type(), bytes) {
        (TransportType::Polling, _) => bytes,
        (TransportType::Websocket, 0..126) => bytes + 2,
        (TransportType::Websocket, 126..=0xffff) => bytes + 4,
        (TransportType::Websocket, _) => bytes + 10,
    }
}

/// Behind the engine there is nothing: the listener sends other requests elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

impl<Request> tower::Service<Request> for Nowhere {
    type Response = http::Response<axum::body::Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        let mut response = http::Response::default();
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        std::future::ready(Ok(response))
    }
}

/// What is known of a client before it speaks; travels in its first request's extensions.
pub struct Peer {
    /// Where it comes from.
    pub address: IpAddr,
    /// Its valve.
    pub line: Arc<Line>,
    inbound: Mutex<Option<Arc<Inbound>>>,
    /// The polling session it is, if it is one.
    polling: OnceLock<(Pollers, String)>,
    _permit: Option<Permit>,
}

impl Peer {
    /// A client that was admitted; `permit` if nothing shorter-lived can hold it.
    pub fn new(address: IpAddr, line: Arc<Line>, permit: Option<Permit>) -> Arc<Self> {
        Arc::new(Self { address, line, inbound: Mutex::new(None), polling: OnceLock::new(), _permit: permit })
    }

    /// It polls, as session `sid`: its requests find its valve through `pollers` until it ends.
    pub fn polls(&self, pollers: &Pollers, sid: &str) {
        pollers.joined(sid, self.line.clone());
        self.polling.set((pollers.clone(), sid.to_owned())).ok();
    }
}

/// The peer lives exactly as long as the engine's session.
impl Drop for Peer {
    fn drop(&mut self) {
        if let Some((pollers, sid)) = self.polling.get() {
            pollers.left(sid);
            self.line.cut();
        }
    }
}

/// The protocol engine.
pub struct Engine {
    /// Where requests and streams go.
    pub service: Service,
    _io: SocketIo,
}

impl Engine {
    /// An engine for what is `inside`.
    pub fn new(inside: Arc<Inside>, settings: &realtime::Settings, limits: &Limits) -> Self {
        let parser = ParserConfig::common()
            .max_incoming_binaries(limits.max_attachments)
            .max_incoming_binary_buf_size(limits.max_message_bytes);
        let (service, io) = SocketIo::builder()
            .ping_interval(Duration::from_millis(settings.ping_interval_ms))
            .ping_timeout(Duration::from_millis(settings.ping_timeout_ms))
            .upgrade_timeout(Duration::from_millis(settings.upgrade_timeout_ms))
            .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
            .max_buffer_size(settings.send_buffer)
            .max_payload(limits.max_request_bytes as u64)
            .ws_read_buffer_size(512)
            .ws_max_message_size(limits.max_message_bytes)
            .ws_max_frame_size(limits.max_message_bytes)
            .with_parser(parser)
            .build_with_inner_svc(Nowhere);
        io.ns("/", Namespace(inside));
        Self { service, _io: io }
    }
}

/// Tells our own handlers apart from the library's closures.
enum Direct {}

type Joined<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Display + Send>>> + Send + 'a>>;

/// The default namespace.
#[derive(Clone)]
struct Namespace(Arc<Inside>);

impl ConnectHandler<LocalAdapter, Direct> for Namespace {
    /// Runs before CONNECT is answered. Of an error the library tells only its text: there is no way to give
    /// clients `data` with it.
    fn call_middleware<'a>(&'a self, socket: Arc<Socket>, auth: &'a Option<Value>) -> Joined<'a> {
        Box::pin(async move {
            let Some(peer) = socket.req_parts().extensions.get::<Arc<Peer>>() else {
                return Err(Box::new("Connect through the server's own listener") as _);
            };
            let auth = auth.as_ref().and_then(|auth| auth.as_str()).map(|auth| &**auth);
            let admitted = self.0.protocol.admit(auth, peer.address, &socket.id.to_string());
            let proved = match admitted {
                Ok(proved) => Mutex::new(proved.map(Box::new)),
                Err(Unwelcome { message, after, .. }) => {
                    tokio::time::sleep(after).await;
                    return Err(Box::new(message) as _);
                }
            };
            let inbound = Arc::new(Inbound { inside: self.0.clone(), proved, gate: Mutex::default() });
            *lock(&peer.inbound) = Some(inbound.clone());
            socket.on_fallback(Events(inbound.clone()));
            socket.on_disconnect(Departure(inbound));
            Ok(())
        })
    }

    /// Runs after CONNECT was answered.
    fn call(&self, socket: Arc<Socket>, _: Option<Value>) {
        let Some(peer) = socket.req_parts().extensions.get::<Arc<Peer>>().cloned() else {
            return;
        };
        if let Some(inbound) = lock(&peer.inbound).take() {
            inbound.open(socket, &peer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The reading end of one connection.
struct Inbound {
    inside: Arc<Inside>,
    /// Whom its handshake proved, until the connection has heard of it.
    proved: Mutex<Option<Box<Principal>>>,
    gate: Mutex<Gate>,
}

/// Events wait until the connection is registered, then pass; and they are counted.
struct Gate {
    state: Passage,
    pace: Pace,
}

enum Passage {
    /// Not registered yet.
    Waiting(Vec<(Value, Option<i64>)>),
    /// Registered; the hub owns the connection, and with it the socket that owns this.
    Open(Weak<Connection>),
    /// It has left.
    Gone,
}

impl Default for Gate {
    fn default() -> Self {
        Self { state: Passage::Waiting(Vec::new()), pace: Pace::new(Instant::now()) }
    }
}

impl Inbound {
    fn open(&self, socket: Arc<Socket>, peer: &Arc<Peer>) {
        let mut gate = lock(&self.gate);
        let Passage::Waiting(early) = &mut gate.state else {
            return;
        };
        let early = std::mem::take(early);
        let sid = socket.id.to_string();
        let outlet = Wire { socket: SocketRef::from(socket.clone()), line: peer.line.clone() };
        let connection = self.inside.connection(&sid, peer.address, Box::new(outlet));
        gate.state = Passage::Open(Arc::downgrade(&connection));
        self.inside.hub.enter(connection.clone());
        let proved = lock(&self.proved).take();
        self.inside.protocol.connected(&connection, proved.map(|proved| *proved));
        for (value, ack) in early {
            self.handle(&connection, &socket, &value, ack);
        }
    }

    /// Counts one event; one that comes too fast is still handled, the next ones are read later.
    fn count(&self, gate: &mut Gate, connection: &Connection, line: &Line) {
        if line.is_trusted() {
            gate.pace.refill();
        } else if let Some(pause) = gate.pace.count(self.inside.events_per_second, Instant::now()) {
            self.inside.metrics.refused(Refusal::Events);
            connection.outlet().line().hold(pause);
        }
    }

    fn handle(&self, connection: &Arc<Connection>, socket: &Arc<Socket>, value: &Value, ack: Option<i64>) {
        let Some((name, payload)) = value.as_str().and_then(|text| wire::event(text)) else {
            return;
        };
        let ack = match ack {
            Some(_) => Self::wanted(socket, value, ack),
            None => Ack::default(),
        };
        self.inside.protocol.event(connection, Event { name: &name, payload, ack });
    }

    fn wanted(socket: &Arc<Socket>, value: &Value, ack: Option<i64>) -> Ack {
        let peer = socket.req_parts().extensions.get::<Arc<Peer>>().cloned();
        let digits = ack.and_then(|ack| ack.checked_ilog10()).map_or(1, |log| log as usize + 1);
        let socket = socket.clone();
        match AckSender::<LocalAdapter>::from_message_parts(&socket, &mut value.clone(), &ack) {
            Ok(sender) => Ack::wanted(move |payload| {
                let Some(peer) = peer else { return };
                let bytes = framed(&socket, payload.get().len() + ACK_FRAMING + digits);
                peer.line.queued(bytes);
                if let Err(fault) = sender.send(payload) {
                    peer.line.sent(bytes);
                    // An ack that finds no room must not vanish while its socket lives on.
                    if matches!(fault, SendError::Socket(SocketError::InternalChannelFull)) {
                        peer.line.cut();
                    }
                }
            }),
            Err(never) => match never {},
        }
    }
}

/// The message handler: every event of the socket.
struct Events(Arc<Inbound>);

impl MessageHandler<LocalAdapter, Direct> for Events {
    fn call(&self, socket: Arc<Socket>, value: Value, ack: Option<i64>) {
        let connection = {
            let mut gate = lock(&self.0.gate);
            let connection = match &mut gate.state {
                Passage::Waiting(early) => {
                    early.push((value, ack));
                    return;
                }
                Passage::Open(connection) => connection.upgrade(),
                Passage::Gone => None,
            };
            let Some(connection) = connection else { return };
            if let Some(peer) = socket.req_parts().extensions.get::<Arc<Peer>>() {
                // WebSocket messages have met this limit before; polling requests may hold many.
                if value.as_str().is_some_and(|text| text.len() > self.0.inside.max_message_bytes) {
                    peer.line.cut();
                    return;
                }
                self.0.count(&mut gate, &connection, &peer.line);
            }
            connection
        };
        self.0.handle(&connection, &socket, &value, ack);
    }
}

/// The disconnect handler.
struct Departure(Arc<Inbound>);

impl DisconnectHandler<LocalAdapter, Direct> for Departure {
    fn call_with_defer(&self, socket: Arc<Socket>, why: DisconnectReason, defer: fn(Arc<Socket>)) {
        let before = std::mem::replace(&mut lock(&self.0.gate).state, Passage::Gone);
        if let Passage::Open(connection) = before
            && let Some(connection) = connection.upgrade()
        {
            tracing::debug!(socket.id = %connection.socket_id, reason = %why, "socket closed");
            self.0.inside.hub.leave(connection.id);
        }
        defer(socket);
    }
}

/// The writing end of one connection.
struct Wire {
    socket: SocketRef,
    line: Arc<Line>,
}

impl Outlet for Wire {
    fn push(&self, event: &str, payload: &RawValue) -> Result<(), PushError> {
        // Counted first: the client may fetch it before this returns.
        let bytes = framed(&self.socket, event.len() + payload.get().len() + FRAMING);
        if self.line.queued(bytes) - bytes > MOST_UNSENT {
            return Err(PushError::Full);
        }
        let pushed = self.socket.emit(event, payload);
        if pushed.is_err() {
            self.line.sent(bytes);
        }
        match pushed {
            Ok(()) => Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => Err(PushError::Full),
            Err(SendError::Socket(SocketError::Closed)) => Err(PushError::Gone),
            Err(SendError::Serialize(fault)) => {
                tracing::error!(%fault, event, "an event could not be encoded");
                Err(PushError::Gone)
            }
        }
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn transport(&self) -> Transport {
        match self.socket.transport_type() {
            TransportType::Polling => Transport::Polling,
            TransportType::Websocket => Transport::Stream,
        }
    }
}
