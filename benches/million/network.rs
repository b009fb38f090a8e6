//! A network without a kernel: what clients say is put here, what they are sent is counted.
//!
//! Time is simulated too, so that a run is the same every time: each look at the clock takes a
//! microsecond, and a wait for nothing takes no time at all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use hushd::http::ListenerId;
use hushd::ids::ConnectionKey;
use hushd::server::{Accepted, Moment, Network, Readiness, Ready, Received, Transport, Written};

/// As many as one `epoll_wait` brings.
const EVENTS: usize = 256;

/// What newcomers ask for.
#[derive(Clone, Copy, Default)]
#[allow(dead_code)] // tests/idle.rs knows all of them
pub(crate) enum Asks {
    /// To be let into a room, by its number.
    #[default]
    Room,
    /// The same, and to speak `chat.v1`.
    Guest,
    /// To speak `chat.v1` in the same room under a name, which is a number.
    Named,
}

impl Asks {
    /// The target and what the request has beside the usual. The number is written over the zeros.
    const fn parts(self) -> (&'static str, &'static str) {
        match self {
            Asks::Room => ("/0000000", ""),
            Asks::Guest => ("/0000000", "Sec-WebSocket-Protocol: chat.v1\r\n"),
            Asks::Named => ("/?name=0000000", "Sec-WebSocket-Protocol: chat.v1\r\n"),
        }
    }

    /// Writes a newcomer's request, and says how long it is.
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

const USUAL: &str = " HTTP/1.1\r\nHost: 127.0.0.1:8001\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

thread_local! {
    /// Bytes that the server has written. Sockets know only their number, as a descriptor is one, so
    /// that they take no more of the server's memory than in earnest.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
    /// What sockets will read, by their number.
    static UNREAD: RefCell<Vec<Unread>> = const { RefCell::new(Vec::new()) };
}

#[derive(Clone, Copy)]
enum Unread {
    Nothing,
    /// A request with this number in it.
    Request(Asks, u32),
    /// So many frames, each the same.
    Frames(&'static [u8], u32),
    End,
}

/// Bytes that the server has written to all its clients.
pub(crate) fn written() -> u64 {
    WRITTEN.get()
}

/// Makes room for so many sockets.
pub(crate) fn prepare(clients: u32) {
    UNREAD.set(vec![Unread::Nothing; clients as usize]);
}

fn will_read(client: u32, what: Unread) {
    UNREAD.with_borrow_mut(|unread| unread[client as usize] = what);
}

/// What the harness and the server share.
#[derive(Default)]
pub(crate) struct World {
    /// The rooms beside the first that newcomers go to by turns.
    pub(crate) other_rooms: u32,
    /// What newcomers ask for.
    pub(crate) asks: Asks,
    newcomers: u32,
    accepted: u32,
    events: VecDeque<Ready>,
    micros: u64,
    /// Whether the last wait found nothing to do.
    idle: bool,
}

impl World {
    /// So many clients come and ask to be let in.
    pub(crate) fn arrive(&mut self, clients: u32) {
        self.newcomers += clients;
        self.events.push_back(Ready::Newcomers);
    }

    /// A client sends `count` times the same `frame`. The server is new, so its keys are the clients'
    /// numbers.
    pub(crate) fn send(&mut self, client: u32, frame: &'static [u8], count: u32) {
        will_read(client, Unread::Frames(frame, count));
        self.readable(client, false);
    }

    /// A client goes without a word.
    pub(crate) fn leave(&mut self, client: u32) {
        will_read(client, Unread::End);
        self.readable(client, true);
    }

    fn readable(&mut self, client: u32, half_closed: bool) {
        let readiness = Readiness {
            readable: true,
            half_closed,
            ..Readiness::default()
        };
        self.events
            .push_back(Ready::Connection(ConnectionKey(client), readiness));
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle
    }

    /// The time that the server believes to have passed.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_micros(self.micros)
    }
}

/// The server's end of the world.
pub(crate) struct Simulated(pub(crate) Rc<RefCell<World>>);

impl Network for Simulated {
    type Socket = Wire;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let mut world = self.0.borrow_mut();
        let count = world.events.len().min(EVENTS);
        ready.extend(world.events.drain(..count));
        let nothing = count == 0 && timeout != Some(Duration::ZERO);
        if let Some(timeout) = timeout.filter(|_| nothing) {
            world.micros += timeout.as_micros() as u64;
        }
        world.idle = nothing;
        Ok(count == EVENTS)
    }

    fn now(&mut self) -> Moment {
        let mut world = self.0.borrow_mut();
        world.micros += 1;
        Moment(world.micros)
    }

    fn unix_millis(&mut self) -> u64 {
        0
    }

    fn accept(&mut self) -> io::Result<Accepted<Wire>> {
        let mut world = self.0.borrow_mut();
        if world.newcomers == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let client = world.accepted;
        world.newcomers -= 1;
        world.accepted += 1;
        let number = match world.asks {
            Asks::Room | Asks::Guest => client % (world.other_rooms + 1),
            Asks::Named => client,
        };
        will_read(client, Unread::Request(world.asks, number));
        Ok(Accepted {
            socket: Wire(client),
            address: Ipv4Addr::LOCALHOST.into(),
            listener: ListenerId::default(),
        })
    }

    fn register(&mut self, socket: &mut Wire, key: ConnectionKey) -> io::Result<()> {
        debug_assert_eq!(socket.0, key.0);
        self.0.borrow_mut().readable(key.0, false);
        Ok(())
    }

    fn shed(&mut self, _: &[u8]) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn stop_listening(&mut self) {}
}

/// A socket that is never full.
pub(crate) struct Wire(u32);

impl Transport for Wire {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received> {
        UNREAD.with_borrow_mut(|all| {
            let unread = &mut all[self.0 as usize];
            let (bytes, more) = match mem::replace(unread, Unread::Nothing) {
                Unread::Nothing => return Ok(Received::default()),
                Unread::End => {
                    return Ok(Received {
                        end: true,
                        ..Received::default()
                    });
                }
                Unread::Request(asks, number) => (asks.write(number, into), false),
                Unread::Frames(frame, count) => {
                    let now = (into.len() / frame.len()).min(count as usize);
                    for at in 0..now {
                        into[at * frame.len()..][..frame.len()].copy_from_slice(frame);
                    }
                    let left = count - now as u32;
                    if left > 0 {
                        *unread = Unread::Frames(frame, left);
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
        let bytes = parts.iter().map(|part| part.len()).sum();
        WRITTEN.set(WRITTEN.get() + bytes as u64);
        Ok(Written { bytes, full: false })
    }

    fn half_close(&mut self) {}

    fn abandon(&mut self) {}
}
