//! Reads a request's head, and answers a WebSocket handshake by itself.
//!
//! Why not leave it to the HTTP library: its read block stays with the connection for as long as the
//! socket lives, and is the largest part of what an idle one costs.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tungstenite::handshake::derive_accept_key;

use super::stream::ClientStream;
use crate::gateway::Refused;
use crate::gateway::socketio::Door;
use crate::gateway::websocket::Endpoint;

/// A longer head is left to the HTTP library, which refuses it.
const LONGEST_HEAD: usize = 16 * 1024;
/// A longer one is refused by whoever reads it.
pub const LARGEST: usize = 64 * 1024;
/// The refusal.
pub const TOO_LARGE: Refused = Refused {
    status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    message: "The head of this request is longer than 64 KiB: send fewer or shorter headers, cookies say.",
};
/// A client has this long to send it.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What a WebSocket is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// An Engine.IO session.
    Session,
    /// A raw WebSocket, with the query and the `Authorization` that it comes with.
    Raw(Endpoint, String, Option<String>),
}

/// A WebSocket handshake that is ours to answer.
pub struct Handshake {
    /// What it is for.
    pub target: Target,
    /// `Sec-WebSocket-Key`.
    key: String,
    /// The page it comes from.
    pub origin: Option<String>,
    /// What the client calls this server.
    pub host: Option<String>,
    /// `X-Forwarded-For`.
    pub forwarded: Option<String>,
}

/// Reads from `stream` until the head is complete. Returns the handshake, if it is one of ours;
/// otherwise `None`, with everything put back for the HTTP library. `Err` if the client is gone.
pub async fn read(stream: &mut ClientStream) -> Result<Option<Handshake>, ()> {
    let mut head = BytesMut::with_capacity(1024);
    let handshake = loop {
        match stream.read_buf(&mut head).await {
            Ok(0) | Err(_) => return Err(()),
            Ok(_) => {}
        }
        match parse(&head) {
            Parsed::Partial if head.len() < LONGEST_HEAD => {}
            Parsed::Partial | Parsed::Other => break None,
            Parsed::Handshake(handshake, length) => {
                let _ = head.split_to(length);
                break Some(handshake);
            }
        }
    };
    stream.unread(if head.is_empty() { Bytes::new() } else { Bytes::copy_from_slice(&head) });
    Ok(handshake)
}

/// How long the head of a request was that came whole: the HTTP library may have read more at once than it would have kept.
pub fn length<B>(request: &Request<B>) -> usize {
    let uri = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let lines = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.sum::<usize>() + uri
}

enum Parsed {
    Partial,
    Other,
    Handshake(Handshake, usize),
}

fn parse(head: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(head) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Other,
    };
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let contains = |name: &str, word: &str| {
        header(name).is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let whole = request.path.unwrap_or_default();
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let says = |word: &str| query.split('&').any(|pair| pair == word);
    let opens = Door::owns(path)
        && says("EIO=4")
        && says("transport=websocket")
        && !query.split('&').any(|pair| pair.starts_with("sid="));
    let target = match Endpoint::at(path) {
        _ if opens => Target::Session,
        Some(endpoint) => Target::Raw(endpoint, query.to_owned(), header("authorization").map(str::to_owned)),
        None => return Parsed::Other,
    };
    let ours = request.method == Some("GET")
        && contains("upgrade", "websocket")
        && contains("connection", "upgrade")
        && header("sec-websocket-version") == Some("13")
        && header("content-length").is_none_or(|length| length == "0")
        && header("transfer-encoding").is_none();
    match header("sec-websocket-key") {
        Some(key) if ours && key.len() == 24 => Parsed::Handshake(
            Handshake {
                target,
                key: key.to_owned(),
                origin: header("origin").map(str::to_owned),
                host: header("host").map(str::to_owned),
                forwarded: forwarded(request.headers),
            },
            length,
        ),
        _ => Parsed::Other,
    }
}

/// All lines of `X-Forwarded-For`, in their order.
fn forwarded(headers: &[httparse::Header<'_>]) -> Option<String> {
    let lines = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("x-forwarded-for"));
    let lines: Vec<_> = lines.filter_map(|line| std::str::from_utf8(line.value).ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// What proves that the server knows what a WebSocket is.
pub fn accept_key(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

/// The words that agree to the WebSocket.
pub fn agreement(handshake: &Handshake) -> Bytes {
    let accept = accept_key(&handshake.key);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    response.into()
}

/// Turns the WebSocket down.
pub async fn refuse(stream: &mut ClientStream, refused: &Refused) -> std::io::Result<()> {
    let body = refused.body();
    let retry = if refused.is_temporary() { "Retry-After: 5\r\n" } else { "" };
    let response = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{retry}Connection: close\r\n\r\n{body}",
        refused.status,
        body.len(),
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\n\
        Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nOrigin: https://a.example\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn our_handshake_is_recognised_once_it_is_whole() {
        assert!(matches!(parse(&GOOD.as_bytes()[..40]), Parsed::Partial));
        let text = format!("{GOOD}early");
        let Parsed::Handshake(handshake, length) = parse(text.as_bytes()) else {
            panic!("not recognised");
        };
        assert_eq!(length, GOOD.len());
        assert_eq!(handshake.origin.as_deref(), Some("https://a.example"));
    }

    #[test]
    fn raw_websockets_bring_their_token_along() {
        let text = GOOD.replace("/socket.io/?EIO=4&transport=websocket", "/ws/notify?token=a&replay_from=7");
        let text = text.replace("Origin:", "Authorization: Bearer b\r\nOrigin:");
        let Parsed::Handshake(handshake, _) = parse(text.as_bytes()) else { panic!("not recognised") };
        let query = "token=a&replay_from=7".to_owned();
        assert_eq!(handshake.target, Target::Raw(Endpoint::Notify, query, Some("Bearer b".to_owned())));
        let bare = GOOD.replace("/socket.io/?EIO=4&transport=websocket", "/api/v1/notifications/ws");
        assert!(matches!(parse(bare.as_bytes()), Parsed::Handshake(..)));
    }

    #[test]
    fn everything_else_is_left_to_the_http_library() {
        for (from, to) in [
            ("GET", "POST"),
            ("/socket.io/", "/socket.iox/"),
            ("EIO=4", "EIO=3"),
            ("transport=websocket", "transport=websocket&sid=abc"),
            ("transport=websocket", "transport=polling"),
            ("Version: 13", "Version: 8"),
            ("Upgrade: WebSocket", "Upgrade: h2c"),
            ("dGhlIHNhbXBsZSBub25jZQ==", "short"),
            ("Host: h", "Content-Length: 5"),
            ("Host: h", "Transfer-Encoding: chunked"),
            ("GET", "\u{1}"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert!(matches!(parse(text.as_bytes()), Parsed::Other), "{to}");
        }
    }
}
