//! A private Redis on a Unix socket: one that all tests of this process share, each with its own prefix; ones that a
//! test may treat badly; and a cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::authority::Identity;
use super::keeper::{Keeper, home_of};
use super::server::quiet_port;
use super::{PATIENCE, eventually};

/// All hash slots of a cluster.
const SLOTS: usize = 16_384;
/// The nodes of a cluster that share them.
pub const SHARDS: usize = 3;

/// A running server, which stores nothing on disk.
pub struct Redis {
    keeper: Keeper,
}

impl Redis {
    /// The one that all tests share; started by the first that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(Self::private)
    }

    /// One for a single test, which may kill it, stop it and start it again.
    pub fn private() -> Self {
        Self::launch(&["--port", "0"].map(str::to_owned))
    }

    /// One that also listens on this loopback port, with TLS.
    pub fn with_tls(identity: &Identity, port: u16) -> Self {
        let words = ["--port", "0"].map(str::to_owned).into_iter().chain(tls(identity, &port.to_string()));
        Self::launch(&words.collect::<Vec<_>>())
    }

    fn launch(more: &[String]) -> Self {
        let home = home_of(None);
        let usual = ["--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"];
        let arguments: Vec<String> =
            usual.map(str::to_owned).into_iter().chain(more.iter().cloned()).collect();
        let keeper = Keeper::of(home, None, &binary(), &arguments, "KILL");
        let mut redis = Self { keeper };
        redis.start();
        redis
    }

    /// Starts it (again), empty.
    pub fn start(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.keeper.start();
        let hope = "Redis answers";
        eventually(hope, || (self.ask("PING").ok()? == "+PONG").then_some(()));
    }

    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.keeper.home().join("redis.sock")
    }

    /// Takes it away at once.
    pub fn kill(&mut self) {
        self.keeper.kill();
    }

    /// It stands still: connections stay, and nothing is answered.
    pub fn stop(&self) {
        self.keeper.signal(Signal::SIGSTOP);
    }

    pub fn go_on(&self) {
        self.keeper.signal(Signal::SIGCONT);
    }

    /// Answers nobody for so long, and is alive.
    pub fn pause(&self, time: Duration) {
        self.tell(&format!("CLIENT PAUSE {} ALL", time.as_millis()));
    }

    /// As after a failover that went wrong: it follows somebody who is not there, and takes no writes.
    pub fn make_read_only(&self) {
        self.tell("REPLICAOF 127.0.0.1 1");
    }

    pub fn make_writable(&self) {
        self.tell("REPLICAOF NO ONE");
    }

    /// Hangs up on everybody.
    pub fn hang_up(&self) {
        for kind in ["normal", "pubsub"] {
            let answer = self.ask(&format!("CLIENT KILL TYPE {kind}")).expect("an answer");
            assert!(answer.starts_with(':'), "{answer}");
        }
    }

    /// What `redis-cli` prints when it is given these words.
    #[track_caller]
    pub fn cli(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(words)
            .output()
            .expect("redis-cli; it is installed by `make clients`");
        let printed = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        assert!(output.status.success() && !printed.contains("ERR"), "{words:?}: {printed}");
        printed
    }

    /// Publishes as the feed's back ends do; returns how many heard it.
    #[track_caller]
    pub fn publish(&self, message: &Value) -> u32 {
        self.cli(&["PUBLISH", "notifications:send", &message.to_string()]).parse().expect("a number")
    }

    /// Adds an entry to the stream; returns its id.
    #[track_caller]
    pub fn add(&self, message: &Value) -> String {
        self.cli(&["XADD", "notifications:stream", "*", "notification", &message.to_string()])
    }

    /// Waits until somebody hears what is published.
    #[track_caller]
    pub fn wait_for_listener(&self) {
        eventually("somebody listens", || {
            let told = self.cli(&["PUBSUB", "NUMSUB", "notifications:send"]);
            told.ends_with("\n1").then_some(())
        });
    }

    /// Waits until so many entries of the stream are there, and so many of them read and not done.
    #[track_caller]
    pub fn wait_for_stream(&self, there: usize, read: usize) {
        let hope = format!("{there} entries are there, {read} of them read");
        eventually(&hope, || {
            let length = self.cli(&["XLEN", "notifications:stream"]);
            let pending = self.cli(&["XPENDING", "notifications:stream", "carillon"]);
            let pending = pending.lines().next().unwrap_or_default().to_owned();
            (length == there.to_string() && pending == read.to_string()).then_some(())
        });
    }

    /// Waits until so many entries of the stream are there, and some of them read and not done; returns how many. (Who
    /// reads takes what has come by then.)
    #[track_caller]
    pub fn wait_for_reader(&self, there: usize) -> usize {
        eventually(&format!("{there} entries are there, some of them read"), || {
            let length = self.cli(&["XLEN", "notifications:stream"]);
            let pending = self.cli(&["XPENDING", "notifications:stream", "carillon"]);
            let pending = pending.lines().next()?.parse().ok()?;
            (length == there.to_string() && pending > 0).then_some(pending)
        })
    }

    /// Gives an order that is answered by OK.
    fn tell(&self, order: &str) {
        assert_eq!(self.ask(order).as_deref().ok(), Some("+OK"), "{order}");
    }

    /// The answer to a command: its first line, or a whole text.
    pub fn ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{command}\r\n")?;
        let mut answers = BufReader::new(stream);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let Some(length) = line.trim_end().strip_prefix('$').and_then(|length| length.parse().ok()) else {
            return Ok(line.trim_end().to_owned());
        };
        let mut text = vec![0; length];
        answers.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Three Redis nodes on loopback ports, each with a third of the slots; and replicas, if wanted.
