//! A WebSocket client of its own making, which can be as rude as a test wants it to be.

use super::Server;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// One connection after its upgrade.
pub struct Peer {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// A frame as it came: its first byte (FIN, RSV and opcode) and its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

impl Peer {
    /// Joins the room of this path.
    pub fn join(server: &Server, path: &str) -> Peer {
        Peer::join_with(server, path, "")
    }

    /// The same with further header lines, each ending in CR LF.
    pub fn join_with(server: &Server, path: &str, lines: &str) -> Peer {
        Peer::join_by(server.connect(), server, path, lines)
    }

    /// The same by way of a connection that there is.
    pub fn join_by(mut stream: TcpStream, server: &Server, path: &str, lines: &str) -> Peer {
        stream
            .write_all(upgrade(server, path, lines).as_bytes())
            .unwrap();
        let mut peer = Peer {
            stream,
            buffer: Vec::new(),
        };
        let head = peer.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        peer
    }

    /// The head of the server's response; what follows it stays in the buffer.
    fn read_head(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert_ne!(
                self.fill().unwrap(),
                0,
                "closed: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&frame(first, payload)).unwrap();
    }

    pub fn say(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes());
    }

    /// The next frame, or `None` when the server has closed the connection, in order or not.
    pub fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            match self.fill() {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no frame: {error}"),
            }
        }
    }

    /// The next text message; pings are answered on the way.
    pub fn hear(&mut self) -> String {
        loop {
            let frame = self.read().expect("the server closed the connection");
            match frame.first {
                PING => self.send(PONG, &frame.payload),
                TEXT => return String::from_utf8(frame.payload).unwrap(),
                _ => panic!("{frame:?}"),
            }
        }
    }

    /// Reads on until the connection ends; the code of the server's Close frame, if there was one.
    pub fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(frame) = self.read() {
            if frame.first == CLOSE {
                code = frame
                    .payload
                    .first_chunk()
                    .map(|&bytes| u16::from_be_bytes(bytes));
            }
        }
        code
    }

    /// One read into the buffer: how many bytes it brought.
    pub fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// The next frame if the buffer holds all of it.
    pub fn take(&mut self) -> Option<Frame> {
        let (&first, &second) = (self.buffer.first()?, self.buffer.get(1)?);
        assert_eq!(
            second & 0x80,
            0,
            "a server must not mask (RFC 6455, section 5.1)"
        );
        let (start, length) = match second {
            126 => (
                4,
                u16::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?) as usize,
            ),
            127 => (
                10,
                u64::from_be_bytes(*self.buffer.get(2..)?.first_chunk()?) as usize,
            ),
            short => (2, short as usize),
        };
        let payload = self.buffer.get(start..start + length)?.to_vec();
        self.buffer.drain(..start + length);
        Some(Frame { first, payload })
    }
}

/// A request to join the room of this path.
pub fn upgrade(server: &Server, path: &str, lines: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n",
        server.address
    )
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The header of a masked frame whose payload may never come.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(0x80 | length as u8),
        126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length.to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes
}
