//! One Socket.IO 5 client over one WebSocket (Engine.IO 4), on the default namespace. Promises: connected when
//! [`Client::connect`] returns; pings are answered whenever the socket is read; nothing is sent before
//! [`Client::flush`]. It costs little, so that the load tool never becomes what is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::frame;

/// How long any single answer may take before the round is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Connections are spread over this many 127.0.0.x source addresses, so that short-lived ones cannot use up
/// the ports of a single one.
const SOURCES: u32 = 64;

/// Room made before each read, in bytes.
const READ_BLOCK: usize = 4096;

pub struct Client {
    stream: TcpStream,
    inbox: BytesMut,
    outbox: Vec<u8>,
    mask: [u8; 4],
}

/// A Socket.IO event: `["name",{…}]`.
pub struct Event(Bytes);

impl Event {
    pub fn name(&self) -> &[u8] {
        let rest = self.0.get(2..).unwrap_or_default();
        rest.split(|&byte| byte == b'"').next().unwrap_or_default()
    }

    /// Reads the event's first argument.
    pub fn data<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let start = self.name().len() + 4;
        let end = self.0.len().saturating_sub(1);
        let data = self.0.get(start..end).context("the event carries no data")?;
        serde_json::from_slice(data).with_context(|| format!("unexpected event {self}"))
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Client {
    /// Connects: TCP, WebSocket upgrade, Engine.IO open, Socket.IO CONNECT. `nth` picks the source address.
    pub async fn connect(server: SocketAddr, nth: u32) -> Result<Self> {
        Self::connect_with(server, nth, "").await
    }

    /// The same, showing this JSON in the Socket.IO CONNECT.
    pub async fn connect_with(server: SocketAddr, nth: u32, auth: &str) -> Result<Self> {
        timeout(PATIENCE, Self::connect_unhurried(server, nth, auth)).await.context("connecting took too long")?
    }

    async fn connect_unhurried(server: SocketAddr, nth: u32, auth: &str) -> Result<Self> {
        let mut client = Self::dial(server, nth, "/socket.io/?EIO=4&transport=websocket").await?;
        ensure!(client.next_message().await?.starts_with(b"0{"), "no Engine.IO open");
        client.queue_text(format!("40{auth}").as_bytes());
        client.flush().await?;
        let answer = client.next_message().await?;
        ensure!(answer.starts_with(b"40"), "refused: {}", String::from_utf8_lossy(&answer));
        Ok(client)
    }

    /// Opens a WebSocket at `path` over which no Socket.IO is spoken.
    pub async fn open(server: SocketAddr, nth: u32, path: &str) -> Result<Self> {
        timeout(PATIENCE, Self::dial(server, nth, path)).await.context("connecting took too long")?
    }

    async fn dial(server: SocketAddr, nth: u32, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::from(0x7F00_0002 + nth % SOURCES), 0).into())?;
        let stream = socket.connect(server).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let mask = nth.wrapping_mul(0x9E37_79B9).to_be_bytes().map(|byte| byte | 1);
        let mut client = Self { stream, inbox: BytesMut::new(), outbox: Vec::new(), mask };
        client.upgrade(server, path).await?;
        Ok(client)
    }

    async fn upgrade(&mut self, server: SocketAddr, path: &str) -> Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        loop {
            if let Some(end) = self.inbox.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.inbox.split_to(end + 4);
                ensure!(head.starts_with(b"HTTP/1.1 101"), "no upgrade: {}", String::from_utf8_lossy(&head));
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Queues an event whose only argument is the JSON text `data`.
    pub fn queue_event(&mut self, name: &str, data: &str) {
        self.queue_text(format!(r#"42["{name}",{data}]"#).as_bytes());
    }

    /// Queues a text message.
    pub fn queue_text(&mut self, text: &[u8]) {
        frame::encode(&mut self.outbox, frame::TEXT, text, self.mask);
    }

    /// Sends what is queued.
    pub async fn flush(&mut self) -> Result<()> {
        if !self.outbox.is_empty() {
            self.stream.write_all(&self.outbox).await.context("sending")?;
            self.outbox.clear();
        }
        Ok(())
    }

    /// Reads once, waiting for at least one byte. Safe to cancel.
    pub async fn fill(&mut self) -> Result<()> {
        self.inbox.reserve(READ_BLOCK);
        ensure!(self.stream.read_buf(&mut self.inbox).await.context("reading")? > 0, "the server closed the socket");
        Ok(())
    }

    /// Reads once if bytes are waiting; says whether there were any.
    pub fn fill_now(&mut self) -> Result<bool> {
        self.inbox.reserve(READ_BLOCK);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => bail!("the server closed the socket"),
            Ok(_) => Ok(true),
            Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(fault) => Err(fault).context("reading"),
        }
    }

    /// The next event among the bytes already read. Pings on the way are answered (after a flush).
    pub fn take_event(&mut self) -> Result<Option<Event>> {
        while let Some(message) = self.take_message()? {
            if message.starts_with(b"42") {
                return Ok(Some(Event(message.slice(2..))));
            }
            ensure!(!message.starts_with(b"41"), "the server ended the Socket.IO connection");
        }
        Ok(None)
    }

    /// The next text message among the bytes already read, whatever it says.
    pub fn take_text(&mut self) -> Result<Option<Bytes>> {
        while let Some((opcode, payload)) = frame::decode(&mut self.inbox)? {
            match opcode {
                frame::TEXT => return Ok(Some(payload)),
                frame::PING => frame::encode(&mut self.outbox, frame::PONG, &payload, self.mask),
                frame::CLOSE => bail!("the server closed the WebSocket"),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Waits for a text message that says this.
    pub async fn expect_text(&mut self, word: &str) -> Result<()> {
        let wait = async {
            loop {
                while let Some(message) = self.take_text()? {
                    if String::from_utf8_lossy(&message).contains(word) {
                        return Ok(());
                    }
                }
                self.flush().await?;
                self.fill().await?;
            }
        };
        timeout(PATIENCE, wait).await.with_context(|| format!("{word} never came"))?
    }

    fn take_message(&mut self) -> Result<Option<Bytes>> {
        while let Some((opcode, payload)) = frame::decode(&mut self.inbox)? {
            match opcode {
                frame::TEXT if payload == "2" => self.queue_text(b"3"),
                frame::TEXT => return Ok(Some(payload)),
                frame::PING => frame::encode(&mut self.outbox, frame::PONG, &payload, self.mask),
                frame::CLOSE => bail!("the server closed the WebSocket"),
                _ => {}
            }
        }
        Ok(None)
    }

    async fn next_message(&mut self) -> Result<Bytes> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Waits for the event `name`, passing over others; an error event ends the wait.
    pub async fn expect(&mut self, name: &str) -> Result<Event> {
        let wait = async {
            loop {
                while let Some(event) = self.take_event()? {
                    if event.name() == name.as_bytes() {
                        return Ok(event);
                    }
                    ensure!(!event.name().ends_with(b"error"), "instead of {name}: {event}");
                }
                self.flush().await?;
                self.fill().await?;
            }
        };
        timeout(PATIENCE, wait).await.with_context(|| format!("{name} never came"))?
    }

    /// Answers pings and drops everything else until `span` has passed.
    pub async fn idle(&mut self, span: Duration) -> Result<()> {
        let wait = async {
            loop {
                while self.take_event()?.is_some() {}
                self.flush().await?;
                self.fill().await?;
            }
        };
        timeout(span, wait).await.unwrap_or(Ok(()))
    }

    /// Closes as a browser does: a close frame, then wait for the server's end of the stream.
    pub async fn close(mut self) -> Result<()> {
        frame::encode(&mut self.outbox, frame::CLOSE, &1000_u16.to_be_bytes(), self.mask);
        self.flush().await?;
        let drain = async { while self.fill().await.is_ok() {} };
        timeout(PATIENCE, drain).await.context("the server did not close")
    }
}
