//! Many clients on one thread: an epoll loop that talks, listens and verifies.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, ipproto, recv,
    send, socket_with, sockopt,
};

use crate::handshake::{Answer, answer, key, request};
use crate::message::{Id, SHORTEST};
use crate::room::{Control, Ear, Room};
use crate::tally::Tally;
use crate::wire::{Opcode, put_frame};

const SCRATCH: usize = 128 * 1024;
const BATCH: usize = 1024;
/// Connections in a row from one source address, and how many addresses take turns: more than
/// about 14,000 from one address make `connect` many times slower.
const ROW: u64 = 512;
const SOURCES: u64 = 64;

/// The clients of one process, their rooms, and what has been counted so far.
pub struct Crowd {
    server: SocketAddr,
    host: String,
    epoll: OwnedFd,
    events: Vec<Event>,
    clients: Vec<Client>,
    rooms: Vec<Room>,
    paths: HashMap<String, usize>,
    payload: Vec<u8>,
    frame: Vec<u8>,
    scratch: Vec<u8>,
    controls: Vec<Control>,
    begun: Instant,
    connections: u64,
    mask: u32,
    happened: Vec<Happened>,
    /// Whether clients that are still to come offer permessage-deflate.
    pub deflate: bool,
    /// What has been counted so far.
    pub tally: Tally,
}

/// One client of the crowd, by its place in the order of [`Crowd::open`].
pub type ClientId = usize;

/// Something that happened in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The handshake is done.
    Opened(ClientId),
    /// A message of its own came back.
    Heard(ClientId),
    /// A pong came.
    Ponged(ClientId),
    /// The connection has ended, and the client did not end it.
    Dropped(ClientId),
}

#[derive(Debug)]
struct Client {
    stage: Stage,
    room: usize,
    /// Bytes that a full socket did not take.
    unsent: Vec<u8>,
    pings: u32,
    pinged_at: u64,
}

#[derive(Debug)]
enum Stage {
    Connecting {
        socket: OwnedFd,
        key: String,
        path: String,
    },
    Shaking {
        socket: OwnedFd,
        key: String,
        head: Vec<u8>,
    },
    Open {
        socket: OwnedFd,
        ear: Ear,
    },
    Closed,
}

