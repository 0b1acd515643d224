//! A server under measurement: our own child, held on one core, with a directory of its own. Promises: loopback only;
//! what it logs is kept with the moment it came; it ends when the [`Server`] is dropped, and dies with the load tool.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::child::{self, Child, eventually};
use crate::client::PATIENCE;
use crate::login::{BACKEND_TOKEN, JWT_SECRET};
use crate::settings::{FEW, Kind, Settings, Shape};

const SINK: &str = "sink";
const START_LIMIT: Duration = Duration::from_secs(20);
/// What Carillon says whenever its line to the other nodes is up.
pub const LINE_IS_UP: &str = "Redis is connected";

/// What a server stores in and speaks through.
#[derive(Default)]
pub struct Backing {
    /// The address of a PostgreSQL database; otherwise a SQLite file of its own.
    pub postgres: Option<String>,
    /// The Unix socket of a Redis.
    pub redis: Option<PathBuf>,
}

pub struct Server {
    child: Child,
    log: Arc<Log>,
    dir: PathBuf,
    pub address: SocketAddr,
}

/// What a server has said, and when.
#[derive(Default)]
pub struct Log(Mutex<Vec<(Instant, LogLine)>>);

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
    /// Starts a server in a new directory and waits until it listens.
    pub fn start(shape: Shape, kind: Kind, settings: &Settings, dir: &Path, backing: &Backing) -> Result<Self> {
        fs::create_dir_all(dir)?;
        match shape {
            Shape::List => fill(settings, dir, &[settings.many.to_string(), FEW.to_string()])?,
            Shape::Broadcast | Shape::Queue => fill(settings, dir, &[format!("+{}", settings.audience)])?,
            _ => {}
        }
        let mut command = command(shape, kind, settings, dir, backing)?;
        let mut child = Child::start(&mut command, Signal::TERM).with_context(|| format!("starting {kind:?}"))?;
        let log = Arc::<Log>::default();
        log.follow(child.take_stdout()?);
        let heard = eventually(START_LIMIT, || {
            child.check()?;
            Ok(log.address())
        });
        let address = heard.and_then(|found| found.context("no line with \"message\":\"listening\""));
        let said = || fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        let address = address.with_context(|| format!("{kind:?} did not listen; it said:\n{}", said()))?;
        Ok(Self { child, log, dir: dir.to_owned(), address })
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The file that takes what leaves it, in the queue shapes.
    pub fn sink(&self) -> PathBuf {
        self.dir.join(SINK)
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Waits until it says this.
    pub fn await_line(&self, message: &str) -> Result<()> {
        let said = eventually(START_LIMIT, || Ok(self.log.said(message, 0)))?;
        said.map(drop).with_context(|| format!("a server never said {message:?}"))
    }

    /// How many notifications the server says it holds.
    pub async fn total_notifications(&self) -> Result<u64> {
        let ask = async {
            let mut stream = TcpStream::connect(self.address).await?;
            stream.write_all(b"GET /stats HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = timeout(PATIENCE, ask).await.context("no answer to /stats")??;
        let body = answer.split_once("\r\n\r\n").context("no HTTP answer to /stats")?.1;
        let stats: Stats = serde_json::from_str(body).with_context(|| format!("/stats said {answer}"))?;
        Ok(stats.total_notifications)
    }
}

impl Log {
    /// Keeps what comes, until its end; lines that are no JSON are dropped.
    fn follow(self: &Arc<Self>, output: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(line) = serde_json::from_str(&line) {
                    log.0.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), line));
                }
            }
        });
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// When this was said, first, after so many lines.
    pub fn said(&self, message: &str, after: usize) -> Option<Instant> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(after).find(|(_, line)| line.message == message).map(|(at, _)| *at)
    }

    fn address(&self) -> Option<SocketAddr> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|(_, line)| line.message == "listening").and_then(|(_, line)| line.address)
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

