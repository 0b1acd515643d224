//! One HTTP/1.1 client over one kept connection. Promises: one request at a time; an answer other than the one that was
//! hoped for is a fault.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::PATIENCE;

pub struct Http {
    stream: TcpStream,
    inbox: BytesMut,
}

/// A request as it goes out, made once.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let body = match body {
        "" => "\r\n".to_owned(),
        body => format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    };
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{body}").into_bytes()
}

impl Http {
    pub async fn connect(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: BytesMut::new() })
    }

    /// Sends a request and gives the body of its answer, which must have this status.
    pub async fn ask(&mut self, request: &[u8], status: u16) -> Result<Bytes> {
        timeout(PATIENCE, self.ask_unhurried(request, status)).await.context("no answer")?
    }

    async fn ask_unhurried(&mut self, request: &[u8], status: u16) -> Result<Bytes> {
        self.stream.write_all(request).await.context("sending")?;
        loop {
            if let Some((found, body)) = self.take_answer()? {
                ensure!(found == status, "{found} instead of {status}: {}", String::from_utf8_lossy(&body));
                return Ok(body);
            }
            self.inbox.reserve(16 << 10);
            ensure!(self.stream.read_buf(&mut self.inbox).await.context("reading")? > 0, "the server closed");
        }
    }

    fn take_answer(&mut self) -> Result<Option<(u16, Bytes)>> {
        let Some(end) = self.inbox.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&self.inbox[..end])?;
        let status = head.get(9..12).context("no status")?.parse()?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        let Some(length) = length else { bail!("an answer without a length: {head}") };
        let length = length?;
        if self.inbox.len() < end + 4 + length {
            return Ok(None);
        }
        let _head = self.inbox.split_to(end + 4);
        Ok(Some((status, self.inbox.split_to(length).freeze())))
    }
}
