//! Asking the server that runs on this machine.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value;

use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const LARGEST: u64 = 16 * 1024 * 1024;

/// What was answered: the status, and the body.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// Asks for `path`, with a token if one is given.
///
/// # Errors
/// When nothing listens where `config` says, or what it says is no HTTP.
pub fn ask(config: &Config, method: &str, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
    let host = match config.server.host.as_str() {
        "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    let address = (host, config.server.port).to_socket_addrs()?.next().context("no address")?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(|| {
        format!("nothing listens on {address}; start the server, or say where it is by --host and --port")
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let shown = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{shown}{length}Connection: close\r\n\r\n");
    let text = if config.server.tls_certificate.is_empty() || config.server.tls_port != 0 {
        converse(&mut stream, &head)
    } else {
        converse(&mut encrypted(stream)?, &head)
    };
    let text = text.context("the server does not answer")?;
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    Ok(Answer { status: status.context("what answers is no HTTP server")?, body: body.to_owned() })
}

fn converse(stream: &mut (impl Read + Write), head: &str) -> std::io::Result<String> {
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    let mut text = String::new();
    stream.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Speaks TLS with whoever listens on an address of this machine: as without TLS, it is believed for being here. Its
/// certificate has the name by which others know it.
fn encrypted(stream: TcpStream) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(ring::default_provider());
    let here = Here(provider.signature_verification_algorithms);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(here))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost")?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream))
}

/// Believes whoever has the key of the certificate that they show.
#[derive(Debug)]
struct Here(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Here {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl Answer {
    /// The JSON of an answer that went well.
    ///
    /// # Errors
    /// With the server's own words, if it did not.
    pub fn json(&self) -> anyhow::Result<Value> {
        let json: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let why = json["detail"].as_str().or(json["title"].as_str()).unwrap_or(&self.body);
        anyhow::ensure!(self.status < 400, "the server answers {}: {why}", self.status);
        Ok(json)
    }
}
