//! Accepts connections and sends each to its door.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::away::{Away, Spare};
use super::head::{self, Handshake, Target};
use super::open::{Answer, Asked, Full, Guest, Open, Opened, Places};
use super::raw;
use super::stream::{ClientStream, Socket};
use super::tls::Tls;
use crate::access::address_key;
use crate::gateway::socketio::{Arrival, Door};
use crate::gateway::websocket::{Endpoint, WebSockets};
use crate::http::Pages;
use crate::realtime::Line;

/// Connections the kernel may hold for us between two accepts.
const BACKLOG: u32 = 4096;
/// After an accept that failed, others get this long to finish.
const RESPITE: Duration = Duration::from_millis(100);
/// That somebody was turned away is told once in so long, for each reason.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// The reasons.
const ALL_FULL: &str = "there are as many connections as may be, and all are busy; others are told to come again; see `ulimit -n` \
    and limits.sockets";
const ADDRESS_FULL: &str = "an address has as many connections as it may, and all are busy; its others are told to come again; see \
    limits.sockets_per_address, and server.trusted_proxies if it is a proxy's";
const NO_DESCRIPTOR: &str = "no descriptor is left; who says nothing makes room, and else who connects is told to come again; see `ulimit -n`";

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// These ranges.
    pub fn new(ranges: Vec<IpNet>) -> Self {
        Self(ranges)
    }

    /// Whether `address` is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Who is behind `peer`: the last address in `forwarded` that is not itself a trusted proxy. Nobody
    /// arrives from loopback through a proxy: who says so counts as the proxy.
    pub fn client(&self, peer: IpAddr, forwarded: Option<&str>) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let hops = forwarded.unwrap_or_default().rsplit(',');
        let mut client = peer;
        for hop in hops {
            match address(hop.trim()) {
                Some(address) if !address.to_canonical().is_loopback() => client = address.to_canonical(),
                Some(address) if self.trusts(address.to_canonical()) => client = address.to_canonical(),
                _ => break,
            }
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// `192.0.2.1`, `2001:db8::1`, or either with a port, as some proxies write it.
fn address(hop: &str) -> Option<IpAddr> {
    hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

/// What serves connections.
pub struct Servant {
    /// Socket.IO.
    pub door: Door,
    /// Raw WebSockets.
    pub websockets: WebSockets,
    /// Everything else.
    pub pages: Pages,
    /// Whose word on client addresses counts.
    pub proxies: Proxies,
    /// `limits.bytes_per_second`.
    pub bytes_per_second: u32,
    /// `realtime.tcp_user_timeout_ms`.
    pub tcp_user_timeout: Duration,
    /// Connections that are open, whichever listener they came by.
    pub open: Arc<Open>,
    /// Who turns away those for whom there is no place.
    pub away: Away,
    /// TCP connections at most; of one address, loopback and trusted proxies are not limited.
    pub places: Places,
    /// Tasks that serve connections.
    pub tasks: TaskTracker,
    /// Ends the listener and idle HTTP connections.
    pub stop: CancellationToken,
}

/// A bound listener.
pub struct Listener {
    tcp: TcpListener,
    /// How clients are greeted, if lines are encrypted.
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds `address`; whoever connects there is greeted by `tls`, if it is given.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> std::io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { tcp: socket.listen(BACKLOG)?, tls })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Whether lines are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Accepts until told to stop.
    pub async fn run(self, servant: Arc<Servant>) {
        let mut spare = Spare::new();
        let mut told = HashMap::new();
        let mut tell = |why: &'static str| {
            if told.get(why).is_none_or(|at: &Instant| at.elapsed() >= TOLD_EVERY) {
                told.insert(why, Instant::now());
                tracing::warn!("{why}");
            }
        };
        loop {
            let accepted = tokio::select! {
                () = servant.stop.cancelled() => return,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => match servant.opened(peer.ip()).await {
                    Ok(opened) => {
                        let (servant, tls) = (servant.clone(), self.tls.clone());
                        let tasks = servant.tasks.clone();
                        tasks.spawn(
                            async move { servant.serve(tcp, tls.as_deref(), peer.ip(), opened).await },
                        );
                    }
                    Err(full) => {
                        tell(match full {
                            Full::Everybody => ALL_FULL,
                            Full::Address => ADDRESS_FULL,
                        });
                        servant.away.tell(full, tcp, self.tls.clone(), &servant.tasks);
                    }
                },
                Err(fault) if Spare::is_needed(&fault) => {
                    tell(NO_DESCRIPTOR);
                    if servant.open.make_room().await {
                        continue;
                    }
                    servant.away.noted();
                    spare.answer(&self.tcp, self.tls.is_some()).await;
                }
                Err(fault) => {
                    tracing::warn!(%fault, "a connection could not be accepted");
                    tokio::time::sleep(RESPITE).await;
                }
            }
        }
    }
}

impl Servant {
    async fn opened(&self, peer: IpAddr) -> Result<Opened, Full> {
        let peer = peer.to_canonical();
        let is_counted = !peer.is_loopback() && !self.proxies.trusts(peer);
        self.open.place(self.places, address_key(peer), is_counted).await
    }

