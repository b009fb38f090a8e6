//! Reads: one for each client per turn, decoded to its end and published at once.

use std::collections::VecDeque;
use std::mem;

use super::clock::Spell;
use super::connection::{Awaits, Connection, Flags, Gone, Stage, Ticket};
use super::decode::ANSWERS;
use super::{Network, Server, Transport};
use crate::ids::ConnectionKey;

impl<N: Network> Server<N> {
    pub(super) fn receive(&mut self) {
        self.wake_rested();
        self.wait_no_longer();
        // Whoever comes to that line in this turn has been read in it.
        let waited = self.to_read_on.len();
        self.read_each(usize::MAX, |server| &mut server.to_read);
        // However many those are who say much or want to come in, nobody else stands in line behind them.
        self.read_each(waited, |server| &mut server.to_read_on);
        self.read_each(usize::MAX, |server| &mut server.knocking);
    }

    /// Reads the first of a line, `most` of them at most.
    fn read_each(&mut self, most: usize, list: impl Fn(&mut Self) -> &mut VecDeque<Ticket>) {
        let mut spell = Spell::default();
        let most = most.min(self.limits.budget.reads);
        for _ in 0..list(self).len().min(most) {
            let Some(ticket) = list(self).pop_front() else {
                return;
            };
            if let Some(connection) = self.holder(ticket) {
                connection.flags.clear(Flags::TO_READ);
                self.read(ticket);
                self.squeeze_halves();
                self.squeeze_owed();
            }
            if spell.is_over(self.limits.budget.time, || self.network.now()) {
                return;
            }
        }
    }

    fn read(&mut self, ticket: Ticket) {
        if self.must_wait(ticket) {
            return;
        }
        let key = ticket.key;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if connection.flags.has(Flags::TO_WRITE) && connection.outbox.holds() > ANSWERS {
            return self.will_read_on(key);
        }
        if let Some(mut unheard) = connection.take_unheard() {
            self.hear(key, &mut unheard);
            self.weigh(key);
            // The edge that told of what is behind it has passed.
            return self.will_read_on(key);
        }
        let is_over =
            connection.flags.has(Flags::HALF_CLOSED) || connection.flags.has(Flags::BROKEN);
        match connection.socket.receive(&mut self.scratch) {
            Err(error) => self.end(key, Gone::Broken(error.kind())),
            Ok(received) if received.end => self.said_its_last(key),
            Ok(received) => {
                if received.bytes > 0 {
                    let mut scratch = mem::take(&mut self.scratch);
                    self.take(key, &mut scratch[..received.bytes]);
                    self.scratch = scratch;
                    self.weigh(key);
                }
                // Data and FIN that arrive together bring one event and a short read: only another
                // read tells of the end.
                if received.more || is_over && received.bytes > 0 {
                    self.will_read_on(key);
                }
            }
        }
    }

    /// The peer has answered our Close.
    pub(super) fn heard_close(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connection(key)
            && let Stage::Closing(farewell) = &mut connection.stage
        {
            farewell.awaits = Awaits::Outbox;
            self.will_write(key);
        }
    }

    /// The peer's FIN: nothing more will come, but it may still want what it is owed.
    fn said_its_last(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.flags.set(Flags::FIN_SEEN);
        match &mut connection.stage {
            Stage::Handshaking(_) => self.end(key, Gone::Vanished),
            Stage::Open(_) => self.part(key, Awaits::Outbox),
            Stage::Closing(farewell) => match farewell.awaits {
                Awaits::Fin => self.end(key, Gone::Closed),
                Awaits::Close(_) | Awaits::Outbox => {
                    farewell.awaits = Awaits::Outbox;
                    self.will_write(key);
                }
            },
        }
    }
}

impl<S> Connection<S> {
    /// What this client said in an earlier read and has not been heard.
    fn take_unheard(&mut self) -> Option<Vec<u8>> {
        let Stage::Open(open) = &mut self.stage else {
            return None;
        };
        let unheard = mem::take(&mut open.half.as_mut()?.unheard);
        Some(unheard).filter(|unheard| !unheard.is_empty())
    }
}
