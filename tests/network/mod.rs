//! A network without a kernel: what clients send is put here, and what they are sent is kept or counted.
//!
//! Three programs use it: the server's own tests (`src/server/tests.rs`), which keep each byte,
//! `tests/idle.rs` and the million bench, which only count. Time is simulated too, so that each run is the same.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use hushd::http::ListenerId;
use hushd::ids::ConnectionKey;
use hushd::server::{Accepted, Moment, Network, Readiness, Ready, Received, Transport, Written};
use rustix::io::Errno;

/// Sockets keep what they are sent, and may be full.
pub(crate) const KEPT: bool = true;
/// Sockets count what they are sent, and are never full.
pub(crate) const COUNTED: bool = false;

/// Free space of a socket that takes everything.
pub(crate) const ALL: usize = usize::MAX;

/// One `epoll_wait` returns at most so many events.
const BATCH: usize = 256;

thread_local! {
    /// Bytes that the server has written to sockets that count.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
    /// All clients, by number. A socket holds only its client's number, so that it takes no more of the
    /// server's memory than a file descriptor.
    static CLIENTS: RefCell<Vec<Client>> = const { RefCell::new(Vec::new()) };
}

/// The client's end of a connection.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) key: Option<ConnectionKey>,
    /// What the server has not read, if the socket counts.
    pattern: Pattern,
    /// What the server has not read, if the socket keeps.
    pub(crate) unread: VecDeque<u8>,
    /// What the server has written, if the socket keeps.
    pub(crate) heard: Vec<u8>,
    /// Bytes that the socket still takes, if it keeps.
    room: usize,
    /// The connection was reset.
    broken: bool,
    /// The server has closed the socket, if it keeps.
    pub(crate) gone: bool,
}

/// What a client has sent to a socket that counts: not the bytes, but how to make them.
#[derive(Clone, Copy, Default)]
enum Pattern {
    #[default]
    Nothing,
    /// A request with this number in it.
    Request(Asks, u32),
    /// So many frames, each the same.
    Frames(&'static [u8], u32),
    /// The client has closed its side.
    End,
}

impl Client {
    fn readiness(&self) -> Readiness {
        Readiness {
            readable: true,
            half_closed: matches!(self.pattern, Pattern::End),
            broken: self.broken,
            ..Readiness::default()
        }
    }
}

/// Looks at a client.
pub(crate) fn client<T>(number: u32, look: impl FnOnce(&mut Client) -> T) -> T {
    CLIENTS.with_borrow_mut(|clients| look(&mut clients[number as usize]))
}

/// Bytes that the server has written to all sockets that count.
pub(crate) fn written() -> u64 {
    WRITTEN.get()
}

/// What new clients ask for.
#[derive(Clone, Copy, Default)]
pub(crate) enum Asks {
    /// To enter a room, by its number.
    #[default]
    Room,
    /// The same, and to speak `chat.v1`.
    Guest,
    /// To speak `chat.v1` in one room under a name, which is a number.
    Named,
}

impl Asks {
    /// The target, and the request's further headers. The number is written over the zeros.
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Asks::Room => ("/0000000", ""),
            Asks::Guest => ("/0000000", CHAT_V1),
            Asks::Named => ("/?name=0000000", CHAT_V1),
        }
    }

    /// Writes a new client's request, and returns its length.
    fn write(self, number: u32, into: &mut [u8]) -> usize {
        let (target, more) = self.parts();
        let mut at = 0;
        for part in ["GET ", target, USUAL, more, "\r\n"] {
            into[at..at + part.len()].copy_from_slice(part.as_bytes());
            at += part.len();
        }
        let (mut number, end) = (number, "GET ".len() + target.len());
        for digit in into[end - 7..end].iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
        }
        at
    }
}

/// What each request has behind its target.
const USUAL: &str = " HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The header that asks for `chat.v1`.
pub(crate) const CHAT_V1: &str = "Sec-WebSocket-Protocol: chat.v1\r\n";

/// A request for this target, with these headers beside the usual.
pub(crate) fn request(target: &str, more: &str) -> Vec<u8> {
    format!("GET {target}{USUAL}{more}\r\n").into_bytes()
}

