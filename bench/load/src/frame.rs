//! WebSocket frames (RFC 6455), as little as a client of a Socket.IO server needs. Promises: whole frames only,
//! masked on the way out, never more than [`LARGEST`] bytes in.

use anyhow::{Result, ensure};
use bytes::{Buf, Bytes, BytesMut};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The largest frame taken from a server, in bytes: far above any answer, far below harm.
const LARGEST: usize = 8 << 20;

/// Appends one final, masked frame.
pub fn encode(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..=0xFFFF => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// Takes one whole frame off the front of `inbox`; `None` while more bytes are needed.
pub fn decode(inbox: &mut BytesMut) -> Result<Option<(u8, Bytes)>> {
    if inbox.len() < 2 {
        return Ok(None);
    }
    let (first, second) = (inbox[0], inbox[1]);
    ensure!(first & 0x80 != 0, "the server sent a fragmented frame");
    ensure!(second & 0x80 == 0, "the server sent a masked frame");
    let (header, length) = match second {
        126 if inbox.len() < 4 => return Ok(None),
        127 if inbox.len() < 10 => return Ok(None),
        126 => (4, usize::from(u16::from_be_bytes([inbox[2], inbox[3]]))),
        127 => (10, (&inbox[2..10]).get_u64() as usize),
        short => (2, usize::from(short)),
    };
    ensure!(length <= LARGEST, "the server sent a frame of {length} bytes");
    if inbox.len() < header + length {
        return Ok(None);
    }
    inbox.advance(header);
    Ok(Some((first & 0x0F, inbox.split_to(length).freeze())))
}
