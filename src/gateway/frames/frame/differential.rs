//! The reader beside a reference that is slow, simple and knows nothing of it: whatever bytes come, and however the network
//! cuts them, both hear the same and refuse the same.
//!
//! `CARILLON_FRAMES_SEEDS=10000000 cargo test --release --lib frames` tries more of them; a failure names its seed, and
//! `CARILLON_FRAMES_SEED=17` tries that one alone.

use super::{Broken, MOST_PIECES, Reader, Said};

const SEEDS: u64 = 20_000;
/// Seeds that once failed, or meet what others rarely do.
const REGRESSIONS: [u64; 3] = [0, 0x5eed, u64::MAX];

/// What was heard, in words of its own.
#[derive(Debug, PartialEq)]
enum Heard {
    Piece,
    Text(String),
    Binary(usize),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
}

/// All that `bytes` say until they end or break a rule: RFC 6455, section 5.2, field by field.
fn reference(bytes: &[u8], longest: usize) -> (Vec<Heard>, Option<Broken>) {
    let (mut heard, mut at) = (Vec::new(), 0);
    let (mut begun, mut message, mut pieces) = (None, Vec::new(), 0);
    loop {
        let bit = |byte: usize, bit: u32| bytes[at + byte] >> (7 - bit) & 1 == 1;
        if bytes.len() < at + 2 {
            return (heard, None);
        }
        let (fin, opcode, masked) = (bit(0, 0), bytes[at] % 16, bit(1, 0));
        if bit(0, 1) || bit(0, 2) || bit(0, 3) || (3..8).contains(&opcode) || opcode > 10 {
            return (heard, Some(Broken::Unknown));
        }
        if !masked {
            return (heard, Some(Broken::Unmasked));
        }
        let short = usize::from(bytes[at + 1] % 128);
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if bytes.len() < at + 2 + wide {
            return (heard, None);
        }
        let length = match wide {
            0 => short as u128,
            _ => bytes[at + 2..at + 2 + wide].iter().fold(0, |sum, byte| sum * 256 + u128::from(*byte)),
        };
        if opcode >= 8 && (!fin || length > 125) {
            return (heard, Some(Broken::Control));
        }
        if length > longest as u128 {
            return (heard, Some(Broken::TooBig));
        }
        let (key, end) = (at + 2 + wide, at + 2 + wide + 4 + length as usize);
        if bytes.len() < end {
            return (heard, None);
        }
        let payload: Vec<u8> =
            (key + 4..end).map(|place| bytes[place] ^ bytes[key + (place - key) % 4]).collect();
        at = end;
        match opcode {
            8 => heard.push(Heard::Close),
            9 => heard.push(Heard::Ping(payload)),
            10 => heard.push(Heard::Pong(payload)),
            _ => {
                if (opcode == 0) != begun.is_some() {
                    return (heard, Some(Broken::Pieces));
                }
                if opcode != 0 {
                    (begun, pieces) = (Some(opcode), 0);
                }
                message.extend(payload);
                if message.len() > longest {
                    return (heard, Some(Broken::TooBig));
                }
                if !fin {
                    pieces += 1;
                    if pieces > MOST_PIECES {
                        return (heard, Some(Broken::TooBig));
                    }
                    heard.push(Heard::Piece);
                    continue;
                }
                let whole = std::mem::take(&mut message);
                if begun.take() == Some(2) {
                    heard.push(Heard::Binary(whole.len()));
                } else if let Some(text) = utf8(&whole) {
                    heard.push(Heard::Text(text));
                } else {
                    return (heard, Some(Broken::Text));
                }
            }
        }
    }
}

/// RFC 3629, section 3: by arithmetic, not by the library's table.
fn utf8(bytes: &[u8]) -> Option<String> {
    let (mut text, mut at) = (String::new(), 0);
    while at < bytes.len() {
        let first = u32::from(bytes[at]);
        let (more, mut code, least) = match first {
            0..0x80 => (0, first, 0),
            0xc0..0xe0 => (1, first & 0x1f, 0x80),
            0xe0..0xf0 => (2, first & 0x0f, 0x800),
            0xf0..0xf8 => (3, first & 0x07, 0x10000),
            _ => return None,
        };
        for byte in bytes.get(at + 1..at + 1 + more)? {
            if byte & 0xc0 != 0x80 {
                return None;
            }
            code = code << 6 | u32::from(byte & 0x3f);
        }
        if code < least {
            return None;
        }
        text.push(char::from_u32(code)?);
        at += 1 + more;
    }
    Some(text)
}

