//! The event loop: one thread, one poll, and a turn that fits on a screen.
//!
//! [`Server`] is generic over the [`Network`]: the kernel's in earnest, a simulated one in tests. Its
//! parts are told by the verbs of the turn, one file each.

mod accept;
mod admission;
mod broadcast;
#[cfg(any(test, feature = "census"))]
mod census;
mod clock;
mod close;
mod connection;
mod conversation;
mod deadlines;
mod decode;
mod flush;
mod keepalive;
mod limits;
mod memory;
mod net;
mod paused;
mod rate_limit;
mod receive;
mod report;
mod respond;
mod shutdown;
mod timers;
mod transport;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::io;
use std::time::Duration;

use siphasher::sip::SipHasher13;
use slab::Slab;

#[cfg(any(test, feature = "census"))]
pub use census::{Census, Phase, Resident};
pub use clock::Moment;
pub use limits::{Budget, Limits, Unfit};
pub use net::{Kernel, listen, listen_at};
pub use report::Counts;
pub use transport::{Accepted, Network, Readiness, Ready, Received, Signal, Transport, Written};

use crate::chat::Rooms;
use crate::feed::Lane;
use crate::http::Site;
use crate::ids::{ConnectionId, ConnectionKey, RoomKey};
use crate::random::Random;
use crate::time::Tick;
use crate::ws::deflate::Inflater;
use accept::Acceptor;
use broadcast::BusyRoom;
use connection::{Connection, ConnectionRef, Flags, Peer};
use deadlines::Deadlines;
use keepalive::KeepaliveSweep;
use memory::HeapLedger;
use report::Notices;
use shutdown::Shutdown;

/// What is due after so long is not worth a look at the clock.
const FAR: Duration = Duration::from_secs(1);

/// Batches of events that one turn asks for at most, while they bring fewer members than it reads, and end fewer
/// connections than it may.
const BATCHES: usize = 16;

/// Entries that an empty list keeps space for.
const SPARE: usize = 256;

/// A chat server.
pub struct Server<N: Network> {
    network: N,
    site: Site,
    limits: Limits,
    /// When this turn began.
    now: Moment,
    connections: Slab<Connection<N::Socket>>,
    rooms: Rooms,
    /// What connections without a room follow: nothing is ever said there.
    lobby: Lane,
    /// Inflates for everybody, once somebody needs it.
    inflater: Option<Inflater>,
    /// What one read brings, whoever it is from.
    scratch: Box<[u8]>,
    /// What one wait brought.
    ready: Vec<Ready>,

    /// Edges do not come again: what is unfinished stands in one of these lists.
    pace: Acceptor,
    to_read: VecDeque<ConnectionRef>,
    /// As `to_read`, of those who had said more than one read takes, or than their rates allow: whoever says little
    /// is heard before them.
    to_read_on: VecDeque<ConnectionRef>,
    /// As `to_read`, of those who have not finished their handshake: the others are heard before them.
    knocking: VecDeque<ConnectionRef>,
    to_write: VecDeque<ConnectionRef>,
    /// Those in debt, by when it is paid.
    resting: BinaryHeap<Reverse<(Tick, ConnectionRef)>>,
    /// Those whose room is deaf, being full or waiting for those who lag, by that room.
    parked: BTreeMap<RoomKey, Vec<ConnectionRef>>,
    /// Those of these rooms that wait for those who lag, by until when.
    waiting: BTreeSet<(Tick, RoomKey)>,
    /// Rooms with something new, the next in front.
    busy: VecDeque<BusyRoom>,
    /// Whether a room with this key is in `busy` or `gathering`.
    aboard: Vec<bool>,
    /// Busy rooms that gather, by when they go on.
    gathering: BinaryHeap<Reverse<(Moment, BusyRoom)>>,
    /// Those that leave with this turn.
    ended: Vec<ConnectionKey>,

    handshaking: Deadlines,
    /// Connections that have not finished their handshake.
    strangers: usize,
    closing: Deadlines,
    draining: Deadlines,
    watchman: KeepaliveSweep,
    shutdown: Option<Shutdown>,

    next_id: u32,
    /// Connections by address, where that is limited.
    addresses: HashMap<Peer, u32, Seeded>,
    /// No connection's key is as high as this.
    highest: usize,
    /// Connections whose sockets are full.
    blocked: usize,
    holdings: HeapLedger,
    counts: Counts,
    notices: Notices,
}

