//! A Redis of our own on a Unix socket, which stores nothing. Promises: it ends when dropped or when the load tool
//! dies; [`Redis::start`] only begins, [`Redis::wait`] waits.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::child::{self, Child, check_socket, eventually, find_program};

const START_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The load tool's own.
const OURS: [&str; 2] = ["info", "ping"];

pub struct Redis {
    child: Child,
    dir: PathBuf,
    core: usize,
}

/// Whether it is installed.
pub fn found() -> bool {
    find_program("redis-server", &[]).is_some()
}

/// What it calls itself.
pub fn version() -> String {
    let output = Command::new("redis-server").arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
    version.unwrap_or("unknown").to_owned()
}

impl Redis {
    pub fn start(dir: &Path, core: usize) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let socket = dir.join("redis.sock");
        check_socket(&socket)?;
        let _ = fs::remove_file(&socket); // of one that was killed
        let mut command = child::command(core, "KILL", dir)?;
        command.args(["redis-server", "--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(socket);
        let child = Child::start(&mut command, Signal::TERM).context("starting redis-server")?;
        Ok(Self { child, dir: dir.to_owned(), core })
    }

    /// Waits until it answers.
    pub fn wait(&mut self) -> Result<()> {
        let ready = eventually(START_LIMIT, || {
            self.child.check().context("Redis")?;
            Ok(self.ask("PING").ok().filter(|answer| answer == "+PONG"))
        });
        ready?.context("Redis does not answer").map(drop)
    }

    /// Takes it away at once.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()
    }

    /// Begins to start it again, empty.
    pub fn start_again(&mut self) -> Result<()> {
        *self = Self::start(&self.dir, self.core)?;
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("redis.sock")
    }

    /// How many commands it has carried out for others.
    pub fn commands(&self) -> Result<u64> {
        let text = self.ask("INFO commandstats")?;
        let calls = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls: u64 = rest.split(',').next()?.parse().ok()?;
            (!OURS.contains(&name)).then_some(calls)
        };
        Ok(text.lines().filter_map(calls).sum())
    }

    /// The answer to a command: its first line, or a whole text.
    fn ask(&self, command: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
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
