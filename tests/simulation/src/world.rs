//! The world around the server: a kernel with sockets, a door, a clock, and bad weather.
//!
//! It keeps the kernel's contract to the letter and no better: an event comes on a change only, says all
//! that is so at that moment, may come late, merged with others, or for nothing; a read that comes back
//! short has taken all there was; a full socket has room again once a third of it is free.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

use hushd::feed::NextWrite;
use hushd::http::ListenerId;
use hushd::ids::ConnectionKey;
use hushd::server::{
    Accepted, Moment, Network, Readiness, Ready, Received, Signal, Transport, Written,
};
use rustix::io::Errno;

use crate::random::Random;
use crate::trace::Trace;

/// How often what may happen does: once in so many times; 0 is never.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Weather {
    /// A read takes less than there is.
    pub short_read: usize,
    /// A write takes less than there is room for.
    pub short_write: usize,
    /// An event comes later than it could.
    pub late: usize,
    /// An event comes although nothing has changed.
    pub spurious: usize,
    /// An accept fails, whatever for.
    pub bad_accept: usize,
    /// A socket cannot be watched over.
    pub bad_register: usize,
    /// The clock jumps.
    pub jump: usize,
}

/// One connection as the kernel keeps it. Its number is never used again.
#[derive(Debug)]
pub struct Socket {
    pub address: IpAddr,
    pub key: Option<ConnectionKey>,
    pub state: State,
    /// Towards the server.
    pub inbound: VecDeque<u8>,
    pub inbound_room: usize,
    /// The client has sent FIN.
    pub fin: bool,
    /// The client has sent RST.
    pub reset: bool,
    /// Towards the client.
    pub outbound: VecDeque<u8>,
    pub outbound_room: usize,
    /// What was written in this turn.
    pub fresh: Vec<u8>,
    /// Bytes that the server has read so far.
    pub read: u64,
    /// Something has changed that the server has not been told.
    changed: bool,
    /// The kernel is to say when there is room again.
    wants_room: bool,
    /// A write took less than it could have: there is room again before long.
    pressed: bool,
    /// The server was told that the socket is full, and nothing else since.
    pub told_full: bool,
    /// A write did not take all that was offered, and none has since taken all that there was. What the server
    /// has published is not known before somebody hears it; what it writes is.
    pub lags: bool,
    /// It was full at least once, so that a ping may have come late.
    pub was_full: bool,
    /// The server has seen the end of the stream, or an error.
    pub told_end: bool,
    /// The server was told that the connection is broken.
    pub told_broken: bool,
    error_taken: bool,
    /// When the server woke for the turn in which it sent FIN.
    pub server_fin: Option<u64>,
    /// The server closes without caring for what is under way.
    pub abandoned: bool,
    pub accepted_at: u64,
    /// How many the server held when it was accepted, in all and from where it comes.
    pub before: [usize; 2],
    /// When the server last read some bytes.
    pub read_at: u64,
    /// When it last wrote some.
    pub wrote_at: u64,
    /// When it last tried to.
    pub tried_at: u64,
}

/// Where a connection is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It waits to be accepted.
    Waiting,
    /// The server holds it.
    Held,
    /// The server, or the kernel in its stead, has closed it.
    Closed,
}

/// What happened.
#[derive(Debug, Hash)]
enum Event {
    Waits(Option<Duration>),
    Told(u32, [bool; 4]),
    Newcomers,
    Signalled,
    Reads(usize, usize, bool, bool),
    ReadFails(usize),
    Writes(usize, usize, usize, u64),
    WriteFails(usize),
    Accepts(usize),
    AcceptFails(i32),
    Registers(usize, u32),
    HalfCloses(usize),
    Closes(usize, bool),
    Jumps,
}

