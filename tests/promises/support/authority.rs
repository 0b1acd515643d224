//! Certificates: an authority that is made for one test, and what it vouches for. `openssl` makes them, so that they come
//! from other code than that which checks them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// How a key is made.
const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// Somebody who vouches for servers.
pub struct Authority(TempDir);

/// A server's certificate and key, in files.
#[derive(Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who vouches for it.
    pub root: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        // With a blank, as in names that must be encoded in an address.
        let home = tempfile::Builder::new().prefix("an authority ").tempdir().expect("a folder");
        let name = format!("/CN=authority {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let words = ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", &name];
        openssl(home.path(), &[words.as_slice(), &KEY].concat());
        Self(home)
    }

    /// Its own certificate, by which it is trusted.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// The same, as it is written in an address.
    pub fn encoded(&self) -> String {
        self.file().display().to_string().replace('/', "%2F").replace(' ', "%20")
    }

    /// Vouches for a server of this name: `DNS:localhost`, `IP:127.0.0.1`.
    pub fn vouch_for(&self, name: &str) -> Identity {
        let home = self.0.path();
        let ask = ["req", "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server"];
        openssl(home, &[ask.as_slice(), &KEY].concat());
        std::fs::write(home.join("names"), format!("subjectAltName={name}\n")).expect("a file");
        let sign =
            ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
        openssl(
            home,
            &[sign.as_slice(), &["-out", "server.pem", "-days", "2", "-extfile", "names"]].concat(),
        );
        Identity { certificate: home.join("server.pem"), key: home.join("server.key"), root: self.file() }
    }
}

fn openssl(home: &Path, words: &[&str]) {
    let output = Command::new("openssl").current_dir(home).args(words).output();
    let output = output.expect("openssl; it is installed by `make clients`");
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
