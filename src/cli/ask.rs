//! Asking the server that runs on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
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
    stream.write_all(head.as_bytes())?;
    let mut text = String::new();
    stream.take(LARGEST).read_to_string(&mut text).context("the server does not answer")?;
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    Ok(Answer { status: status.context("what answers is no HTTP server")?, body: body.to_owned() })
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
