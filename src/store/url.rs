//! `DATABASE_URL`, read as SQLAlchemy reads it, so that the seeds' settings keep their meaning.

use std::path::PathBuf;
use std::str::FromStr;

/// A database, by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One file.
    Sqlite(PathBuf),
    /// A server.
    Postgres(String),
}

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// SQLite without a file.
    #[error(
        "the database URL names no file; use sqlite:///relative.db, sqlite:////absolute/path.db or a plain path (an in-memory database would lose what was promised)"
    )]
    NoFile,
    /// The name of a database driver, where an address is expected (Laravel's `DB_CONNECTION`).
    #[error(
        "`{0}` names a kind of database, not a database; use sqlite:///carillon.db or postgres://user@host/database, in DATABASE_URL if DB_CONNECTION is taken"
    )]
    Driver(String),
    /// `sqlite://name` has a host, which a file has not.
    #[error(
        "`{0}` has two slashes, which would make its first part a host; use three for a relative file (sqlite:///carillon.db) and four for an absolute one"
    )]
    TwoSlashes(String),
    /// Some other database.
    #[error(
        "the database scheme `{0}` is not supported; use sqlite:///file.db or postgres://user@host/database"
    )]
    Scheme(String),
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return file(text.strip_prefix("sqlite:").unwrap_or(text));
        };
        // SQLAlchemy may name a driver: sqlite+pysqlite, postgresql+psycopg2.
        match scheme.split('+').next().unwrap_or(scheme) {
            "sqlite" => match rest.strip_prefix('/') {
                Some(path) => file(path.split('?').next().unwrap_or(path)),
                None if rest.is_empty() || rest == ":memory:" => Err(UrlError::NoFile),
                None => Err(UrlError::TwoSlashes(text.to_owned())),
            },
            "file" => file(rest),
            "postgres" | "postgresql" => Ok(Self::Postgres(format!("postgres://{rest}"))),
            other => Err(UrlError::Scheme(other.to_owned())),
        }
    }
}

fn file(path: &str) -> Result<DatabaseUrl, UrlError> {
    if path.is_empty() || path == ":memory:" || path.contains('\0') {
        return Err(UrlError::NoFile);
    }
    if matches!(path, "sqlite" | "sqlite3" | "pgsql" | "postgres" | "postgresql" | "mysql" | "mariadb") {
        return Err(UrlError::Driver(path.to_owned()));
    }
    Ok(DatabaseUrl::Sqlite(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(text: &str) -> Result<DatabaseUrl, UrlError> {
        Ok(DatabaseUrl::Sqlite(text.into()))
    }

    #[test]
    fn reads_addresses_as_sqlalchemy_does() {
        for (url, path) in [
            ("sqlite:///notifications.db", "notifications.db"),
            ("sqlite:///data/notifications.db", "data/notifications.db"),
            ("sqlite:////var/lib/n.db", "/var/lib/n.db"),
            ("sqlite+pysqlite:////var/lib/n.db?check_same_thread=false", "/var/lib/n.db"),
            ("plain.db", "plain.db"),
            ("./here/plain.db", "./here/plain.db"),
            ("/abs/plain.db", "/abs/plain.db"),
        ] {
            assert_eq!(url.parse(), sqlite(path), "{url}");
        }
        assert_eq!(
            "postgresql+psycopg2://u:p@db:5432/n".parse(),
            Ok(DatabaseUrl::Postgres("postgres://u:p@db:5432/n".to_owned()))
        );
    }

    #[test]
    fn refuses_what_it_cannot_keep() {
        for url in ["", "sqlite://", "sqlite:///", "sqlite:///:memory:", ":memory:"] {
            assert_eq!(url.parse::<DatabaseUrl>(), Err(UrlError::NoFile), "{url}");
        }
        assert_eq!("pgsql".parse::<DatabaseUrl>(), Err(UrlError::Driver("pgsql".to_owned())));
        assert!(matches!("sqlite://n.db".parse::<DatabaseUrl>(), Err(UrlError::TwoSlashes(_))));
        assert_eq!("mysql://db/n".parse::<DatabaseUrl>(), Err(UrlError::Scheme("mysql".to_owned())));
    }
}
