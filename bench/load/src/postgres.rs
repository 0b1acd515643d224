//! A PostgreSQL of our own, as installed, on a Unix socket. Promises: a fresh cluster for every measurement; it ends,
//! and its backends with it, when dropped or when the load tool dies.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Signal, geteuid};

use crate::child::{self, Child, check_socket, eventually, find_program};

const START_LIMIT: Duration = Duration::from_secs(30);
/// What is different from a fresh installation: nobody comes by TCP, and eight nodes find room.
const SETTINGS: [&str; 2] = ["listen_addresses=", "max_connections=200"];

pub struct Postgres {
    child: Child,
    dir: PathBuf,
}

/// Whether it is installed.
pub fn found() -> bool {
    program("initdb").is_ok() && program("postgres").is_ok()
}

/// What it calls itself.
pub fn version() -> String {
    let output = program("postgres").and_then(|program| Ok(Command::new(program).arg("--version").output()?));
    output.map_or_else(|_| "unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Debian keeps the programs out of the path.
fn program(name: &str) -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    find_program(name, &versions).with_context(|| format!("no {name}; PostgreSQL is not installed"))
}

impl Postgres {
    /// Starts one in a new directory, and waits until it answers.
    pub fn start(dir: &Path, core: usize) -> Result<Self> {
        fs::create_dir_all(dir)?;
        check_socket(&dir.join(".s.PGSQL.5432"))?;
        let user = unprivileged()?;
        let as_user = |command: &mut Command| {
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
        };
        if let Some((user, group)) = user {
            chown(dir, Some(user), Some(group))?;
        }
        let mut initdb = Command::new("timeout");
        initdb.arg(START_LIMIT.as_secs().to_string()).arg(program("initdb")?);
        initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync"]);
        initdb.current_dir(dir);
        as_user(&mut initdb);
        let made = initdb.output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        let mut command = child::command(core, "QUIT", dir)?;
        command.arg(program("postgres")?).arg("-D").arg(dir.join("data"));
        let socket = format!("unix_socket_directories={}", dir.display());
        for setting in SETTINGS.into_iter().chain([socket.as_str()]) {
            command.args(["-c", setting]);
        }
        as_user(&mut command);
        let mut postgres = Self { child: Child::start(&mut command, Signal::QUIT)?, dir: dir.to_owned() };
        postgres.wait().with_context(|| {
            let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
            format!("PostgreSQL does not answer; it said:\n{said}")
        })?;
        Ok(postgres)
    }

    fn wait(&mut self) -> Result<()> {
        let log = self.dir.join("stderr");
        let ready = eventually(START_LIMIT, || {
            self.child.check()?;
            Ok(fs::read_to_string(&log)?.contains("ready to accept connections").then_some(()))
        });
        ready?.context("it took too long")
    }

    /// Has it do this.
    pub fn run(&self, sql: &str) -> Result<()> {
        let mut psql = Command::new("timeout");
        psql.arg(START_LIMIT.as_secs().to_string()).arg(program("psql")?);
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-c", sql]);
        let output = psql.output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its address, as both servers read it.
    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=postgres", self.dir.display())
    }
}

/// PostgreSQL refuses to run as root; then its own user does, or nobody.
fn unprivileged() -> Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let found = ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    found.context("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`").map(Some)
}
