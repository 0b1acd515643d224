//! A line that can be cut: it stands between a client and a server (ours, Redis, PostgreSQL) and forwards bytes, until
//! it is told to do it badly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use socket2::SockRef;

use super::server::quiet_port;

/// Who waits looks up after this time, whether the connection was cut meanwhile.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Where the bytes go.
#[derive(Clone)]
pub enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Who is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Listens on a loopback port, with two threads for each connection.
pub struct Proxy {
    pub address: SocketAddr,
    line: Arc<Line>,
}

struct Line {
    upstream: Upstream,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Newcomers find nobody listening.
    is_closed: bool,
    /// Nothing reaches these sides.
    holes: Vec<Side>,
    /// Each piece waits for so long.
    delay: Duration,
    /// Each direction of each connection carries no more bytes in a second.
    pace: Option<usize>,
    connections: Vec<Arc<Connection>>,
}

struct Connection {
    client: Wire,
    server: Wire,
    is_cut: Mutex<bool>,
}

enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Proxy {
    pub fn to(upstream: Upstream) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], quiet_port()));
        let line = Arc::new(Line { upstream, state: Mutex::default(), changed: Condvar::new() });
        let proxy = Self { address, line };
        proxy.listen();
        proxy
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.line.state().connections.len()
    }

    /// Ends all connections in good order: both sides read an end.
    pub fn hang_up(&self) {
        self.end_all(false);
    }

    /// Ends all connections as a crash does: both sides see a reset (over a Unix socket: an end).
    pub fn reset(&self) {
        self.end_all(true);
    }

    fn end_all(&self, by_reset: bool) {
        let connections = std::mem::take(&mut self.line.state().connections);
        connections.iter().for_each(|connection| connection.end(by_reset));
        self.line.changed.notify_all();
    }

    /// Newcomers are refused; who is connected stays.
    pub fn refuse(&self) {
        let was_closed = std::mem::replace(&mut self.line.state().is_closed, true);
        if !was_closed {
            let _ = TcpStream::connect(self.address); // wakes the listener, which then leaves
            while TcpStream::connect(self.address).is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Connections stay, newcomers are taken, and nothing arrives anywhere.
    pub fn swallow(&self) {
        self.swallow_towards(&[Side::Client, Side::Server]);
    }

    /// Nothing arrives at these sides.
    pub fn swallow_towards(&self, sides: &[Side]) {
        self.line.state().holes = sides.to_vec();
    }

    /// Every piece comes later by this time.
    pub fn delay(&self, delay: Duration) {
        self.line.state().delay = delay;
    }

    /// Each direction of each connection carries no more than this.
    pub fn narrow(&self, bytes_per_second: usize) {
        self.line.state().pace = Some(bytes_per_second);
    }

    /// This side reads an end on all connections, and may go on to speak.
    pub fn half_close(&self, towards: Side) {
        for connection in &self.line.state().connections {
            connection.wire(towards).shutdown(Shutdown::Write);
        }
    }

    /// Does everything well again. What was swallowed arrives now, as after a cable was plugged in again.
    pub fn heal(&self) {
        let mut state = self.line.state();
        let was_closed = std::mem::replace(&mut state.is_closed, false);
        (state.holes, state.delay, state.pace) = (Vec::new(), Duration::ZERO, None);
        drop(state);
        self.line.changed.notify_all();
        if was_closed {
            self.listen();
        }
    }

    fn listen(&self) {
        let listener = TcpListener::bind(self.address).expect("the proxy's port");
        let line = Arc::clone(&self.line);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if line.state().is_closed {
                    return;
                }
                if let Ok(client) = client {
                    let line = Arc::clone(&line);
                    std::thread::spawn(move || line.carry(client));
                }
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        self.reset();
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the proxy")
    }

    /// Serves one connection to its end.
    fn carry(self: Arc<Self>, client: TcpStream) {
        let server = match &self.upstream {
            Upstream::Tcp(address) => TcpStream::connect(address).map(Wire::Tcp),
            Upstream::Unix(path) => UnixStream::connect(path).map(Wire::Unix),
        };
        let Ok(server) = server else {
            return reset_at_close(&client);
        };
        let connection = Arc::new(Connection { client: Wire::Tcp(client), server, is_cut: Mutex::default() });
        connection.client.prepare();
        connection.server.prepare();
        self.state().connections.push(Arc::clone(&connection));
        let other = {
            let (line, connection) = (Arc::clone(&self), Arc::clone(&connection));
            std::thread::spawn(move || line.pump(&connection, Side::Client))
        };
        self.pump(&connection, Side::Server);
        other.join().expect("the other direction");
        self.state().connections.retain(|one| !Arc::ptr_eq(one, &connection));
    }

    /// Forwards one direction, until it ends.
    fn pump(&self, connection: &Connection, towards: Side) {
        let (from, to) = match towards {
            Side::Client => (&connection.server, &connection.client),
            Side::Server => (&connection.client, &connection.server),
        };
        let mut piece = vec![0; 65_536];
        loop {
            let length = match from.read(&mut piece) {
                Ok(length) => length,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return connection.end(true),
            };
            self.wait_until_open(connection, towards);
            if connection.is_cut() {
                return;
            }
            if length == 0 {
                return to.shutdown(Shutdown::Write);
            }
            let mut rest = &piece[..length];
            while !rest.is_empty() && !connection.is_cut() {
                let pace = self.state().pace;
                let most = pace.map_or(rest.len(), |pace| rest.len().min((pace / 20).max(1)));
                match to.write(&rest[..most]) {
                    Ok(written) => {
                        rest = &rest[written..];
                        let time = pace.map(|pace| Duration::from_secs_f64(written as f64 / pace as f64));
                        time.into_iter().for_each(std::thread::sleep);
                    }
                    Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    // It was half-closed: what comes for it is dropped.
                    Err(_) => rest = &[],
                }
            }
        }
    }

    /// Waits as long as nothing may arrive there, and then for the delay.
    fn wait_until_open(&self, connection: &Connection, towards: Side) {
        let mut state = self.state();
        while state.holes.contains(&towards) && !connection.is_cut() {
            state = self.changed.wait_timeout(state, LOOK_UP).expect("the proxy").0;
        }
        let delay = state.delay;
        drop(state);
        std::thread::sleep(delay);
    }
}

impl Connection {
    fn wire(&self, side: Side) -> &Wire {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn is_cut(&self) -> bool {
        *self.is_cut.lock().expect("a connection")
    }

    /// Ends both sides; a reset is sent when the last thread lets go of it.
    fn end(&self, by_reset: bool) {
        *self.is_cut.lock().expect("a connection") = true;
        for wire in [&self.client, &self.server] {
            match wire {
                Wire::Tcp(stream) if by_reset => {
                    reset_at_close(stream);
                    let _ = stream.shutdown(Shutdown::Read); // wakes its reader, and says nothing to the other end
                }
                _ => wire.shutdown(Shutdown::Both),
            }
        }
    }
}

impl Wire {
    fn prepare(&self) {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true).and_then(|()| stream.set_write_timeout(Some(LOOK_UP)))
            }
            Self::Unix(stream) => stream.set_write_timeout(Some(LOOK_UP)),
        }
        .expect("a socket");
    }

    fn read(&self, piece: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).read(piece),
            Self::Unix(stream) => (&*stream).read(piece),
        }
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&*stream).write(bytes),
            Self::Unix(stream) => (&*stream).write(bytes),
        }
    }

    fn shutdown(&self, how: Shutdown) {
        // The other end may have gone already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }
}