/// Makes a database in which these are: `bench/peer/fill.mjs` says how they are named.
fn fill(settings: &Settings, dir: &Path, people: &[String]) -> Result<()> {
    let (file, root) = (dir.join("carillon.db"), settings.root.canonicalize()?);
    let mut migrate = Command::new(carillon(settings)?);
    migrate.env_clear().arg("migrate").arg("--database-url").arg(&file);
    migrate.env("JWT_SECRET_KEY", JWT_SECRET).env("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN);
    let mut fill = Command::new("node");
    fill.arg(root.join("bench/peer/fill.mjs")).arg(&file).args(people);
    for command in [&mut migrate, &mut fill] {
        let output = command.current_dir(dir).output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn carillon(settings: &Settings) -> Result<PathBuf> {
    let default = settings.root.canonicalize()?.join("target/release/carillon");
    Ok(settings.carillon.as_ref().map_or(Ok(default), |given| given.canonicalize())?)
}

fn command(shape: Shape, kind: Kind, settings: &Settings, dir: &Path, backing: &Backing) -> Result<Command> {
    let mut command = child::command(settings.server_core, "KILL", dir)?;
    command.env("JWT_SECRET_KEY", JWT_SECRET).env("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN).stdout(Stdio::piped());
    let root = settings.root.canonicalize()?;
    if let Some(url) = &backing.postgres {
        command.env("DATABASE_URL", url);
    }
    match kind {
        Kind::Floor => {
            // Built beside the load tool.
            command.arg(std::env::current_exe()?.with_file_name("carillon-floor"));
        }
        kind if kind.is_carillon() => {
            command
                .arg(carillon(settings)?)
                .args(["serve", "--host", "127.0.0.1", "--port", "0"])
                .env("CARILLON_ENV", "production");
            match shape {
                // Where a flooder comes from is believed. Limits are those of every server.
                Shape::Flood => command.args(["--set", "server.trusted_proxies=127.0.0.0/8"]),
                // One person asks for all that the measured one gets, over as many connections as there are.
                _ => command.env("CARILLON_LIMITS_USER_PER_MINUTE", "0").env("CARILLON_LIMITS_USER_AT_ONCE", "1000"),
            };
            if backing.postgres.is_none() {
                command.arg("--database-url").arg(dir.join("carillon.db"));
            }
            if let Some(socket) = &backing.redis {
                command.env("REDIS_URL", format!("redis+unix://{}", socket.display()));
                command.env("CARILLON_REDIS_PREFIX", "bench:");
            }
            if !kind.is_topic() && matches!(shape, Shape::Fanout | Shape::Fanout10k) {
                // All of them are one user's.
                command.args(["--set", &format!("limits.sockets_per_user={}", shape.sockets())]);
            }
            if matches!(shape, Shape::Queue | Shape::PgQueue) {
                command.arg("--set").arg(format!("delivery.sink_file={}", dir.join(SINK).display()));
                command.args(["--set", &format!("delivery.at_once={}", settings.at_once)]);
            }
            if kind == Kind::Single {
                command.args(["--set", "database.commit_batch=1"]);
            }
        }
        _ => {
            let program = match shape {
                Shape::Fanout | Shape::Fanout10k => "fanout.mjs",
                Shape::Rest => "rest.mjs",
                _ if backing.postgres.is_some() => "pg-server.mjs",
                _ => "server.mjs",
            };
            let bun = root.join("bench/peer/node_modules/.bin/bun").canonicalize();
            command.arg(if kind == Kind::Bun { bun? } else { "node".into() });
            command.arg(root.join("bench/peer").join(program));
            command.env("NODE_ENV", "production").env("HOST", "127.0.0.1").env("PORT", "0");
            command.env("DATABASE_FILE", dir.join("peer.db"));
            command.env("PEER_TUNED", if kind == Kind::NodeTuned { "1" } else { "0" });
            command.envs(backing.redis.as_ref().map(|socket| ("REDIS_SOCKET", socket)));
        }
    }
    Ok(command)
}
