//! Certificates that only these promises use. They are valid until 2120.

use std::path::PathBuf;

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
