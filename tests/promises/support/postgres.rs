//! A private PostgreSQL on a Unix socket: one that all tests of this process share, each with its own database, and
//! ones that a test may treat badly.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::authority::Identity;
use super::keeper::{Keeper, User, command_as, home_of};
use super::server::quiet_port;
use super::{PATIENCE, eventually};

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

const USUAL_PORT: u16 = 5432;
/// What a server that asks for no password is told, and nobody may repeat.
pub const NO_PASSWORD: &str = "nobody-may-read-this";

/// A running server.
pub struct Postgres {
    keeper: Keeper,
    port: u16,
    is_shared: bool,
}

impl Postgres {
    /// The one that all tests share; started by the first that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::launch(true))
    }

    /// One for a single test, which may kill it, stop it and start it again.
    pub fn private() -> Self {
        Self::launch(false)
    }

    /// One that also listens on a loopback port, with TLS.
    pub fn with_tls(identity: &Identity) -> Self {
        Self::launch_with(false, Some(identity))
    }

    fn launch(is_shared: bool) -> Self {
        Self::launch_with(is_shared, None)
    }

    fn launch_with(is_shared: bool, identity: Option<&Identity>) -> Self {
        let user = unprivileged();
        let home = home_of(user);
        let made = command_as(user, &binary("initdb"), &home)
            .args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
            .output()
            .expect("initdb to run");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut arguments = vec!["-D".to_owned(), home.join("data").display().to_string()];
        let socket = format!("unix_socket_directories={}", home.display());
        let port = if identity.is_some() { quiet_port() } else { USUAL_PORT };
        let mut settings: Vec<String> = SETTINGS.into_iter().map(str::to_owned).collect();
        settings.extend([socket, format!("port={port}")]);
        if let Some(identity) = identity {
            settings.extend(tls_settings(identity, &home, user));
        }
        for setting in settings {
            arguments.extend(["-c".to_owned(), setting]);
        }
        let keeper = Keeper::of(home, user, &binary("postgres"), &arguments, "QUIT");
        let mut postgres = Self { keeper, port, is_shared };
        postgres.start();
        postgres
    }

    /// Starts it (again), on what it had stored.
    pub fn start(&mut self) {
        self.keeper.start();
        eventually("PostgreSQL answers", || match self.tell("SELECT 1") {
            Ok(_) => Some(()),
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
        self.tell(&format!("CREATE DATABASE {name} TEMPLATE template0")).expect("a new database");
        Database { name, home: self.keeper.home().to_owned(), port: self.port, is_dropped: self.is_shared }
    }

    /// Runs statements; the first value of each row of their answers.
    pub fn tell(&self, statements: &str) -> Result<Vec<String>, String> {
        tell(self.keeper.home(), self.port, "postgres", statements)
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
        let home = self.home.display().to_string().replace('/', "%2F");
        format!("postgres://postgres@{home}:{}/{}", self.port, self.name)
    }

    /// Its address behind a proxy of [`socket`](Self::socket).
    pub fn url_at(&self, proxy: std::net::SocketAddr) -> String {
        format!("postgres://postgres@{proxy}/{}", self.name)
    }

    /// Its address over TCP, for one who was started with TLS; by this name of this machine.
    pub fn url_by(&self, host: &str) -> String {
        format!("postgres://postgres:{NO_PASSWORD}@{host}:{}/{}", self.port, self.name)
    }

    /// The Unix socket of its server.
    pub fn socket(&self) -> PathBuf {
        self.home.join(format!(".s.PGSQL.{}", self.port))
    }

    /// Runs statements in it; the first value of each row of their answers.
    pub fn tell(&self, statements: &str) -> Result<Vec<String>, String> {
        tell(&self.home, self.port, &self.name, statements)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.is_dropped {
            let _ =
                tell(&self.home, self.port, "postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

impl Database {
    /// Runs one of PostgreSQL's own programs on it, such as `pg_dump`.
    pub fn run(&self, name: &str, arguments: &[&str]) {
        let output = std::process::Command::new(binary(name))
            .args(["--host", &self.home.display().to_string(), "--port", &self.port.to_string()])
            .args(["--username", "postgres", "--dbname", &self.name])
            .args(arguments)
            .output()
            .unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Settings of a server with this certificate, whose key must be its own.
fn tls_settings(identity: &Identity, home: &Path, user: Option<User>) -> Vec<String> {
    let mut settings = vec!["listen_addresses=127.0.0.1".to_owned(), "ssl=on".to_owned()];
    for (setting, file) in [("ssl_cert_file", &identity.certificate), ("ssl_key_file", &identity.key)] {
        let own = home.join(setting);
        std::fs::copy(file, &own).expect("a file to copy");
        std::fs::set_permissions(&own, Permissions::from_mode(0o600)).expect("a file of ours");
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&own, Some(user), Some(group)).expect("a file to give away");
        }
        settings.push(format!("{setting}={}", own.display()));
    }
    settings
}

/// Runs statements on the server in this folder.
fn tell(home: &Path, port: u16, database: &str, statements: &str) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let told = async {
        let mut config = tokio_postgres::Config::new();
        config.host_path(home).port(port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        client.simple_query(statements).await
    };
    let first = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, told).await }) {
        Ok(Ok(messages)) => Ok(messages.into_iter().filter_map(first).collect()),
        Ok(Err(fault)) => Err(format!("{statements}: {fault:?}")),
        Err(_) => Err(format!("{statements}: no answer")),
    }
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
        database.tell("CREATE TABLE kept (number integer)").expect("a table");
        postgres.stop();
        std::thread::scope(|all| {
            let asked = all.spawn(|| database.tell("INSERT INTO kept VALUES (1)"));
            std::thread::sleep(Duration::from_millis(300));
            assert!(!asked.is_finished(), "it answered although it stands still");
            postgres.go_on();
            asked.join().expect("an end").expect("an answer");
        });
        postgres.kill();
        database.tell("SELECT 1").expect_err("nobody is there");
        postgres.start();
        assert_eq!(database.tell("SELECT count(*) FROM kept").expect("what was stored"), ["1"]);
        drop(database);
        drop(postgres);
        assert!(!home.exists(), "the folder is removed");
    }
}
