//! The door to the engines: everything that is decided before one of them sees a client.
//!
//! WebSockets that open a session come as upgraded streams ([`Door::websocket`]) and go to our own engine;
//! polling, and upgrades from polling, come as HTTP requests ([`Door::request`]) and go to the library.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Service as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::engine::{Engine, Peer};
use super::polling::{GatedBody, Poller, Pollers};
use super::websocket::WebSockets;
use super::{Inside, Protocol};
use crate::domain::Clock;
use crate::gateway::{Admission, Limits, Origins, Refused};
use crate::realtime::{self, Hub, Line};
use crate::telemetry::Metrics;

/// Where requests for Socket.IO go.
pub const PATH: &str = "/socket.io";

/// A poll that comes after its session was closed waits this long for what is left to say.
const LAST_WORD: Duration = Duration::from_millis(50);

/// Where a request comes from.
#[derive(Clone)]
pub struct Arrival {
    /// The client's address, behind trusted proxies.
    pub address: IpAddr,
    /// The valve of the TCP connection.
    pub line: Arc<Line>,
}

/// The door.
pub struct Door {
    engine: Engine,
    websockets: WebSockets,
    admission: Arc<Admission>,
    cors: CorsLayer,
    pollers: Pollers,
    /// Bytes of one message.
    longest: usize,
}

impl Door {
    /// A door in front of new engines.
    pub fn new(
        hub: Arc<Hub>,
        protocol: Arc<dyn Protocol>,
        metrics: Arc<Metrics>,
        settings: &realtime::Settings,
        limits: &Limits,
        admission: Arc<Admission>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let pollers = Pollers::default();
        let inside = Arc::new(Inside {
            hub,
            protocol,
            metrics,
            clock,
            events_per_second: f64::from(limits.events_per_second.max(1)),
            max_message_bytes: limits.max_message_bytes,
        });
        let engine = Engine::new(inside.clone(), settings, limits);
        let websockets = WebSockets::new(inside, settings, limits);
        let (cors, longest) = (cors(admission.origins()), limits.max_message_bytes);
        Self { engine, websockets, cors, admission, pollers, longest }
    }

    /// Who may enter.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Whether `path` belongs to this door.
    pub fn owns(path: &str) -> bool {
        path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Takes over a stream whose WebSocket handshake opens a session; `agreed`, which says so, is yet to be sent.
    ///
    /// # Errors
    /// When no session can be made.
    pub fn websocket<S>(
        &self,
        stream: S,
        agreed: Bytes,
        address: IpAddr,
        line: Arc<Line>,
    ) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.websockets.serve(stream, agreed, address, line)
    }

    /// Answers one HTTP request.
    pub async fn request(&self, request: Request<Body>, from: Arrival) -> Response<Body> {
        let answer =
            tower::service_fn(async |request| Ok::<_, Infallible>(self.checked(request, from.clone()).await));
        let mut service = tower::Layer::layer(&self.cors, answer);
        match service.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn checked(&self, request: Request<Body>, from: Arrival) -> Response<Body> {
        let headers = request.headers();
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Err(refused) = self.admission.check_origin(header(ORIGIN), header(HOST)) {
            return refused.answer();
        }
        let sid = request.uri().query().and_then(|query| field(query, "sid")).map(str::to_owned);
        match sid {
            None => self.open(request, from).await,
            Some(sid) => self.go_on(request, &sid, &from.line).await,
        }
    }

    /// A new session: by polling, or by a WebSocket that comes down a connection already in use.
    async fn open(&self, mut request: Request<Body>, from: Arrival) -> Response<Body> {
        let permit = match self.admission.enter(from.address) {
            Ok(permit) => permit,
            Err(refused) => return refused.answer(),
        };
        let query = request.uri().query().unwrap_or_default();
        let polling = field(query, "transport") != Some("websocket");
        let line = if polling {
            Arc::default()
        } else {
            from.line.meter();
            from.line
        };
        // The engine keeps the request's head with the session: keep that small.
        let wanted = [http::header::UPGRADE, http::header::CONNECTION, http::header::SEC_WEBSOCKET_KEY];
        let kept = wanted.map(|name| (request.headers().get(&name).cloned(), name));
        let headers = request.headers_mut();
        headers.clear();
        for (value, name) in kept {
            if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok()) {
                headers.insert(name, value);
            }
        }
        let peer = Peer::new(from.address, line, Some(permit));
        request.extensions_mut().insert(peer.clone());
        let answer = self.engine(request).await;
        if polling && answer.status() == StatusCode::OK { self.opened(&peer, answer).await } else { answer }
    }

