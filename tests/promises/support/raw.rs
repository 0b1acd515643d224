//! A hand-made client: says what no library would say, and stops listening when it likes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// A Socket.IO connection over a bare WebSocket.
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    /// Opens the WebSocket and reads the Engine.IO greeting.
    pub fn dial(address: SocketAddr) -> Self {
        Self::dial_with(address, &[]).unwrap_or_else(|status| panic!("refused with {status}"))
    }

    /// The same with more request headers; `Err` is the status of the refusal.
    pub fn dial_with(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(address).expect("the server to listen");
        let mut raw = Self::upgrade(&mut stream, "/socket.io/?EIO=4&transport=websocket", headers)?;
        let greeting = raw.hear().expect("an Engine.IO greeting");
        assert!(greeting.starts_with('0'), "{greeting}");
        Ok(raw)
    }

    /// A WebSocket that greets nobody, over a connection on which other things may have been asked before.
    pub fn upgrade(stream: &mut TcpStream, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let address = stream.peer_addr().expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
        .expect("the server to listen");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer to the handshake");
            head.push(byte[0]);
        }
        let status =
            String::from_utf8_lossy(&head).split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        if status != 101 {
            return Err(status);
        }
        Ok(Self { stream: stream.try_clone().expect("a socket"), unread: Vec::new() })
    }

    /// Opens, joins the default namespace, and waits until the server has said so.
    pub fn join(address: SocketAddr) -> Self {
        let mut raw = Self::dial(address);
        raw.say("40");
        raw.wait_for("40");
        raw
    }

    /// Joins and authenticates as this facilitator.
    pub fn facilitator(address: SocketAddr, id: u64) -> Self {
        let mut raw = Self::join(address);
        let [event, payload] = [0, 1].map(|part| super::facilitator_hello(id)[part].clone());
        raw.emit(event.as_str().expect("a name"), &payload);
        raw.wait_for(r#"42["facilitator_auth_success""#);
        raw
    }

    pub fn emit(&mut self, event: &str, payload: &Value) {
        self.say(&format!("42[{},{payload}]", Value::from(event)));
    }

    pub fn say(&mut self, packet: &str) {
        self.say_at_once(&[packet]);
    }

    /// Several packets in one write, so that they arrive together.
    pub fn say_at_once(&mut self, packets: &[&str]) {
        let frames: Vec<u8> = packets.iter().flat_map(|packet| frame(0x81, packet.as_bytes())).collect();
        self.stream.write_all(&frames).expect("the server to listen");
    }

    /// One frame of any kind and content; whether the server still listened.
    pub fn say_frame(&mut self, first: u8, body: &[u8]) -> bool {
        self.say_raw(&frame(first, body))
    }

    /// These bytes, whatever they are; whether the server still listened.
    pub fn say_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The body of the next frame of this kind.
    pub fn hear_frame(&mut self, wanted: u8) -> Option<Vec<u8>> {
        loop {
            let (kind, body) = self.next_frame()?;
            if kind == wanted {
                return Some(body);
            }
        }
    }

    /// The code with which the server closes the WebSocket.
    pub fn close_code(&mut self) -> Option<u16> {
        let body = self.hear_frame(8)?;
        body.first_chunk::<2>().copied().map(u16::from_be_bytes)
    }

    /// One binary message; whether the server still listened.
    pub fn say_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(&frame(0x82, bytes)).is_ok()
    }

    /// Says this even when nobody may be listening any more.
    pub fn try_to_say(&mut self, packet: &str) -> bool {
        self.stream.write_all(&frame(0x81, packet.as_bytes())).is_ok()
    }

    /// The next text message, pings answered on the way; nothing when the connection has ended.
    pub fn hear(&mut self) -> Option<String> {
        loop {
            let (kind, body) = self.next_frame()?;
            match (kind, body.as_slice()) {
                (1, b"2") => {
                    self.try_to_say("3");
                }
                (1, _) => return Some(String::from_utf8_lossy(&body).into_owned()),
                (8, _) => return None,
                _ => {}
            }
        }
    }

    /// The next text message, with pings of the WebSocket protocol answered on the way; nothing when the connection has
    /// ended.
    pub fn hear_alive(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.next_frame()? {
                (1, body) => return Some(body),
                (8, _) => return None,
                (9, body) => _ = self.say_frame(0x8a, &body),
                _ => {}
            }
        }
    }

    /// Reads on until a message begins so.
    pub fn wait_for(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while let Some(message) = self.hear() {
            if message.starts_with(beginning) {
                return message;
            }
            assert!(Instant::now() < deadline, "waited in vain for {beginning}");
        }
        panic!("the connection ended before {beginning}");
    }

    /// Waits for the payload of the next event of this name.
    pub fn hear_event(&mut self, event: &str) -> Value {
        let message = self.wait_for(&format!("42[{}", Value::from(event)));
        serde_json::from_str::<Value>(&message[2..]).expect("an event")[1].clone()
    }

    /// What has come by now, pings aside.
    pub fn heard(&mut self) -> Vec<String> {
        let mut arrived = Vec::new();
        self.stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
        while matches!(self.stream.peek(&mut [0]), Ok(1..)) || !self.unread.is_empty() {
            match self.next_frame() {
                Some((1, body)) if body != b"2" => arrived.push(String::from_utf8_lossy(&body).into_owned()),
                Some(_) => {}
                None => break,
            }
        }
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        arrived
    }

    /// Whether the server ends the connection before patience does; what it says meanwhile is dropped.
    pub fn is_ended_by_the_server(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while self.hear().is_some() {
            if Instant::now() > deadline {
                return false;
            }
        }
        true
    }

    fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.take(2)?;
        let length = match head[1] & 0x7f {
            126 => u64::from_be_bytes([&[0; 6], self.take(2)?.as_slice()].concat().try_into().ok()?),
            127 => u64::from_be_bytes(self.take(8)?.try_into().ok()?),
            short => u64::from(short),
        };
        Some((head[0] & 0x0f, self.take(length as usize)?))
    }

    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE + Duration::from_secs(5);
        while self.unread.len() < count {
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.unread.extend_from_slice(&chunk[..read]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("the server has fallen silent"),
                Err(_) => return None,
            }
            assert!(Instant::now() < deadline, "the server speaks too slowly");
        }
        Some(self.unread.drain(..count).collect())
    }
}

/// A masked client frame (with a mask of zeros, which changes nothing).
fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match body.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(body);
    frame
}
