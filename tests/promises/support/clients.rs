//! The clients that people use, and the two parts they play.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::{Agent, BACKEND_TOKEN, Connect, Server, Socket, user_token};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// npm socket.io-client 4.8
    Npm48,
    /// npm socket.io-client 4.1
    Npm41,
    /// PyPI python-socketio
    Python,
    /// npm ws: a raw WebSocket
    Ws,
    /// PyPI websockets: a raw WebSocket
    Websockets,
}

impl Library {
    /// Those that open raw WebSockets.
    pub const RAW: [Self; 2] = [Self::Ws, Self::Websockets];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Polling,
    WebSocket,
    /// Polling first, then WebSocket: what the libraries do by default.
    Upgrade,
}

impl Route {
    pub fn transports(self) -> &'static [&'static str] {
        match self {
            Self::Polling => &["polling"],
            Self::WebSocket => &["websocket"],
            Self::Upgrade => &["polling", "websocket"],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub library: Library,
    pub route: Route,
}

impl Kind {
    pub const USUAL: Self = Self { library: Library::Npm48, route: Route::Upgrade };
    pub const WEBSOCKET: Self = Self { library: Library::Npm48, route: Route::WebSocket };
    pub const POLLING: Self = Self { library: Library::Npm48, route: Route::Polling };
    pub const PYTHON: Self = Self { library: Library::Python, route: Route::Polling };

    /// Every library over every route.
    pub fn all() -> impl Iterator<Item = Self> {
        let libraries = [Library::Npm48, Library::Npm41, Library::Python];
        let routes = [Route::Polling, Route::WebSocket, Route::Upgrade];
        libraries.into_iter().flat_map(move |library| routes.map(|route| Self { library, route }))
    }
}

/// Opens sockets to one server; all npm sockets share a process, all Python ones another.
pub struct Clients {
    url: String,
    node: OnceLock<Arc<Agent>>,
    python: OnceLock<Arc<Agent>>,
    opened: AtomicU64,
}

impl Clients {
    pub fn of(server: &Server) -> Self {
        Self::at(&server.url())
    }

    /// Whatever listens there: a balancer, say.
    pub fn at(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            node: OnceLock::new(),
            python: OnceLock::new(),
            opened: AtomicU64::new(0),
        }
    }

    /// The process that the npm sockets live in.
    pub fn node(&self) -> &Arc<Agent> {
        self.node.get_or_init(Agent::node)
    }

    /// A socket that says `hello` (`[event, …args]`) at every connect.
    pub fn open_with(&self, kind: Kind, hello: &[Value], options: Value) -> Socket {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let agent = match kind.library {
            Library::Python | Library::Websockets => self.python.get_or_init(Agent::python),
            Library::Npm41 | Library::Npm48 | Library::Ws => self.node(),
        };
        let name = format!("{number} {:?} {:?}", kind.library, kind.route);
        Socket::open(agent, &Connect { name, url: self.url.clone(), kind, hello: hello.to_vec(), options })
    }

    /// A connected socket that has not said who it is.
    pub fn stranger(&self) -> Socket {
        self.stranger_by(Kind::WEBSOCKET)
    }

    pub fn stranger_by(&self, kind: Kind) -> Socket {
        let socket = self.open_with(kind, &[], json!({}));
        socket.next_change("connected");
        socket
    }

    /// An authenticated back end.
    pub fn backend(&self) -> Socket {
        self.backend_by(Kind::WEBSOCKET)
    }

    pub fn backend_by(&self, kind: Kind) -> Socket {
        let socket = self.open_with(kind, &[backend_hello()], json!({}));
        assert_eq!(socket.hear("backend_auth_success"), json!({"status": "authenticated"}));
        socket
    }

    /// An authenticated facilitator.
    pub fn facilitator(&self, id: u64) -> Socket {
        self.facilitator_by(Kind::USUAL, id)
    }

    pub fn facilitator_by(&self, kind: Kind, id: u64) -> Socket {
        let socket = self.open_with(kind, &[facilitator_hello(id)], json!({}));
        let welcome = json!({"status": "authenticated", "facilitator_id": id});
        assert_eq!(socket.hear("facilitator_auth_success"), welcome);
        socket
    }

    /// A feed socket, which shows its token in the handshake.
    pub fn feed(&self, id: u64) -> Socket {
        self.feed_by(Kind::USUAL, &user_token(id))
    }

    /// A raw WebSocket to `path`, which is to have the token in it; not awaited.
    pub fn raw(&self, library: Library, path: &str) -> Socket {
        let kind = Kind { library, route: Route::WebSocket };
        self.open_with(kind, &[], json!({ "path": path }))
    }

    pub fn feed_by(&self, kind: Kind, token: &str) -> Socket {
        let socket = self.open_with(kind, &[], json!({"auth": {"token": token}}));
        assert_eq!(socket.hear("authenticated")["status"], "authenticated");
        socket
    }
}

pub fn backend_hello() -> Value {
    json!(["backend_connect", {"token": BACKEND_TOKEN}])
}

pub fn facilitator_hello(id: u64) -> Value {
    json!(["facilitator_connect", {"facilitator_id": id, "token": user_token(id)}])
}
