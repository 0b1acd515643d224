//! WebSocket frames (RFC 6455), as bytes only: what a client's bytes say, and how ours are wrapped. No I/O; no
//! input makes it panic, and nothing longer than allowed is ever gathered.

use std::borrow::Cow;

use bytes::{Buf as _, Bytes};

/// Room for the longest head that a frame of ours has.
const HEAD: usize = 10;
/// Masked, and so is every frame of a client.
const MASKED: u8 = 0x80;
/// The last frame of its message.
const LAST: u8 = 0x80;
/// Pieces of one message; a client that cuts finer wants to keep others busy.
const MOST_PIECES: usize = 4096;
/// The longest payload of a ping, a pong or a close.
const LONGEST_CONTROL: usize = 125;

/// What kind a frame of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A text message.
    Text = 0x1,
    /// The end of the WebSocket.
    Close = 0x8,
    /// Asks whether somebody is there.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xa,
}

/// Why a client's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Bits or kinds that nobody agreed upon.
    #[error("a frame of no known kind")]
    Unknown,
    /// Clients must mask.
    #[error("a frame that is not masked")]
    Unmasked,
    /// A ping, pong or close in pieces, or a long one.
    #[error("a control frame that is too long, or in pieces")]
    Control,
    /// A piece that continues nothing, or a message within another.
    #[error("a message in pieces that do not fit together")]
    Pieces,
    /// Text that is no UTF-8.
    #[error("text that is not UTF-8")]
    Text,
    /// More than a message may have.
    #[error("a message that is too big")]
    TooBig,
}

impl Broken {
    /// What the close frame says (RFC 6455, section 7.4.1).
    pub fn code(self) -> u16 {
        match self {
            Self::Text => 1007,
            Self::TooBig => 1009,
            _ => 1002,
        }
    }
}

