//! A server under measurement: our own child, held on one core, with a database directory of its own. Promises:
//! loopback only; it is stopped, and its directory removed, when the [`Server`] is dropped, and it dies with the
//! load tool.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::login::{BACKEND_TOKEN, JWT_SECRET};
use crate::settings::{Kind, Settings};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);

pub struct Server {
    child: Child,
    dir: PathBuf,
    pub address: SocketAddr,
}

#[derive(Deserialize)]
struct LogLine {
    message: String,
    address: Option<SocketAddr>,
}

#[derive(Deserialize)]
struct Stats {
    total_notifications: u64,
}

impl Server {
    /// Starts a server with an empty database and waits until it listens.
    pub fn start(kind: Kind, settings: &Settings) -> Result<Self> {
        let dir = settings.dir.join(format!("{}-{kind:?}", std::process::id())).to_path_buf();
        fs::create_dir_all(&dir)?;
        let dir = dir.canonicalize()?;
        let mut child = command(kind, settings, &dir)?.spawn().with_context(|| format!("starting {kind:?}"))?;
        let address = listening(&mut child);
        let mut server = Self { child, dir, address: ([127, 0, 0, 1], 0).into() };
        let log = || fs::read_to_string(server.dir.join("stderr")).unwrap_or_default();
        server.address = address.with_context(|| format!("{kind:?} did not listen; it said:\n{}", log()))?;
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many notifications the server says it holds.
    pub async fn total_notifications(&self) -> Result<u64> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"GET /stats HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let body = answer.split_once("\r\n\r\n").context("no HTTP answer to /stats")?.1;
        let stats: Stats = serde_json::from_str(body).with_context(|| format!("/stats said {answer}"))?;
        Ok(stats.total_notifications)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let asked = Instant::now();
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        while asked.elapsed() < STOP_LIMIT && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes what a killed run left behind; a directory's name starts with the pid of its load tool.
pub fn sweep(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.split_once('-').and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// `setpriv` lets the server die with us and `taskset` holds all its threads on one core; both become the server
/// itself, so the child's pid is the server's.
fn command(kind: Kind, settings: &Settings, dir: &Path) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", &settings.server_core.to_string()]);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(dir.join("stderr"))?);
    for name in ["PATH", "HOME"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.env("JWT_SECRET_KEY", JWT_SECRET).env("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN).current_dir(dir);
    let root = settings.root.canonicalize()?;
    match kind {
        Kind::Carillon => {
            let default = root.join("target/release/carillon");
            let binary = settings.carillon.as_ref().map_or(Ok(default), |given| given.canonicalize())?;
            command.arg(binary).args(["serve", "--host", "127.0.0.1", "--port", "0", "--database-url"]);
            command.arg(dir.join("carillon.db")).env("CARILLON_ENV", "production");
        }
        Kind::Node | Kind::NodeTuned => {
            command.arg("node").arg(root.join("bench/peer/server.mjs"));
            command.env("NODE_ENV", "production").env("HOST", "127.0.0.1").env("PORT", "0");
            command.env("DATABASE_FILE", dir.join("peer.db"));
            command.env("PEER_TUNED", if kind == Kind::NodeTuned { "1" } else { "0" });
        }
    }
    Ok(command)
}

/// Waits for the log line that says where the server listens; its later lines are read and dropped.
fn listening(child: &mut Child) -> Result<SocketAddr> {
    let stdout = child.stdout.take().context("no standard output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let address = serde_json::from_str::<LogLine>(&line)
                .ok()
                .filter(|line| line.message == "listening")
                .and_then(|line| line.address);
            let _ = address.map(|address| sender.send(address));
        }
    });
    receiver.recv_timeout(START_LIMIT).context("no line with \"message\":\"listening\"")
}
