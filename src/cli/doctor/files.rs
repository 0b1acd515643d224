//! Files that settings name.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Finding, Level, counted};
use crate::config::Loaded;
use crate::listen::certificates::{Untimely, validity};
use crate::parts;

const OF: &str = "files";
/// Whoever is neither the owner nor in the group reads, or writes.
const OTHERS: u32 = 0o006;

/// What a file is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What this server shows.
    Certificate,
    /// Whom it believes.
    Authorities,
    Key,
    /// The keys of the database, which are looked at there.
    Secrets,
    Other,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "tls_certificate" => Some(Self::Certificate),
            "tls_key" => Some(Self::Key),
            "encryption_keys_file" => Some(Self::Secrets),
            "jwt_jwks_file" => Some(Self::Other),
            _ if name.ends_with("ca_file") => Some(Self::Authorities),
            _ => None,
        }
    }
}

/// Files that settings name, and whether the key is the certificate's.
pub fn all(loaded: &Loaded) -> Vec<Finding> {
    let mut found = Vec::new();
    for setting in loaded.effective() {
        let path = setting.value.trim_matches('"');
        let (_, name) = setting.key.split_once('.').unwrap_or_default();
        let Some(kind) = Kind::of(name).filter(|_| !path.is_empty()) else { continue };
        let held = match std::fs::read(path) {
            Err(fault) => Err(format!("cannot be read ({fault})")),
            Ok(bytes) if bytes.trim_ascii().is_empty() => Err("is empty".to_owned()),
            Ok(bytes) => holds(kind, &bytes).map(|(held, untimely)| {
                found.extend(untimely.map(|why| timely(&setting.key, path, why)));
                held
            }),
        };
        let is_read = held.is_ok();
        found.push(match held {
            Ok(held) => Finding::ok(OF, format!("{}: {path}: {held}", setting.key)),
            Err(fault) => {
                Finding::fail(OF, format!("{}: {path} {fault}", setting.key), "name another, or mend it")
            }
        });
        if is_read && matches!(kind, Kind::Key | Kind::Secrets) {
            found.extend(std::fs::metadata(path).ok().and_then(|file| open(&setting.key, path, &file)));
        }
    }
    // What cannot be read is told above.
    if found.iter().all(|one| one.level < Level::Fail || !one.is.starts_with("server.tls_"))
        && let Err(fault) = parts::tls(&loaded.config, Arc::default())
    {
        let mend = "name the key that the certificate was made for (server.tls_key), or have a new certificate made for this key";
        found.push(Finding::fail(OF, format!("{fault:#}"), mend));
    }
    found
}

/// What it holds, and whether that counts now.
fn holds(kind: Kind, bytes: &[u8]) -> Result<(String, Option<Untimely>), String> {
    match kind {
        Kind::Certificate | Kind::Authorities => {
            let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
            let all = all.ok().filter(|all| !all.is_empty()).ok_or("holds no certificate in PEM")?;
            // That of the server stands first; of those that are believed, one that counts is enough.
            let times: Vec<_> = all.iter().filter_map(|one| validity(one)).collect();
            let ends = match kind {
                Kind::Certificate => times.first().copied(),
                _ => times.iter().copied().max_by_key(|(_, until)| *until),
            };
            Ok((counted(all.len(), "certificate"), ends.and_then(Untimely::of)))
        }
        Kind::Key => match PrivateKeyDer::from_pem_slice(bytes) {
            Ok(_) => Ok(("a private key".to_owned(), None)),
            Err(_) => Err("holds no private key in PEM".to_owned()),
        },
        Kind::Secrets | Kind::Other => Ok(("can be read".to_owned(), None)),
    }
}

fn timely(key: &str, path: &str, why: Untimely) -> Finding {
    let is = format!("{key}: {path} {why}");
    match why {
        Untimely::Soon(_) => Finding::warn(OF, is, why.mend()),
        Untimely::Over(_) | Untimely::Early(_) => Finding::fail(OF, is, why.mend()),
    }
}

/// Whether everybody on this machine may have a secret.
fn open(key: &str, path: &str, file: &Metadata) -> Option<Finding> {
    let mode = file.mode() & 0o777;
    let is = format!("{key}: {path} is open to everybody on this machine (mode {mode:o})");
    let mend = "chmod 600, and make it the server's own; whoever could read it may have the key: replace it if that matters";
    (mode & OTHERS != 0).then(|| Finding::warn(OF, is, mend))
}
