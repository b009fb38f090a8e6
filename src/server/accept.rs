//! Accepting connections, a bounded number in a turn, and what to do when descriptors run out.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::connections::{Flags, NewConnection};
use super::drop_reason::DropReason;
use super::peer::Peer;
use super::queues::Deadline;
use super::report::Notice;
use super::{Accepted, Moment, Network, Server};
use crate::engine::Engine;
use crate::feed::Outbox;
use crate::http::{Incoming, Refusal};
use crate::ids::ConnectionRef;

/// Connections beyond a limit, of all or of one address, that are still accepted, so that their requests are refused.
const SURPLUS: usize = 16;

/// How long accepting pauses once the system has no descriptor or memory left.
const PAUSE: Duration = Duration::from_millis(100);

/// Stale entries that the deadlines of handshakes may have, beyond one for each live handshake, before they are
/// compacted.
const STALE_DEADLINES: usize = 1_024;

impl<N: Network, E: Engine> Server<N, E> {
    /// When to accept next, if connections may be waiting.
    pub(super) fn accept_due(&self) -> Option<Moment> {
        self.acceptor.due().filter(|_| self.shutdown.is_none())
    }

    pub(super) fn accept(&mut self) {
        if self.accept_due().is_none_or(|due| due > self.now) {
            return;
        }
        for _ in 0..self.limits.budget.accepts {
            if self.connections.len() >= self.limits.max_connections.saturating_add(SURPLUS) {
                self.acceptor.on_full();
                return;
            }
            match self.network.accept() {
                Ok(accepted) => self.add_connection(accepted),
                Err(error) if would_block(&error) => {
                    self.acceptor.on_none_left();
                    return;
                }
                Err(error) => match error.kind() {
                    // A connection that is gone again, or a signal (accept(2)): there may be more.
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ if is_shortage(&error) => {
                        let shed = self.shed();
                        if shed.as_ref().is_err_and(would_block) {
                            // The kernel looks for a descriptor first: no connection is waiting after all.
                            self.acceptor.on_none_left();
                            return;
                        }
                        self.counts.accept_shortages += 1;
                        self.notice(Notice::Shortage, format_args!("cannot accept: {error}"));
                        if shed.is_err() {
                            self.acceptor.pause(self.now + PAUSE);
                            return;
                        }
                    }
                    // Pending errors of the new socket, such as a network that went down (accept(2)), and all
                    // others: none may come again and again without a pause.
                    _ => {
                        self.notice(Notice::Shortage, format_args!("cannot accept: {error}"));
                        self.acceptor.pause(self.now + PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn add_connection(&mut self, accepted: Accepted<N::Socket>) {
        let Accepted {
            mut socket,
            address,
            listener,
        } = accepted;
        let peer = Peer::of(address);
        let is_counted = self.limits.max_per_address > 0
            && (self.limits.count_loopback || !address.to_canonical().is_loopback());
        let from_address = self.connections.count_from(peer) as usize;
        let max_from_address = self.limits.max_per_address as usize;
        if is_counted && from_address >= max_from_address + SURPLUS {
            // Enough connections from there wait to be refused: this one is closed at once.
            self.counts.connections_over_limit += 1;
            return;
        }
        let Some(key) = self.connections.vacant_key() else {
            return;
        };
        if let Err(error) = self.network.register(&mut socket, key) {
            self.counts.accept_shortages += 1;
            self.notice(
                Notice::Shortage,
                format_args!("cannot watch over one more connection: {error}"),
            );
            return;
        }
        self.counts.connections_accepted += 1;
        let mut flags = Flags::default();
        if is_counted && from_address >= max_from_address
            || self.connections.len() >= self.limits.max_connections
        {
            flags.set(Flags::OVER_LIMIT);
        }
        let now = self.tick();
        let new = NewConnection {
            socket,
            peer,
            is_counted,
            flags,
            outbox: Outbox::join(&self.lobby),
            incoming: Incoming::new(listener),
        };
        let id = self.connections.insert(key, new, now);
        log::debug!("{address} has connected as #{}", id.0);
        let deadlines = self.timers.of(Deadline::Handshake);
        deadlines.set(ConnectionRef { key, id }, now);
        let handshaking = self.connections.handshaking();
        if deadlines.len() > 2 * handshaking + STALE_DEADLINES {
            deadlines.retain(|connection| self.connections.is_handshaking(connection));
        }
        if handshaking > self.limits.max_handshakes {
            self.evict_oldest_handshake();
        }
    }

    /// Too many connections are handshaking: the oldest is evicted.
    fn evict_oldest_handshake(&mut self) {
        self.prune_handshakes();
        let deadlines = self.timers.of(Deadline::Handshake);
        if let Some((_, oldest)) = deadlines.front() {
            deadlines.pop_front();
            self.counts.handshakes_over_limit += 1;
            self.drop_connection(
                oldest.key,
                DropReason::Evicted("too many have not finished their handshakes"),
            );
        }
    }

    /// No descriptor is left: one connection is refused by way of the reserve.
    fn shed(&mut self) -> io::Result<()> {
        let mut response = Vec::new();
        let body = self.response_to(Refusal::Full, &mut response);
        response.extend_from_slice(&body);
        self.network.shed(&response)?;
        self.counts.rejected_without_descriptor += 1;
        Ok(())
    }
}

/// Whether no connection is waiting: the next will be an event.
fn would_block(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// Whether the system lacks descriptors or memory: EMFILE, ENFILE, ENOBUFS, ENOMEM.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
            .contains(&Errno::from_raw_os_error(code))
    })
}
