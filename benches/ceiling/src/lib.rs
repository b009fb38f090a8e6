//! The ceiling: the least that a WebSocket chat server can do, so the best that epoll and write allow.
//!
//! It does handshakes, sends every message to all clients, and answers pings. It has one room, checks
//! nothing and bounds nothing, so it is a benchmark's measure and never a server to run. rustix makes its
//! system calls without a C library in between.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};
use sha1::{Digest, Sha1};

/// The most events of one wait. A small batch would spoil the batching of writes.
const BATCH: usize = 1024;
const SCRATCH: usize = 64 * 1024;
/// The place of a socket that is not (yet) a member.
const NOWHERE: u32 = u32::MAX;

/// When messages are written to the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// One write for each message and member, as soon as the message is read.
    Each,
    /// All sockets that are ready are read first, then one write for each member.
    Gathered,
}

/// Serves `listener` until something unforeseen fails.
///
/// # Errors
///
/// Errors of the listener and of epoll. An error of a client's socket ends only that client.
pub fn serve(listener: &TcpListener, writes: Writes) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    sockopt::set_tcp_nodelay(listener, true)?;
    rustix::net::listen(listener, 65_535)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let door = listener.as_raw_fd() as u64;
    epoll::add(&epoll, listener, EventData::new_u64(door), EventFlags::IN)?;
    let mut server = Ceiling {
        writes,
        epoll,
        ..Ceiling::empty()?
    };
    let mut events = Vec::with_capacity(BATCH);
    loop {
        match epoll::wait(
            &server.epoll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (id, flags) = (event.data.u64(), event.flags);
            if id == door {
                server.accept(listener)?;
                continue;
            }
            if flags.contains(EventFlags::OUT) {
                server.write(id as usize, &[]);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                server.read(id as usize, flags.contains(EventFlags::RDHUP));
            }
        }
        let batch = mem::take(&mut server.batch);
        server.publish(&batch);
        server.batch = batch;
        server.batch.clear();
    }
}

/// Everything is indexed by file descriptor, because descriptors are small and dense.
struct Ceiling {
    writes: Writes,
    epoll: OwnedFd,
    sockets: Vec<Option<OwnedFd>>,
    /// Where in `members` a socket stands, or `NOWHERE`.
    places: Vec<u32>,
    members: Vec<u32>,
    /// The start of a head or frame, for the few sockets that have one.
    unread: HashMap<usize, Vec<u8>>,
    /// Bytes that a full socket did not take, for the few that are full.
    unsent: HashMap<usize, Vec<u8>>,
    /// Frames that all members will be sent.
    batch: Vec<u8>,
    scratch: Vec<u8>,
}