/// The same from the reader, which gets the bytes in pieces.
fn read(bytes: &[u8], longest: usize, dice: &mut Dice) -> (Vec<Heard>, Option<Broken>) {
    let (mut reader, mut inbox, mut heard) = (Reader::new(longest), Vec::new(), Vec::new());
    let (mut rest, most) = (bytes, 1 + dice.below(bytes.len() as u64 + 1));
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(((1 + dice.below(most)) as usize).min(rest.len()));
        rest = later;
        inbox.extend_from_slice(piece);
        loop {
            let (length, said) = match reader.next(&mut inbox) {
                Ok(Some((length, said))) => (length, said),
                Ok(None) => break,
                Err(broken) => return (heard, Some(broken)),
            };
            heard.push(match said {
                Said::Piece => Heard::Piece,
                Said::Text(text) => Heard::Text(text.into_owned()),
                Said::Binary(length) => Heard::Binary(length),
                Said::Ping(said) => Heard::Ping(said.to_owned()),
                Said::Pong(said) => Heard::Pong(said.to_owned()),
                Said::Close => Heard::Close,
            });
            inbox.drain(..length);
            let kept = reader.begun.as_ref().map_or(0, |(_, message)| message.len());
            assert!(kept <= longest, "{kept} bytes of a message are kept");
        }
    }
    (heard, None)
}

/// Chance that a seed decides (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }
}

/// A stream of bytes: frames that are mostly as they should be, some of them bent, or mere nonsense.
fn stream(dice: &mut Dice, longest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if dice.one_in(8) {
        return (0..dice.below(200)).map(|_| dice.next() as u8).collect();
    }
    // Whether a message is under way, so that most of them fit together.
    let mut is_begun = false;
    for _ in 0..dice.below(12) {
        let is_control = dice.one_in(4);
        let (kind, fin) = match is_control {
            true => (dice.of(&[8, 9, 9, 10, 10]), true),
            false => {
                let fin = !dice.one_in(3);
                let kind = if is_begun { 0 } else { dice.of(&[1, 1, 2]) };
                is_begun = !fin;
                (kind, fin)
            }
        };
        let most = longest as u64;
        let edges = [0, 1, 2, 7, 8, 9, 124, 125, 126, 127, 128, most.saturating_sub(1), most, most + 1];
        let length = match dice.below(3) {
            0 => dice.of(&edges),
            _ => dice.below(40),
        };
        let length = if dice.one_in(12) { length } else { length.min(most) };
        let length = if is_control && !dice.one_in(20) { length.min(125) } else { length };
        let text = dice.of(&["a", "\u{e9}", "\u{20ac}", "\u{10348}", "\u{d7ff}\u{e000}"]);
        let mut payload: Vec<u8> = match dice.below(4) {
            0 => (0..length).map(|_| dice.next() as u8).collect(),
            // Mostly whole letters.
            _ => {
                let most = length as usize / text.len() * text.len() + if dice.one_in(10) { 1 } else { 0 };
                text.bytes().cycle().take(most.min(length as usize)).collect()
            }
        };
        let length = payload.len() as u64;
        if let (true, false) = (dice.one_in(10), payload.is_empty()) {
            let place = dice.below(payload.len() as u64) as usize;
            payload[place] = dice.of(&[0x80, 0xbf, 0xc0, 0xed, 0xf4, 0xf8, 0xff]);
        }
        bytes.push(u8::from(fin) << 7 | kind);
        // The shortest way to write a length is not the only one that is understood.
        match (length, dice.one_in(10)) {
            (0..126, false) => bytes.push(0x80 | length as u8),
            (0..65_536, _) => {
                bytes.push(0x80 | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        let key = (dice.next() as u32).to_be_bytes();
        bytes.extend(key);
        bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    // Bent here and there, and cut off.
    if dice.one_in(3) && !bytes.is_empty() {
        let place = match dice.below(2) {
            0 => dice.below(bytes.len() as u64),
            _ => dice.below(16).min(bytes.len() as u64 - 1),
        };
        bytes[place as usize] ^= 1 << dice.below(8);
    }
    if dice.one_in(4) {
        bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize);
    }
    bytes
}

/// Compares them once; returns how many frames were heard, and what was refused.
fn compare(seed: u64) -> (usize, Option<Broken>) {
    let mut dice = Dice(seed);
    let longest = dice.of(&[0, 1, 16, 125, 126, 200, 65_536]);
    let bytes = stream(&mut dice, longest);
    let expected = reference(&bytes, longest);
    for _ in 0..2 {
        let seen = read(&bytes, longest, &mut dice);
        assert!(seen == expected, "seed {seed}: {bytes:02x?}\nread as {seen:?}\nand is {expected:?}");
    }
    (expected.0.len(), expected.1)
}

#[test]
fn it_hears_what_the_reference_hears() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("CARILLON_FRAMES_SEED") {
        compare(seed);
        return;
    }
    let (mut heard, mut refused) = (0, std::collections::HashMap::new());
    for seed in REGRESSIONS.into_iter().chain(1..number("CARILLON_FRAMES_SEEDS").unwrap_or(SEEDS)) {
        let (many, broken) = compare(seed);
        heard += many;
        *refused.entry(broken.map(|broken| broken.to_string())).or_insert(0) += 1;
    }
    println!("{heard} frames were heard; streams by how they ended: {refused:?}");
    assert_eq!(refused.len(), 7, "every way to end was seen: {refused:?}");
}