/// Hashing that nobody outside can foresee.
#[derive(Clone, Debug)]
struct Seeded(SipHasher13);

impl BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}

impl<N: Network> Server<N> {
    /// A server that has nobody yet. `seed` is 128 random bits that nobody else knows.
    ///
    /// # Errors
    /// Limits that do not fit each other.
    pub fn new(network: N, site: Site, limits: Limits, seed: u128) -> Result<Self, Unfit> {
        limits.check()?;
        let mut random = Random::new(seed);
        let hasher = Seeded(SipHasher13::new_with_key(&random.bits128().to_le_bytes()));
        let rooms = Rooms::new(random.bits128(), limits.rooms, limits.ping_interval);
        Ok(Server {
            network,
            site,
            now: Moment::default(),
            connections: Slab::new(),
            rooms,
            lobby: Lane::new(0),
            inflater: None,
            scratch: vec![0; limits.read_bytes()].into(),
            ready: Vec::new(),
            pace: Acceptor::default(),
            to_read: VecDeque::new(),
            to_read_on: VecDeque::new(),
            knocking: VecDeque::new(),
            to_write: VecDeque::new(),
            resting: BinaryHeap::new(),
            parked: BTreeMap::new(),
            waiting: BTreeSet::new(),
            busy: VecDeque::new(),
            aboard: Vec::new(),
            gathering: BinaryHeap::new(),
            ended: Vec::new(),
            handshaking: Deadlines::new(limits.handshake_timeout),
            strangers: 0,
            closing: Deadlines::new(limits.close_timeout),
            draining: Deadlines::new(limits::DRAINING),
            watchman: KeepaliveSweep::new(&limits),
            shutdown: None,
            next_id: 0,
            addresses: HashMap::with_hasher(hasher.clone()),
            highest: 0,
            blocked: 0,
            holdings: HeapLedger::new(hasher),
            counts: Counts::default(),
            notices: Notices::default(),
            limits,
        })
    }

