//! Looks at a database as a physician would: changes nothing, and tells what is unusual.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::types::{At, Instant as Moment};
use super::{DatabaseUrl, Settings, StoreError, disk, migrate, postgres, sqlite};
use crate::domain::Timestamp;

/// Questions of which the quickest answer counts.
const ASKED: usize = 5;
/// Bytes that are written to see how long that takes.
const WRITTEN: usize = 4_096;

/// What was found.
#[derive(Debug, Default)]
pub struct Examined {
    /// Which database, in which version.
    pub what: String,
    /// Whether it will be made by the first start.
    pub is_new: bool,
    /// Migrations that are still to be applied.
    pub pending: usize,
    /// A migration that this program does not know.
    pub newer: Option<String>,
    /// How long a question takes.
    pub asked: Duration,
    /// How long it takes until something is on the disk.
    pub written: Option<Duration>,
    /// Why a commit may be lost, or cannot be made.
    pub faults: Vec<String>,
    /// Bytes that are free on its disk.
    pub room: Option<u64>,
    /// Its clock, and how long it took to ask.
    pub now: Option<Timestamp>,
    /// Connections that it has, and may have.
    pub connections: Option<(i64, i64)>,
    /// Whether a server uses the file.
    pub is_in_use: bool,
}

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Nullable<Text>)]
    word: Option<String>,
}

/// Looks at the database of `settings`.
///
/// # Errors
/// When it cannot be reached.
pub async fn examine(settings: &Settings) -> Result<Examined, StoreError> {
    match settings.url.parse()? {
        DatabaseUrl::Sqlite(path) => of_file(&path).await,
        DatabaseUrl::Postgres(url) => of_server(&url).await,
    }
}

async fn of_file(path: &Path) -> Result<Examined, StoreError> {
    let shown = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found = Examined { room: disk::room(folder), ..Examined::default() };
    match written(folder) {
        Ok(took) => found.written = Some(took),
        Err(fault) => found.faults.push(format!("nothing can be written to {} ({fault})", folder.display())),
    }
    if !path.exists() {
        (found.what, found.is_new) = (format!("SQLite, {shown}"), true);
        return Ok(found);
    }
    match std::fs::File::options().append(true).open(path) {
        Ok(_) => found.is_in_use = sqlite::FileLock::take(path).is_err(),
        Err(fault) => found.faults.push(format!("{shown} cannot be written ({fault})")),
    }
    let pool = sqlite::pool(path, 1)?;
    let mut connection = sqlite::checkout(&pool).await?;
    let version: Word =
        diesel::sql_query("SELECT sqlite_version() AS word").get_result(&mut connection).await?;
    found.what = format!("SQLite {}, {shown}", version.word.unwrap_or_default());
    let mut quickest = Duration::MAX;
    for _ in 0..ASKED {
        let started = Instant::now();
        let _: Word =
            diesel::sql_query("SELECT name AS word FROM sqlite_master UNION ALL SELECT NULL LIMIT 1")
                .get_result(&mut connection)
                .await?;
        quickest = quickest.min(started.elapsed());
    }
    found.asked = quickest;
    let applied: Vec<Word> = diesel::sql_query("SELECT version AS word FROM __diesel_schema_migrations")
        .load(&mut connection)
        .await
        .unwrap_or_default();
    if applied.is_empty() {
        let query =
            "SELECT min(name) AS word FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let foreign: Word = diesel::sql_query(query).get_result(&mut connection).await?;
        if let Some(table) = foreign.word {
            found
                .faults
                .push(format!("{shown} is another program's: it has a table {table}; name another file"));
        }
    }
    note_schema(&mut found, &migrate::known(true), applied);
    Ok(found)
}

/// How long it takes until some bytes are on the disk.
fn written(folder: &Path) -> std::io::Result<Duration> {
    use std::io::Write as _;
    let path = folder.join(format!(".carillon-doctor-{}", std::process::id()));
    let outcome = (|| {
        let mut file = std::fs::File::options().write(true).create_new(true).open(&path)?;
        let started = Instant::now();
        file.write_all(&[0; WRITTEN])?;
        file.sync_all()?;
        Ok(started.elapsed())
    })();
    std::fs::remove_file(&path).ok();
    outcome
}

#[derive(QueryableByName)]
struct Server {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    fsync: String,
    #[diesel(sql_type = Text)]
    full_page_writes: String,
    #[diesel(sql_type = Bool)]
    is_replica: bool,
    #[diesel(sql_type = Text)]
    read_only: String,
    #[diesel(sql_type = BigInt)]
    connections: i64,
    #[diesel(sql_type = BigInt)]
    most: i64,
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = Moment)]
    now: At,
}

#[derive(QueryableByName)]
struct Rights {
    #[diesel(sql_type = Bool)]
    creates: bool,
    #[diesel(sql_type = Bool)]
    writes: bool,
}

async fn of_server(url: &str) -> Result<Examined, StoreError> {
    let mut connection: AsyncPgConnection = postgres::Target::new(url)?.connect().await?;
    let query = "SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, \
        current_setting('full_page_writes') AS full_page_writes, pg_is_in_recovery() AS is_replica, \
        current_setting('transaction_read_only') AS read_only, \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections, \
        current_setting('max_connections')::bigint AS most";
    let server: Server = diesel::sql_query(query).get_result(&mut connection).await?;
    let mut found = Examined {
        what: format!("PostgreSQL {}", server.version),
        connections: Some((server.connections, server.most)),
        ..Examined::default()
    };
    if server.is_replica {
        found.faults.push("it is a replica, which takes no writes; name the primary".to_owned());
    } else if server.read_only == "on" {
        found.faults.push("it takes no writes (default_transaction_read_only)".to_owned());
    }
    for (name, value) in [("fsync", server.fsync), ("full_page_writes", server.full_page_writes)] {
        if value != "on" {
            found.faults.push(format!(
                "{name} is {value}: a crash of its machine loses what was committed; set it on"
            ));
        }
    }
    let mut quickest = Duration::MAX;
    for _ in 0..ASKED {
        let started = Instant::now();
        let clock: Clock =
            diesel::sql_query("SELECT clock_timestamp() AS now").get_result(&mut connection).await?;
        quickest = quickest.min(started.elapsed());
        found.now = Some(clock.now.0);
    }
    found.asked = quickest;
    let applied: Vec<Word> =
        diesel::sql_query("SELECT version::text AS word FROM __diesel_schema_migrations")
            .load(&mut connection)
            .await
            .unwrap_or_default();
    note_schema(&mut found, &migrate::known(false), applied);
    let query = "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates, \
        (SELECT coalesce(bool_and(has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')), true) \
         FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(current_schema())) AS writes";
    let rights: Rights = diesel::sql_query(query).get_result(&mut connection).await?;
    if !rights.writes {
        found.faults.push(
            "its user may not read and write all tables there; let the owner of the tables log in".to_owned(),
        );
    } else if found.pending > 0 && !rights.creates {
        let fault =
            "its user may not make tables there: GRANT CREATE ON SCHEMA, or ALTER DATABASE … OWNER TO";
        found.faults.push(fault.to_owned());
    }
    Ok(found)
}

fn note_schema(found: &mut Examined, known: &[String], applied: Vec<Word>) {
    let applied: Vec<String> = applied.into_iter().filter_map(|row| row.word).collect();
    found.pending = known.iter().filter(|version| !applied.contains(version)).count();
    found.newer = applied.into_iter().find(|version| !known.contains(version));
}
