//! What clients are owed, written out: first what is private, then what rooms have to broadcast.

use std::io::IoSlice;

use super::clock::TimeSlice;
use super::connection::{Awaits, Connection, ConnectionRef, DropReason, Flags, Stage};
use super::conversation::lane_of;
use super::transport::Written;
use super::{Network, Server, Transport};
use crate::chat::Place;
use crate::feed::Lane;
use crate::ids::ConnectionKey;

impl<S: Transport> Connection<S> {
    /// Writes private bytes from where they are, if nothing is owed before them: most answers need no
    /// queue then. What its socket did not take is to be told, and a socket that this fills to be counted
    /// as blocked.
    pub(super) fn write_through(&mut self, lane: &Lane, bytes: &[u8]) -> Written {
        let waits = self.flags.has(Flags::BLOCKED) || self.flags.has(Flags::ENDED);
        if waits || self.outbox.has_unsent(lane) {
            return Written::default();
        }
        // That a socket is broken shows again when the rest is offered.
        let sent = self.socket.send(&[IoSlice::new(bytes)]).unwrap_or_default();
        if sent.full {
            self.flags.set(Flags::BLOCKED);
        }
        sent
    }
}

impl<N: Network> Server<N> {
    pub(super) fn flush(&mut self) {
        let mut spell = TimeSlice::default();
        for _ in 0..self.to_write.len().min(self.limits.budget.writes) {
            let Some(ticket) = self.to_write.pop_front() else {
                break;
            };
            if let Some(connection) = self.resolve(ticket) {
                connection.flags.clear(Flags::TO_WRITE);
                if self.write_owed(ticket.key) {
                    self.enqueue_write(ticket.key);
                }
            }
            if spell.is_over(self.limits.budget.time, || self.network.now()) {
                break;
            }
        }
        self.broadcast();
    }

    /// Offers a connection all that it is owed, however much that is. Returns how many writes it took.
    pub(super) fn write_all(&mut self, key: ConnectionKey) -> usize {
        if self.write_latest(key) {
            return 1;
        }
        let mut writes = 1;
        while self.write_owed(key) {
            writes += 1;
        }
        writes
    }

    /// What nearly every visit is: a member that has taken all so far is offered the latest, and takes
    /// that too, so that nothing changes but its cursor. Returns whether it was so. If not, it is to be
    /// looked at in full: what it did take is noted, and an error shows again.
    fn write_latest(&mut self, key: ConnectionKey) -> bool {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return false;
        };
        let Stage::Open(open) = &connection.stage else {
            return false;
        };
        let Place { room, encoding, .. } = open.member.place;
        let lane = self.rooms.get(room).and_then(|room| room.lane(encoding));
        let Some(latest) = lane.and_then(|lane| connection.outbox.unsent_slice(lane)) else {
            return false;
        };
        if connection.flags.has(Flags::OUT_OF_STEP) || latest.len() > self.limits.budget.offer {
            return false;
        }
        let Ok(sent) = connection.socket.send(&[IoSlice::new(latest)]) else {
            return false;
        };
        connection.took(sent);
        self.blocked += usize::from(sent.full);
        !sent.full
    }

    /// Offers a connection what it is owed, in one write. Returns whether it took all of that and is
    /// owed more.
    fn write_owed(&mut self, key: ConnectionKey) -> bool {
        let Some(connection) = self
            .connections
            .get_mut(key.0 as usize)
            .filter(|connection| !connection.flags.has(Flags::ENDED))
        else {
            return false;
        };
        let place = connection.place();
        let cursor = connection.outbox.cursor();
        let from = connection.flags.has(Flags::LAGS).then_some(cursor);
        let lane = lane_of(place, &self.rooms, &self.lobby);
        let archive = place.and_then(|place| self.rooms.get(place.room)?.archive());
        let mut takes_all = false;
        if !connection.flags.has(Flags::BLOCKED) {
            let Ok(owed) = connection
                .outbox
                .next_write(lane, archive, self.limits.budget.offer)
            else {
                self.drop_connection(key, DropReason::FellBehind);
                return false;
            };
            if !owed.is_empty() {
                let sent = match connection.socket.send(owed.slices()) {
                    Ok(sent) => sent,
                    Err(error) => {
                        self.drop_connection(key, DropReason::Broken(error.kind()));
                        return false;
                    }
                };
                connection.took(sent);
                self.blocked += usize::from(sent.full);
                takes_all = !sent.full;
            }
        } else if connection.outbox.cursor() < lane.start()
            && connection.outbox.has_unsent_lane(lane)
        {
            self.drop_connection(key, DropReason::FellBehind);
            return false;
        }
        let lags = connection.outbox.has_unsent_lane(lane);
        let more = takes_all && connection.outbox.has_unsent(lane);
        let through = connection.outbox.is_drained();
        // Whoever is to hear no more of the lane holds up nothing of it.
        let cursor = match lags {
            true => connection.outbox.cursor(),
            false => lane.end(),
        };
        let holds = connection.flags.has(Flags::HOLDS);
        let to = lags.then_some(cursor);
        connection.flags.clear(Flags::LAGS);
        if lags {
            connection.flags.set(Flags::LAGS);
        }
        if let Some(place) = place {
            self.rooms.visited(place, cursor);
            if from != to {
                self.rooms.cursor_moved(place, from, to);
                self.resume_room(place.room);
            }
        }
        if holds {
            self.weigh(key);
        }
        if through {
            self.on_drained(key);
        }
        more
    }

    /// A closing connection has been written everything: FIN, and then the peer's.
    pub(super) fn on_drained(&mut self, key: ConnectionKey) {
        let now = self.tick();
        let Some(connection) = self.connection(key) else {
            return;
        };
        let Stage::Closing(closing) = &mut connection.stage else {
            return;
        };
        match closing.awaits {
            Awaits::Close(_) | Awaits::Fin => {}
            Awaits::Outbox if connection.flags.has(Flags::FIN_SEEN) => {
                self.drop_connection(key, DropReason::Closed)
            }
            Awaits::Outbox => {
                closing.awaits = Awaits::Fin;
                connection.socket.half_close();
                let id = connection.id;
                self.draining.set(ConnectionRef { key, id }, now);
            }
        }
    }
}
