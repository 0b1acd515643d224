//! The real binary, on a port of its own.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    BACKEND_TOKEN, Clock, Ground, JWT_SECRET, METRICS_TOKEN, PATIENCE, Reply, eventually, get, program,
};

/// Has every server encrypt what it stores by these keys: whatever is promised holds then, too.
const KEYS: &str = "CARILLON_TESTS_KEYS";

/// A setting of tests: the program may open so many descriptors.
pub const DESCRIPTORS: &str = "TESTS_DESCRIPTORS";

/// A running `carillon serve`; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    settings: Vec<(String, String)>,
    log: Arc<Mutex<Vec<String>>>,
    home: Home,
    ground: Ground,
}

/// Where a server lives: its own place, or one that was made for it.
enum Home {
    Own(TempDir),
    Given(PathBuf),
}

impl Home {
    fn path(&self) -> &Path {
        match self {
            Self::Own(home) => home.path(),
            Self::Given(path) => path,
        }
    }
}

impl Server {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Settings are named as in the configuration file: `realtime.ping_interval_ms`. What has no point in its name is a
    /// variable: `SSL_CERT_FILE`.
    pub fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(&Ground::usual(), settings)
    }

    /// For promises about the SQLite file itself.
    pub fn on_sqlite() -> Self {
        Self::on(&Ground::Sqlite, &[])
    }

    /// Beside others that stand on the same ground.
    pub fn on(ground: &Ground, settings: &[(&str, &str)]) -> Self {
        Self::at(Home::Own(tempfile::tempdir().expect("a folder")), ground, settings, Vec::new())
    }

    /// One that takes the time of day from this clock.
    pub fn by_clock(ground: &Ground, settings: &[(&str, &str)], clock: &Clock) -> Self {
        Self::at(Home::Own(tempfile::tempdir().expect("a folder")), ground, settings, clock.variables())
    }

    /// With its SQLite file in a folder that outlives it.
    pub fn in_home(home: &Path, settings: &[(&str, &str)]) -> Self {
        Self::at(Home::Given(home.to_owned()), &Ground::Sqlite, settings, Vec::new())
    }

    fn at(home: Home, ground: &Ground, settings: &[(&str, &str)], more: Vec<(String, String)>) -> Self {
        let settings = settings.iter().map(|(name, value)| (variable(name), (*value).to_owned()));
        let settings: Vec<_> = settings.chain(more).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], quiet_port()));
        let log = Arc::default();
        let child = launch(address, home.path(), ground, &settings, &log);
        let mut server = Self { child, address, settings, log, home, ground: ground.clone() };
        server.wait_until_listening(1);
        server
    }

    /// Where its SQLite file is.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn get(&self, path: &str) -> Reply {
        get(self.address, path)
    }

    pub fn stats(&self) -> Value {
        self.get("/stats").json()
    }

    /// Waits until `/stats` shows this under this name.
    pub fn wait_for_stat(&self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let hope = format!("{name} = {value} in /stats");
        eventually(&hope, || {
            let seen = self.stats();
            (seen[name] == value).then_some(())
        });
    }

    /// Waits until `/health` has this status: `healthy`, `degraded` or `unhealthy`.
    pub fn wait_for_health(&self, status: &str) {
        let hope = format!("/health is {status}");
        eventually(&hope, || (self.get("/health").json()["status"] == status).then_some(()));
    }

    /// Whether its database is a file that no other node shares.
    pub fn is_on_sqlite(&self) -> bool {
        matches!(self.ground, Ground::Sqlite)
    }

    /// The log so far, line by line.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("the log").clone()
    }

    /// Waits for a line of the log that is so. (Another thread reads the log: what an answer told may come there later.)
    #[track_caller]
    pub fn wait_for_line(&self, hope: &str, is_so: impl Fn(&String) -> bool) {
        eventually(hope, || self.log().iter().any(&is_so).then_some(()));
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("the server to take a signal");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn entries(&self, folder: &str) -> usize {
        let entries = std::fs::read_dir(format!("/proc/{}/{folder}", self.pid())).expect("a process");
        entries.count()
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        self.entries("fd")
    }

    /// How many threads it has.
    pub fn threads(&self) -> u64 {
        self.entries("task") as u64
    }

    /// What the kernel says of its memory, in KB: `VmRSS` is what it holds, `VmHWM` the most it ever held.
    pub fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        value.unwrap_or_else(|| panic!("{what} in {status}"))
    }

    /// Takes the server away at once, as a power cut would.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().expect("the server to be gone");
    }

    /// Asks the server to stop, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait_for_exit()
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        eventually("the server stops", || self.child.try_wait().expect("a child"))
    }

    /// As somebody who copies the SQLite file of a stopped server does.
    pub fn keep_only_the_database(&self) {
        for companion in ["carillon.db-wal", "carillon.db-shm"] {
            let _ = std::fs::remove_file(self.home.path().join(companion));
        }
    }

    /// Does in its database what no client can.
    pub fn sql(&self, on_sqlite: &str, on_postgres: &str) {
        self.ground.sql(self.home.path(), on_sqlite, on_postgres);
    }

    /// The same, if the database lets it happen.
    pub fn try_sql(&self, on_sqlite: &str, on_postgres: &str) -> Result<(), String> {
        self.ground.try_sql(self.home.path(), on_sqlite, on_postgres)
    }

    /// What another command says of its database, by its settings.
    pub fn command(&self, args: &[&str]) -> Output {
        let ground = self.ground.settings(self.home.path());
        let ground = ground.iter().map(|(name, value)| (variable(name), value.clone()));
        let all: Vec<(String, String)> = ground.chain(self.settings.iter().cloned()).collect();
        let all: Vec<_> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        run_command_in(self.home.path(), args, &all)
    }

    /// How many rows this question has in its database.
    pub fn rows(&self, question: &str) -> i64 {
        self.ground.rows(self.home.path(), question)
    }

    /// From the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push((variable(name), value.to_owned()));
    }

    /// Starts again on the same port and database.
    pub fn restart(&mut self) {
        let before = self.times_listening();
        self.child = launch(self.address, self.home.path(), &self.ground, &self.settings, &self.log);
        self.wait_until_listening(before + 1);
    }

    fn wait_until_listening(&mut self, times: usize) {
        eventually("the server listens", || {
            let gone = self.child.try_wait().expect("a child");
            assert!(gone.is_none(), "the server went away at once:\n{}", self.log().join("\n"));
            (self.times_listening() >= times).then_some(())
        });
    }

    fn times_listening(&self) -> usize {
        let listening = |line: &&String| {
            serde_json::from_str::<Value>(line).is_ok_and(|line| line["message"] == "listening")
        };
        self.log.lock().expect("the log").iter().filter(listening).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            println!("the server's last words:\n{}", log[log.len().saturating_sub(40)..].join("\n"));
        }
    }
}

