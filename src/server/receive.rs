//! Reads: one for each client per turn, decoded to its end and published at once.

use std::collections::VecDeque;
use std::mem;

use super::clock::TimeSlice;
use super::connection::{Awaits, Connection, ConnectionRef, DropReason, Flags, Stage};
use super::decode::ANSWERS;
use super::{Network, Server, Transport};
use crate::ids::ConnectionKey;

impl<N: Network> Server<N> {
    pub(super) fn receive(&mut self) {
        self.resume_by_rate();
        self.resume_overdue_rooms();
        // Whoever comes to that line in this turn has been read in it.
        let waited = self.to_read_on.len();
        self.read_each(usize::MAX, |server| &mut server.to_read);
        // However many those are who say much or want to come in, nobody else stands in line behind them.
        self.read_each(waited, |server| &mut server.to_read_on);
        self.read_each(usize::MAX, |server| &mut server.knocking);
    }

    /// Reads the first of a line, `most` of them at most.
    fn read_each(&mut self, most: usize, list: impl Fn(&mut Self) -> &mut VecDeque<ConnectionRef>) {
        let mut spell = TimeSlice::default();
        let most = most.min(self.limits.budget.reads);
        for _ in 0..list(self).len().min(most) {
            let Some(ticket) = list(self).pop_front() else {
                return;
            };
            if let Some(connection) = self.resolve(ticket) {
                connection.flags.clear(Flags::TO_READ);
                self.read(ticket);
                self.evict_partial_messages();
                self.evict_owed();
            }
            if spell.is_over(self.limits.budget.time, || self.network.now()) {
                return;
            }
        }
    }

    fn read(&mut self, ticket: ConnectionRef) {
        if self.pause_if_needed(ticket) {
            return;
        }
        let key = ticket.key;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if connection.flags.has(Flags::TO_WRITE) && connection.outbox.holds() > ANSWERS {
            return self.enqueue_backlog(key);
        }
        if let Some(mut undecoded) = connection.take_undecoded() {
            self.decode(key, &mut undecoded);
            self.weigh(key);
            // The edge that told of what is behind it has passed.
            return self.enqueue_backlog(key);
        }
        let is_over =
            connection.flags.has(Flags::HALF_CLOSED) || connection.flags.has(Flags::BROKEN);
        match connection.socket.receive(&mut self.scratch) {
            Err(error) => self.drop_connection(key, DropReason::Broken(error.kind())),
            Ok(received) if received.end => self.on_fin(key),
            Ok(received) => {
                if received.bytes > 0 {
                    let mut scratch = mem::take(&mut self.scratch);
                    self.on_bytes(key, &mut scratch[..received.bytes]);
                    self.scratch = scratch;
                    self.weigh(key);
                }
                // Data and FIN that arrive together bring one event and a short read: only another
                // read tells of the end.
                if received.more || is_over && received.bytes > 0 {
                    self.enqueue_backlog(key);
                }
            }
        }
    }

    /// The peer has answered our Close.
    pub(super) fn on_close_reply(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connection(key)
            && let Stage::Closing(closing) = &mut connection.stage
        {
            closing.awaits = Awaits::Outbox;
            self.enqueue_write(key);
        }
    }

    /// The peer's FIN: nothing more will come, but it may still want what it is owed.
    fn on_fin(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.flags.set(Flags::FIN_SEEN);
        match &mut connection.stage {
            Stage::Handshaking(_) => self.drop_connection(key, DropReason::Vanished),
            Stage::Open(_) => self.begin_closing(key, Awaits::Outbox),
            Stage::Closing(closing) => match closing.awaits {
                Awaits::Fin => self.drop_connection(key, DropReason::Closed),
                Awaits::Close(_) | Awaits::Outbox => {
                    closing.awaits = Awaits::Outbox;
                    self.enqueue_write(key);
                }
            },
        }
    }
}

impl<S> Connection<S> {
    /// What this client said in an earlier read and has not been heard.
    fn take_undecoded(&mut self) -> Option<Vec<u8>> {
        let Stage::Open(open) = &mut self.stage else {
            return None;
        };
        let undecoded = mem::take(&mut open.pending.as_mut()?.undecoded);
        Some(undecoded).filter(|undecoded| !undecoded.is_empty())
    }
}