impl Crowd {
    /// A crowd without clients. `size` is the length of each message, in bytes; `host` goes into the request.
    ///
    /// # Errors
    ///
    /// Errors of `epoll_create`.
    pub fn new(server: SocketAddr, host: &str, size: usize) -> io::Result<Self> {
        Ok(Self {
            server,
            host: host.to_owned(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(BATCH),
            clients: Vec::new(),
            rooms: Vec::new(),
            paths: HashMap::new(),
            payload: vec![0; size.max(SHORTEST)],
            frame: Vec::new(),
            scratch: vec![0; SCRATCH],
            controls: Vec::new(),
            begun: Instant::now(),
            connections: 0,
            mask: 0x9e37_79b9,
            happened: Vec::new(),
            deflate: false,
            tally: Tally::default(),
        })
    }

    /// Nanoseconds since the crowd began.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// Starts to connect one more client, which will join the room at `path`.
    ///
    /// # Errors
    ///
    /// The system's errors: too many open files, no free port, no server at the address.
    pub fn open(&mut self, path: &str) -> io::Result<ClientId> {
        let family = if self.server.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        let row = self.connections / ROW % SOURCES;
        if row > 0 && self.server.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            bind(
                &socket,
                &SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + row as u8), 0)),
            )?;
        }
        match connect(&socket, &self.server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let id = self.clients.len();
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(
            &self.epoll,
            &socket,
            EventData::new_u64(id as u64),
            interest,
        )?;
        let room = *self.paths.entry(path.to_owned()).or_insert_with(|| {
            self.rooms.push(Room::new(self.deflate));
            self.rooms.len() - 1
        });
        let stage = Stage::Connecting {
            socket,
            key: key(self.connections),
            path: path.to_owned(),
        };
        self.connections += 1;
        self.clients.push(Client {
            stage,
            room,
            unsent: Vec::new(),
            pings: 0,
            pinged_at: 0,
        });
        // On loopback the connection stands already, and the request can go without an event.
        self.request(id);
        Ok(id)
    }

    /// Closes a client's connection without a close frame.
    pub fn close(&mut self, id: ClientId) {
        self.clients[id].stage = Stage::Closed;
        self.clients[id].unsent = Vec::new();
    }

    /// Forgets all clients, whose connections are reset, so that no port has to wait.
    ///
    /// # Errors
    ///
    /// Errors of `setsockopt`.
    pub fn clear(&mut self) -> io::Result<()> {
        for client in self.clients.drain(..) {
            if let Stage::Open { socket, .. } = client.stage {
                sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
            }
        }
        self.rooms.clear();
        self.paths.clear();
        Ok(())
    }

    /// Whether the client's socket has not taken all that the client has sent.
    #[must_use]
    pub fn is_full(&self, id: ClientId) -> bool {
        !self.clients[id].unsent.is_empty()
    }

    /// Sends the client's next message, which was due at `said_at`.
    pub fn say(&mut self, id: ClientId, said_at: u64) {
        let room = self.clients[id].room;
        let message = self.rooms[room].say(id as u32, said_at, &mut self.tally);
        message.write(&mut self.payload);
        let payload = mem::take(&mut self.payload);
        self.send(id, Opcode::Text, &payload);
        self.payload = payload;
    }

    /// Sends the client's next ping, as of `pinged_at`. The pong of an earlier one must be there.
    pub fn ping(&mut self, id: ClientId, pinged_at: u64) {
        let client = &mut self.clients[id];
        client.pinged_at = pinged_at;
        client.pings += 1;
        let mut payload = mem::take(&mut self.payload);
        let len = payload.len().min(125);
        let ping = &mut payload[..len];
        Id {
            sender: id as u32,
            number: self.clients[id].pings,
        }
        .write(ping);
        self.send(id, Opcode::Ping, ping);
        self.payload = payload;
    }

    /// Waits for events, at most for `wait`, acts upon them and fills in what has `happened`.
    ///
    /// # Errors
    ///
    /// Errors of `epoll_wait`.
    pub fn turn(&mut self, wait: Duration, happened: &mut Vec<Happened>) -> io::Result<()> {
        let wait = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        let mut events = mem::take(&mut self.events);
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&wait),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            let (id, flags) = (event.data.u64() as usize, event.flags);
            if flags.contains(EventFlags::OUT) {
                self.request(id);
                self.flush(id);
            }
            if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
                self.read(id, flags.contains(EventFlags::RDHUP));
            }
        }
        self.events = events;
        for (at, room) in self
            .rooms
            .iter_mut()
            .enumerate()
            .filter(|(_, room)| room.long())
        {
            room.cut(
                self.clients
                    .iter()
                    .filter(|client| client.room == at)
                    .filter_map(|client| match &client.stage {
                        Stage::Open { ear, .. } => Some(ear),
                        Stage::Connecting { .. } | Stage::Shaking { .. } | Stage::Closed => None,
                    }),
            );
        }
        happened.clear();
        mem::swap(happened, &mut self.happened);
        Ok(())
    }

    fn request(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        let Stage::Connecting { socket, key, path } = &client.stage else {
            return;
        };
        let request = request(&self.host, path, key, self.deflate);
        match send(socket, request.as_bytes(), SendFlags::NOSIGNAL) {
            Ok(sent) => client.unsent.extend_from_slice(&request.as_bytes()[sent..]),
            Err(Errno::AGAIN | Errno::NOTCONN) => return,
            Err(_) => return self.drop(id),
        }
        if let Stage::Connecting { socket, key, .. } =
            mem::replace(&mut client.stage, Stage::Closed)
        {
            client.stage = Stage::Shaking {
                socket,
                key,
                head: Vec::new(),
            };
        }
    }

    /// Edge-triggered, so it reads on while the buffer comes back full or the peer has finished.
    fn read(&mut self, id: ClientId, mut finished: bool) {
        let mut scratch = mem::take(&mut self.scratch);
        loop {
            let socket = match &self.clients[id].stage {
                Stage::Closed => break,
                Stage::Connecting { .. } if !finished => break,
                Stage::Connecting { socket, .. }
                | Stage::Shaking { socket, .. }
                | Stage::Open { socket, .. } => socket,
            };
            match recv(socket, &mut scratch[..], RecvFlags::empty()) {
                Ok((0, _)) => self.drop(id),
                Ok((count, _)) => {
                    self.take(id, &scratch[..count]);
                    if count < scratch.len() && !mem::take(&mut finished) {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => self.drop(id),
            }
        }
        self.scratch = scratch;
    }

    fn take(&mut self, id: ClientId, bytes: &[u8]) {
        let now = self.now();
        let client = &mut self.clients[id];
        match &mut client.stage {
            Stage::Connecting { .. } | Stage::Closed => {}
            Stage::Shaking { key, head, .. } => {
                head.extend_from_slice(bytes);
                let end = match answer(head, key, self.deflate) {
                    Answer::Incomplete => return,
                    Answer::Wrong => return self.drop(id),
                    Answer::Open(end) => end,
                };
                let early = head.split_off(end);
                if let Stage::Shaking { socket, .. } =
                    mem::replace(&mut client.stage, Stage::Closed)
                {
                    client.stage = Stage::Open {
                        socket,
                        ear: self.rooms[client.room].join(id as u32),
                    };
                }
                self.happened.push(Happened::Opened(id));
                if !early.is_empty() {
                    self.take(id, &early);
                }
            }
            Stage::Open { ear, .. } => {
                let room = &mut self.rooms[client.room];
                let mut controls = mem::take(&mut self.controls);
                match room.hear(ear, bytes, now, &mut self.tally, &mut controls) {
                    Ok(own) => self.happened.extend((0..own).map(|_| Happened::Heard(id))),
                    Err(_) => {
                        self.tally.faults.corrupt += 1;
                        self.drop(id);
                    }
                }
                for control in controls.drain(..) {
                    match control {
                        Control::Ping(payload) => self.send(id, Opcode::Pong, &payload),
                        Control::Pong(payload) => self.pong(id, &payload, now),
                        Control::Close => self.drop(id),
                    }
                }
                self.controls = controls;
            }
        }
    }

    fn pong(&mut self, id: ClientId, payload: &[u8], now: u64) {
        let client = &self.clients[id];
        if Id::read(payload)
            == Some(Id {
                sender: id as u32,
                number: client.pings,
            })
        {
            self.tally.pongs += 1;
            self.tally
                .pong_latency
                .add(now.saturating_sub(client.pinged_at));
            self.happened.push(Happened::Ponged(id));
        } else {
            self.tally.faults.corrupt += 1;
        }
    }

    fn send(&mut self, id: ClientId, opcode: Opcode, payload: &[u8]) {
        self.mask = self
            .mask
            .wrapping_mul(0x9e37_79b1)
            .wrapping_add(0x7f4a_7c15);
        let mut frame = mem::take(&mut self.frame);
        frame.clear();
        put_frame(&mut frame, opcode, self.mask.to_ne_bytes(), payload);
        let client = &mut self.clients[id];
        if let Stage::Open { socket, .. } = &client.stage {
            let sent = match client.unsent.is_empty() {
                true => send(socket, &frame, SendFlags::NOSIGNAL),
                false => Ok(0),
            };
            match sent {
                Ok(sent) => client.unsent.extend_from_slice(&frame[sent..]),
                Err(Errno::AGAIN | Errno::INTR) => client.unsent.extend_from_slice(&frame),
                Err(_) => self.drop(id),
            }
        }
        self.frame = frame;
    }

    fn flush(&mut self, id: ClientId) {
        let client = &mut self.clients[id];
        let (Stage::Shaking { socket, .. } | Stage::Open { socket, .. }) = &client.stage else {
            return;
        };
        while !client.unsent.is_empty() {
            match send(socket, &client.unsent, SendFlags::NOSIGNAL) {
                Ok(sent) => drop(client.unsent.drain(..sent)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => return self.drop(id),
            }
        }
    }

    /// The server has ended a connection.
    fn drop(&mut self, id: ClientId) {
        self.close(id);
        self.tally.faults.dropped += 1;
        self.happened.push(Happened::Dropped(id));
    }
}
