//! Brings a database's schema up to date. A schema newer than this program is refused.

use diesel::SqliteConnection;
use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, Readers, StoreError, postgres, sqlite};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// Whether there is a table of migrations.
const ON_SQLITE: &str =
    "SELECT count(*) AS many FROM sqlite_master WHERE name = '__diesel_schema_migrations'";
const ON_POSTGRES: &str = "SELECT count(*) AS many FROM pg_class \
    WHERE relname = '__diesel_schema_migrations' AND pg_table_is_visible(oid)";
/// The number of the advisory lock: "carillon" in ASCII, as a number.
const LOCK: i64 = 0x6361_7269_6c6c_6f6e;

/// Applies every migration that is missing; returns the names of those it applied.
///
/// # Errors
/// When the database cannot be reached, is newer than this program, or a migration fails (the
/// database is then as it was before that migration).
pub async fn migrate(url: &DatabaseUrl) -> Result<Vec<String>, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let path = path.clone();
            tokio::task::spawn_blocking(move || {
                let _alone = sqlite::FileLock::take(&path)?;
                let mut connection = sqlite::open_writer(&path)?;
                run(&mut connection, SQLITE)
            })
            .await
            .map_err(|fault| StoreError::Migration(fault.to_string()))?
        }
        DatabaseUrl::Postgres(url) => {
            let mut connection = postgres::Target::new(url)?.connect().await?;
            // Nodes that start together wait for each other; the lock ends with the connection.
            connection
                .batch_execute(&format!("SET lock_timeout = 0; SELECT pg_advisory_lock({LOCK})"))
                .await?;
            let wrapped = AsyncConnectionWrapper::<_>::from(connection);
            tokio::task::spawn_blocking(move || {
                let mut connection: AsyncConnectionWrapper<AsyncPgConnection> = wrapped;
                run(&mut connection, POSTGRES)
            })
            .await
            .map_err(|fault| StoreError::Migration(fault.to_string()))?
        }
    }
}

/// The versions of all migrations, of either database.
pub(super) fn known(is_sqlite: bool) -> Vec<String> {
    fn of<D: Backend>(source: EmbeddedMigrations) -> Vec<String> {
        let all = MigrationSource::<D>::migrations(&source).unwrap_or_default();
        all.iter().map(|migration| migration.name().version().to_string()).collect()
    }
    match is_sqlite {
        true => of::<diesel::sqlite::Sqlite>(SQLITE),
        false => of::<diesel::pg::Pg>(POSTGRES),
    }
}

/// The same for an SQLite file that nobody else has.
///
/// # Errors
/// When it is newer than this program, or a migration fails.
pub fn file(connection: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    run(connection, SQLITE)
}

fn refuse_newer(known: &[String], mut applied: impl Iterator<Item = String>) -> Result<(), StoreError> {
    match applied.find(|version| !known.contains(version)) {
        None => Ok(()),
        Some(version) => Err(StoreError::Migration(format!(
            "it was used by a newer Carillon (migration {version} is unknown here); run that release, or restore a backup made before it"
        ))),
    }
}

/// Refuses the file behind `connection` if it is newer than this program, which would not know all that it holds.
///
/// # Errors
/// When it is, or cannot be read.
pub(super) async fn check_file(connection: &mut sqlite::ReadConnection) -> Result<(), StoreError> {
    let applied = sqlite::queries::schema_versions(connection, ON_SQLITE).await?;
    refuse_newer(&known(true), applied.into_iter())
}

/// The same on PostgreSQL.
///
/// # Errors
/// As there.
pub(super) async fn check_server(connection: &mut AsyncPgConnection) -> Result<(), StoreError> {
    let applied = postgres::queries::schema_versions(connection, ON_POSTGRES).await?;
    refuse_newer(&known(false), applied.into_iter())
}

impl Readers {
    /// The same of what is read here.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pool) => {
                let mut connection = sqlite::checkout(pool).await?;
                check_file(&mut connection).await
            }
            Self::Postgres(pool) => {
                let reader = postgres::checkout(pool).await?;
                reader.read(async |connection| check_server(connection).await).await
            }
        }
    }
}

fn run<D: Backend + 'static>(
    connection: &mut impl MigrationHarness<D>,
    source: EmbeddedMigrations,
) -> Result<Vec<String>, StoreError> {
    let failed = |fault: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Migration(format!(
            "{fault}; it must hold nothing but what Carillon made, and its user must be allowed to change tables"
        ))
    };
    let known: Vec<String> = MigrationSource::<D>::migrations(&source)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    refuse_newer(&known, applied.iter().map(ToString::to_string))?;
    let done = connection.run_pending_migrations(source).map_err(failed)?;
    Ok(done.iter().map(ToString::to_string).collect())
}
