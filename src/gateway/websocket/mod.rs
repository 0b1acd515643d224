//! Raw WebSockets (seeds 000, 001 and 002): `/ws/notify` and `/api/v1/notifications/ws`. Promises: what was missed comes
//! first, in order and without a gap before what comes live; what a client has received is confirmed by its pongs.
//!
//! `state` is the protocol without I/O, `wire` its JSON, `talk` what follows from both.

mod state;
mod talk;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::frames::{Outbox, Session, Sid};
use super::{Limits, Permit, Refused};
use crate::access::{Principal, Throttle, bearer};
use crate::delivery::Confirmations;
use crate::domain::{Clock, Notification, Recipient, Tenant};
use crate::realtime::{self, Connection, Dialect, Encode, Form, Hub, Line};
use crate::service::{Error, Inbox, ReplayFrom, Session as Sessions, Topics};
use crate::telemetry::Metrics;
use state::{State, Terms};
use talk::{Beat, Raw, TurnedAway, Wire, close};
use wire::Told;

pub use wire::campus;

/// Settings of `[websocket]`: of raw WebSockets only. Times are in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Between two heartbeats on `/ws/notify`, and between two pings on all.
    pub heartbeat_ms: u64,
    /// A ping follows so long after a notification; its pong confirms that.
    pub confirm_ms: u64,
    /// A socket from which no word comes for so long is closed.
    pub silence_ms: u64,
    /// Whether a token must name a tenant.
    pub require_tenant: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { heartbeat_ms: 30_000, confirm_ms: 3_000, silence_ms: 90_000, require_tenant: false }
    }
}

/// Which of the doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws/notify`.
    Notify,
    /// `/api/v1/notifications/ws`: its page shows every message as a notification.
    Campus,
}

static NOTIFY: Form = Form { event: "/ws/notify", encode: Encode::Personal(wire::notify) };
static CAMPUS: Form = Form { event: "/api/v1/notifications/ws", encode: Encode::Personal(wire::campus) };

/// How sockets of `/ws/notify` are told things; and those that asked for all there is to tell.
static OF_NOTIFY: [Dialect; 2] =
    [dialect("/ws/notify", |_| &NOTIFY, false), dialect("/ws/notify, all", |_| &NOTIFY, true)];

/// The same for sockets of `/api/v1/notifications/ws`.
static OF_CAMPUS: [Dialect; 2] = [
    dialect("/api/v1/notifications/ws", |_| &CAMPUS, false),
    dialect("/api/v1/notifications/ws, all", |_| &CAMPUS, true),
];

/// How a door tells things that begins with what was missed. The seeds' clients know notifications only, and some show whatever
/// else comes as one: only who asks for all hears where notifications stand, and when all that was missed has come.
pub const fn dialect(
    name: &'static str,
    form: fn(&Notification) -> &'static Form,
    tells_all: bool,
) -> Dialect {
    Dialect {
        name,
        form,
        standing: if tells_all { |standing| Some(Told::of(standing).said()) } else { |_| None },
        replays: true,
        caught_up: if tells_all { |count| Some(Told::ReplayComplete { count }.said()) } else { |_| None },
        expired: || None,
    }
}

/// Whether a client that says this in `events` asks for all there is to tell.
pub fn asks_for_all(events: Option<&str>) -> bool {
    events == Some("all")
}

impl Endpoint {
    /// The door at `path`, if there is one.
    pub fn at(path: &str) -> Option<Self> {
        match path.trim_end_matches('/') {
            "/ws/notify" => Some(Self::Notify),
            "/api/v1/notifications/ws" => Some(Self::Campus),
            _ => None,
        }
    }

    fn dialect(self, tells_all: bool) -> &'static Dialect {
        let [plain, all] = match self {
            Self::Notify => &OF_NOTIFY,
            Self::Campus => &OF_CAMPUS,
        };
        if tells_all { all } else { plain }
    }
}

/// What a client shows in its handshake.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    token: Option<String>,
    replay_from: Option<String>,
    replay_id: Option<String>,
    events: Option<String>,
}

/// Somebody who may open a WebSocket, if only to hear why they may not stay.
pub struct Opening {
    endpoint: Endpoint,
    dialect: &'static Dialect,
    sid: Sid,
    address: IpAddr,
    proved: Result<Principal, TurnedAway>,
    from: ReplayFrom,
    permit: Option<Permit>,
}

impl Opening {
    /// Gives `permit` back when the session ends.
    pub fn keeping(self, permit: Permit) -> Self {
        Self { permit: Some(permit), ..self }
    }
}

/// What sessions share.
pub struct House {
    hub: Arc<Hub>,
    session: Arc<Sessions>,
    inbox: Arc<Inbox>,
    topics: Arc<Topics>,
    confirmations: Arc<Confirmations>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    settings: Settings,
    send_buffer: usize,
    longest: usize,
    in_flight: u32,
    events_per_second: f64,
    replayer: Replayer,
    /// Tokens that were refused, by address, whatever was wrong with them.
    refusals: Throttle,
}

