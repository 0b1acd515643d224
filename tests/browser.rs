//! Pages in a real browser: the demo, served by the binary as a newcomer starts it (`tests/browser/demo.mjs` looks at it), and
//! pages that speak raw WebSocket (`tests/browser/raw.mjs`), whose server is killed under them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

#[path = "promises/support/program.rs"]
mod program;
use program::program;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const BROWSERS: [&str; 4] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome-stable",
    "/usr/bin/google-chrome",
];
/// A busy machine opens several pages in it.
const PATIENCE: Duration = Duration::from_secs(300);
const START: Duration = Duration::from_secs(30);

/// A process and everything it starts; all of it ends with this value.
struct Group(Child);

impl Group {
    fn spawn(command: &mut Command) -> Self {
        let program = command.get_program().to_owned();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child = child.spawn().unwrap_or_else(|fault| panic!("{program:?}: {fault}; see `make clients`"));
        Self(child)
    }

    /// What it prints, line by line, from both pipes.
    fn lines(&mut self) -> Receiver<String> {
        let (say, heard) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(self.0.stdout.take().expect("its output")),
            Box::new(self.0.stderr.take().expect("its errors")),
        ];
        for pipe in pipes {
            let say = say.clone();
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    say.send(line).ok();
                }
            });
        }
        heard
    }

    fn signal(&self, signal: Signal) {
        killpg(Pid::from_raw(self.0.id() as i32), signal).ok();
    }

    fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.0.try_wait().expect("a child of ours") {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
                status => return status,
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The browser has a group of its own; its driver ends it when it is asked politely.
        self.signal(Signal::SIGTERM);
        if self.end_within(Duration::from_secs(10)).is_none() {
            self.signal(Signal::SIGKILL);
            self.0.wait().ok();
        }
    }
}

/// A server for development, with a fresh database; returns its address too.
fn server(home: &Path) -> (Group, String) {
    started(home, 0, &[])
}

/// The same on this port, with these variables.
fn started(home: &Path, port: u16, variables: &[(&str, &str)]) -> (Group, String) {
    let mut command = program();
    command
        .current_dir(home)
        .envs(variables.iter().copied())
        .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
        .arg("--database-url")
        .arg(home.join("demo.db"));
    let mut server = Group::spawn(&mut command);
    let lines = server.lines();
    let deadline = Instant::now() + START;
    let mut log = String::new();
    let address = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("the server does not listen:\n{log}"));
        if let Some(address) = listening(&line) {
            break address;
        }
        log.push_str(&line);
        log.push('\n');
    };
    // Read on, so that the server never waits for its log.
    thread::spawn(move || lines.iter().for_each(drop));
    (server, address)
}

/// The address in the log line that tells it.
fn listening(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
}

fn browser() -> String {
    std::env::var("CHROMIUM")
        .ok()
        .or_else(|| BROWSERS.iter().find(|path| Path::new(path).exists()).map(|path| (*path).to_owned()))
        .expect("a Chromium, which `make clients` installs; CHROMIUM names another one")
}

#[test]
fn a_newcomer_rings_the_bell() {
    let home = tempfile::tempdir().expect("a place for the database");
    let (_server, address) = server(home.path());
    let mut visit = Command::new("node");
    visit.current_dir(HERE).args(["tests/browser/demo.mjs", &format!("http://{address}")]);
    visit.env("CHROMIUM", browser());
    let mut visit = Group::spawn(&mut visit);
    let lines = visit.lines();
    let status = visit.end_within(PATIENCE);
    let told: Vec<_> = std::iter::from_fn(|| lines.recv_timeout(Duration::from_secs(1)).ok()).collect();
    let told = told.join("\n");
    match status {
        Some(status) => assert!(status.success(), "{status}\n{told}"),
        None => panic!("the visit does not end\n{told}"),
    }
    println!("{told}");
}

#[test]
fn pages_that_speak_raw_websocket_miss_nothing() {
    const SECRET: &str = "a-secret-that-only-this-browser-knows";
    const BACKEND: &str = "the-back-end-token-of-this-browser";
    let home = tempfile::tempdir().expect("a place for the database");
    let variables = [
        ("CARILLON_ENV", "production"),
        ("JWT_SECRET_KEY", SECRET),
        ("BACKEND_SERVICE_TOKEN", BACKEND),
        ("CARILLON_SERVER_ALLOWED_ORIGINS", "*"),
        ("CARILLON_WEBSOCKET_HEARTBEAT_MS", "1000"),
        ("CARILLON_WEBSOCKET_CONFIRM_MS", "300"),
    ];
    // The same port again and again: nobody else is given it meanwhile, as long as it is below those given out.
    let ports = 32_000_u16..32_700;
    let port = ports.into_iter().find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let port = port.expect("a free port");
    let (mut server, address) = started(home.path(), port, &variables);
    let mut visit = Command::new("node");
    visit.current_dir(HERE).args(["tests/browser/raw.mjs", &format!("http://{address}")]);
    visit.env("CHROMIUM", browser()).env("CARILLON_JWT", SECRET).env("CARILLON_BACKEND", BACKEND);
    let mut visit = Group::spawn(&mut visit);
    let (lines, deadline, mut told) = (visit.lines(), Instant::now() + PATIENCE, String::new());
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match line.as_str() {
            "ask: kill" => {
                server.signal(Signal::SIGKILL);
                server.0.wait().expect("a child of ours");
            }
            "ask: start" => server = started(home.path(), port, &variables).0,
            _ => told = told + &line + "\n",
        }
    }
    let status = visit.end_within(Duration::from_secs(10));
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{told}");
    println!("{told}");
}
