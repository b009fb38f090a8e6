//! Timers: what is due is done. Deadlines of handshakes and of closings, the keepalive sweep, rooms with
//! something to announce, and goodbyes.

use super::connection::{Awaits, Gone, Stage, Ticket};
use super::{Moment, Network, Server};
use crate::http::Refusal;

impl<N: Network> Server<N> {
    pub(super) fn watch(&mut self) {
        self.watchman.left = self.limits.budget.ends;
        self.end_handshakes();
        self.end_closings();
        if self
            .watchman
            .due(self.anybody_to_watch())
            .is_some_and(|due| due <= self.now)
        {
            self.walk();
        }
        self.call_rooms();
        self.go_on_shutting_down();
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
                self.set_out(room);
            }
        }
    }

    /// Passes over those in front who have finished their handshakes, or are gone.
    pub(super) fn forget_finished_handshakes(&mut self) {
        while let Some((_, ticket)) = self.handshaking.front() {
            if self
                .holder(ticket)
                .is_some_and(|found| found.is_handshaking())
            {
                return;
            }
            self.handshaking.pop_front();
        }
    }

    fn end_handshakes(&mut self) {
        self.forget_finished_handshakes();
        while let Some((due, ticket)) = self.handshaking.front()
            && due <= self.tick()
            && self.watchman.may_end_one()
        {
            self.handshaking.pop_front();
            self.counts.handshake_timeouts += 1;
            self.refuse(ticket.key, Refusal::RequestTimeout);
            self.forget_finished_handshakes();
        }
    }

    /// Closings that take too long, of our Close and of the peer's FIN.
    fn end_closings(&mut self) {
        let now = self.tick();
        while let Some((due, ticket)) = self.closing.front() {
            let still = self.holder(ticket).is_some_and(|found| match &found.stage {
                Stage::Closing(farewell) => !matches!(farewell.awaits, Awaits::Fin),
                Stage::Handshaking(_) | Stage::Open(_) => false,
            });
            if still && (due > now || !self.watchman.may_end_one()) {
                break;
            }
            self.closing.pop_front();
            if still {
                self.close_overdue(ticket);
            }
        }
        while let Some((due, ticket)) = self.draining.front() {
            let still = self.holder(ticket).is_some();
            if still && (due > now || !self.watchman.may_end_one()) {
                break;
            }
            self.draining.pop_front();
            if still {
                self.end(ticket.key, Gone::Closed);
            }
        }
    }

    /// No Close came in time. Whoever has taken everything is closed in good order all the same.
    fn close_overdue(&mut self, ticket: Ticket) {
        let Some(connection) = self.connection(ticket.key) else {
            return;
        };
        if !connection.outbox.is_drained() {
            return self.end(ticket.key, Gone::CloseTimeout);
        }
        if let Stage::Closing(farewell) = &mut connection.stage {
            farewell.awaits = Awaits::Outbox;
        }
        self.counts.close_timeouts += 1;
        self.weigh(ticket.key);
        self.wrote_its_last(ticket.key);
    }
}
