//! TLS: the certificate that is shown, and its successors. Who replaces the files need not restart the server.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::{Timeliness, Untimely, validity, version};
use crate::telemetry::Metrics;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Greets clients by TLS 1.2 or 1.3.
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    files: Files,
    /// What was in the files when they were last looked at.
    seen: Mutex<Pem>,
    look: Notify,
    metrics: Arc<Metrics>,
}

/// The certificate in force.
#[derive(Debug)]
struct Shown(Mutex<Arc<CertifiedKey>>);

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Arc<CertifiedKey>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.lock().clone())
    }
}

/// From when until when a certificate counts, in seconds since 1970.
fn time_of(certified: &CertifiedKey) -> Option<(i64, i64)> {
    certified.cert.first().and_then(|first| validity(first))
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(&self) -> anyhow::Result<Pem> {
        let file = |setting: &str, path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("{setting}: cannot read {}", path.display()))
        };
        Ok(Pem {
            certificate: file("server.tls_certificate", &self.certificate)?,
            key: file("server.tls_key", &self.key)?,
        })
    }

    fn certified(&self, pem: &Pem) -> anyhow::Result<CertifiedKey> {
        let certificate = self.certificate.display();
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem.certificate)
            .collect::<Result<_, _>>()
            .ok()
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .with_context(|| {
                format!(
                    "server.tls_certificate: {certificate} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
                )
            })?;
        // What the library says of a key that it cannot read may quote it.
        let key = PrivateKeyDer::from_pem_slice(&pem.key).ok().with_context(|| {
            let key = self.key.display();
            format!("server.tls_key: {key} holds no private key in PEM without a password (-----BEGIN PRIVATE KEY-----)")
        })?;
        if let Some(version @ 1..=2) = chain.first().and_then(|first| version(first)) {
            anyhow::bail!(
                "server.tls_certificate: the first certificate in {certificate} is of version {version} (X.509), which no client takes: \
                 it must be of version 3. Have it made anew with the names of this server (subjectAltName)"
            );
        }
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|why| {
            anyhow::anyhow!(
                "server.tls_certificate ({certificate}) and server.tls_key ({}) cannot be used together: {why}; the first \
                 certificate in the file must be this server's, made for this key",
                self.key.display()
            )
        })
    }
}

impl Tls {
    /// Shows the certificate in one file, by the key in another; `metrics` tell when it ends.
    ///
    /// # Errors
    /// When a file cannot be read, holds something else, or they do not belong together.
    pub fn new(certificate: PathBuf, key: PathBuf, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let files = Files { certificate, key };
        let seen = files.read()?;
        let shown = Arc::new(Shown(Mutex::new(Arc::new(files.certified(&seen)?))));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Ok(Self { acceptor, shown, files, seen: Mutex::new(seen), look: Notify::new(), metrics })
    }

    /// Agrees with a client on how the line is encrypted. Takes as long as the client does.
    ///
    /// # Errors
    /// When they do not agree, or the client has gone.
    pub async fn accept(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(tcp).await
    }

    /// Has the files looked at now.
    pub fn look_now(&self) {
        self.look.notify_one();
    }

    /// Looks at the files now and then. What is new in them is shown to whoever connects from then on; what cannot be used
    /// leaves all as it was. When the one that is shown ends, or has ended, the log says.
    pub async fn watch(self: Arc<Self>) {
        let mut timeliness = Timeliness::default();
        loop {
            let time = time_of(&self.shown.lock());
            if let Some((_, until)) = time {
                self.metrics.certificate_expires.set(until);
            }
            timeliness.look(&self.files.certificate, time.and_then(Untimely::of));
            tokio::time::timeout(LOOK, self.look.notified()).await.ok();
            let this = self.clone();
            tokio::task::spawn_blocking(move || this.look()).await.ok();
        }
    }

    fn look(&self) {
        let pem = match self.files.read() {
            Ok(pem) => pem,
            Err(why) => {
                tracing::warn!(why = format!("{why:#}"), "the TLS certificate shown is still the one before");
                return;
            }
        };
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if *seen == pem {
            return;
        }
        let is_over = |certified: &CertifiedKey| {
            matches!(time_of(certified).and_then(Untimely::of), Some(Untimely::Over(_)))
        };
        match self.files.certified(&pem) {
            Ok(certified) if is_over(&certified) && !is_over(&self.shown.lock()) => {
                let why = "the new one has expired; write one over it that counts";
                tracing::error!(why, "the TLS certificate shown is still the one before");
            }
            Ok(certified) => {
                *self.shown.lock() = Arc::new(certified);
                tracing::info!(file = %self.files.certificate.display(), "a new TLS certificate is shown");
            }
            Err(why) => {
                tracing::warn!(why = format!("{why:#}"), "the TLS certificate shown is still the one before");
            }
        }
        *seen = pem;
    }
}