/// What a client said by one frame, or by the last of several.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A piece of a message; more will follow.
    Piece,
    /// A text message.
    Text(Cow<'a, str>),
    /// A binary message of so many bytes: nobody here wants to know which.
    Binary(usize),
    /// A ping, which is to be answered with the same.
    Ping(&'a [u8]),
    /// A pong, with what the ping said if it answers one.
    Pong(&'a [u8]),
    /// The end of the WebSocket.
    Close,
}

/// Reads frames, and puts messages together that come in pieces.
#[derive(Debug)]
pub struct Reader {
    longest: usize,
    /// The message of which pieces have come: whether it is text, and what it says so far.
    begun: Option<(bool, Vec<u8>)>,
    /// How many pieces.
    pieces: usize,
}

impl Reader {
    /// A message may have `longest` bytes.
    pub fn new(longest: usize) -> Self {
        Self { longest, begun: None, pieces: 0 }
    }

    /// What the first frame in `bytes` says, and how many bytes it takes; nothing while it is not whole. Its
    /// payload is unmasked where it lies.
    ///
    /// # Errors
    /// When it breaks a rule: nothing can be read after it.
    pub fn next<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Option<(usize, Said<'a>)>, Broken> {
        let &[first, second, ..] = &*bytes else { return Ok(None) };
        let (is_last, kind) = (first & LAST != 0, first & 0x0f);
        let is_control = kind & 0x8 != 0;
        if first & 0x70 != 0 || !matches!(kind, 0x0..=0x2 | 0x8..=0xa) {
            return Err(Broken::Unknown);
        }
        if second & MASKED == 0 {
            return Err(Broken::Unmasked);
        }
        let (length, at) = match second & 0x7f {
            126 => match bytes.get(2..4).and_then(|length| length.try_into().ok()) {
                Some(length) => (u64::from(u16::from_be_bytes(length)), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|length| length.try_into().ok()) {
                Some(length) => (u64::from_be_bytes(length), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if is_control && (!is_last || length > LONGEST_CONTROL) {
            return Err(Broken::Control);
        }
        if length > self.longest {
            return Err(Broken::TooBig);
        }
        let (start, end) = (at + 4, at + 4 + length);
        if bytes.len() < end {
            return Ok(None);
        }
        let (head, rest) = bytes.split_at_mut(start);
        let payload = &mut rest[..length];
        if let Some(&mask) = head.last_chunk::<4>() {
            unmask(payload, mask);
        }
        let said = match kind {
            0x8 => Said::Close,
            0x9 => Said::Ping(payload),
            0xa => Said::Pong(payload),
            _ => self.piece(kind, is_last, payload)?,
        };
        Ok(Some((end, said)))
    }

    fn piece<'a>(&mut self, kind: u8, is_last: bool, payload: &'a [u8]) -> Result<Said<'a>, Broken> {
        let is_first = kind != 0x0;
        let (is_text, message) = match self.begun.take() {
            None if is_first && is_last => (kind == 0x1, Cow::Borrowed(payload)),
            None if is_first => (kind == 0x1, Cow::Owned(payload.to_owned())),
            Some((is_text, mut message)) if !is_first => {
                if message.len() + payload.len() > self.longest {
                    return Err(Broken::TooBig);
                }
                message.extend_from_slice(payload);
                (is_text, Cow::Owned(message))
            }
            _ => return Err(Broken::Pieces),
        };
        self.pieces = if is_last { 0 } else { self.pieces + 1 };
        if self.pieces > MOST_PIECES {
            return Err(Broken::TooBig);
        }
        if !is_last {
            self.begun = Some((is_text, message.into_owned()));
            return Ok(Said::Piece);
        }
        match message {
            message if !is_text => Ok(Said::Binary(message.len())),
            Cow::Borrowed(text) => {
                let text = std::str::from_utf8(text).map_err(|_| Broken::Text)?;
                Ok(Said::Text(Cow::Borrowed(text)))
            }
            Cow::Owned(text) => {
                let text = String::from_utf8(text).map_err(|_| Broken::Text)?;
                Ok(Said::Text(Cow::Owned(text)))
            }
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Eight bytes at a time, then the rest.
    let [a, b, c, d] = mask;
    let twice = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        if let Ok(bytes) = <[u8; 8]>::try_from(&*word) {
            word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ twice).to_ne_bytes());
        }
    }
    let rest = words.into_remainder().iter_mut();
    rest.zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
}

/// A frame in the making: a body behind room for its head.
pub struct Body(Vec<u8>);

impl Body {
    /// For `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut body = Vec::with_capacity(HEAD + bytes);
        body.extend_from_slice(&[0; HEAD]);
        Self(body)
    }

    /// Adds `bytes`.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Where a writer may add to it.
    pub fn writer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The whole frame, head and all. Those of a server are not masked, so it can go to any number of clients.
    pub fn into_frame(self, kind: Kind) -> Bytes {
        let Self(mut frame) = self;
        let length = frame.len() - HEAD;
        let mut head = [0; HEAD];
        head[0] = LAST | kind as u8;
        let taken = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => {
                head[1] = short;
                2
            }
            (_, Ok(medium)) => {
                head[1] = 126;
                head[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                head[1] = 127;
                head[2..].copy_from_slice(&(length as u64).to_be_bytes());
                HEAD
            }
        };
        frame[HEAD - taken..HEAD].copy_from_slice(&head[..taken]);
        let mut frame = Bytes::from(frame);
        frame.advance(HEAD - taken);
        frame
    }
}

/// A frame of this `kind` around `payload`.
pub fn frame(kind: Kind, payload: &[u8]) -> Bytes {
    let mut body = Body::with_capacity(payload.len());
    body.add(payload);
    body.into_frame(kind)
}

/// The end of the WebSocket, with this code and reason (at most 123 bytes of it).
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(LONGEST_CONTROL - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut body = Body::with_capacity(2 + end);
    body.add(&code.to_be_bytes());
    body.add(&reason.as_bytes()[..end]);
    body.into_frame(Kind::Close)
}

#[cfg(test)]
mod differential;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LONGEST: usize = 70_000;

    /// As a client sends it.
    fn sent(first: u8, payload: &[u8]) -> Vec<u8> {
        const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
        let mut sent = vec![first];
        match payload.len() {
            short @ 0..126 => sent.push(0x80 | short as u8),
            medium @ 126..65_536 => {
                sent.push(0x80 | 126);
                sent.extend((medium as u16).to_be_bytes());
            }
            long => {
                sent.push(0x80 | 127);
                sent.extend((long as u64).to_be_bytes());
            }
        }
        sent.extend(MASK);
        sent.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        sent
    }

    /// All that these bytes say, however they are cut into pieces of `step` bytes.
    fn heard(bytes: &[u8], step: usize) -> Result<Vec<String>, Broken> {
        let (mut reader, mut inbox, mut heard) = (Reader::new(LONGEST), Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            inbox.extend_from_slice(piece);
            while let Some((length, said)) = reader.next(&mut inbox)? {
                heard.push(format!("{said:?}"));
                inbox.drain(..length);
            }
        }
        Ok(heard)
    }

    #[test]
    fn messages_are_heard_however_the_network_cuts_them() {
        let long = "é".repeat(33_000);
        let mut bytes = Vec::new();
        for (first, payload) in [
            (0x81, &b"Hello"[..]),
            (0x81, b""),
            (0x82, b"\0\xff\xfe"),
            (0x89, b"are you there"),
            (0x81, "a".repeat(126).as_bytes()),
            (0x01, "h\u{20ac}".get(..1).unwrap().as_bytes()),
            (0x00, &"\u{20ac}".as_bytes()[..2]),
            (0x8a, b""),
            (0x80, &"\u{20ac}".as_bytes()[2..]),
            (0x02, b"12"),
            (0x80, b"345"),
            (0x81, long.as_bytes()),
            (0x88, &[3, 232]),
        ] {
            bytes.extend(sent(first, payload));
        }
        let whole = heard(&bytes, bytes.len()).unwrap();
        let expected = [
            "Text(\"Hello\")".to_owned(),
            "Text(\"\")".to_owned(),
            "Binary(3)".to_owned(),
            format!("Ping({:?})", b"are you there"),
            format!("Text({:?})", "a".repeat(126)),
            "Piece".to_owned(),
            "Piece".to_owned(),
            "Pong([])".to_owned(),
            "Text(\"h\u{20ac}\")".to_owned(),
            "Piece".to_owned(),
            "Binary(5)".to_owned(),
            format!("Text({long:?})"),
            "Close".to_owned(),
        ];
        assert_eq!(whole, expected);
        for step in [1, 2, 3, 7, 125, 8_192] {
            assert_eq!(heard(&bytes, step).unwrap(), whole, "in pieces of {step}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let too_long = vec![b'a'; LONGEST + 1];
        let half = vec![b'a'; LONGEST / 2 + 1];
        for (frames, broken) in [
            (vec![sent(0xc1, b"compressed")], Broken::Unknown),
            (vec![sent(0x83, b"")], Broken::Unknown),
            (vec![sent(0x8b, b"")], Broken::Unknown),
            (vec![vec![0x81, 5, b'H', b'e', b'l', b'l', b'o']], Broken::Unmasked),
            (vec![sent(0x09, b"")], Broken::Control),
            (vec![sent(0x89, &[0; 126])], Broken::Control),
            (vec![sent(0x80, b"continues nothing")], Broken::Pieces),
            (vec![sent(0x01, b"a"), sent(0x81, b"b")], Broken::Pieces),
            (vec![sent(0x01, b"a"), sent(0x02, b"b")], Broken::Pieces),
            (vec![sent(0x81, b"\xff")], Broken::Text),
            (vec![sent(0x81, b"\xed\xa0\x80")], Broken::Text),
            (vec![sent(0x01, b"\xe2\x82"), sent(0x80, b"a")], Broken::Text),
            (vec![sent(0x81, &too_long)], Broken::TooBig),
            (vec![sent(0x01, &half), sent(0x80, &half)], Broken::TooBig),
            // Refused by its head, before anything of it is kept.
            (vec![vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]], Broken::TooBig),
        ] {
            assert_eq!(heard(&frames.concat(), 4_096).err(), Some(broken));
        }
    }

    #[test]
    fn a_storm_of_pieces_is_refused() {
        let mut reader = Reader::new(LONGEST);
        assert!(matches!(reader.next(&mut sent(0x01, b"")), Ok(Some((_, Said::Piece)))));
        let refused = (0..MOST_PIECES).map(|_| reader.next(&mut sent(0x00, b"")).is_err()).position(|is| is);
        assert_eq!(refused, Some(MOST_PIECES - 1));
    }

    #[test]
    fn nonsense_is_survived() {
        // A generator good enough for nonsense, always the same.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut dice = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let length = (dice() % 40) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| dice() as u8).collect();
            if let (true, [first, second, ..]) = (dice() % 2 == 0, bytes.as_mut_slice()) {
                // Half of it nearly makes sense.
                *first &= 0x8f;
                *second = 0x80 | (*second & 0x0f);
            }
            let (mut reader, mut at) = (Reader::new(16), 0);
            while let Ok(Some((length, said))) = reader.next(&mut bytes[at..]) {
                assert!(length > 0 && !matches!(said, Said::Text(text) if text.len() > 16));
                at += length;
            }
        }
    }

    #[test]
    fn our_frames_have_the_shortest_head_that_fits() {
        for (length, head) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![b'x'; length];
            assert_eq!(frame(Kind::Text, &payload), [head, &payload].concat(), "{length}");
        }
        assert_eq!(frame(Kind::Close, &1001_u16.to_be_bytes()), &[0x88, 2, 3, 233][..]);
    }
}
