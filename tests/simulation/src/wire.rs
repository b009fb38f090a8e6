//! What clients write, and how they read what the server writes: a second opinion on both protocols.

use flate2::{Compress, Compression, FlushCompress};

use crate::random::Random;

#[path = "../../../src/ws/deflate/model.rs"]
mod inflater;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A message that is compressed begins with this bit set (RFC 7692, section 6).
const COMPRESSED: u8 = 0x40;

/// How somebody asks to talk.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The path with its query.
    pub target: String,
    /// It speaks `chat.v1`.
    pub chat: bool,
    /// It can inflate.
    pub deflate: bool,
}

/// A request to join a room.
pub fn upgrade(random: &mut Random, terms: &Terms) -> Vec<u8> {
    let connection = random.pick(&["Upgrade", "keep-alive, upgrade", "UPGRADE"]);
    let target = &terms.target;
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost:8001\r\nUpgrade: websocket\r\n\
         Connection: {connection}\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    if terms.chat {
        head += "Sec-WebSocket-Protocol: chat.v1, chat\r\n";
    } else if random.once_in(2) {
        head += "Origin: http://localhost:8001\r\nSec-WebSocket-Protocol: chat\r\n";
    }
    if terms.deflate {
        let offer = random.pick(&[
            "",
            "; server_max_window_bits=9",
            "; server_max_window_bits=12",
        ]);
        head += &format!("Sec-WebSocket-Extensions: permessage-deflate{offer}\r\n");
    }
    if random.once_in(8) {
        head += &format!("X-Padding: {}\r\n", "x".repeat(random.below(500)));
    }
    head += "\r\n";
    head.into_bytes()
}

/// A message of a client in one frame or a few, compressed or not.
pub fn message(
    random: &mut Random,
    text: bool,
    payload: &[u8],
    deflate: bool,
    most: u32,
) -> Vec<u8> {
    let compressed = deflate && !random.once_in(4);
    let deflated = compressed.then(|| deflated(payload));
    let mut rest = deflated.as_deref().unwrap_or(payload);
    let mut first = if text { TEXT } else { BINARY };
    if compressed {
        first |= COMPRESSED;
    }
    let (mut bytes, mut frames) = (Vec::new(), 1);
    while frames < most && random.once_in(5) {
        let (piece, behind) = rest.split_at(random.below(rest.len() + 1));
        frame(random, first, piece, &mut bytes);
        (rest, first, frames) = (behind, CONTINUATION, frames + 1);
    }
    frame(random, 0x80 | first, rest, &mut bytes);
    bytes
}

/// As RFC 7692, section 7.2.1, has it.
fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 64);
    let mut compress = Compress::new(Compression::fast(), false);
    // It cannot fail, and there is room for all of it.
    let _ = compress.compress_vec(payload, &mut out, FlushCompress::Sync);
    out.truncate(out.len().saturating_sub(4));
    out
}

