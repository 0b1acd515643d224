//! Certificates that only these promises use. They are valid until 2120.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};

/// `localhost`, vouched for by [`authority`].
pub fn localhost() -> PathBuf {
    file("localhost.pem")
}

pub fn localhost_key() -> PathBuf {
    file("localhost.key")
}

pub fn authority() -> String {
    file("authority.pem").display().to_string()
}

/// Another authority, which vouches for nobody.
pub fn stranger() -> String {
    file("stranger.pem").display().to_string()
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/promises/support/certificates").join(name)
}

/// That of `localhost` in a folder, as if it ended then (whoever checks its signature finds it wrong), and its key.
pub fn lasting(folder: &Path, until: SystemTime) -> (String, String) {
    let pem = std::fs::read_to_string(localhost()).expect("a certificate");
    let lines: String = pem.lines().skip(1).take_while(|line| !line.starts_with('-')).collect();
    let mut der = STANDARD.decode(lines).expect("base64");
    let at = der.windows(6).position(|part| part == b"\x18\x0f2120").expect("its end") + 2;
    let until = DateTime::<Utc>::from(until).format("%Y%m%d%H%M%SZ").to_string();
    der[at..at + until.len()].copy_from_slice(until.as_bytes());
    let path = folder.join("lasting.pem");
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("a line")).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    std::fs::write(&path, pem).expect("a file");
    (path.display().to_string(), localhost_key().display().to_string())
}
