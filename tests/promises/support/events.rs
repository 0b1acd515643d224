//! Whoever hears by server-sent events.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::{PATIENCE, Server};

/// A stream of server-sent events.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// Opens one that goes on behind `last`; returns when the server has agreed.
    pub fn open(server: &Server, token: &str, last: &str) -> Self {
        Self::open_at(server, "/api/v1/stream", token, last)
    }

    /// The same, with a query.
    pub fn open_at(server: &Server, path: &str, token: &str, last: &str) -> Self {
        Self::at(server, path, &format!("Authorization: Bearer {token}\r\nLast-Event-ID: {last}\r\n"))
    }

    /// The same with other headers; each ends its line.
    pub fn at(server: &Server, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).expect("the server to listen");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").expect("the server to listen");
        let mut events = Self(BufReader::new(stream));
        let status = events.line().expect("an answer");
        assert!(status.starts_with("HTTP/1.1 200"), "{status}");
        while events.line().is_some_and(|line| !line.is_empty()) {}
        events
    }

    /// The next line, whatever it is; nothing when the stream has ended as it should.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).expect("a line") > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event's `id` and data.
    pub fn next(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let line = self.line().expect("the stream goes on");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (id, serde_json::from_str(data).expect("JSON"));
            }
        }
    }
}