/// The world.
#[derive(Debug)]
pub struct World {
    pub random: Random,
    pub trace: Trace,
    pub weather: Weather,
    /// Microseconds since the start.
    pub clock: u64,
    pub sockets: Vec<Socket>,
    /// Those who wait to be accepted.
    pub door: VecDeque<usize>,
    pub newcomers: bool,
    pub listening: bool,
    /// Sockets that the server holds.
    pub held: usize,
    /// Sockets that it may hold.
    pub descriptors: usize,
    /// Bytes that it offers in one write: where it offers fewer, that is all that it owes.
    offer: usize,
    pub by_key: Vec<Option<usize>>,
    changed: VecDeque<usize>,
    pub signals: VecDeque<Signal>,
    /// Clients have nothing more to do: each wait is as long as the server wants.
    pub quiet: bool,
    /// How long the server was ready to wait in this turn.
    pub patience: Option<Duration>,
    /// Events told and calls made in this turn.
    pub stirred: bool,
    /// When it woke for this turn.
    pub woke_at: u64,
    /// When the clock last jumped.
    pub jumped_at: Option<u64>,
    /// Reads of this turn, in order: whose, and up to which byte of its stream.
    pub reads: Vec<(usize, u64)>,
    /// Who was closed in this turn.
    pub closed: Vec<usize>,
    /// What the server must not do and did.
    pub fault: Option<String>,
    /// The last wait left something for another.
    more: bool,
}

impl World {
    pub fn new(
        random: Random,
        trace: Trace,
        weather: Weather,
        descriptors: usize,
        offer: usize,
    ) -> World {
        World {
            random,
            trace,
            weather,
            clock: 0,
            sockets: Vec::new(),
            door: VecDeque::new(),
            newcomers: false,
            listening: true,
            held: 0,
            descriptors,
            offer,
            by_key: Vec::new(),
            changed: VecDeque::new(),
            signals: VecDeque::new(),
            quiet: false,
            patience: None,
            stirred: false,
            woke_at: 0,
            jumped_at: None,
            reads: Vec::new(),
            closed: Vec::new(),
            fault: None,
            more: false,
        }
    }

    /// A client connects. Returns the number of its socket.
    pub fn connect(&mut self, address: IpAddr, inbound_room: usize, outbound_room: usize) -> usize {
        let number = self.sockets.len();
        self.sockets.push(Socket {
            address,
            key: None,
            state: State::Waiting,
            inbound: VecDeque::new(),
            inbound_room,
            fin: false,
            reset: false,
            outbound: VecDeque::new(),
            outbound_room,
            fresh: Vec::new(),
            read: 0,
            changed: false,
            wants_room: false,
            pressed: false,
            told_full: false,
            lags: false,
            was_full: false,
            told_end: false,
            told_broken: false,
            error_taken: false,
            server_fin: None,
            abandoned: false,
            accepted_at: 0,
            before: [0; 2],
            read_at: 0,
            wrote_at: 0,
            tried_at: 0,
        });
        if self.listening {
            self.door.push_back(number);
            self.newcomers = true;
        } else {
            self.sockets[number].state = State::Closed;
        }
        number
    }

    /// A client sends some bytes, as many as there is room for.
    pub fn client_sends(&mut self, number: usize, bytes: &mut VecDeque<u8>, most: usize) {
        let socket = &mut self.sockets[number];
        if socket.state == State::Closed || socket.fin || socket.reset {
            bytes.clear();
            return;
        }
        let room = socket.inbound_room.saturating_sub(socket.inbound.len());
        let count = most.min(room).min(bytes.len());
        socket.inbound.extend(bytes.drain(..count));
        if count > 0 {
            self.change(number);
        }
    }

    /// A client reads some bytes. Returns how many.
    pub fn client_reads(&mut self, number: usize, most: usize) -> usize {
        let socket = &mut self.sockets[number];
        let count = most.min(socket.outbound.len());
        socket.outbound.drain(..count);
        if socket.wants_room && socket.has_room() && !socket.pressed {
            socket.wants_room = false;
            self.change(number);
        }
        count
    }

