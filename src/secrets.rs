//! Secrets that must be there: in production they are demanded, in development they are made once and
//! kept beside the database.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::access::Vapid;
use crate::config::{Config, Environment};
use crate::domain::Secret;
use crate::store::DatabaseUrl;

/// Shorter ones are refused in production.
const SHORTEST: usize = 16;

/// Words of documentation that people copy.
const WELL_KNOWN: [&str; 14] = [
    "your-secret-key-here",
    "your-secret-key",
    "your-jwt-secret-key",
    "your-super-secret-key",
    "backend-service-token-here",
    "production-secret-key",
    "secure-backend-token",
    "production-jwt-secret",
    "dev-secret-key",
    "jwt-secret-key",
    "secret-key",
    "changeme",
    "change-me",
    "secret",
];

#[derive(Serialize, Deserialize)]
struct Made {
    jwt_secret: String,
    backend_token: String,
}

/// Makes sure that `config` has its secrets. Returns the file that keeps those that were made, if any
/// of them is used.
///
/// # Errors
/// In production, when a secret is missing, well known or too short; in development, when the file
/// cannot be read or written.
pub fn ensure(config: &mut Config) -> anyhow::Result<Option<PathBuf>> {
    if config.server.environment == Environment::Production {
        let faults: Vec<String> = demanded(config).iter().filter_map(|needed| weakness(needed)).collect();
        anyhow::ensure!(
            faults.is_empty(),
            "production needs secrets of your own:\n{}\nA good one: openssl rand -hex 32",
            faults.iter().map(|fault| format!("  - {fault}")).collect::<Vec<_>>().join("\n")
        );
        return Ok(None);
    }
    let auth = &mut config.auth;
    let with_public_key = !auth.jwt_algorithm.starts_with("HS");
    if (with_public_key || !auth.jwt_secret.is_empty()) && !auth.backend_token.is_empty() {
        return Ok(None);
    }
    let path = beside(&config.database.url);
    let made = read_or_make(&path)?;
    if auth.jwt_secret.is_empty() && !with_public_key {
        auth.jwt_secret = Secret::new(made.jwt_secret);
    }
    if auth.backend_token.is_empty() {
        auth.backend_token = Secret::new(made.backend_token);
    }
    Ok(Some(path))
}

/// The keys by which push services know this deployment.
#[derive(Serialize, Deserialize)]
struct Pair {
    vapid_public_key: String,
    vapid_private_key: String,
}

/// Makes sure that `config` has keys for Web Push, if one file can keep them for all who need them: they are made once,
/// beside an SQLite file. Several nodes on one PostgreSQL must be given the same; without, there are no pushes. Returns the
/// file that keeps them, if they are used.
///
/// # Errors
/// When the file cannot be read or written.
pub fn ensure_push_keys(config: &mut Config) -> anyhow::Result<Option<PathBuf>> {
    let push = &mut config.push;
    if !push.vapid_private_key.is_empty() || !push.vapid_public_key.is_empty() {
        return Ok(None);
    }
    let Ok(DatabaseUrl::Sqlite(database)) = config.database.url.parse() else { return Ok(None) };
    let path = named(database, ".vapid");
    let comment = "# Made at the first start. All devices that take pushes know this key: do not lose it.";
    let pair: Pair = match read(&path)? {
        Some(pair) => pair,
        None => {
            let (vapid_public_key, vapid_private_key) = Vapid::generate()?;
            keep(&path, comment, Pair { vapid_public_key, vapid_private_key })?
        }
    };
    push.vapid_public_key = pair.vapid_public_key;
    push.vapid_private_key = Secret::new(pair.vapid_private_key);
    Ok(Some(path))
}

/// The file that keeps the keys for Web Push of an SQLite file, if it is there.
pub fn push_keys_file(config: &Config) -> Option<PathBuf> {
    let Ok(DatabaseUrl::Sqlite(database)) = config.database.url.parse() else { return None };
    Some(named(database, ".vapid")).filter(|path| path.is_file())
}

/// The file that takes what no provider is set for.
pub fn sink(config: &Config) -> PathBuf {
    match config.database.url.parse() {
        Ok(DatabaseUrl::Sqlite(path)) => named(path, ".sink.jsonl"),
        _ => "carillon.sink.jsonl".into(),
    }
}

/// Whether the file of made secrets is there.
pub fn kept(config: &Config) -> bool {
    beside(&config.database.url).is_file()
}

struct Needed<'a> {
    variable: &'static str,
    key: &'static str,
    secret: &'a str,
}

fn demanded(config: &Config) -> Vec<Needed<'_>> {
    let mut needed: Vec<Needed<'_>> = Vec::new();
    if config.auth.jwt_algorithm.starts_with("HS") {
        let secret = config.auth.jwt_secret.expose();
        needed.push(Needed { variable: "JWT_SECRET_KEY", key: "auth.jwt_secret", secret });
        let secret = config.auth.jwt_secret_previous.expose();
        if !secret.is_empty() {
            let variable = "CARILLON_AUTH_JWT_SECRET_PREVIOUS";
            needed.push(Needed { variable, key: "auth.jwt_secret_previous", secret });
        }
    }
    for secret in config.auth.backend_token.expose().split(',').map(str::trim) {
        needed.push(Needed { variable: "BACKEND_SERVICE_TOKEN", key: "auth.backend_token", secret });
    }
    for secret in config.auth.link_secrets.expose().split(',').map(str::trim) {
        if !secret.is_empty() {
            let variable = "CARILLON_AUTH_LINK_SECRETS";
            needed.push(Needed { variable, key: "auth.link_secrets", secret });
        }
    }
    needed
}