/// A client's whole frame, shorter than 64 KiB. Its mask is zero.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut frame = match length {
        0..126 => vec![0x80 | opcode, 0x80 | length as u8],
        _ => [&[0x80 | opcode, 0x80 | 126][..], &length.to_be_bytes()].concat(),
    };
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// What the clients and the server share.
pub(crate) struct World {
    /// New clients go by turns to the first room and to so many others.
    pub(crate) other_rooms: u32,
    /// What clients ask for that arrive in a crowd.
    pub(crate) asks: Asks,
    /// Clients that the server has not accepted yet.
    pub(crate) door: Range<u32>,
    /// `accept` fails with this error.
    pub(crate) shut: Option<Errno>,
    /// The descriptor in reserve is gone too.
    pub(crate) no_reserve: bool,
    /// How often the server has called `accept`.
    pub(crate) accepts: usize,
    pub(crate) events: VecDeque<Ready>,
    pub(crate) now: Moment,
    /// The microseconds that each look at the clock takes.
    look: u64,
    /// Waiting takes the time no further than this; `None`: as far as the server wants to wait.
    pub(crate) until: Option<Moment>,
    /// Whether the server has nothing to do before `until`.
    pub(crate) asleep: bool,
}

impl World {
    /// Time passes as the server waits, and with each look at the clock. This makes room for so many clients.
    pub(crate) fn counted(clients: u32) -> Rc<RefCell<World>> {
        World::new(clients, 1, None)
    }

    /// Time stands still until somebody moves it or `until`.
    pub(crate) fn kept() -> Rc<RefCell<World>> {
        World::new(0, 0, Some(Moment::default()))
    }

    fn new(clients: u32, look: u64, until: Option<Moment>) -> Rc<RefCell<World>> {
        let mut all = Vec::new();
        all.resize_with(clients as usize, Client::default);
        CLIENTS.set(all);
        Rc::new(RefCell::new(World {
            other_rooms: 0,
            asks: Asks::default(),
            door: 0..0,
            shut: None,
            no_reserve: false,
            accepts: 0,
            events: VecDeque::new(),
            now: Moment::default(),
            look,
            until,
            asleep: false,
        }))
    }

    /// So many clients come, and ask for what all ask for.
    pub(crate) fn arrive(&mut self, clients: u32) {
        self.door.end += clients;
        self.events.push_back(Ready::Newcomers);
    }

    /// A client comes, and sends these bytes. Returns its number.
    pub(crate) fn come(&mut self, bytes: &[u8]) -> u32 {
        let number = self.door.end;
        CLIENTS.with_borrow_mut(|clients| {
            clients.push(Client {
                unread: bytes.iter().copied().collect(),
                room: ALL,
                ..Client::default()
            });
        });
        self.arrive(1);
        number
    }

    /// A client sends these bytes.
    pub(crate) fn send(&mut self, number: u32, bytes: &[u8]) {
        self.change(number, |client| client.unread.extend(bytes));
    }

    /// A client that has nothing unread sends `count` times the same frame.
    pub(crate) fn repeat(&mut self, number: u32, frame: &'static [u8], count: u32) {
        self.change(number, |client| {
            client.pattern = Pattern::Frames(frame, count);
        });
    }

    /// A client closes its side without a close frame.
    pub(crate) fn leave(&mut self, number: u32) {
        self.change(number, |client| client.pattern = Pattern::End);
    }

    /// A client's connection is reset.
    pub(crate) fn vanish(&mut self, number: u32) {
        self.change(number, |client| client.broken = true);
    }

    /// A client's socket takes so many bytes from now on.
    pub(crate) fn takes(&mut self, number: u32, room: usize) {
        client(number, |client| client.room = room);
        let writable = Readiness {
            writable: true,
            ..Readiness::default()
        };
        if room > 0 {
            self.tell(number, |_| writable);
        }
    }

    /// The time that the server believes to have passed.
    pub(crate) fn time(&self) -> Duration {
        self.now - Moment::default()
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Client)) {
        self.tell(number, |client| {
            change(client);
            client.readiness()
        });
    }

    /// Announces an event, unless the server has not accepted the client yet.
    fn tell(&mut self, number: u32, event: impl FnOnce(&mut Client) -> Readiness) {
        let event = client(number, |client| {
            let readiness = event(client);
            client.key.map(|key| Ready::Connection(key, readiness))
        });
        if let Some(event) = event {
            self.events.push_back(event);
        }
    }
}

/// The server's end of the world. Its sockets are [`KEPT`] or [`COUNTED`].
pub(crate) struct Simulated<const KEEPS: bool>(pub(crate) Rc<RefCell<World>>);