    /// The engine's first packet names the session; from now on its requests pass its valve.
    async fn opened(&self, peer: &Peer, answer: Response<Body>) -> Response<Body> {
        let Ok(body) = http_body_util::BodyExt::collect(answer.into_body()).await else {
            return closing();
        };
        let packet = body.to_bytes();
        if let Some(Ok(Opened { sid })) = packet.strip_prefix(b"0").map(serde_json::from_slice) {
            peer.polls(&self.pollers, &sid);
        }
        packets_answer(packet)
    }

    /// A polling client's next request, or its upgrade.
    async fn go_on(&self, request: Request<Body>, sid: &str, tcp: &Arc<Line>) -> Response<Body> {
        let Some(poller) = self.pollers.get(sid) else {
            return self.engine(request).await;
        };
        let query = request.uri().query().unwrap_or_default();
        if field(query, "transport") == Some("websocket") {
            poller.upgrade().await;
            tcp.meter();
            poller.line.succeed(tcp);
            let answer = self.engine(request).await;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                poller.stays();
            }
            return answer;
        }
        if request.method() == Method::POST {
            // Back-pressure: the body is read no further, and the client does not send the next one.
            let Some(_alone) = poller.post() else {
                let message = "One request at a time may send.";
                return Refused { status: StatusCode::BAD_REQUEST, message }.answer();
            };
            let line = poller.line.clone();
            return self.engine(request.map(|body| GatedBody::new(body, line, self.longest))).await;
        }
        if let Some(packets) = poller.leftover() {
            return packets_answer(packets);
        }
        // What was answered before the line was closed is still fetched; then the client is sent back.
        let closed = async {
            poller.line.closed().await;
            if !poller.line.is_cut() {
                tokio::time::sleep(LAST_WORD).await;
            }
        };
        tokio::select! {
            biased;
            answer = self.engine(request) => fetched(&poller, answer).await,
            () = closed => {
                // It has heard all there is, and will not ask again.
                poller.line.cut();
                closing()
            }
        }
    }

    async fn engine<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::fmt::Debug,
    {
        let service = self.engine.service.clone();
        match tower::ServiceExt::<Request<B>>::oneshot(service, request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }
}

/// The beginning of a session, as far as it matters here.
#[derive(serde::Deserialize)]
struct Opened {
    sid: String,
}

/// What the engine answered to a poll, in parts that every client can decode.
async fn fetched(poller: &Poller, answer: Response<Body>) -> Response<Body> {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    match http_body_util::BodyExt::collect(answer.into_body()).await {
        Ok(body) => packets_answer(poller.answer(body.to_bytes())),
        Err(_) => closing(),
    }
}

fn packets_answer(packets: Bytes) -> Response<Body> {
    text(StatusCode::OK, "text/plain; charset=UTF-8", packets)
}

/// One field of a query that needs no decoding.
pub fn field<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')))
}

/// Ends a polling session so that its client comes back by itself. Not by Engine.IO's close packet:
/// python-engineio takes that for a farewell.
fn closing() -> Response<Body> {
    let message = "The session has ended. Connect again.";
    Refused { status: StatusCode::SERVICE_UNAVAILABLE, message }.answer()
}

fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Credentials only for origins that are named.
fn cors(origins: &Origins) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([CONTENT_TYPE, http::header::AUTHORIZATION]);
    match origins {
        Origins::Any => layer.allow_origin(tower_http::cors::Any),
        Origins::Listed(listed) => {
            let listed: Vec<_> = listed.iter().filter_map(|origin| origin.parse().ok()).collect();
            layer.allow_origin(AllowOrigin::list(listed)).allow_credentials(true)
        }
    }
}