/// A request for something else, and the status that it deserves.
pub fn request(random: &mut Random) -> (Vec<u8>, u16) {
    let (head, status) = random.pick(&[
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("HEAD /tea HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
        ("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
        ("\x16\x03\x01\x02", 400),
        ("GET / HTTP/1.1\nHost: localhost\r\n\r\n", 400),
    ]);
    (head.into(), status)
}

/// A frame of a client.
pub fn frame(random: &mut Random, first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        short @ ..126 => out.push(0x80 | short as u8),
        middle @ ..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let mask = (random.bits() as u32).to_le_bytes();
    out.extend_from_slice(&mask);
    out.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
}

/// What no client may send.
pub fn violation(random: &mut Random, max_message: usize, in_message: bool, out: &mut Vec<u8>) {
    let mask = [0x80u8; 5];
    match random.below(7) {
        // Without a mask.
        0 => out.extend([0x81, 0x01, b'a']),
        // Reserved bits, a reserved opcode, a continuation of nothing.
        1 => out.extend([0xb1].iter().chain(&mask)),
        2 => out.extend([0x83].iter().chain(&mask)),
        3 if !in_message => out.extend([0x80].iter().chain(&mask)),
        // A ping in fragments.
        4 => out.extend([0x09].iter().chain(&mask)),
        // Text that is none.
        5 => frame(random, 0x81, &[0xff], out),
        // Too long.
        _ => frame(random, 0x82, &vec![7; max_message + 1], out),
    }
}

/// What the server has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The head of its response.
    Response(u16),
    /// A message: whether it is text, and its payload.
    Message(bool, Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(Option<u16>),
}

/// Reads the server's stream, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Ear {
    bytes: Vec<u8>,
    /// Bytes that were heard and understood.
    pub heard: u64,
    stage: Stage,
    /// What was agreed on.
    deflate: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// What a refused client is told; how much is to come, if that was said.
    Body(usize),
    Frames,
    /// After a Close nothing may come.
    Silence,
}

impl Ear {
    /// More of the stream.
    pub fn hear(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What comes next, if it is all there.
    pub fn next(&mut self, head_only: bool, terms: &Terms) -> Result<Option<Heard>, String> {
        match self.stage {
            Stage::Head => self.response(head_only, terms),
            Stage::Body(left) => {
                let taken = left.min(self.bytes.len());
                self.take(taken);
                self.stage = Stage::Body(left - taken);
                if self.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(format!("{} bytes follow a response", self.bytes.len()))
                }
            }
            Stage::Frames => self.frame(),
            Stage::Silence if self.bytes.is_empty() => Ok(None),
            Stage::Silence => Err(format!("{} bytes follow a Close", self.bytes.len())),
        }
    }

    fn response(&mut self, head_only: bool, terms: &Terms) -> Result<Option<Heard>, String> {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = self.take(end + 4);
        let head = String::from_utf8(head).map_err(|_| "a response that is not text")?;
        let status = head
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| format!("not a response: {head:?}"))?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let chat = head.contains("\r\nSec-WebSocket-Protocol: chat.v1\r\n");
        self.deflate = head.contains("\r\nSec-WebSocket-Extensions: permessage-deflate");
        if status == 101 && (chat, self.deflate) != (terms.chat, terms.deflate) {
            return Err(format!("asks for {terms:?} and gets {head:?}"));
        }
        self.stage = match (status, length) {
            (101, None) if head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") => Stage::Frames,
            (101, _) => return Err(format!("not an upgrade: {head:?}")),
            (200, Some(_)) if head_only => Stage::Body(0),
            (_, Some(length)) => Stage::Body(length),
            (_, None) => return Err(format!("a response without a length: {head:?}")),
        };
        Ok(Some(Heard::Response(status)))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.heard += count as u64;
        self.bytes.drain(..count).collect()
    }

    fn frame(&mut self) -> Result<Option<Heard>, String> {
        let [first, second, rest @ ..] = self.bytes.as_slice() else {
            return Ok(None);
        };
        let (length, begin) = match (second, rest) {
            (128.., _) => return Err("a masked frame".into()),
            (127, [a, b, c, d, e, f, g, h, ..]) => (
                u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize,
                10,
            ),
            (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 4),
            (126 | 127, _) => return Ok(None),
            (length, _) => (usize::from(*length), 2),
        };
        let Some(payload) = self.bytes.get(begin..begin + length) else {
            return Ok(None);
        };
        let heard = match first {
            0x81 | 0x82 => Heard::Message(*first == 0x81, payload.to_vec()),
            0xc1 | 0xc2 if self.deflate => {
                let inflated = inflater::inflate(payload).ok_or("what cannot be inflated")?;
                Heard::Message(*first == 0xc1, inflated.bytes)
            }
            0x88 => Heard::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            0x89 => Heard::Ping,
            0x8a => Heard::Pong(payload.to_vec()),
            _ => return Err(format!("a frame that begins with {first:#x}")),
        };
        if let Heard::Close(_) = heard {
            self.stage = Stage::Silence;
        }
        self.take(begin + length);
        Ok(Some(heard))
    }
}