    pub fn client_fin(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        if !socket.fin {
            socket.fin = true;
            self.change(number);
        }
    }

    pub fn client_reset(&mut self, number: usize) {
        let purge = self.random.once_in(2);
        let socket = &mut self.sockets[number];
        if !(socket.reset || socket.fin && socket.server_fin.is_some()) {
            socket.reset = true;
            if purge {
                socket.inbound.clear();
            }
            self.change(number);
        }
    }

    fn change(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        if socket.state == State::Held && socket.key.is_some() && !socket.changed {
            socket.changed = true;
            self.changed.push_back(number);
        }
    }

    fn may(&mut self, times: usize) -> bool {
        times > 0 && self.random.once_in(times)
    }

    /// Whether the server was told of everything that it may still read, and lets it lie.
    pub fn lies_unread(&self, number: usize) -> bool {
        let socket = &self.sockets[number];
        let end = (socket.fin || socket.reset) && !socket.told_end;
        socket.state == State::Held && !socket.changed && (end || !socket.inbound.is_empty())
    }

    /// Whether nothing will ever tell the server that this socket has room again.
    pub fn is_never_told_of_room(&self, number: usize) -> bool {
        let socket = &self.sockets[number];
        !socket.changed && !socket.wants_room && !socket.pressed
    }

    fn tell(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        let in_a_hurry = timeout == Some(Duration::ZERO);
        for number in 0..self.sockets.len() {
            if self.sockets[number].pressed && (!in_a_hurry || self.random.once_in(2)) {
                let socket = &mut self.sockets[number];
                socket.pressed = false;
                if socket.wants_room && socket.has_room() {
                    socket.wants_room = false;
                    self.change(number);
                }
            }
        }
        for _ in 0..self.changed.len() {
            let Some(number) = self.changed.pop_front() else {
                break;
            };
            if in_a_hurry && self.may(self.weather.late) {
                self.changed.push_back(number);
                continue;
            }
            let socket = &mut self.sockets[number];
            socket.changed = false;
            let Some(key) = socket.key.filter(|_| socket.state == State::Held) else {
                continue;
            };
            let readiness = socket.readiness();
            socket.wants_room |= !readiness.writable;
            self.tell_one(key, readiness, ready);
        }
        if self.newcomers && !(in_a_hurry && self.may(self.weather.late)) {
            self.newcomers = false;
            self.trace.note(self.clock, Event::Newcomers);
            ready.push(Ready::Newcomers);
        }
        if let Some(signal) = self.signals.pop_front() {
            self.trace.note(self.clock, Event::Signalled);
            ready.push(Ready::Signal(signal));
        }
        if self.may(self.weather.spurious) {
            match self.random.below(self.by_key.len() + 1) {
                0 => ready.push(Ready::Newcomers),
                key => {
                    let readiness = Readiness {
                        readable: self.random.once_in(2),
                        writable: self.random.once_in(2),
                        ..Readiness::default()
                    };
                    self.tell_one(ConnectionKey(key as u32 - 1), readiness, ready);
                }
            }
        }
    }

    fn tell_one(&mut self, key: ConnectionKey, readiness: Readiness, ready: &mut Vec<Ready>) {
        let Readiness {
            readable,
            writable,
            half_closed,
            broken,
        } = readiness;
        if let Some(number) = self.by_key.get(key.0 as usize).copied().flatten() {
            let socket = &mut self.sockets[number];
            socket.told_full &= !writable;
            socket.told_broken |= broken;
        }
        let bits = [readable, writable, half_closed, broken];
        if bits.contains(&true) {
            self.trace.note(self.clock, Event::Told(key.0, bits));
            ready.push(Ready::Connection(key, readiness));
        }
    }

