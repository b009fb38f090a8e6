//! Timers: what is due is done. Deadlines of handshakes and closings, the keepalive sweep, rooms with
//! something to announce, and goodbyes.

use super::close::is_waiting_for_fin;
use super::connections::{Awaits, Connection, Stage};
use super::drop_reason::DropReason;
use super::queues::Deadline;
use super::{Moment, Network, Server};
use crate::engine::Engine;
use crate::http::Refusal;
use crate::ids::ConnectionRef;

impl<N: Network, E: Engine> Server<N, E> {
    pub(super) fn watch(&mut self) {
        self.timers.allow_drops(self.limits.budget.ends);
        self.expire_handshakes();
        self.expire_closings();
        self.sweep();
        self.call_rooms();
        self.continue_shutdown();
    }

    /// When a room has something to announce or to forget.
    pub(super) fn rooms_due(&self) -> Option<Moment> {
        let due = self.rooms.due().map(Moment::of);
        due.filter(|_| self.shutdown.is_none())
    }

    fn call_rooms(&mut self) {
        if self.rooms_due().is_some_and(|due| due <= self.now) {
            let now = self.tick();
            for room in self.rooms.run_due(&self.connections, now) {
                self.run_queue.push(room, self.now);
            }
        }
    }

    /// Passes over the first deadlines of handshakes that are over.
    pub(super) fn prune_handshakes(&mut self) {
        let deadlines = self.timers.of(Deadline::Handshake);
        while let Some((_, connection)) = deadlines.front()
            && !self.connections.is_handshaking(connection)
        {
            deadlines.pop_front();
        }
    }

    fn expire_handshakes(&mut self) {
        let now = self.tick();
        self.prune_handshakes();
        while let Some((due, connection)) = self.timers.of(Deadline::Handshake).front()
            && due <= now
            && self.timers.may_drop()
        {
            self.timers.of(Deadline::Handshake).pop_front();
            self.counts.handshake_timeouts += 1;
            let found = self.connections.get(connection.key);
            let refusal = match found.map(Connection::stage) {
                Some(Stage::Joining(_)) => Refusal::Unavailable,
                Some(Stage::Handshaking(_) | Stage::Open(_) | Stage::Closing(_)) | None => {
                    Refusal::RequestTimeout
                }
            };
            self.refuse(connection.key, refusal);
            self.prune_handshakes();
        }
    }

    /// Closings that take too long: of our Close first, then of our FIN.
    fn expire_closings(&mut self) {
        let now = self.tick();
        while let Some((due, connection)) = self.timers.of(Deadline::Close).front() {
            let found = self.connections.resolve(connection);
            let is_late = found.is_some_and(|found| !is_waiting_for_fin(found.stage()));
            if is_late && (due > now || !self.timers.may_drop()) {
                break;
            }
            self.timers.of(Deadline::Close).pop_front();
            if is_late {
                self.expire_closing(connection);
            }
        }
        while let Some((due, connection)) = self.timers.of(Deadline::Fin).front() {
            let is_late = self.connections.resolve(connection).is_some();
            if is_late && (due > now || !self.timers.may_drop()) {
                break;
            }
            self.timers.of(Deadline::Fin).pop_front();
            if is_late {
                self.drop_connection(connection.key, DropReason::Closed);
            }
        }
    }

    /// The close timeout of a connection is over. If it has taken everything, only the peer's Close is missing, and
    /// it is closed in good order all the same.
    fn expire_closing(&mut self, connection: ConnectionRef) {
        let Some(mut connection) = self.connections.live_mut(connection.key) else {
            return;
        };
        let key = connection.reference().key;
        if !connection.outbox().is_drained() {
            return self.drop_connection(key, DropReason::CloseTimeout);
        }
        connection.set_awaits(Awaits::Outbox);
        self.counts.close_timeouts += 1;
        self.on_drained(key);
    }
}