fn reset_at_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::support::{PATIENCE, eventually};

    /// A server that says everything back, until the end.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        address
    }

    fn dial(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address).expect("the proxy to listen");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream
    }

    fn say(mut stream: &TcpStream, word: &[u8; 4]) {
        stream.write_all(word).expect("a listener");
    }

    fn hear(mut stream: &TcpStream) -> std::io::Result<[u8; 4]> {
        let mut word = [0; 4];
        stream.read_exact(&mut word).map(|()| word)
    }

    fn greet(stream: &TcpStream, word: &[u8; 4]) {
        say(stream, word);
        assert_eq!(hear(stream).expect("an answer"), *word);
    }

    fn is_silent(stream: &TcpStream) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        let heard = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        heard.is_err_and(|fault| fault.kind() == ErrorKind::WouldBlock)
    }

    fn fault_of(stream: &TcpStream) -> ErrorKind {
        hear(stream).expect_err("an end").kind()
    }

    #[test]
    fn it_forwards_much_and_then_the_end() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let stream = dial(&proxy);
        let writer = stream.try_clone().expect("a socket");
        let much = vec![7; 3_000_000];
        std::thread::spawn(move || {
            (&writer).write_all(&much).expect("a listener");
            writer.shutdown(Shutdown::Write).expect("a socket");
        });
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).expect("all and an end");
        assert_eq!(heard.len(), 3_000_000);
        eventually("the connection is forgotten", || (proxy.connections() == 0).then_some(()));
    }

    #[test]
    fn it_ends_connections_and_takes_new_ones() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let (first, second) = (dial(&proxy), dial(&proxy));
        greet(&first, b"one.");
        greet(&second, b"two.");
        proxy.reset();
        assert_eq!(fault_of(&first), ErrorKind::ConnectionReset);
        assert_eq!(fault_of(&second), ErrorKind::ConnectionReset);
        let third = dial(&proxy);
        greet(&third, b"tri.");
        proxy.hang_up();
        assert_eq!(fault_of(&third), ErrorKind::UnexpectedEof);
        greet(&dial(&proxy), b"four");
    }

    #[test]
    fn it_refuses_only_newcomers() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let old = dial(&proxy);
        greet(&old, b"one.");
        proxy.refuse();
        let refused = TcpStream::connect(proxy.address).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        greet(&old, b"two.");
        proxy.heal();
        greet(&dial(&proxy), b"tri.");
        greet(&old, b"four");
    }

    #[test]
    fn it_swallows_until_healed() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let old = dial(&proxy);
        greet(&old, b"one.");
        proxy.swallow();
        let new = dial(&proxy);
        say(&old, b"two.");
        say(&new, b"tri.");
        assert!(is_silent(&old) && is_silent(&new));
        proxy.heal();
        assert_eq!(hear(&old).expect("an answer"), *b"two.");
        assert_eq!(hear(&new).expect("an answer"), *b"tri.");
        proxy.swallow_towards(&[Side::Server]);
        say(&old, b"four");
        assert!(is_silent(&old));
        proxy.reset();
        assert_eq!(fault_of(&old), ErrorKind::ConnectionReset, "who is swallowed can be cut");
    }

    #[test]
    fn it_delays() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let stream = dial(&proxy);
        proxy.delay(Duration::from_millis(150));
        let start = Instant::now();
        greet(&stream, b"one.");
        assert!(start.elapsed() >= Duration::from_millis(300), "on the way there, and back");
    }

    #[test]
    fn it_is_narrow() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let stream = dial(&proxy);
        proxy.narrow(8_000);
        let start = Instant::now();
        (&stream).write_all(&[7; 4_000]).expect("a listener");
        (&stream).read_exact(&mut [0; 4_000]).expect("all of it");
        let time = start.elapsed();
        assert!(time >= Duration::from_millis(450), "it was too fast: {time:?}"); // the last piece leaves before its time is over
        proxy.heal();
        greet(&stream, b"one.");
    }

    #[test]
    fn it_closes_one_half() {
        let proxy = Proxy::to(Upstream::Tcp(echo()));
        let stream = dial(&proxy);
        greet(&stream, b"one.");
        proxy.half_close(Side::Client);
        assert_eq!(fault_of(&stream), ErrorKind::UnexpectedEof);
        say(&stream, b"two.");
        assert_eq!(proxy.connections(), 1, "the other half is there");
    }

    #[test]
    fn it_speaks_to_unix_sockets_and_says_when_nobody_is_there() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("echo");
        let proxy = Proxy::to(Upstream::Unix(path.clone()));
        assert!(matches!(fault_of(&dial(&proxy)), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof));
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a caller");
            std::io::copy(&mut &stream, &mut &stream)
        });
        greet(&dial(&proxy), b"one.");
    }
}