    /// Nothing is ready: time passes.
    fn sleep(&mut self, timeout: Option<Duration>) {
        let most = timeout.map_or(100_000_000, |timeout| timeout.as_micros() as u64);
        self.clock += match most.min(100_000_000) {
            0 => self.random.below(200) as u64,
            most if self.quiet || self.random.once_in(12) => most,
            most => self.random.scaled(most.min(100_000)),
        };
    }

    fn accept(&mut self) -> io::Result<usize> {
        let error = if self.held >= self.descriptors {
            Some(Errno::MFILE)
        } else if self.may(self.weather.bad_accept) {
            Some(self.random.pick(&[
                Errno::CONNABORTED,
                Errno::INTR,
                Errno::NFILE,
                Errno::NOBUFS,
                Errno::NOMEM,
                Errno::PERM,
                Errno::PROTO,
            ]))
        } else {
            None
        };
        if let Some(errno) = error {
            if [Errno::CONNABORTED, Errno::PERM, Errno::PROTO].contains(&errno)
                && let Some(number) = self.door.pop_front()
            {
                self.sockets[number].state = State::Closed;
            }
            self.trace
                .note(self.clock, Event::AcceptFails(errno.raw_os_error()));
            return Err(errno.into());
        }
        let Some(number) = self.door.pop_front() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        self.trace.note(self.clock, Event::Accepts(number));
        let peer = peer(self.sockets[number].address);
        let held = self.sockets.iter().filter(|s| s.state == State::Held);
        let from_there = held.filter(|s| peer == self::peer(s.address)).count();
        self.sockets[number].before = [self.held, from_there];
        let socket = &mut self.sockets[number];
        socket.state = State::Held;
        for time in [
            &mut socket.accepted_at,
            &mut socket.read_at,
            &mut socket.wrote_at,
        ] {
            *time = self.clock;
        }
        self.held += 1;
        Ok(number)
    }

    fn register(&mut self, number: usize, key: ConnectionKey) -> io::Result<()> {
        if self.may(self.weather.bad_register) {
            return Err(self.random.pick(&[Errno::NOSPC, Errno::NOMEM]).into());
        }
        self.trace.note(self.clock, Event::Registers(number, key.0));
        let entry = key.0 as usize;
        if self.by_key.len() <= entry {
            self.by_key.resize(entry + 1, None);
        }
        if let Some(other) = self.by_key[entry]
            && self.sockets[other].state == State::Held
        {
            self.fault = Some(format!("{number} is given the key of {other}"));
        }
        self.by_key[entry] = Some(number);
        self.sockets[number].key = Some(key);
        // Registering tells what is so already.
        self.change(number);
        Ok(())
    }

    fn receive(&mut self, number: usize, into: &mut [u8]) -> io::Result<Received> {
        let shortened = self.may(self.weather.short_read);
        let socket = &mut self.sockets[number];
        if socket.inbound.is_empty() {
            if socket.reset && !socket.error_taken {
                (socket.error_taken, socket.told_end) = (true, true);
                self.trace.note(self.clock, Event::ReadFails(number));
                return Err(ErrorKind::ConnectionReset.into());
            }
            let end = socket.reset || socket.fin;
            socket.told_end |= end;
            self.trace
                .note(self.clock, Event::Reads(number, 0, false, end));
            let received = Received::default();
            return Ok(Received { end, ..received });
        }
        let most = into.len().min(socket.inbound.len());
        let count = if shortened {
            1 + self.random.below(most)
        } else {
            most
        };
        let more = count == into.len();
        for (to, from) in into.iter_mut().zip(socket.inbound.drain(..count)) {
            *to = from;
        }
        socket.read += count as u64;
        socket.read_at = self.clock;
        let read = socket.read;
        if !more && !socket.inbound.is_empty() {
            // A short read has taken all there was: the rest comes just now.
            self.change(number);
        }
        if self.reads.iter().any(|(other, _)| *other == number) {
            self.fault = Some(format!("{number} is read twice in a turn"));
        }
        self.reads.push((number, read));
        self.trace
            .note(self.clock, Event::Reads(number, count, more, false));
        Ok(Received {
            bytes: count,
            more,
            end: false,
        })
    }

