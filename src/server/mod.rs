//! The event loop: one thread, one poll, and a turn that fits on a screen.
//!
//! [`Server`] is generic over the [`Network`]: the kernel's in production, a simulated one in tests. Each verb of
//! the turn has a file of its own. What a verb leaves for later is in a queue (`queues/`), and what is counted
//! about connections is kept by `Connections`.

mod accept;
mod admission;
mod backpressure;
mod broadcast;
#[cfg(any(test, feature = "census"))]
mod census;
mod clock;
mod close;
mod commits;
mod connections;
mod conversation;
mod decode;
mod drop_reason;
mod eviction;
mod flush;
mod keepalive;
mod limit_rules;
mod limits;
mod net;
mod peer;
mod queues;
mod rate_limit;
mod receive;
mod report;
mod respond;
mod shutdown;
mod timers;
mod transport;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

#[cfg(any(test, feature = "census"))]
pub use census::{Census, Phase, Resident};
pub use clock::Moment;
pub use limit_rules::Unfit;
pub use limits::{Budget, Limits};
pub use net::{Kernel, listen, listen_at};
pub use report::Counts;
pub use transport::{Accepted, Network, Readiness, Ready, Received, Signal, Transport, Written};

use crate::chat::Rooms;
use crate::engine::{Embedded, Engine};
use crate::feed::Lane;
use crate::http::Site;
use crate::ids::ConnectionKey;
use crate::random::Random;
use crate::time::Tick;
use connections::{Connections, Flags, Reading};
use drop_reason::DropReason;
use queues::{
    Acceptor, Buffers, Paused, ReadClass, ReadQueue, Requests, RunQueue, SPARE_ENTRIES, Timers,
    WriteQueue,
};
use report::Notices;
use shutdown::Shutdown;

/// For deadlines further away than this, the time at which the turn began is accurate enough.
const FAR_DEADLINE: Duration = Duration::from_secs(1);

/// Polls for events in one turn, at most, while they bring fewer members than the turn may read, and end fewer
/// connections than it may.
const POLLS: usize = 16;

/// A chat server.
pub struct Server<N: Network, E: Engine = Embedded> {
    network: N,
    engine: E,
    site: Site,
    limits: Limits,
    /// When this turn began.
    now: Moment,
    connections: Connections<N::Socket>,
    rooms: Rooms,
    /// The lane of connections without a room. Nothing is ever appended to it.
    lobby: Lane,
    acceptor: Acceptor,
    reads: ReadQueue,
    writes: WriteQueue,
    paused: Paused,
    requests: Requests,
    run_queue: RunQueue,
    timers: Timers,
    buffers: Buffers,
    shutdown: Option<Shutdown>,
    counts: Counts,
    notices: Notices,
}

impl<N: Network> Server<N> {
    /// A server without connections, which is alone. `seed` is 128 random bits that nobody else knows.
    ///
    /// # Errors
    /// Limits that do not fit each other.
    pub fn new(network: N, site: Site, limits: Limits, seed: u128) -> Result<Self, Unfit> {
        Server::with_engine(network, Embedded, site, limits, seed)
    }
}

