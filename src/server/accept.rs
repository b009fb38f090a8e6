//! Newcomers, at a bounded pace.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::connection::{Connection, DropReason, Flags, Peer, Stage};
use super::report::Notice;
use super::{Accepted, Moment, Network, Server};
use crate::feed::Outbox;
use crate::http::{Head, Refusal};
use crate::ids::ConnectionKey;

/// Connections above a limit, of all or of one address, that are still accepted, to be told so.
const SURPLUS: usize = 16;

/// How long accepting pauses once the system has no descriptor or memory left.
const PAUSE: Duration = Duration::from_millis(100);

/// Handshakes that are finished and may stand behind one that is not, beside as many as are not.
const FINISHED: usize = 1_024;

/// Whether somebody may be waiting at the door, and whether we look.
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    waiting: bool,
    /// No looking before this.
    not_before: Moment,
    /// No looking before somebody has left.
    closed: bool,
}

impl Acceptor {
    pub(super) fn newcomers(&mut self) {
        self.waiting = true;
    }

    /// Somebody has left: there is room again.
    pub(super) fn room_again(&mut self) {
        self.closed = false;
        self.not_before = Moment::default();
    }

    /// When to look next.
    fn due(&self) -> Option<Moment> {
        (self.waiting && !self.closed).then_some(self.not_before)
    }
}

impl<N: Network> Server<N> {
    /// When to look who is at the door, if anybody may be.
    pub(super) fn newcomers_due(&self) -> Option<Moment> {
        self.pace.due().filter(|_| self.shutdown.is_none())
    }

    pub(super) fn accept(&mut self) {
        if self.newcomers_due().is_none_or(|due| due > self.now) {
            return;
        }
        for _ in 0..self.limits.budget.accepts {
            if self.connections.len() >= self.limits.max_connections.saturating_add(SURPLUS) {
                self.pace.closed = true;
                return;
            }
            match self.network.accept() {
                Ok(accepted) => self.add_connection(accepted),
                Err(error) if is_nobody(&error) => {
                    self.pace.waiting = false;
                    return;
                }
                Err(error) => match error.kind() {
                    // A newcomer that has gone again, or a signal: nothing (accept(2)).
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                    _ if is_shortage(&error) => {
                        let shed = self.shed();
                        if shed.as_ref().is_err_and(is_nobody) {
                            // The kernel looks for a descriptor before it looks who is there.
                            self.pace.waiting = false;
                            return;
                        }
                        self.counts.accept_shortages += 1;
                        self.notice(Notice::Shortage, format_args!("cannot accept: {error}"));
                        if shed.is_err() {
                            self.pace.not_before = self.now + PAUSE;
                            return;
                        }
                    }
                    // Pending errors of the new socket, such as a network that went down (accept(2)), and
                    // whatever else: none may come again and again without a pause.
                    _ => {
                        self.notice(Notice::Shortage, format_args!("cannot accept: {error}"));
                        self.pace.not_before = self.now + PAUSE;
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
        let counted = self.limits.max_per_address > 0
            && (self.limits.count_loopback || !address.to_canonical().is_loopback());
        let of_address = self.addresses.get(&peer).map_or(0, |&count| count as usize);
        if counted && of_address >= self.limits.max_per_address as usize + SURPLUS {
            // Told often enough: no place is held for those who do not listen.
            self.counts.connections_over_limit += 1;
            return;
        }
        let entry = self.connections.vacant_key();
        let Ok(key) = u32::try_from(entry).map(ConnectionKey) else {
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
        if counted {
            *self.addresses.entry(peer).or_insert(0) += 1;
            flags.set(Flags::COUNTED);
            if of_address >= self.limits.max_per_address as usize {
                flags.set(Flags::SURPLUS);
            }
        }
        if self.connections.len() >= self.limits.max_connections {
            flags.set(Flags::SURPLUS);
        }
        self.highest = self.highest.max(entry + 1);
        let id = self.new_id();
        let now = self.tick();
        self.connections.insert(Connection {
            socket,
            flags,
            last_received: now,
            stuck: 0,
            id,
            peer,
            outbox: Outbox::join(&self.lobby),
            stage: Stage::Handshaking(Head::new(listener)),
        });
        log::debug!("{address} has connected as #{}", id.0);
        self.strangers += 1;
        self.handshaking.set(super::ConnectionRef { key, id }, now);
        if self.handshaking.len() > 2 * self.strangers + FINISHED {
            let connections = &self.connections;
            self.handshaking.retain(|ticket| {
                let there = connections.get(ticket.key.0 as usize);
                there.is_some_and(|found| found.id == ticket.id && found.is_handshaking())
            });
        }
        if self.strangers > self.limits.max_handshakes {
            self.evict_oldest_handshake();
        }
    }

    /// Too many have not finished their handshakes: the oldest makes room.
    fn evict_oldest_handshake(&mut self) {
        self.prune_handshakes();
        if let Some((_, oldest)) = self.handshaking.front() {
            self.handshaking.pop_front();
            self.counts.handshakes_over_limit += 1;
            self.drop_connection(
                oldest.key,
                DropReason::Squeezed("too many have not finished their handshakes"),
            );
        }
    }

    /// No descriptor is left: tells one newcomer so, by way of the reserve.
    fn shed(&mut self) -> io::Result<()> {
        let mut response = Vec::new();
        let body = self.response_to(Refusal::Full, &mut response);
        response.extend_from_slice(body);
        self.network.shed(&response)?;
        self.counts.rejected_without_descriptor += 1;
        Ok(())
    }
}

/// Whether nobody is at the door: the next to come will be an event.
fn is_nobody(error: &io::Error) -> bool {
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
