//! Reaching PostgreSQL: the address as libpq reads it, TLS by `sslmode`, no wait without an end.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use percent_encoding::percent_decode_str;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres::config::Host;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::StoreError;

/// A server that does not take a connection for this long is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Commits must be durable when they are reported; a server may be set otherwise. Waiting for a lock, or
/// holding a transaction open, ends by itself. What is asked goes by keys: a server that nobody has tuned takes disks to
/// be slow at that, reads small tables as a whole instead, and compiles what runs for a millisecond.
const SETUP: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'; \
     SELECT set_config('random_page_cost', '1.1', false) WHERE current_setting('random_page_cost') = '4'; \
     SET jit = off; \
     SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'; SET timezone = 'UTC'";

/// A server and how to reach it.
#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    /// Reads `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`.
    ///
    /// # Errors
    /// When the address, or the root certificate it names, cannot be read.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let wrong = |fault: &dyn std::fmt::Display| {
            StoreError::Unreachable(format!("the address in DATABASE_URL cannot be used: {fault}"))
        };
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root, mut kept) = ("prefer".to_owned(), None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => value.clone_into(&mut mode),
                Some(("sslrootcert", value)) => {
                    root = Some(percent_decode_str(value).decode_utf8().map_err(|fault| wrong(&fault))?);
                }
                _ => kept.push(pair),
            }
        }
        let mut config = Config::from_str(&format!("{address}?{}", kept.join("&"))).map_err(|fault| {
            let detail = std::error::Error::source(&fault).map(|why| format!(" ({why})")).unwrap_or_default();
            wrong(&format!("{fault}{detail}"))
        })?;
        config
            .application_name("carillon")
            .connect_timeout(PATIENCE)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(10));
        let trust = match mode.as_str() {
            "disable" => None,
            "prefer" | "allow" => Some((SslMode::Prefer, Trust::Anybody)),
            "require" if root.is_none() => Some((SslMode::Require, Trust::Anybody)),
            "require" | "verify-ca" => Some((SslMode::Require, Trust::Signed)),
            "verify-full" => Some((SslMode::Require, Trust::Named)),
            other => {
                let text = "use disable, prefer, require, verify-ca or verify-full";
                return Err(wrong(&format!("sslmode is `{other}`; {text}")));
            }
        };
        let Some((mode, trust)) = trust else {
            config.ssl_mode(SslMode::Disable);
            return Ok(Self { config, tls: None });
        };
        config.ssl_mode(mode);
        let tls = client_config(trust, root.as_deref().map(Path::new)).map_err(|fault| wrong(&fault))?;
        Ok(Self { config, tls: Some(MakeRustlsConnect::new(tls)) })
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn connect(&self) -> Result<AsyncPgConnection, StoreError> {
        let reached = async {
            let unreachable = |fault: tokio_postgres::Error| {
                let why = std::error::Error::source(&fault).map(|why| format!(": {why}"));
                let place = self.place();
                StoreError::Unreachable(format!("{place}: {fault}{}", why.unwrap_or_default()))
            };
            let setup = |fault: diesel::ConnectionError| StoreError::Unreachable(fault.to_string());
            let mut connection = match &self.tls {
                Some(tls) => {
                    let (client, stream) = self.config.connect(tls.clone()).await.map_err(unreachable)?;
                    AsyncPgConnection::try_from_client_and_connection(client, stream).await.map_err(setup)?
                }
                None => {
                    let (client, stream) = self.config.connect(NoTls).await.map_err(unreachable)?;
                    AsyncPgConnection::try_from_client_and_connection(client, stream).await.map_err(setup)?
                }
            };
            connection.batch_execute(SETUP).await?;
            Ok(connection)
        };
        match tokio::time::timeout(PATIENCE, reached).await {
            Ok(connection) => connection,
            Err(_) => {
                let place = self.place();
                Err(StoreError::Unreachable(format!("{place}: nobody answers as PostgreSQL does")))
            }
        }
    }

    /// Where it is tried, for an error.
    fn place(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        format!("{} (port {port}), as DATABASE_URL says", hosts.collect::<Vec<_>>().join(", "))
    }
}

/// Whose certificate is good enough (libpq's `sslmode`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Anybody's: the line is encrypted, and no more.
    Anybody,
    /// Whoever the roots vouch for.
    Signed,
    /// The same, and made out to this host.
    Named,
}

fn client_config(trust: Trust, root: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|fault| fault.to_string())?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anybody => Arc::new(Lenient { inner: None, provider }),
        Trust::Signed | Trust::Named => {
            let roots = Arc::new(roots(root)?);
            let strict = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|fault| fault.to_string())?;
            match trust {
                Trust::Named => strict,
                _ => Arc::new(Lenient { inner: Some(strict), provider }),
            }
        }
    };
    Ok(builder.with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let wrong = |fault: &dyn std::fmt::Display| format!("sslrootcert {} ({fault})", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|fault| wrong(&fault))? {
                let certificate = certificate.map_err(|fault| wrong(&fault))?;
                roots.add(certificate).map_err(|fault| wrong(&fault))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(
            "there is no root certificate to verify the server with; name one by sslrootcert".to_owned()
        );
    }
    Ok(roots)
}

/// Takes certificates made out to other names, or, without `inner`, all of them.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<(SslMode, bool), String> {
        let target = Target::new(url).map_err(|fault| fault.to_string())?;
        Ok((target.config.get_ssl_mode(), target.tls.is_some()))
    }

    #[test]
    fn sslmode_is_read_as_libpq_does() {
        assert_eq!(mode("postgres://u@h/d"), Ok((SslMode::Prefer, true)));
        assert_eq!(mode("postgres://u@h/d?sslmode=disable"), Ok((SslMode::Disable, false)));
        assert_eq!(mode("postgres://u@h/d?sslmode=require&keepalives=1"), Ok((SslMode::Require, true)));
        assert!(mode("postgres://u@h/d?sslmode=yes").is_err_and(|fault| fault.contains("verify-full")));
        let missing = mode("postgres://u@h/d?sslmode=verify-full&sslrootcert=/no/such/file");
        assert!(missing.is_err_and(|fault| fault.contains("/no/such/file")));
    }

    #[test]
    fn passwords_are_not_told() {
        let fault = mode("postgres://u:hidden@h:port/d").err().unwrap_or_default();
        assert!(!fault.is_empty() && !fault.contains("hidden"), "{fault}");
    }
}