pub struct RedisCluster {
    scheme: &'static str,
    nodes: Vec<(u16, Redis)>,
}

impl RedisCluster {
    pub fn start() -> Self {
        Self::launch("redis", 0, |port| ["--port", port].map(str::to_owned).to_vec())
    }

    /// Three, and a replica of each.
    pub fn with_replicas() -> Self {
        Self::launch("redis", SHARDS, |port| ["--port", port].map(str::to_owned).to_vec())
    }

    /// Three that listen with TLS alone.
    pub fn with_tls(identity: &Identity) -> Self {
        Self::launch("rediss", 0, |port| {
            let cluster = ["--port", "0", "--tls-cluster", "yes"].map(str::to_owned);
            cluster.into_iter().chain(tls(identity, port)).collect()
        })
    }

    /// Makes these follow the first ones: the fourth the first, and so on.
    fn follow(&self, replicas: usize) {
        for number in SHARDS..SHARDS + replicas {
            let (_, replica) = &self.nodes[number];
            let master = self.nodes[number - SHARDS].1.ask("CLUSTER MYID").expect("a name");
            eventually("a node can follow another", || {
                (replica.ask(&format!("CLUSTER REPLICATE {master}")).ok()? == "+OK").then_some(())
            });
            eventually("a node follows another", || {
                replica.ask("INFO replication").ok()?.contains("master_link_status:up").then_some(())
            });
        }
    }

    fn launch(scheme: &'static str, replicas: usize, listening: impl Fn(&str) -> Vec<String>) -> Self {
        let node = |_| {
            let (port, bus) = (quiet_port(), quiet_port());
            let (bus_word, mut words) = (bus.to_string(), listening(&port.to_string()));
            let usual = ["--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", &bus_word];
            words.extend(usual.map(str::to_owned));
            let quick = ["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"];
            words.extend(quick.map(str::to_owned));
            (port, bus, Redis::launch(&words))
        };
        let nodes: Vec<_> = (0..SHARDS + replicas).map(node).collect();
        for (number, (_, _, redis)) in nodes.iter().enumerate() {
            if number < SHARDS {
                let (first, last) = (SLOTS * number / SHARDS, SLOTS * (number + 1) / SHARDS - 1);
                redis.tell(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            }
            redis.tell(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1));
            let (port, bus, _) = nodes[0];
            if number > 0 {
                redis.tell(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
            }
        }
        let cluster =
            Self { scheme, nodes: nodes.into_iter().map(|(port, _, redis)| (port, redis)).collect() };
        let known = format!("cluster_known_nodes:{}", SHARDS + replicas);
        eventually("the nodes know each other", || {
            let knows_all = |(_, redis): &(u16, Redis)| {
                let facts = redis.ask("CLUSTER INFO").unwrap_or_default();
                facts.contains("cluster_state:ok") && facts.contains(&known)
            };
            cluster.nodes.iter().all(knows_all).then_some(())
        });
        cluster.follow(replicas);
        cluster
    }

    /// The nodes, to treat badly.
    pub fn into_nodes(self) -> Vec<Redis> {
        self.nodes.into_iter().map(|(_, redis)| redis).collect()
    }

    /// All addresses, with commas between.
    pub fn url(&self) -> String {
        let url = |(port, _): &(u16, Redis)| format!("{}://127.0.0.1:{port}", self.scheme);
        self.nodes.iter().map(url).collect::<Vec<_>>().join(",")
    }
}

/// The words for a port with TLS, where clients need no certificate.
fn tls(identity: &Identity, port: &str) -> Vec<String> {
    let [certificate, key, root] =
        [&identity.certificate, &identity.key, &identity.root].map(|file| file.display().to_string());
    let words = ["--tls-port", port, "--tls-auth-clients", "no", "--tls-cert-file", &certificate];
    let files = ["--tls-key-file", &key, "--tls-ca-cert-file", &root];
    words.into_iter().chain(files).map(str::to_owned).collect()
}

fn binary() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file());
    found.expect("redis-server; it is installed by `make clients`")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::support::on_postgres;

    #[test]
    fn it_can_be_treated_badly() {
        if !on_postgres() {
            return;
        }
        let mut redis = Redis::private();
        redis.tell("SET key value");
        redis.make_read_only();
        assert!(redis.ask("SET key other").expect("an answer").starts_with("-READONLY"));
        redis.make_writable();
        redis.pause(Duration::from_millis(300));
        let asked = Instant::now();
        assert_eq!(redis.ask("GET key").expect("an answer"), "value");
        assert!(asked.elapsed() > Duration::from_millis(200));
        let mut listener = UnixStream::connect(redis.socket()).expect("a connection");
        write!(listener, "PING\r\n").expect("a line");
        listener.read_exact(&mut [0; 7]).expect("an answer");
        redis.hang_up();
        assert!(matches!(listener.read(&mut [0]), Ok(0) | Err(_)));
        redis.stop();
        redis.go_on();
        redis.kill();
        redis.ask("PING").expect_err("nobody is there");
        redis.start();
        assert_eq!(redis.ask("GET key").expect("an answer"), "$-1", "it starts empty");
    }
}
