//! Timers: what is due is done. Deadlines of handshakes and of closings, the keepalive sweep, rooms with
//! something to announce, and goodbyes.

use super::connection::{Awaits, ConnectionRef, DropReason, Stage};
use super::{Moment, Network, Server};
use crate::http::Refusal;

impl<N: Network> Server<N> {
    pub(super) fn watch(&mut self) {
        self.watchman.left = self.limits.budget.ends;
        self.expire_handshakes();
        self.expire_closings();
        if self
            .watchman
            .due(self.anybody_to_watch())
            .is_some_and(|due| due <= self.now)
        {
            self.sweep();
        }
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
            for room in self.rooms.call(&self.connections, now) {
                self.enqueue_room(room);
            }
        }
    }

    /// Passes over those in front who have finished their handshakes, or are gone.
    pub(super) fn prune_handshakes(&mut self) {
        while let Some((_, ticket)) = self.handshaking.front() {
            if self
                .resolve(ticket)
                .is_some_and(|found| found.is_handshaking())
            {
                return;
            }
            self.handshaking.pop_front();
        }
    }

    fn expire_handshakes(&mut self) {
        self.prune_handshakes();
        while let Some((due, ticket)) = self.handshaking.front()
            && due <= self.tick()
            && self.watchman.may_end_one()
        {
            self.handshaking.pop_front();
            self.counts.handshake_timeouts += 1;
            self.refuse(ticket.key, Refusal::RequestTimeout);
            self.prune_handshakes();
        }
    }

    /// Closings that take too long, of our Close and of the peer's FIN.
    fn expire_closings(&mut self) {
        let now = self.tick();
        while let Some((due, ticket)) = self.closing.front() {
            let still = self
                .resolve(ticket)
                .is_some_and(|found| match &found.stage {
                    Stage::Closing(closing) => !matches!(closing.awaits, Awaits::Fin),
                    Stage::Handshaking(_) | Stage::Open(_) => false,
                });
            if still && (due > now || !self.watchman.may_end_one()) {
                break;
            }
            self.closing.pop_front();
            if still {
                self.expire_closing(ticket);
            }
        }
        while let Some((due, ticket)) = self.draining.front() {
            let still = self.resolve(ticket).is_some();
            if still && (due > now || !self.watchman.may_end_one()) {
                break;
            }
            self.draining.pop_front();
            if still {
                self.drop_connection(ticket.key, DropReason::Closed);
            }
        }
    }

    /// No Close came in time. Whoever has taken everything is closed in good order all the same.
    fn expire_closing(&mut self, ticket: ConnectionRef) {
        let Some(connection) = self.connection(ticket.key) else {
            return;
        };
        if !connection.outbox.is_drained() {
            return self.drop_connection(ticket.key, DropReason::CloseTimeout);
        }
        if let Stage::Closing(closing) = &mut connection.stage {
            closing.awaits = Awaits::Outbox;
        }
        self.counts.close_timeouts += 1;
        self.weigh(ticket.key);
        self.on_drained(ticket.key);
    }
}