impl Ceiling {
    fn empty() -> io::Result<Self> {
        Ok(Self {
            writes: Writes::Gathered,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            sockets: Vec::new(),
            places: Vec::new(),
            members: Vec::new(),
            unread: HashMap::new(),
            unsent: HashMap::new(),
            batch: Vec::new(),
            scratch: vec![0; SCRATCH],
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    let id = socket.as_raw_fd() as usize;
                    let interest =
                        EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                    epoll::add(
                        &self.epoll,
                        &socket,
                        EventData::new_u64(id as u64),
                        interest,
                    )?;
                    if self.sockets.len() <= id {
                        self.sockets.resize_with(id + 1, || None);
                        self.places.resize(id + 1, NOWHERE);
                    }
                    self.sockets[id] = Some(socket);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Edge-triggered, so it reads on while the buffer comes back full or the peer has finished.
    fn read(&mut self, id: usize, mut finished: bool) {
        let mut scratch = mem::take(&mut self.scratch);
        while let Some(socket) = &self.sockets[id] {
            match recv(socket, &mut scratch[..], RecvFlags::empty()) {
                Ok((0, _)) => self.close(id),
                Ok((count, _)) => {
                    self.hear(id, &mut scratch[..count]);
                    if count < SCRATCH && !mem::take(&mut finished) {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.close(id),
            }
        }
        self.scratch = scratch;
    }

    fn hear(&mut self, id: usize, bytes: &mut [u8]) {
        let mut joined = match self.unread.is_empty() {
            true => None,
            false => self.unread.remove(&id),
        };
        let bytes = match &mut joined {
            Some(earlier) => {
                earlier.extend_from_slice(bytes);
                &mut earlier[..]
            }
            None => bytes,
        };
        let used = match self.places[id] {
            NOWHERE => self.shake(id, bytes),
            _ => self.frames(id, bytes),
        };
        if used < bytes.len() && self.sockets[id].is_some() {
            self.unread.insert(id, bytes[used..].to_vec());
        }
    }

    fn shake(&mut self, id: usize, head: &[u8]) -> usize {
        let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
            return 0;
        };
        let name = b"Sec-WebSocket-Key: ";
        let Some(at) = memchr::memmem::find(head, name).map(|at| at + name.len()) else {
            self.close(id);
            return head.len();
        };
        let digest = Sha1::new()
            .chain_update(&head[at..(at + 24).min(end)])
            .chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
            .finalize();
        let mut answer = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: ............................\r\n\r\n";
        let key = answer.len() - 32;
        // 20 bytes are 28 characters: it always fits.
        let _ = STANDARD.encode_slice(digest, &mut answer[key..key + 28]);
        self.places[id] = self.members.len() as u32;
        self.members.push(id as u32);
        self.write(id, &answer);
        end + 4
    }

    /// Handles every whole frame. Returns how many bytes they were.
    fn frames(&mut self, id: usize, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        while let Some((opcode, head, len)) = header(&bytes[used..]) {
            let (start, end) = (used + head, used + head + len);
            if end > bytes.len() {
                break;
            }
            let mask = [
                bytes[start - 4],
                bytes[start - 3],
                bytes[start - 2],
                bytes[start - 1],
            ];
            unmask(&mut bytes[start..end], mask);
            let payload = &bytes[start..end];
            used = end;
            match opcode {
                0x8 => {
                    self.write(id, &[0x88, 0]);
                    self.close(id);
                    return used;
                }
                0x9 => {
                    let mut pong = vec![0x8a, len as u8];
                    pong.extend_from_slice(payload);
                    self.write(id, &pong);
                }
                0xa => {}
                _ => {
                    put_header(&mut self.batch, 0x80 | opcode, len);
                    self.batch.extend_from_slice(payload);
                    if self.writes == Writes::Each {
                        let frame = mem::take(&mut self.batch);
                        self.publish(&frame);
                        self.batch = frame;
                        self.batch.clear();
                    }
                }
            }
        }
        used
    }

    fn publish(&mut self, frames: &[u8]) {
        if frames.is_empty() {
            return;
        }
        // This runs backwards, because a client that fails is replaced by the last one.
        for place in (0..self.members.len()).rev() {
            self.write(self.members[place] as usize, frames);
        }
    }

    /// Writes what is still unsent and then `bytes`; what does not fit waits for the next edge.
    fn write(&mut self, id: usize, bytes: &[u8]) {
        let Some(socket) = &self.sockets[id] else {
            return;
        };
        let mut owed = match self.unsent.is_empty() {
            true => None,
            false => self.unsent.remove(&id),
        };
        let bytes = match &mut owed {
            Some(earlier) => {
                earlier.extend_from_slice(bytes);
                &earlier[..]
            }
            None => bytes,
        };
        if bytes.is_empty() {
            return;
        }
        let sent = match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => sent,
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => return self.close(id),
        };
        if sent < bytes.len() {
            self.unsent.insert(id, bytes[sent..].to_vec());
        }
    }

    fn close(&mut self, id: usize) {
        self.sockets[id] = None;
        self.unread.remove(&id);
        self.unsent.remove(&id);
        let place = mem::replace(&mut self.places[id], NOWHERE);
        if place != NOWHERE {
            self.members.swap_remove(place as usize);
            if let Some(&moved) = self.members.get(place as usize) {
                self.places[moved as usize] = place;
            }
        }
    }
}

/// Opcode, header length and payload length of a client's frame (RFC 6455, section 5.2), masked
/// and whole as every client in a benchmark sends it.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let opcode = first & 0x0f;
    match second & 0x7f {
        126 => Some((
            opcode,
            8,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
        )),
        127 => Some((
            opcode,
            14,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
        )),
        len => Some((opcode, 6, len.into())),
    }
}

fn put_header(out: &mut Vec<u8>, first: u8, len: usize) {
    match len {
        0..126 => out.extend_from_slice(&[first, len as u8]),
        126..0x1_0000 => {
            out.extend_from_slice(&[first, 126]);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mask = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        let plain = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) ^ mask;
        word.copy_from_slice(&plain.to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= mask;
    }
}