    async fn serve(self: Arc<Self>, tcp: TcpStream, tls: Option<&Tls>, peer: IpAddr, opened: Opened) {
        tcp.set_nodelay(true).ok();
        socket2::SockRef::from(&tcp).set_tcp_user_timeout(Some(self.tcp_user_timeout)).ok();
        let guest = opened.guest();
        let socket = match tls {
            None => Socket::Plain(tcp),
            Some(tls) => {
                let greeted = tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = guest.leave() => return,
                    greeted = tokio::time::timeout(head::PATIENCE, tls.accept(tcp)) => greeted,
                };
                let Ok(Ok(encrypted)) = greeted else { return };
                Socket::Encrypted(Box::new(encrypted))
            }
        };
        let line = opened.line().clone();
        let mut stream = ClientStream::new(socket, self.bytes_per_second, self.tcp_user_timeout, opened);
        let read = tokio::select! {
            () = self.stop.cancelled() => return,
            () = guest.leave() => return,
            read = tokio::time::timeout(head::PATIENCE, head::read(&mut stream)) => read,
        };
        match read {
            Ok(Ok(Some(handshake))) => {
                guest.stays();
                drop(guest);
                self.websocket(stream, line, peer, handshake).await;
            }
            Ok(Ok(None)) => self.http(stream, line, peer, guest).await,
            Ok(Err(())) | Err(_) => {}
        }
    }

    async fn websocket(&self, mut stream: ClientStream, line: Arc<Line>, peer: IpAddr, handshake: Handshake) {
        let address = self.proxies.client(peer, handshake.forwarded.as_deref());
        let admission = self.door.admission();
        let (origin, host) = (handshake.origin.as_deref(), handshake.host.as_deref());
        let entered = admission.check_origin(origin, host).and_then(|()| {
            let permit = admission.enter(address)?;
            let opening = match &handshake.target {
                Target::Session => None,
                Target::Raw(endpoint, query, authorization) => {
                    Some(self.websockets.open(*endpoint, query, authorization.as_deref(), address)?)
                }
            };
            Ok((permit, opening))
        });
        let (permit, opening) = match entered {
            Ok(entered) => entered,
            Err(refused) => {
                head::refuse(&mut stream, &refused).await.ok();
                return;
            }
        };
        line.meter();
        stream.keep(permit);
        let agreed = head::agreement(&handshake);
        if let Some(opening) = opening {
            return self.websockets.enter(opening, line).await.serve(stream, agreed);
        }
        if let Err(fault) = self.door.websocket(stream, agreed, address, line) {
            tracing::error!(fault, "a session could not begin");
        }
    }

    async fn http(
        self: Arc<Self>,
        mut stream: ClientStream,
        line: Arc<Line>,
        peer: IpAddr,
        guest: Arc<Guest>,
    ) {
        stream.tell(&guest);
        let (servant, busy) = (self.clone(), guest.clone());
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (servant, line, guest) = (servant.clone(), line.clone(), busy.clone());
            guest.is_busy();
            let request = request.map(|body| Body::new(Asked::new(body, guest.clone())));
            async move {
                let response = servant.answer(request, line, guest.clone(), peer).await;
                let is_answer = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                if !is_answer {
                    guest.stays();
                }
                Ok::<_, Infallible>(response.map(|body| Answer::new(body, is_answer.then_some(guest))))
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head::PATIENCE)
            .max_buf_size(head::LARGEST)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = guest.leave() => {
                // Of a first request, there may be a part.
                if !guest.was_asked() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(fault) = ended {
            tracing::debug!(%fault, "an HTTP connection ended badly");
        }
    }

    async fn answer(
        &self,
        request: Request<Body>,
        line: Arc<Line>,
        guest: Arc<Guest>,
        peer: IpAddr,
    ) -> http::Response<Body> {
        if head::length(&request) > head::LARGEST {
            return head::TOO_LARGE.answer();
        }
        // Each proxy may have added a line of its own.
        let lines: Vec<_> = request.headers().get_all("x-forwarded-for").iter().collect();
        let lines: Vec<_> = lines.into_iter().filter_map(|line| line.to_str().ok()).collect();
        let address = self.proxies.client(peer, Some(&lines.join(",")));
        if Door::owns(request.uri().path()) {
            return self.door.request(request, Arrival { address, line }).await;
        }
        if let Some(endpoint) = Endpoint::at(request.uri().path()) {
            let from = (address, line);
            return raw::upgrade(self.door.admission(), &self.websockets, endpoint, request, from).await;
        }
        self.pages.answer(request, address, guest).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let proxies = Proxies::new("10.0.0.0/30".parse().into_iter().collect());
        for (peer, forwarded, client) in [
            ("198.51.100.7", Some("1.1.1.1"), "198.51.100.7"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("10.0.0.1", Some("203.0.113.5"), "203.0.113.5"),
            ("10.0.0.1", Some("6.6.6.6, 203.0.113.5"), "203.0.113.5"),
            ("10.0.0.1", Some("203.0.113.5, 10.0.0.2"), "203.0.113.5"),
            ("10.0.0.1", Some("nonsense"), "10.0.0.1"),
            ("10.0.0.1", Some("127.0.0.1"), "10.0.0.1"),
            ("10.0.0.1", Some("127.0.0.1,203.0.113.5"), "203.0.113.5"),
            ("10.0.0.1", Some("203.0.113.5:4711"), "203.0.113.5"),
            ("10.0.0.1", Some("[2001:db8::1]:4711"), "2001:db8::1"),
            ("::ffff:10.0.0.1", Some("203.0.113.5"), "203.0.113.5"),
        ] {
            assert_eq!(proxies.client(ip(peer), forwarded), ip(client), "{peer} {forwarded:?}");
        }
    }
}
