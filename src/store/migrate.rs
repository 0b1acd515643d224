//! Brings a database's schema up to date. A schema newer than this program is refused.

use diesel::migration::{Migration, MigrationSource, MigrationVersion};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, StoreError, sqlite};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

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
                run(&mut connection)
            })
            .await
            .map_err(|fault| StoreError::Migration(fault.to_string()))?
        }
        DatabaseUrl::Postgres(_) => Err(StoreError::Migration(
            "this release keeps its data in SQLite; set DATABASE_URL to sqlite:///carillon.db".to_owned(),
        )),
    }
}

fn run(connection: &mut diesel::SqliteConnection) -> Result<Vec<String>, StoreError> {
    let failed = |fault: Box<dyn std::error::Error + Send + Sync>| StoreError::Migration(fault.to_string());
    let known: Vec<String> = MigrationSource::<diesel::sqlite::Sqlite>::migrations(&SQLITE)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = connection.applied_migrations().map_err(failed)?;
    let newer = |version: &&MigrationVersion<'_>| !known.contains(&version.to_string());
    if let Some(version) = applied.iter().find(newer) {
        return Err(StoreError::Migration(format!(
            "it was used by a newer Carillon (migration {version} is unknown here); run that release, or restore a backup made before it"
        )));
    }
    let done = connection.run_pending_migrations(SQLITE).map_err(failed)?;
    Ok(done.iter().map(ToString::to_string).collect())
}
