//! Engine.IO 4 and Socket.IO 5 packets, as text only: what a client's messages mean, and how ours are written. No
//! I/O; no input makes it panic.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::frame::{Body, Kind, frame};

/// The one namespace there is.
const DEFAULT: &str = "/";

/// The heartbeat's question, as a frame.
pub const PING: Bytes = Bytes::from_static(b"\x81\x012");

/// What a client means by a text message.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It is alive.
    Pong,
    /// It leaves.
    Close,
    /// It wants to join a namespace, and shows this (JSON).
    Connect { namespace: &'a str, auth: Option<&'a str> },
    /// It leaves a namespace.
    Disconnect { namespace: &'a str },
    /// It sends an event (a JSON list), so many attachments follow, and it wants an ack if there is a number.
    Event { namespace: &'a str, ack: Option<u64>, attachments: Option<usize>, data: &'a str },
    /// It answers an event, which nobody asked it to.
    Ack { attachments: Option<usize> },
}

/// A message that is no packet a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a packet that is malformed")]
pub struct Malformed;

impl<'a> Packet<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none that a client may send.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let rest = text.get(1..).unwrap_or_default();
        match text.as_bytes().first() {
            Some(b'1') => Ok(Self::Close),
            // That of an upgrade, which only a polling session can be.
            Some(b'2' | b'3') if rest == "probe" => Err(Malformed),
            Some(b'2' | b'3') => Ok(Self::Pong),
            Some(b'4') => Self::message(rest),
            _ => Err(Malformed),
        }
    }

    fn message(text: &'a str) -> Result<Self, Malformed> {
        let (kind, rest) = (text.as_bytes().first(), text.get(1..).unwrap_or_default());
        let (attachments, rest) = match kind {
            Some(b'5' | b'6') => {
                let (count, rest) = digits(rest);
                let count = count.parse().map_err(|_| Malformed)?;
                (Some(count), rest.strip_prefix('-').ok_or(Malformed)?)
            }
            _ => (None, rest),
        };
        let (namespace, rest) = match rest.starts_with('/') {
            true => rest.split_once(',').unwrap_or((rest, "")),
            false => (DEFAULT, rest),
        };
        let (number, data) = digits(rest);
        match kind {
            Some(b'0') => Ok(Self::Connect { namespace, auth: Some(rest).filter(|auth| !auth.is_empty()) }),
            Some(b'1') => Ok(Self::Disconnect { namespace }),
            Some(b'2' | b'5') => Ok(Self::Event { namespace, ack: number.parse().ok(), attachments, data }),
            Some(b'3' | b'6') if !number.is_empty() => Ok(Self::Ack { attachments }),
            _ => Err(Malformed),
        }
    }

    /// Whether `namespace` is the one there is.
    pub fn is_default(namespace: &str) -> bool {
        namespace == DEFAULT
    }
}

/// The digits that `text` begins with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

// ---- ours, as whole frames -------------------------------------------------------------------

/// What the first packet says besides the session's name.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Between two pings.
    pub ping_interval: Duration,
    /// An answer to one must come within this.
    pub ping_timeout: Duration,
    /// Bytes of one polling request; said to everybody.
    pub max_payload: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    sid: &'a str,
    upgrades: [&'a str; 0],
    ping_interval: u128,
    ping_timeout: u128,
    max_payload: usize,
}

#[derive(Serialize)]
struct Joined<'a> {
    sid: &'a str,
}

#[derive(Serialize)]
struct Refused<'a, T: Serialize> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
}

fn written(before: &[&str], payload: &impl Serialize) -> Bytes {
    let mut body = Body::with_capacity(128);
    before.iter().for_each(|part| body.add(part.as_bytes()));
    // Into memory, and of our own types: it cannot fail.
    serde_json::to_writer(body.writer(), payload).ok();
    body.into_frame(Kind::Text)
}

/// The session begins.
pub fn open(sid: &str, terms: &Terms) -> Bytes {
    let open = Open {
        sid,
        upgrades: [],
        ping_interval: terms.ping_interval.as_millis(),
        ping_timeout: terms.ping_timeout.as_millis(),
        max_payload: terms.max_payload,
    };
    written(&["0"], &open)
}

/// The client has joined the default namespace.
pub fn joined(sid: &str) -> Bytes {
    written(&["40"], &Joined { sid })
}

/// The client may not join the default namespace.
pub fn refused(message: &str, data: impl Serialize) -> Bytes {
    written(&["44"], &Refused { message, data: Some(data) })
}

/// There is no such namespace.
pub fn no_namespace(namespace: &str) -> Bytes {
    written(&["44", namespace, ","], &Refused::<()> { message: "Invalid namespace", data: None })
}

/// An event with one argument.
pub fn event(name: &str, payload: &RawValue) -> Bytes {
    let payload = payload.get().as_bytes();
    let mut body = Body::with_capacity(name.len() + payload.len() + 7);
    body.add(b"42[");
    serde_json::to_writer(body.writer(), name).ok();
    body.add(b",");
    body.add(payload);
    body.add(b"]");
    body.into_frame(Kind::Text)
}

/// The answer to an event, with one argument.
pub fn ack(number: u64, payload: &RawValue) -> Bytes {
    let number = number.to_string();
    let payload = payload.get().as_bytes();
    let mut body = Body::with_capacity(number.len() + payload.len() + 4);
    body.add(b"43");
    body.add(number.as_bytes());
    body.add(b"[");
    body.add(payload);
    body.add(b"]");
    body.into_frame(Kind::Text)
}

/// The end of the WebSocket, with this code.
pub fn close(code: u16) -> Bytes {
    frame(Kind::Close, &code.to_be_bytes())
}
