//! Engine.IO 4 and Socket.IO 5 packets, as text only: what a client's messages mean, and how ours are written. No
//! I/O; no input makes it panic.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::gateway::frames::{Body, Kind};

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{json, value::to_raw_value};

    fn event<'a>(ack: Option<u64>, attachments: Option<usize>, data: &'a str) -> Packet<'a> {
        Packet::Event { namespace: "/", ack, attachments, data }
    }

    #[test]
    fn packets_are_understood() {
        for (text, packet) in [
            ("1", Packet::Close),
            ("3", Packet::Pong),
            ("2", Packet::Pong),
            ("40", Packet::Connect { namespace: "/", auth: None }),
            ("40{\"token\":1}", Packet::Connect { namespace: "/", auth: Some("{\"token\":1}") }),
            ("40/,{}", Packet::Connect { namespace: "/", auth: Some("{}") }),
            ("40/é,{}", Packet::Connect { namespace: "/é", auth: Some("{}") }),
            ("40/admin", Packet::Connect { namespace: "/admin", auth: None }),
            ("41", Packet::Disconnect { namespace: "/" }),
            ("41/admin,", Packet::Disconnect { namespace: "/admin" }),
            ("42[\"a\"]", event(None, None, "[\"a\"]")),
            ("4217[\"a\",{}]", event(Some(17), None, "[\"a\",{}]")),
            // A number that no client counts to: nobody can want that ack.
            ("4299999999999999999999[]", event(None, None, "[]")),
            ("42/,0[]", event(Some(0), None, "[]")),
            ("452-[\"a\"]", event(None, Some(2), "[\"a\"]")),
            ("450-3[\"a\"]", event(Some(3), Some(0), "[\"a\"]")),
            ("42", event(None, None, "")),
            ("437[]", Packet::Ack { attachments: None }),
            ("461-7[]", Packet::Ack { attachments: Some(1) }),
        ] {
            assert_eq!(Packet::parse(text), Ok(packet), "{text}");
        }
        let elsewhere = Packet::Event { namespace: "/n", ack: Some(1), attachments: None, data: "[]" };
        assert_eq!(Packet::parse("42/n,1[]"), Ok(elsewhere));
    }

    #[test]
    fn what_is_no_packet_of_a_client_is_refused() {
        for text in [
            "",
            "0",
            "0{}",
            "2probe",
            "3probe",
            "5",
            "6",
            "7",
            "b",
            "bAAA=",
            "é",
            "x",
            "4",
            "44{}",
            "47",
            "4é",
            "43[]",
            "46[]",
            "45",
            "45[]",
            "45-[]",
            "45x-[]",
            "45-1[]",
            "4599999999999999999999-[]",
            "461-[]",
        ] {
            assert_eq!(Packet::parse(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn nonsense_is_survived() {
        const LETTERS: [&str; 12] = ["0", "1", "2", "3", "4", "5", "6", "-", "/", ",", "[", "é"];
        for number in 0..LETTERS.len().pow(5) {
            let mut rest = number;
            let mut text = String::from("4");
            while rest > 0 {
                text.push_str(LETTERS[rest % LETTERS.len()]);
                rest /= LETTERS.len();
            }
            Packet::parse(&text).ok();
            Packet::parse(&text[1..]).ok();
        }
    }

    #[test]
    fn ours_are_written_as_clients_know_them() {
        let text = |frame: Bytes| {
            let head = if frame[1] < 126 { 2 } else { 4 };
            String::from_utf8(frame[head..].to_vec()).unwrap()
        };
        let terms = Terms {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
        };
        assert_eq!(
            text(open("abc", &terms)),
            r#"0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
        assert_eq!(text(joined("abc")), r#"40{"sid":"abc"}"#);
        assert_eq!(text(refused("No", json!({"code": "x"}))), r#"44{"message":"No","data":{"code":"x"}}"#);
        assert_eq!(text(no_namespace("/n")), r#"44/n,{"message":"Invalid namespace"}"#);
        let payload = to_raw_value(&json!({"a": 1})).unwrap();
        assert_eq!(text(super::event("it's", &payload)), r#"42["it's",{"a":1}]"#);
        assert_eq!(text(super::event("a\"b", &payload)), r#"42["a\"b",{"a":1}]"#);
        assert_eq!(text(ack(17, &payload)), r#"4317[{"a":1}]"#);
        assert_eq!(PING, crate::gateway::frames::frame(Kind::Text, b"2"));
    }

    /// What is written as clients write it is understood, and whatever else comes is survived.
    #[test]
    fn packets_are_understood_whatever_is_in_them() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut dice = move |sides: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) % sides
        };
        let letters = ["a", "Z", "7", "-", "/", "[", "{", "\"", " ", "é", "\u{20ac}", "\u{10348}", "\0"];
        for _ in 0..50_000 {
            let start = ["4", "45", "46", "42/", ""][dice(5) as usize];
            let mut word = |most| (0..dice(most)).map(|_| letters[dice(13) as usize]).collect::<String>();
            let (namespace, data) = (format!("/{}", word(6)), format!("[{}]", word(20)));
            let nonsense = format!("{start}{}", word(12));
            Packet::parse(&nonsense).ok();
            let ack = (dice(2) == 0).then(|| dice(u64::MAX));
            let attachments = (dice(3) == 0).then(|| dice(1_000) as usize);
            let is_default = dice(2) == 0;
            let place = if is_default { String::new() } else { format!("{namespace},") };
            let kind = attachments.map_or("42".to_owned(), |many| format!("45{many}-"));
            let text = format!("{kind}{place}{}{data}", ack.map(|ack| ack.to_string()).unwrap_or_default());
            let namespace = if is_default { "/" } else { &namespace };
            let expected = Packet::Event { namespace, ack, attachments, data: &data };
            assert_eq!(Packet::parse(&text), Ok(expected), "{text}");
            // Cut anywhere, it may be another packet, but nothing breaks.
            let end = dice(text.len() as u64 + 1) as usize;
            Packet::parse(text.get(..end).unwrap_or_default()).ok();
        }
    }
}
