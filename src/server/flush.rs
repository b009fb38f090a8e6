//! Writes: first private bytes, then what rooms have to broadcast. A slow consumer is dropped here, once the lane has
//! forgotten bytes that it has not taken.

use super::clock::TimeSlice;
use super::connections::{Awaits, Flags, Stage};
use super::conversation::lane_of;
use super::drop_reason::DropReason;
use super::queues::Deadline;
use super::{Network, Server};
use crate::chat::Place;
use crate::engine::Engine;
use crate::ids::ConnectionKey;

impl<N: Network, E: Engine> Server<N, E> {
    pub(super) fn flush(&mut self) {
        let mut slice = TimeSlice::default();
        for _ in 0..self.writes.len().min(self.limits.budget.writes) {
            let Some(reference) = self.writes.pop() else {
                break;
            };
            if let Some(mut connection) = self.connections.resolve(reference) {
                connection.flags.clear(Flags::WRITE_QUEUED);
                if self.write_owed(reference.key) {
                    self.enqueue_write(reference.key);
                }
            }
            if slice.is_over(self.limits.budget.time, || self.network.now()) {
                break;
            }
        }
        self.broadcast();
    }

    /// Writes all that a connection is owed, however much that is, until its socket is full. Returns how many writes
    /// it took.
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

    /// The fast path of [`Server::write_owed`]: the latest of the lane, to a member that accepts all of it, so that
    /// nothing changes but its cursor. Returns whether it was so.
    fn write_latest(&mut self, key: ConnectionKey) -> bool {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return false;
        };
        let Stage::Open(open) = connection.stage() else {
            return false;
        };
        let Place { room, encoding, .. } = open.member.place;
        let lane = self.rooms.get(room).and_then(|room| room.lane(encoding));
        lane.is_some_and(|lane| connection.write_latest(lane, self.limits.budget.offer))
    }

    /// Writes what a connection is owed, in one write. Returns whether its socket accepted all of that and it is
    /// owed more.
    fn write_owed(&mut self, key: ConnectionKey) -> bool {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return false;
        };
        let place = connection.place();
        let cursor = connection.outbox().cursor();
        let from = connection.flags.has(Flags::LAGS).then_some(cursor);
        let lane = lane_of(place, &self.rooms, &self.lobby);
        let archive = place.and_then(|place| self.rooms.get(place.room)?.archive());
        let takes_all = match connection.write_owed(lane, archive, self.limits.budget.offer) {
            Ok(takes_all) => takes_all,
            Err(why) => {
                self.drop_connection(key, why);
                return false;
            }
        };
        let outbox = connection.outbox();
        let lags = outbox.has_unsent_lane(lane);
        let more = takes_all && outbox.has_unsent(lane);
        let is_drained = outbox.is_drained();
        // A closing connection past its stop offset does not pin the lane.
        let cursor = match lags {
            true => outbox.cursor(),
            false => lane.end(),
        };
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
        if is_drained {
            self.on_drained(key);
        }
        more
    }

    /// A closing connection has been written everything: our FIN follows, and then the peer's.
    pub(super) fn on_drained(&mut self, key: ConnectionKey) {
        let now = self.tick();
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        let Stage::Closing(closing) = connection.stage() else {
            return;
        };
        match closing.awaits {
            Awaits::Close(_) | Awaits::Fin => {}
            Awaits::Outbox if connection.flags.has(Flags::FIN_SEEN) => {
                self.drop_connection(key, DropReason::Closed);
            }
            Awaits::Outbox => {
                connection.set_awaits(Awaits::Fin);
                connection.half_close();
                let deadlines = self.timers.of(Deadline::Fin);
                deadlines.set(connection.reference(), now);
            }
        }
    }
}