fn launch(
    address: SocketAddr,
    home: &Path,
    ground: &Ground,
    settings: &[(String, String)],
    log: &Arc<Mutex<Vec<String>>>,
) -> Child {
    let variables = ground.settings(home).into_iter().map(|(name, value)| (variable(name), value));
    let mut command = command(home);
    if let Some((_, descriptors)) = settings.iter().find(|(name, _)| name == DESCRIPTORS) {
        command = within(descriptors, &command);
    }
    let mut child = command
        .stdin(Stdio::null())
        .args(["serve", "--host", "127.0.0.1", "--port", &address.port().to_string()])
        .envs(variables)
        // Tests that ask again and again are people, too; `requests_are_limited` sets its own.
        .env("CARILLON_LIMITS_USER_PER_MINUTE", "0")
        .envs(std::env::var_os(KEYS).map(|keys| ("ENCRYPTION_KEYS", keys)))
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server to start");
    let stdout = child.stdout.take().expect("its output");
    let stderr = child.stderr.take().expect("its errors");
    for pipe in [Box::new(stdout) as Box<dyn std::io::Read + Send>, Box::new(stderr)] {
        let log = Arc::clone(log);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                log.lock().expect("the log").push(line);
            }
        });
    }
    child
}

/// The program, which may open so many descriptors from the start.
fn within(descriptors: &str, program: &Command) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"ulimit -n "$1" && shift && exec "$@""#, "sh", descriptors])
        .arg(program.get_program());
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(home) = program.get_current_dir() {
        command.current_dir(home);
    }
    command
}

/// The binary with the secrets of the tests and nothing else from this environment.
fn command(home: &Path) -> Command {
    let mut command = program();
    command
        .current_dir(home)
        .env("CARILLON_ENV", "production")
        .env("JWT_SECRET_KEY", JWT_SECRET)
        .env("BACKEND_SERVICE_TOKEN", BACKEND_TOKEN)
        .env("CARILLON_METRICS_TOKEN", METRICS_TOKEN)
        .stdin(Stdio::null());
    command
}

/// Runs the binary to its end with only these variables set.
pub fn run_command(args: &[&str], variables: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().expect("a folder");
    run_command_in(home.path(), args, variables)
}

/// The same, in a folder of the caller's.
pub fn run_command_in(home: &Path, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut child = program()
        .current_dir(home)
        .args(args)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary to run");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().expect("a child").is_none() {
        if Instant::now() > deadline {
            child.kill().expect("it to be gone");
            panic!("`carillon {}` does not end", args.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output")
}

fn variable(setting: &str) -> String {
    if !setting.contains('.') {
        return setting.to_owned();
    }
    format!("CARILLON_{}", setting.replace('.', "_").to_uppercase())
}

/// A free port below those that outgoing connections take, so that nobody sits on it when the server restarts.
pub fn quiet_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 100) as u16 * 200;
    loop {
        let port = 11_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