impl<N: Network, E: Engine> Server<N, E> {
    /// A server without connections, behind which this engine stands.
    ///
    /// # Errors
    /// Limits that do not fit each other.
    pub fn with_engine(
        network: N,
        engine: E,
        site: Site,
        limits: Limits,
        seed: u128,
    ) -> Result<Self, Unfit> {
        limits.check()?;
        let mut random = Random::new(seed);
        let connections = Connections::new(random.bits128());
        let rooms = Rooms::new(random.bits128(), limits.rooms, limits.ping_interval);
        Ok(Server {
            network,
            engine,
            site,
            now: Moment::default(),
            connections,
            rooms,
            lobby: Lane::new(0),
            acceptor: Acceptor::default(),
            reads: ReadQueue::default(),
            writes: WriteQueue::default(),
            paused: Paused::default(),
            requests: Requests::default(),
            run_queue: RunQueue::default(),
            timers: Timers::new(&limits),
            buffers: Buffers::new(limits.read_bytes()),
            shutdown: None,
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

    /// Waits until something is ready or due, and notes what is ready.
    fn wait(&mut self) -> io::Result<()> {
        let mut timeout = self.poll_timeout();
        if timeout != Some(Duration::ZERO) {
            self.shrink();
        }
        let mut events = self.buffers.take_events();
        for _ in 0..POLLS {
            let more = self.network.wait(timeout, &mut events)?;
            self.now = self.network.now();
            for event in events.drain(..) {
                match event {
                    Ready::Newcomers => self.acceptor.on_event(),
                    Ready::Connection(key, readiness) => self.on_ready(key, readiness),
                    Ready::Signal(signal) => self.on_signal(signal),
                }
            }
            // epoll returns members and handshakes mixed, in order: the next poll may bring more members.
            let budget = &self.limits.budget;
            let members = self.reads.len(ReadClass::Ready);
            if !more || members >= budget.reads || self.connections.ended() >= budget.ends {
                break;
            }
            timeout = Some(Duration::ZERO);
        }
        self.buffers.put_events(events);
        Ok(())
    }

    /// Whether no queue has work.
    fn is_idle(&self) -> bool {
        self.reads.is_empty() && self.writes.is_empty() && self.run_queue.is_empty()
    }

    /// Poll timeout: zero while work is queued, the time to the next deadline otherwise, `None` if there is none.
    fn poll_timeout(&mut self) -> Option<Duration> {
        if !self.is_idle() {
            return Some(Duration::ZERO);
        }
        let to_sweep = self.has_anything_to_sweep();
        let due = [
            self.accept_due(),
            self.paused.due(),
            self.run_queue.due(),
            self.timers.due(to_sweep),
            self.rooms_due(),
            self.shutdown.as_ref().map(Shutdown::due),
            self.engine_due(),
        ]
        .into_iter()
        .flatten()
        .min()?;
        let now = if due - self.now > FAR_DEADLINE {
            self.now
        } else {
            self.network.now()
        };
        Some(due - now)
    }

    /// When the engine has an outcome that is taken in then.
    fn engine_due(&self) -> Option<Moment> {
        let now = self.tick();
        let is_paused = |room| self.rooms.is_paused(room, now);
        self.engine
            .due(|path| !self.rooms.find(path).is_some_and(is_paused))
    }

    /// Before the server sleeps, the queues give back the memory that a storm has left.
    fn shrink(&mut self) {
        self.connections.shrink(SPARE_ENTRIES);
        self.reads.shrink();
        self.writes.shrink();
        self.paused.shrink();
        self.run_queue.shrink(self.rooms.is_empty());
    }

    /// An event for a connection.
    fn on_ready(&mut self, key: ConnectionKey, readiness: Readiness) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        if readiness.half_closed {
            connection.flags.set(Flags::HALF_CLOSED);
        }
        if readiness.broken {
            connection.flags.set(Flags::BROKEN);
        }
        if readiness.broken && connection.reading.is_paused() {
            self.drop_connection(key, DropReason::Vanished);
            return;
        }
        let has_space = readiness.writable && connection.unblock();
        if readiness.readable || readiness.half_closed || readiness.broken {
            self.enqueue_read(key, ReadClass::Ready);
        }
        if has_space {
            self.enqueue_write(key);
        }
    }

    /// A connection is to be read in this turn or the next, unless it is paused. While it is handshaking, it is read
    /// after members, whatever the class.
    fn enqueue_read(&mut self, key: ConnectionKey, class: ReadClass) {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        if connection.reading != Reading::Idle {
            return;
        }
        connection.reading = Reading::Queued;
        let class = if connection.is_handshaking() {
            ReadClass::Handshaking
        } else {
            class
        };
        self.reads.push(class, connection.reference());
    }

    /// A connection is to be written to in this turn or the next, because it may be owed private bytes.
    fn enqueue_write(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        if !connection.flags.has(Flags::WRITE_QUEUED) && !connection.is_blocked() {
            connection.flags.set(Flags::WRITE_QUEUED);
            self.writes.push(connection.reference());
        }
    }

    fn tick(&self) -> Tick {
        self.now.tick()
    }
}
