//! A balancer in front of nodes, as simple as real ones: each new connection goes to the next node that is ready;
//! requests of one polling session stay with its node.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::try_get;

/// Between two looks at a node's readiness.
const LOOK: Duration = Duration::from_millis(100);
/// A node that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_millis(500);
/// A request's first line is not longer.
const HEAD: usize = 16 * 1024;

/// Listens on a loopback port until the tests end.
pub struct Balancer {
    address: SocketAddr,
}

struct Nodes {
    all: Vec<SocketAddr>,
    ready: Mutex<Vec<bool>>,
    /// Polling session → node.
    sessions: Mutex<HashMap<String, usize>>,
    next: AtomicUsize,
}

impl Balancer {
    pub fn over(all: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let ready = Mutex::new(vec![true; all.len()]);
        let nodes = Arc::new(Nodes { all, ready, sessions: Mutex::default(), next: AtomicUsize::new(0) });
        for number in 0..nodes.all.len() {
            let nodes = Arc::clone(&nodes);
            thread::spawn(move || {
                loop {
                    let answer = try_get(nodes.all[number], "/health/ready");
                    nodes.ready.lock().expect("the nodes")[number] = answer.is_some_and(|a| a.status == 200);
                    thread::sleep(LOOK);
                }
            });
        }
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let nodes = Arc::clone(&nodes);
                thread::spawn(move || nodes.serve(client));
            }
        });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Nodes {
    fn serve(self: Arc<Self>, mut client: TcpStream) -> Option<()> {
        client.set_nodelay(true).ok();
        let mut head = Vec::new();
        let mut some = [0; 2048];
        while !head.contains(&b'\n') && head.len() < HEAD {
            let read = client.read(&mut some).ok().filter(|read| *read > 0)?;
            head.extend_from_slice(&some[..read]);
        }
        let line = String::from_utf8_lossy(&head);
        let sid = line
            .lines()
            .next()
            .and_then(|line| line.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("sid=")));
        let (number, mut server) = self.connect(sid)?;
        server.write_all(&head).ok()?;
        let (mut from_client, mut to_server) = (client.try_clone().ok()?, server.try_clone().ok()?);
        thread::spawn(move || {
            std::io::copy(&mut from_client, &mut to_server).ok();
            to_server.shutdown(Shutdown::Write).ok();
        });
        while let Some(read) = server.read(&mut some).ok().filter(|read| *read > 0) {
            if let Some(sid) = opened(&some[..read]) {
                self.sessions.lock().expect("the sessions").insert(sid, number);
            }
            client.write_all(&some[..read]).ok()?;
        }
        client.shutdown(Shutdown::Both).ok()
    }

    /// A session's own node, or the next that is ready.
    fn connect(&self, sid: Option<&str>) -> Option<(usize, TcpStream)> {
        let own = sid.and_then(|sid| self.sessions.lock().expect("the sessions").get(sid).copied());
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let ready = self.ready.lock().expect("the nodes").clone();
        let others = (0..self.all.len()).map(|step| (first + step) % self.all.len());
        own.into_iter().chain(others.filter(|number| ready[*number])).find_map(|number| {
            let server = TcpStream::connect_timeout(&self.all[number], PATIENCE).ok()?;
            server.set_nodelay(true).ok();
            Some((number, server))
        })
    }
}

/// The session that these bytes open.
fn opened(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once(r#""sid":""#)?;
    Some(rest.split('"').next()?.to_owned())
}