    fn send(&mut self, number: usize, parts: &[IoSlice<'_>]) -> io::Result<Written> {
        let shortened = self.may(self.weather.short_write);
        let socket = &mut self.sockets[number];
        if socket.reset {
            socket.told_end = true;
            self.trace.note(self.clock, Event::WriteFails(number));
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: usize = parts.iter().map(|part| part.len()).sum();
        if offered == 0 || socket.told_full || socket.server_fin.is_some() {
            self.fault = Some(format!(
                "{offered} bytes are written to {number}, full: {}",
                socket.told_full
            ));
        }
        let room = socket.outbound_room.saturating_sub(socket.outbound.len());
        let most = offered.min(room);
        let bytes = if shortened {
            self.random.below(most + 1)
        } else {
            most
        };
        socket.pressed |= shortened;
        let mut left = bytes;
        for part in parts {
            let part = &part[..part.len().min(left)];
            socket.outbound.extend(part);
            socket.fresh.extend_from_slice(part);
            left -= part.len();
        }
        let full = bytes < offered;
        let is_all = offered < self.offer && parts.len() < NextWrite::MAX_SLICES;
        socket.lags = full || socket.lags && !is_all;
        if full {
            (socket.told_full, socket.was_full, socket.wants_room) = (true, true, true);
        }
        socket.tried_at = self.clock;
        if bytes > 0 {
            socket.wrote_at = self.clock;
        }
        let check = socket.fresh.iter().fold(bytes as u64, |sum, &byte| {
            sum.rotate_left(5) ^ u64::from(byte)
        });
        self.trace
            .note(self.clock, Event::Writes(number, offered, bytes, check));
        Ok(Written { bytes, full })
    }

    fn close(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        self.trace
            .note(self.clock, Event::Closes(number, socket.abandoned));
        if socket.abandoned {
            socket.outbound.clear();
        }
        socket.state = State::Closed;
        self.held -= 1;
        self.closed.push(number);
    }
}

impl Socket {
    fn has_room(&self) -> bool {
        (self.outbound_room - self.outbound.len()) * 3 >= self.outbound_room
    }

    fn readiness(&self) -> Readiness {
        let half_closed = self.fin || self.reset;
        Readiness {
            readable: half_closed || !self.inbound.is_empty(),
            writable: self.reset || self.has_room() && !self.pressed,
            half_closed,
            broken: self.reset || self.fin && self.server_fin.is_some(),
        }
    }
}

/// The server's view of the world.
#[derive(Debug)]
pub struct Simulated(pub Rc<RefCell<World>>);

/// A simulated socket: closed when dropped.
#[derive(Debug)]
pub struct Held {
    world: Rc<RefCell<World>>,
    number: usize,
}

impl Network for Simulated {
    type Socket = Held;

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool> {
        let world = &mut *self.0.borrow_mut();
        world.trace.note(world.clock, Event::Waits(timeout));
        world.patience = timeout;
        let before = ready.len();
        world.tell(timeout, ready);
        world.stirred = ready.len() > before || world.more && world.stirred;
        world.more = !world.changed.is_empty();
        if world.may(world.weather.jump) {
            world.trace.note(world.clock, Event::Jumps);
            world.clock += world.random.scaled(100_000_000);
            world.jumped_at = Some(world.clock);
        }
        world.sleep(if world.stirred {
            Some(Duration::ZERO)
        } else {
            timeout
        });
        world.woke_at = world.clock;
        Ok(world.more)
    }

    fn now(&mut self) -> Moment {
        let world = &mut *self.0.borrow_mut();
        world.clock += world.random.below(20) as u64;
        Moment(world.clock)
    }

    fn unix_millis(&mut self) -> u64 {
        1_755_500_000_000 + self.0.borrow().clock / 1_000
    }

    fn accept(&mut self) -> io::Result<Accepted<Held>> {
        let world = &mut *self.0.borrow_mut();
        world.stirred = true;
        let number = world.accept()?;
        Ok(Accepted {
            socket: Held {
                world: Rc::clone(&self.0),
                number,
            },
            address: world.sockets[number].address,
            listener: ListenerId::default(),
        })
    }

    fn register(&mut self, socket: &mut Held, key: ConnectionKey) -> io::Result<()> {
        self.0.borrow_mut().register(socket.number, key)
    }

    fn shed(&mut self, response: &[u8]) -> io::Result<()> {
        let world = &mut *self.0.borrow_mut();
        if world.random.once_in(4) {
            return Err(Errno::MFILE.into());
        }
        let number = world.door.pop_front().ok_or(ErrorKind::WouldBlock)?;
        world.sockets[number].fresh.extend_from_slice(response);
        world.sockets[number].outbound.extend(response);
        world.sockets[number].state = State::Closed;
        Ok(())
    }

    fn stop_listening(&mut self) {
        let world = &mut *self.0.borrow_mut();
        world.listening = false;
        while let Some(number) = world.door.pop_front() {
            world.sockets[number].state = State::Closed;
        }
    }
}

impl Transport for Held {
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received> {
        let world = &mut *self.world.borrow_mut();
        world.stirred = true;
        world.receive(self.number, into)
    }

    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<Written> {
        let world = &mut *self.world.borrow_mut();
        world.stirred = true;
        world.send(self.number, parts)
    }

    fn half_close(&mut self) {
        let world = &mut *self.world.borrow_mut();
        world
            .trace
            .note(world.clock, Event::HalfCloses(self.number));
        world.sockets[self.number].server_fin = Some(world.woke_at);
        if world.sockets[self.number].fin {
            world.change(self.number);
        }
    }

    fn abandon(&mut self) {
        self.world.borrow_mut().sockets[self.number].abandoned = true;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.world.borrow_mut().close(self.number);
    }
}

/// What counts as one address: in IPv6 a network of 64 bits.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// One of a few addresses, so that some are shared.
pub fn address(random: &mut Random) -> IpAddr {
    match random.below(6) {
        0..3 => Ipv4Addr::LOCALHOST.into(),
        3 => Ipv4Addr::new(192, 0, 2, 7).into(),
        4 => Ipv4Addr::new(192, 0, 2, 8).to_ipv6_mapped().into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, random.below(9) as u16).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Weather = Weather {
        short_read: 0,
        short_write: 0,
        late: 0,
        spurious: 0,
        bad_accept: 0,
        bad_register: 0,
        jump: 0,
    };

    #[test]
    fn who_was_full_lags_until_a_write_takes_all_that_there_was() {
        let random = Random::of_bytes(b"");
        let mut world = World::new(random, Trace::new(false), CALM, 1, 100);
        let number = world.connect(Ipv4Addr::LOCALHOST.into(), 200, 200);
        // Pieces of so many bytes are offered, after the client has read or has not.
        for (reads, pieces, lags) in [
            (false, &[99][..], false),
            (false, &[100], false),
            (false, &[50], true),
            (true, &[60, 40], true),
            (true, &[1; NextWrite::MAX_SLICES], true),
            (true, &[99], false),
            (true, &[150, 150], true),
            (false, &[10], true),
            (true, &[10], false),
        ] {
            if reads {
                world.client_reads(number, usize::MAX);
                world.sockets[number].told_full = false;
            }
            let bytes = [7; 150];
            let parts: Vec<_> = pieces.iter().map(|&n| IoSlice::new(&bytes[..n])).collect();
            world.send(number, &parts).unwrap();
            assert_eq!(world.sockets[number].lags, lags, "{pieces:?}");
        }
    }
}
