//! Just enough HTTP/1.1 to ask a question.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Reply {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }
}

pub fn get(address: SocketAddr, path: &str) -> Reply {
    get_with(address, path, &[])
}

/// `None` if nobody answers.
pub fn try_get(address: SocketAddr, path: &str) -> Option<Reply> {
    ask(address, "GET", path, &[], "").ok()
}

pub fn get_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Reply {
    ask(address, "GET", path, headers, "").unwrap_or_else(|e| panic!("GET {path}: {e}"))
}

pub fn post(address: SocketAddr, path: &str, body: &str) -> Reply {
    ask(address, "POST", path, &[("Content-Type", "text/plain;charset=UTF-8")], body)
        .unwrap_or_else(|e| panic!("POST {path}: {e}"))
}

/// Whatever method; the body is called JSON if there is one.
pub fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Reply {
    let mut all = headers.to_vec();
    if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        all.push(("Content-Type", "application/json"));
    }
    ask(address, method, path, &all, body.unwrap_or_default())
        .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

/// One request over a connection of its own; an error when nobody answers.
fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n{body}"
    )?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status =
        head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_owned() };
    Ok(Reply { status, headers: head.to_owned(), body })
}

/// The text of a chunked body (its chunks end on character boundaries here).
fn joined(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        text.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}
