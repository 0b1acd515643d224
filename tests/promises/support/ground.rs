//! What servers stand on: an SQLite file in a server's own folder, or a PostgreSQL database and a Redis that any number
//! of servers share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::connection::SimpleConnection;
use diesel::{Connection, RunQueryDsl, SqliteConnection};

use super::{Database, Postgres, Redis};

/// Chooses the ground of all promises that do not choose it themselves: `sqlite` (if unset) or `postgres`.
const CHOICE: &str = "CARILLON_TESTS_ON";

#[derive(Clone)]
pub enum Ground {
    Sqlite,
    Shared(Shared),
}

/// Addresses, and names that nobody else uses there.
#[derive(Clone)]
pub struct Shared {
    pub database: Arc<Database>,
    database_url: String,
    redis_url: String,
    prefix: String,
}

/// By which push services know nodes that share a database.
const PUSH_KEY: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";

fn is_postgres_chosen() -> bool {
    match std::env::var(CHOICE).as_deref() {
        Ok("postgres") => true,
        Ok("sqlite" | "") | Err(_) => false,
        Ok(other) => panic!("{CHOICE} is `{other}`; it must be sqlite or postgres"),
    }
}

/// Whether this run has PostgreSQL and Redis; if not, says that a promise cannot be staged.
pub fn on_postgres() -> bool {
    if !is_postgres_chosen() {
        eprintln!("not staged: what needs PostgreSQL and Redis runs with {CHOICE}=postgres");
    }
    is_postgres_chosen()
}

#[derive(diesel::QueryableByName)]
struct Counted {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    many: i64,
}

impl Ground {
    /// As `CARILLON_TESTS_ON` says.
    pub fn usual() -> Self {
        if is_postgres_chosen() { Shared::fresh().into() } else { Self::Sqlite }
    }

    /// Does in the database of a server that lives in this folder what no client can.
    pub fn sql(&self, home: &Path, on_sqlite: &str, on_postgres: &str) {
        self.try_sql(home, on_sqlite, on_postgres).expect("a statement");
    }

    /// The same, if the database lets it happen.
    pub fn try_sql(&self, home: &Path, on_sqlite: &str, on_postgres: &str) -> Result<(), String> {
        match self {
            Self::Sqlite => {
                let file = home.join("carillon.db").display().to_string();
                let mut database = SqliteConnection::establish(&file).expect("its file");
                // A server may be writing.
                database.batch_execute("PRAGMA busy_timeout = 5000").expect("a setting");
                database.batch_execute(on_sqlite).map_err(|fault| fault.to_string())
            }
            Self::Shared(shared) => shared.database.tell(on_postgres).map(drop),
        }
    }

    /// How many rows this question has in the database of a server that lives in this folder.
    pub fn rows(&self, home: &Path, question: &str) -> i64 {
        let question = format!("SELECT count(*) AS many FROM ({question}) AS q");
        match self {
            Self::Sqlite => {
                let file = home.join("carillon.db").display().to_string();
                let mut database = SqliteConnection::establish(&file).expect("its file");
                database.batch_execute("PRAGMA busy_timeout = 5000").expect("a setting");
                let counted: Counted =
                    diesel::sql_query(question).get_result(&mut database).expect("a count");
                counted.many
            }
            Self::Shared(shared) => {
                let told = shared.database.tell(&question).expect("a count");
                told[0].parse().expect("a number")
            }
        }
    }

    /// The settings of a server that lives in this folder.
    pub fn settings(&self, home: &Path) -> Vec<(&'static str, String)> {
        match self {
            Self::Sqlite => vec![("database.url", home.join("carillon.db").display().to_string())],
            Self::Shared(shared) => vec![
                ("database.url", shared.database_url.clone()),
                ("redis.url", shared.redis_url.clone()),
                ("redis.prefix", shared.prefix.clone()),
                // Beside an SQLite file a pair is made.
                ("VAPID_PRIVATE_KEY", PUSH_KEY.to_owned()),
            ],
        }
    }
}

impl Shared {
    /// An empty database and an unused prefix, on the servers that all tests share.
    pub fn fresh() -> Self {
        Self::of(Postgres::shared(), &Redis::shared().url())
    }

    /// An empty database of this PostgreSQL, and an unused prefix on this Redis.
    pub fn of(postgres: &Postgres, redis_url: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let database = Arc::new(postgres.database());
        Self {
            database_url: database.url(),
            database,
            redis_url: redis_url.to_owned(),
            prefix: format!("promise-{}:", NEXT.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The same database, reached at another address: a proxy's.
    pub fn reached_at(mut self, database_url: &str) -> Self {
        database_url.clone_into(&mut self.database_url);
        self
    }

    /// The same prefix, on another Redis or by another address; no Redis if it is empty.
    pub fn with_redis(mut self, url: &str) -> Self {
        url.clone_into(&mut self.redis_url);
        self
    }
}

impl From<Shared> for Ground {
    fn from(shared: Shared) -> Self {
        Self::Shared(shared)
    }
}