/// What the door needs.
pub struct Services {
    /// Who is who.
    pub session: Arc<Sessions>,
    /// What people have.
    pub inbox: Arc<Inbox>,
    /// What they want to hear of.
    pub topics: Arc<Topics>,
    /// What has arrived.
    pub confirmations: Arc<Confirmations>,
}

/// The door of raw WebSockets.
#[derive(Clone)]
pub struct WebSockets(Arc<House>);

impl WebSockets {
    /// A door to `services`.
    #[expect(clippy::too_many_arguments, reason = "it is put together once")]
    pub fn new(
        hub: Arc<Hub>,
        services: Services,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
        settings: &Settings,
        realtime: &realtime::Settings,
        limits: &Limits,
    ) -> Self {
        let Services { session, inbox, topics, confirmations } = services;
        Self(Arc::new(House {
            replayer: Replayer::new(hub.clone(), inbox.clone()),
            hub,
            session,
            inbox,
            topics,
            confirmations,
            clock,
            metrics,
            tasks,
            settings: settings.clone(),
            send_buffer: realtime.send_buffer,
            longest: limits.max_message_bytes,
            in_flight: limits.requests_in_flight.max(2),
            events_per_second: f64::from(limits.events_per_second.max(1)),
            refusals: Throttle::default(),
        }))
    }

    /// Looks at what a client shows: `query` of its request, and `Authorization`.
    ///
    /// # Errors
    /// With 429 when its address has shown many tokens that did not do: such clients come again at once, for ever.
    pub fn open(
        &self,
        endpoint: Endpoint,
        query: &str,
        authorization: Option<&str>,
        address: IpAddr,
    ) -> Result<Opening, Refused> {
        let fault = Refused {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: "The server has no random bytes. Try again later.",
        };
        let sid = Sid::new().map_err(|_| fault)?;
        let shown: Shown = serde_urlencoded::from_str(query).unwrap_or_default();
        let token = shown.token.as_deref().or_else(|| bearer(authorization?)).unwrap_or_default();
        let from = shown.replay_from.or(shown.replay_id).filter(|name| !name.is_empty());
        let from = from.map_or(ReplayFrom::Unconfirmed, ReplayFrom::Sequence);
        let proved = match self.0.session.admit(token, address, sid.as_str()) {
            Ok(who) if self.0.settings.require_tenant && who.tenant == Tenant::default() => {
                let reason = "the token names no tenant, and one is required";
                Err(TurnedAway { sid, told_at: Instant::now(), code: close::NO_TENANT, reason })
            }
            Ok(who) => Ok(who),
            Err((error, after)) => Err(self.turned_away(sid, &error, after, address)?),
        };
        let dialect = endpoint.dialect(asks_for_all(shown.events.as_deref()));
        Ok(Opening { endpoint, dialect, sid, address, proved, from, permit: None })
    }

    fn turned_away(
        &self,
        sid: Sid,
        error: &Error,
        after: Duration,
        address: IpAddr,
    ) -> Result<TurnedAway, Refused> {
        if let Error::TooManySockets(_) = error {
            let reason = "this user has as many connections as allowed; close some, and try again later";
            return Ok(TurnedAway { sid, told_at: Instant::now(), code: close::TRY_LATER, reason });
        }
        if !self.0.refusals.failed(address, std::time::Instant::now()).is_zero() {
            return Err(Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: "This address has shown too many tokens that are wrong or have expired. Get a new one first.",
            });
        }
        let reason = match error {
            Error::Token(crate::access::TokenError::Expired) => "the token has expired; get a new one",
            Error::Token(crate::access::TokenError::Missing) => "a token is needed: ?token= or Authorization",
            _ => "the token is not valid",
        };
        Ok(TurnedAway { sid, told_at: Instant::now() + after, code: close::POLICY, reason })
    }

    /// Lets in whoever is `opening`, and waits until whoever sends to many knows of them: all that is sent from the answer
    /// to the handshake on reaches them. Not for long: a database that is away keeps nobody waiting.
    pub async fn enter(&self, opening: Opening, line: Arc<Line>) -> Entered {
        let house = &self.0;
        let Opening { endpoint, dialect, sid, address, proved, from, permit } = opening;
        let outbox = Outbox::new(line, house.send_buffer);
        let entered = proved.and_then(|who| house.enter(endpoint, dialect, sid, address, who, &outbox));
        if entered.is_ok() {
            house.session.settled().await;
        }
        let entered = entered.map(|(raw, recipient)| (raw, recipient, from));
        Entered { house: house.clone(), outbox, entered, permit }
    }
}