fn weakness(needed: &Needed<'_>) -> Option<String> {
    let Needed { variable, key, secret } = needed;
    let folded = secret.to_ascii_lowercase();
    if secret.is_empty() {
        Some(format!("{variable} ({key}) is not set"))
    } else if WELL_KNOWN.contains(&folded.as_str()) || folded.starts_with("your-") {
        Some(format!("{variable} ({key}) is a well-known example from documentation"))
    } else if secret.len() < SHORTEST {
        Some(format!("{variable} ({key}) has fewer than {SHORTEST} bytes"))
    } else {
        None
    }
}

fn beside(url: &str) -> PathBuf {
    match url.parse() {
        Ok(DatabaseUrl::Sqlite(path)) => named(path, ".secrets"),
        _ => "carillon.secrets".into(),
    }
}

/// The file of the same name with this behind it.
fn named(path: PathBuf, ending: &str) -> PathBuf {
    let mut name = path.into_os_string();
    name.push(ending);
    name.into()
}

fn read_or_make(path: &Path) -> anyhow::Result<Made> {
    let comment =
        "# Made at the first start, for development. Production takes its own from the environment.";
    match read(path)? {
        Some(made) => Ok(made),
        None => keep(path, comment, Made { jwt_secret: random()?, backend_token: random()? }),
    }
}

/// What is kept in `path`, if there is such a file.
fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the secrets in {}", path.display()))?;
    let made = toml::from_str(&text).with_context(|| {
        format!("{} is damaged; restore it, or delete it to have new secrets made", path.display())
    })?;
    Ok(Some(made))
}

/// Keeps `made` in `path`, for its owner only.
fn keep<T: Serialize>(path: &Path, comment: &str, made: T) -> anyhow::Result<T> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // Written whole, then named: a crash in between leaves no half of it.
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let keep = || format!("cannot keep the secrets in {}", path.display());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(keep)?;
    let text = format!("{comment}\n{}", toml::to_string(&made)?);
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path).with_context(keep)?;
    Ok(made)
}

/// 256 random bits, in hexadecimal.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|fault| anyhow::anyhow!("no randomness: {fault}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn production(jwt: &str, backend: &str) -> Result<Option<PathBuf>, String> {
        let mut config = Config::default();
        config.server.environment = Environment::Production;
        config.auth.jwt_secret = Secret::new(jwt);
        config.auth.backend_token = Secret::new(backend);
        ensure(&mut config).map_err(|fault| fault.to_string())
    }

    #[test]
    fn production_demands_good_secrets() {
        let good = "0123456789abcdef0123456789abcdef";
        assert_eq!(production(good, good), Ok(None));
        for (jwt, backend, fault) in [
            ("", good, "JWT_SECRET_KEY (auth.jwt_secret) is not set"),
            (good, "", "BACKEND_SERVICE_TOKEN (auth.backend_token) is not set"),
            ("your-secret-key-here", good, "well-known"),
            (good, "backend-service-token-here", "well-known"),
            (good, "short", "fewer than 16"),
            (good, "0123456789abcdef0123456789abcdef,", "not set"),
        ] {
            let said = production(jwt, backend).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
    }

    #[test]
    fn development_makes_them_once() {
        let folder = tempfile::tempdir().unwrap();
        let url = folder.path().join("n.db").display().to_string();
        let secrets = |jwt: &str| {
            let mut config = Config::default();
            config.database.url.clone_from(&url);
            config.auth.jwt_secret = Secret::new(jwt);
            ensure(&mut config).unwrap();
            (config.auth.jwt_secret.expose().to_owned(), config.auth.backend_token.expose().to_owned())
        };
        let first = secrets("");
        assert_eq!(first.0.len(), 64);
        assert_ne!(first.0, first.1);
        assert_eq!(secrets(""), first);
        assert_eq!(secrets("mine"), ("mine".to_owned(), first.1));
    }

    #[test]
    fn push_keys_are_made_once_where_one_file_can_keep_them() {
        let folder = tempfile::tempdir().unwrap();
        let keys = |url: &str| {
            let mut config = Config::default();
            config.database.url = url.to_owned();
            ensure_push_keys(&mut config).unwrap();
            let push = config.push;
            (push.vapid_public_key, push.vapid_private_key.expose().to_owned())
        };
        let file = folder.path().join("n.db").display().to_string();
        let (public, private) = keys(&file);
        assert_eq!(Vapid::new("", &private, "").unwrap().public_key(), public);
        assert_eq!(keys(&file), (public, private));
        assert_eq!(keys("postgres://localhost/x"), (String::new(), String::new()));
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.url = folder.path().join("n.db").display().to_string();
        let kept = folder.path().join("n.db.secrets");
        std::fs::write(&kept, "jwt_secret = \"half").unwrap();
        let said = ensure(&mut config).unwrap_err().to_string();
        assert!(said.contains("n.db.secrets is damaged; restore it"), "{said}");
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "jwt_secret = \"half");
    }
}
