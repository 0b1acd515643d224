//! A private PostgreSQL on a Unix socket: one that all tests of this process share, each with its own database, and
//! ones that a test may treat badly.

use std::fmt::Display;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tokio_postgres::NoTls;

use super::keeper::{Keeper, User, command_as, home_of};
use super::server::quiet_port;
use super::{PATIENCE, certificates, eventually};

/// Durable as everywhere; small, and without what only replicas need.
const SETTINGS: [&str; 8] = [
    "listen_addresses=",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=400",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "log_checkpoints=off",
];

/// Nobody listens there over TCP, unless told otherwise.
const USUAL_PORT: u16 = 5432;

/// A running server.
pub struct Postgres {
    keeper: Keeper,
    /// Names its Unix socket.
    port: u16,
    is_shared: bool,
}

impl Postgres {
    /// The one that all tests share; started by the first that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::launch(true, None))
    }

    /// One for a single test, which may kill it, stop it and start it again.
    pub fn private() -> Self {
        Self::launch(false, None)
    }

    /// One for a single test, and the port where it takes encrypted lines only, as `localhost`.
    pub fn encrypted() -> (Self, u16) {
        let port = quiet_port();
        (Self::launch(false, Some(port)), port)
    }

    fn launch(is_shared: bool, encrypted: Option<u16>) -> Self {
        let user = unprivileged();
        let home = home_of(user);
        let made = command_as(user, &binary("initdb"), &home)
            .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
            .output()
            .expect("initdb to run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut arguments = vec!["-D".to_owned(), home.join("data").display().to_string()];
        let socket = format!("unix_socket_directories={}", home.display());
        for setting in SETTINGS.into_iter().chain([socket.as_str()]) {
            arguments.extend(["-c".to_owned(), setting.to_owned()]);
        }
        if let Some(port) = encrypted {
            encrypt(&home.join("data"), user);
            for setting in [&format!("port={port}"), "listen_addresses=127.0.0.1", "ssl=on"] {
                arguments.extend(["-c".to_owned(), setting.to_owned()]);
            }
        }
        let keeper = Keeper::of(home, user, &binary("postgres"), &arguments, "QUIT");
        let port = encrypted.unwrap_or(USUAL_PORT);
        let mut postgres = Self { keeper, port, is_shared };
        postgres.start();
        postgres
    }

    /// Starts it (again), on what it had stored.
    pub fn start(&mut self) {
        self.keeper.start();
        let home = self.keeper.home();
        eventually("PostgreSQL answers", || match tell(home, self.port, "SELECT 1") {
            Ok(()) => Some(()),
            Err(fault) => {
                assert!(!fault.contains("trust"), "{fault}\n{}", self.keeper.last_words());
                None
            }
        });
    }

    /// Takes it away at once, as a power cut would.
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

    /// A new and empty database.
    pub fn database(&self) -> Database {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("promise_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let home = self.keeper.home().to_owned();
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        tell(&home, self.port, &statement).expect("a new database");
        Database { name, home, port: self.port, is_dropped: self.is_shared }
    }
}

/// One database of a server.
pub struct Database {
    name: String,
    home: PathBuf,
    port: u16,
    /// Whether it is removed when it is no longer used; those of a private server go with it.
    is_dropped: bool,
}

impl Database {
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/{}", self.home.display().to_string().replace('/', "%2F"), self.name)
    }

    /// Its address behind a proxy of [`socket`](Self::socket), or where else its server is.
    pub fn url_at(&self, place: impl Display) -> String {
        format!("postgres://postgres@{place}/{}", self.name)
    }

    /// The Unix socket of its server.
    pub fn socket(&self) -> PathBuf {
        self.home.join(format!(".s.PGSQL.{}", self.port))
    }
}

impl Database {
    /// Does what no client of Carillon can.
    pub fn tell(&self, statement: &str) {
        let told = run(&self.home, self.port, &self.name, statement);
        told.expect("a statement");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.is_dropped {
            let _ = tell(&self.home, self.port, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// Runs one statement on the server in this folder.
fn tell(home: &Path, port: u16, statement: &str) -> Result<(), String> {
    run(home, port, "postgres", statement)
}

fn run(home: &Path, port: u16, database: &str, statement: &str) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let told = async {
        let mut config = tokio_postgres::Config::new();
        config.host_path(home).port(port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute(statement).await
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, told).await }) {
        Ok(outcome) => outcome.map_err(|fault| format!("{statement}: {fault:?}")),
        Err(_) => Err(format!("{statement}: no answer")),
    }
}

/// A certificate of the tests' authority, and no plain lines over TCP.
fn encrypt(data: &Path, user: Option<User>) {
    for (from, to) in
        [(certificates::localhost(), "server.crt"), (certificates::localhost_key(), "server.key")]
    {
        let file = data.join(to);
        std::fs::copy(from, &file).expect("a copy");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a file of ours");
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&file, Some(user), Some(group)).expect("a file to give away");
        }
    }
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
    std::fs::write(data.join("pg_hba.conf"), rules).expect("a file of ours");
}

/// PostgreSQL refuses to run as root; then its own user does, or nobody.
fn unprivileged() -> Option<User> {
    if std::fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("a list of users");
    let found = ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    Some(found.expect("a user `postgres` or `nobody`"))
}

/// Debian keeps the programs out of the path.
fn binary(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no {name}; PostgreSQL is installed by `make clients`"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::support::on_postgres;

    #[test]
    fn it_stands_still_dies_and_comes_back() {
        if !on_postgres() {
            return;
        }
        let mut postgres = Postgres::private();
        let home = postgres.keeper.home().to_owned();
        let database = postgres.database();
        tell(&home, USUAL_PORT, "CREATE TABLE kept (number integer)").expect("a table");
        postgres.stop();
        let asked = std::thread::spawn({
            let home = home.clone();
            move || tell(&home, USUAL_PORT, "INSERT INTO kept VALUES (1)")
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!asked.is_finished(), "it answered although it stands still");
        postgres.go_on();
        asked.join().expect("an end").expect("an answer");
        postgres.kill();
        tell(&home, USUAL_PORT, "SELECT 1").expect_err("nobody is there");
        postgres.start();
        tell(&home, USUAL_PORT, "SELECT 1 / count(*) FROM kept").expect("what was stored");
        drop(database);
        drop(postgres);
        assert!(!home.exists(), "the folder is removed");
    }
}