    /// Serves until it is asked to end.
    ///
    /// # Errors
    /// The network is of no use any more.
    pub fn run(&mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// One turn of the loop. Returns whether there is to be another.
    ///
    /// # Errors
    /// The network is of no use any more.
    pub fn turn(&mut self) -> io::Result<bool> {
        self.wait()?;
        self.accept();
        self.receive();
        self.squeeze();
        self.flush();
        self.watch();
        self.reap();
        Ok(!self.is_over())
    }

    /// Waits until something is ready or due, and notes what.
    fn wait(&mut self) -> io::Result<()> {
        let mut timeout = self.poll_timeout();
        if timeout != Some(Duration::ZERO) {
            self.shrink();
        }
        let mut ready = std::mem::take(&mut self.ready);
        for _ in 0..BATCHES {
            let more = self.network.wait(timeout, &mut ready)?;
            self.now = self.network.now();
            for event in ready.drain(..) {
                match event {
                    Ready::Newcomers => self.pace.newcomers(),
                    Ready::Connection(key, readiness) => self.on_ready(key, readiness),
                    Ready::Signal(signal) => self.on_signal(signal),
                }
            }
            // In the kernel's line members stand behind strangers; in ours they do not.
            let budget = &self.limits.budget;
            if !more || self.to_read.len() >= budget.reads || self.ended.len() >= budget.ends {
                break;
            }
            timeout = Some(Duration::ZERO);
        }
        self.ready = ready;
        Ok(())
    }

    /// Whether no list has work left.
    fn is_idle(&self) -> bool {
        self.to_read.is_empty()
            && self.to_read_on.is_empty()
            && self.knocking.is_empty()
            && self.to_write.is_empty()
            && self.busy.is_empty()
    }

    /// How long nothing is due: not at all while anything is unfinished, for ever if nothing is.
    fn poll_timeout(&mut self) -> Option<Duration> {
        if !self.is_idle() {
            return Some(Duration::ZERO);
        }
        let due = [
            self.newcomers_due(),
            self.resting
                .peek()
                .map(|Reverse((tick, _))| Moment::of(*tick)),
            self.waiting.first().map(|(tick, _)| Moment::of(*tick)),
            self.gathering.peek().map(|Reverse((moment, _))| *moment),
            self.handshaking.due(),
            self.closing.due(),
            self.draining.due(),
            self.watchman.due(self.anybody_to_watch()),
            self.rooms_due(),
            self.shutdown.as_ref().map(Shutdown::due),
        ]
        .into_iter()
        .flatten()
        .min()?;
        // A turn is short beside what is far away.
        let now = if due - self.now > FAR {
            self.now
        } else {
            self.network.now()
        };
        Some(due - now)
    }

    /// Before it goes to sleep, the server gives back what its lists have grown by when much was going on.
    fn shrink(&mut self) {
        self.to_read.shrink_to(SPARE);
        self.to_read_on.shrink_to(SPARE);
        self.knocking.shrink_to(SPARE);
        self.to_write.shrink_to(SPARE);
        self.busy.shrink_to(SPARE);
        self.ended.shrink_to(SPARE);
        if self.resting.is_empty() {
            self.resting.shrink_to(SPARE);
        }
        if self.gathering.is_empty() {
            self.gathering.shrink_to(SPARE);
            if self.rooms.is_empty() {
                self.aboard = Vec::new();
            }
        }
        if self.addresses.is_empty() {
            self.addresses.shrink_to_fit();
        }
    }

    /// Something is new with a connection.
    fn on_ready(&mut self, key: ConnectionKey, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if readiness.half_closed {
            connection.flags.set(Flags::HALF_CLOSED);
        }
        if readiness.broken {
            connection.flags.set(Flags::BROKEN);
        }
        if readiness.broken && connection.flags.is_unread() {
            self.drop_connection(key, connection::DropReason::Vanished);
            return;
        }
        let wants_more = readiness.writable && connection.flags.clear(Flags::BLOCKED);
        self.blocked -= usize::from(wants_more);
        if readiness.readable || readiness.half_closed || readiness.broken {
            self.enqueue_read(key);
        }
        if wants_more {
            self.enqueue_write(key);
        }
    }

    /// The connection at a key, unless it ends with this turn.
    fn connection(&mut self, key: ConnectionKey) -> Option<&mut Connection<N::Socket>> {
        self.connections
            .get_mut(key.0 as usize)
            .filter(|connection| !connection.flags.has(Flags::ENDED))
    }

    /// The connection that a list which outlives a turn meant, if it is still there.
    fn resolve(&mut self, ticket: ConnectionRef) -> Option<&mut Connection<N::Socket>> {
        self.connection(ticket.key)
            .filter(|connection| connection.id == ticket.id)
    }

    /// A connection is to be read in this turn or the next, unless we do not want to hear it now.
    fn enqueue_read(&mut self, key: ConnectionKey) {
        self.line_up(key, |server| &mut server.to_read);
    }

    /// Likewise for what one read has left, or one hearing.
    fn enqueue_backlog(&mut self, key: ConnectionKey) {
        self.line_up(key, |server| &mut server.to_read_on);
    }

    fn line_up(
        &mut self,
        key: ConnectionKey,
        list: impl Fn(&mut Self) -> &mut VecDeque<ConnectionRef>,
    ) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        if connection.flags.is_unread() || connection.flags.has(Flags::TO_READ) {
            return;
        }
        connection.flags.set(Flags::TO_READ);
        let id = connection.id;
        let list = if connection.is_handshaking() {
            &mut self.knocking
        } else {
            list(self)
        };
        list.push_back(ConnectionRef { key, id });
    }

    /// A connection is to be written to in this turn or the next: it may hold private bytes.
    fn enqueue_write(&mut self, key: ConnectionKey) {
        self.weigh(key);
        let Some(connection) = self.connection(key) else {
            return;
        };
        if !connection.flags.has(Flags::TO_WRITE) && !connection.flags.has(Flags::BLOCKED) {
            connection.flags.set(Flags::TO_WRITE);
            let id = connection.id;
            self.to_write.push_back(ConnectionRef { key, id });
        }
    }

    fn tick(&self) -> Tick {
        self.now.tick()
    }

    fn new_id(&mut self) -> ConnectionId {
        self.next_id = self.next_id.wrapping_add(1);
        ConnectionId(self.next_id)
    }
}
