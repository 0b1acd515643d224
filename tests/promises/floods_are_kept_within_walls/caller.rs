//! Whoever floods, and whoever is honest: requests over kept connections, and what they were answered.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use crate::support::PATIENCE;

/// The address from which floods come, behind the proxy that these servers trust.
pub const FLOODER: &str = "198.51.100.66";

/// One kept connection.
pub struct Caller {
    address: SocketAddr,
    stream: Option<TcpStream>,
    headers: String,
}

/// What an answer says.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: String,
}

impl Caller {
    /// These headers go with each request.
    pub fn new(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let is_named = headers.iter().any(|(name, _)| *name == "Content-Type");
        let kind = if is_named { None } else { Some(("Content-Type", "application/json")) };
        let headers = headers.iter().copied().chain(kind);
        let headers = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Self { address, stream: None, headers }
    }

    /// Somebody from the address from which floods come.
    pub fn flooder(address: SocketAddr, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("X-Forwarded-For", FLOODER)];
        if !token.is_empty() {
            headers.push(("Authorization", &bearer));
        }
        Self::new(address, &headers)
    }

    fn stream(&mut self) -> std::io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            self.stream = Some(stream);
        }
        self.stream.as_mut().ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Asks; nothing, if the connection ended instead of an answer. It is opened anew for the next question.
    pub fn ask(&mut self, method: &str, path: &str, body: &str) -> Option<Answer> {
        let answer = self.try_to_ask(method, path, body);
        if answer.is_err() {
            self.stream = None;
        }
        answer.ok()
    }

    fn try_to_ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let request = self.request(method, path, body.len(), body);
        let stream = self.stream()?;
        stream.write_all(request.as_bytes())?;
        let (answer, stays) = read_answer(stream)?;
        if !stays {
            self.stream = None;
        }
        Ok(answer)
    }

    fn request(&self, method: &str, path: &str, length: usize, body: &str) -> String {
        let Self { address, headers, .. } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
    }

    /// Begins a request whose body is longer than what is sent of it.
    pub fn begin(&mut self, method: &str, path: &str, length: usize, body: &str) {
        let request = self.request(method, path, length, body);
        // It may be refused meanwhile.
        let _ = self.stream().and_then(|stream| stream.write_all(request.as_bytes()));
    }

    /// Asks and leaves.
    pub fn ask_and_leave(&mut self, method: &str, path: &str, body: &str) {
        self.begin(method, path, body.len(), body);
        if let Some(stream) = self.stream.take() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Whether an answer has come to what was begun.
    pub fn is_answered(&mut self) -> bool {
        let Some(stream) = self.stream.as_mut() else { return false };
        stream.set_nonblocking(true).expect("a socket");
        let is_answered = stream.peek(&mut [0]).is_ok_and(|read| read > 0);
        stream.set_nonblocking(false).expect("a socket");
        is_answered
    }

    /// The answer to what was begun, if there is one by then.
    pub fn answered_within(&mut self, time: Duration) -> Option<Answer> {
        let stream = self.stream.as_mut()?;
        stream.set_read_timeout(Some(time)).ok()?;
        read_answer(stream).ok().map(|(answer, _)| answer)
    }
}

/// Reads one answer; and whether another can follow. Of an endless one, the head.
pub fn read_answer(stream: &mut impl Read) -> std::io::Result<(Answer, bool)> {
    let mut bytes = Vec::new();
    let mut block = [0; 16 * 1024];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            break String::from_utf8_lossy(&std::mem::replace(&mut bytes, body)).into_owned();
        }
        match stream.read(&mut block)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&block[..read]),
        }
    };
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
    let is_endless = header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let length: Option<usize> = header("content-length").and_then(|length| length.parse().ok());
    let is_whole = |bytes: &[u8]| match length {
        Some(length) => bytes.len() >= length,
        None => bytes.ends_with(b"0\r\n\r\n"),
    };
    while !is_endless && status != 101 && !is_whole(&bytes) {
        match stream.read(&mut block)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&block[..read]),
        }
    }
    let stays = !is_endless && !header("connection").is_some_and(|says| says.eq_ignore_ascii_case("close"));
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Ok((Answer { status, retry_after, body }, stays))
}

/// What a flood was answered, by status; 0 is a connection that ended without an answer.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<u16, usize>>);

impl Answers {
    /// Notes an answer. Whoever is refused because there is too much is told when to come again.
    pub fn note(&self, answer: Option<&Answer>) {
        if let Some(answer) = answer.filter(|answer| matches!(answer.status, 429 | 503)) {
            assert!(answer.retry_after.is_some(), "nobody says when to come again: {answer:?}");
        }
        let status = answer.map_or(0, |answer| answer.status);
        assert!(!matches!(status, 500 | 502 | 504), "{answer:?}");
        *self.0.lock().expect("a list").entry(status).or_default() += 1;
    }

    pub fn of(&self, status: u16) -> usize {
        self.0.lock().expect("a list").get(&status).copied().unwrap_or(0)
    }
}