impl<const KEEPS: bool> Network for Simulated<KEEPS> {
    type Socket = Wire<KEEPS>;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut world = self.0.borrow_mut();
        let world = &mut *world;
        let count = world.events.len().min(BATCH);
        ready.extend(world.events.drain(..count));
        world.asleep = count == 0 && timeout != Some(Duration::ZERO);
        if world.asleep {
            let due = timeout.map(|timeout| world.now + timeout);
            let next = due.into_iter().chain(world.until).min();
            world.now = next.unwrap_or(world.now).max(world.now);
            world.asleep = world.until.is_none_or(|until| world.now >= until);
        }
        Ok(count == BATCH)
    }

    fn now(&mut self) -> Moment {
        let mut world = self.0.borrow_mut();
        world.now.0 += world.look;
        world.now
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }

    fn accept(&mut self) -> io::Result<Accepted<Wire<KEEPS>>> {
        let mut world = self.0.borrow_mut();
        world.accepts += 1;
        if let Some(error) = world.shut {
            return Err(error.into());
        }
        let number = world.door.next().ok_or(ErrorKind::WouldBlock)?;
        if !KEEPS {
            let asked = match world.asks {
                Asks::Room | Asks::Guest => number % (world.other_rooms + 1),
                Asks::Named => number,
            };
            client(number, |client| {
                client.pattern = Pattern::Request(world.asks, asked);
            });
        }
        Ok(Accepted {
            socket: Wire(number),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listener: ListenerId::default(),
        })
    }

    fn register(&mut self, socket: &mut Wire<KEEPS>, key: ConnectionKey) -> io::Result<()> {
        let register = |client: &mut Client| client.key = Some(key);
        self.0.borrow_mut().change(socket.0, register);
        Ok(())
    }

    fn shed(&mut self, response: &[u8]) -> io::Result<()> {
        let mut world = self.0.borrow_mut();
        if world.no_reserve {
            return Err(Errno::MFILE.into());
        }
        let number = world.door.next().ok_or(ErrorKind::WouldBlock)?;
        client(number, |client| client.heard.extend(response));
        Ok(())
    }

    fn stop_listening(&mut self) {}
}

/// A socket, which is the number of its client.
pub(crate) struct Wire<const KEEPS: bool>(u32);

impl<const KEEPS: bool> Transport for Wire<KEEPS> {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received> {
        client(self.0, |client| {
            if KEEPS {
                let bytes = into.len().min(client.unread.len());
                for (to, from) in into.iter_mut().zip(client.unread.drain(..bytes)) {
                    *to = from;
                }
                return Ok(Received {
                    bytes,
                    more: bytes == into.len(),
                    end: bytes == 0 && client.broken,
                });
            }
            let (bytes, more) = match mem::take(&mut client.pattern) {
                Pattern::Nothing => return Ok(Received::default()),
                Pattern::End => {
                    return Ok(Received {
                        end: true,
                        ..Received::default()
                    });
                }
                Pattern::Request(asks, number) => (asks.write(number, into), false),
                Pattern::Frames(frame, count) => {
                    let now = (into.len() / frame.len()).min(count as usize);
                    for at in 0..now {
                        into[at * frame.len()..][..frame.len()].copy_from_slice(frame);
                    }
                    let left = count - now as u32;
                    if left > 0 {
                        client.pattern = Pattern::Frames(frame, left);
                    }
                    (now * frame.len(), left > 0)
                }
            };
            Ok(Received {
                bytes,
                more,
                end: false,
            })
        })
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<Written> {
        let all = parts.iter().map(|part| part.len()).sum();
        if !KEEPS {
            WRITTEN.set(WRITTEN.get() + all as u64);
            return Ok(Written {
                bytes: all,
                full: false,
            });
        }
        client(self.0, |client| {
            let mut sent = 0;
            for part in parts {
                let taken = &part[..part.len().min(client.room)];
                client.heard.extend(taken);
                client.room -= if client.room == ALL { 0 } else { taken.len() };
                sent += taken.len();
            }
            Ok(Written {
                bytes: sent,
                full: sent < all,
            })
        })
    }

    fn half_close(&mut self) {}

    fn abandon(&mut self) {}
}

impl<const KEEPS: bool> Drop for Wire<KEEPS> {
    fn drop(&mut self) {
        if KEEPS {
            client(self.0, |client| client.gone = true);
        }
    }
}

/// What a client has been sent since it was last asked.
pub(crate) fn heard(number: u32) -> Vec<u8> {
    client(number, |client| mem::take(&mut client.heard))
}