/// Somebody to whose handshake may be agreed: who is here from now on, or is to hear why they may not stay. To drop it is
/// to leave.
pub struct Entered {
    house: Arc<House>,
    outbox: Arc<Outbox>,
    entered: Result<(Raw, Recipient, ReplayFrom), TurnedAway>,
    permit: Option<Permit>,
}

impl Entered {
    /// Serves the client behind `stream`; `agreed`, the end of the handshake, is the first it hears.
    pub fn serve<S>(self, stream: S, agreed: Bytes)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { house, outbox, entered, permit } = self;
        // Where an HTTP library has answered the handshake, nothing is left to say. Nothing else waits yet: what is live
        // waits behind the replay.
        if !agreed.is_empty() {
            outbox.add_own(agreed);
        }
        match entered {
            Ok((raw, recipient, from)) => {
                house.begin(&raw.connection(), recipient, from);
                let session = Session::new(stream, outbox, house.longest, raw);
                house.tasks.spawn(while_kept(permit, session.run()));
            }
            Err(turned_away) => {
                let session = Session::new(stream, outbox, house.longest, turned_away);
                house.tasks.spawn(while_kept(permit, session.run()));
            }
        }
    }
}

/// Gives `permit` back when `session` has ended.
async fn while_kept(permit: Option<Permit>, session: impl Future<Output = ()>) {
    session.await;
    drop(permit);
}

impl House {
    fn enter(
        self: &Arc<Self>,
        endpoint: Endpoint,
        dialect: &'static Dialect,
        sid: Sid,
        address: IpAddr,
        who: Principal,
        outbox: &Arc<Outbox>,
    ) -> Result<(Raw, Recipient), TurnedAway> {
        let away = |code, reason| TurnedAway { sid, told_at: Instant::now(), code, reason };
        let recipient = who.inbox().ok_or(away(close::POLICY, "the token names no user"))?;
        let beat = Arc::<Beat>::default();
        let wire = Wire { outbox: outbox.clone(), beat: beat.clone() };
        let (id, since) = (self.hub.next_id(), self.clock.now());
        let connection = Arc::new(Connection::new(id, sid.as_str(), address, since, dialect, Box::new(wire)));
        self.hub.enter(connection.clone());
        let heartbeat = Duration::from_millis(self.settings.heartbeat_ms.max(1));
        let terms = Terms {
            heartbeat: (endpoint == Endpoint::Notify).then_some(heartbeat),
            ping: heartbeat,
            confirm: Duration::from_millis(self.settings.confirm_ms),
            silence: Duration::from_millis(self.settings.silence_ms.max(1)),
        };
        let state = State::new(terms, std::time::Instant::now());
        let raw = Raw::new(self.clone(), sid, outbox.clone(), beat, connection.clone(), state);
        match self.session.enter(&connection, who, recipient, dialect, None) {
            Ok(recipient) => Ok((raw, recipient)),
            Err(_) => {
                self.hub.leave(connection.id);
                Err(away(close::TRY_LATER, "this user has as many connections as allowed"))
            }
        }
    }

    /// Hands over what was missed, and lets what comes live follow it.
    fn begin(self: &Arc<Self>, connection: &Arc<Connection>, recipient: Recipient, from: ReplayFrom) {
        let (replayer, connection) = (self.replayer.clone(), connection.clone());
        self.tasks.spawn(async move { replayer.replay(&connection, &recipient, from).await });
    }

    /// Tells one client something; one that cannot take it is closed.
    fn tell(&self, connection: &Connection, told: &Told<'_>) {
        self.hub.push(connection, told.event(), &told.raw());
    }
}

/// Hands out what was missed, on connections that begin with it.
#[derive(Clone)]
pub struct Replayer {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
}

impl Replayer {
    /// Of what is in `inbox`.
    pub fn new(hub: Arc<Hub>, inbox: Arc<Inbox>) -> Self {
        Self { hub, inbox }
    }

    /// Hands `connection` what its person missed, sooner or later; what comes live waits behind it. Says so first if what
    /// it asked for cannot be told from what was never held.
    pub async fn replay(&self, connection: &Arc<Connection>, recipient: &Recipient, mut from: ReplayFrom) {
        let _turn = connection.lists().lock().await;
        let mut pause = talk::AGAIN;
        while self.hub.serves(connection, recipient) {
            match self.inbox.replay(recipient, connection, &from).await {
                Ok(_) => return,
                Err(Error::NotFound) => {
                    let asked = std::mem::replace(&mut from, ReplayFrom::Unconfirmed);
                    if let ReplayFrom::Sequence(name) = asked {
                        let told = Told::ReplayTruncated { replay_from: &name };
                        self.hub.push(connection, told.event(), &told.raw());
                    }
                }
                Err(fault) => {
                    tracing::error!(%fault, "what was missed could not be read; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(talk::AGAIN * 10);
                }
            }
        }
    }
}
