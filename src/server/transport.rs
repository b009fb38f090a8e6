//! What the event loop needs of the world: sockets, and which of them are ready.
//!
//! Two implementations exist: the kernel's, by way of mio, and a simulated one that obeys a seed.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::time::Duration;

use super::Moment;
use crate::http::ListenerId;
use crate::ids::ConnectionKey;

/// What one read brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes that were put at the front of the buffer.
    pub bytes: usize,
    /// Whether another read may bring more without a new event.
    pub more: bool,
    /// Whether the peer's FIN was met: nothing was read, and nothing ever will be.
    pub end: bool,
}

/// What one write took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were taken off the front.
    pub bytes: usize,
    /// Whether the socket is full: an event will say when it no longer is.
    pub full: bool,
}

/// A socket that never blocks.
pub trait Transport {
    /// Reads once.
    ///
    /// # Errors
    /// The connection is broken. That nothing is there is not an error.
    fn receive(&mut self, into: &mut [u8]) -> io::Result<Received>;

    /// Writes once.
    ///
    /// # Errors
    /// The connection is broken. That there is no room is not an error.
    fn send(&mut self, parts: &[IoSlice<'_>]) -> io::Result<Written>;

    /// Sends FIN behind what was written; reading goes on.
    fn half_close(&mut self);

    /// Makes the close that follows drop what the kernel still holds.
    fn abandon(&mut self);
}

/// What an event says of a connection. Events are edges: each says only what is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read may bring something.
    pub readable: bool,
    /// A socket that was full has room again.
    pub writable: bool,
    /// The peer has closed its side.
    pub half_closed: bool,
    /// Both sides are closed, or the connection is broken.
    pub broken: bool,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Connections may be waiting to be accepted.
    Newcomers,
    /// The state of a connection has changed.
    Connection(ConnectionKey, Readiness),
    /// The process was asked to end, or to say how it is.
    Signal(Signal),
}

/// A connection that has just been accepted.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub socket: S,
    /// The client's address.
    pub address: IpAddr,
    /// The listener that it came by.
    pub listener: ListenerId,
}

/// What the process can be asked from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// To end in good order; asked again, to end at once.
    End,
    /// To log its counters.
    Report,
}

/// Where connections and events come from.
pub trait Network {
    /// A connection.
    type Socket: Transport;

    /// Waits until something is ready, at most so long (`None`: for ever), and appends what it is.
    /// Returns whether more may be ready already.
    ///
    /// # Errors
    /// The network is of no use any more.
    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<bool>;

    /// The time since the start. Never goes back.
    fn now(&mut self) -> Moment;

    /// Milliseconds since 1970, as the wall clock has it.
    fn unix_millis(&mut self) -> u64;

    /// Accepts the next connection.
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and all else that `accept(2)` has.
    fn accept(&mut self) -> io::Result<Accepted<Self::Socket>>;

    /// Asks for events of a connection, which will carry its key.
    ///
    /// # Errors
    /// The kernel cannot keep watch over one more.
    fn register(&mut self, socket: &mut Self::Socket, key: ConnectionKey) -> io::Result<()>;

    /// Refuses one connection although no descriptor is left: gives up a reserve, accepts the connection
    /// in its place, writes `response` to it, and closes it.
    ///
    /// # Errors
    /// `WouldBlock` if no connection is waiting, and all else that `accept(2)` has, a reserve that is gone included.
    fn shed(&mut self, response: &[u8]) -> io::Result<()>;

    /// Accepts no connections any more.
    fn stop_listening(&mut self);
}
