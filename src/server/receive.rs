//! Reads: one for each client per turn, decoded to its end and published at once. What the engine has committed comes
//! first. Fairness: quiet members come first.

use super::clock::TimeSlice;
use super::connections::{Awaits, Flags, Reading, Stage};
use super::decode::MAX_ANSWERS;
use super::drop_reason::DropReason;
use super::queues::ReadClass;
use super::{Network, Server};
use crate::engine::Engine;
use crate::ids::{ConnectionKey, ConnectionRef};

impl<N: Network, E: Engine> Server<N, E> {
    pub(super) fn receive(&mut self) {
        self.resume_by_rate();
        self.resume_overdue_rooms();
        self.commit();
        // Entries pushed to the backlog during this call were already read this turn: only those queued before it are
        // read.
        let backlog = self.reads.len(ReadClass::Backlog);
        self.read_class(ReadClass::Ready, usize::MAX);
        // Each class has a budget of its own, so that heavy talkers and handshakes do not delay quiet members.
        self.read_class(ReadClass::Backlog, backlog);
        self.read_class(ReadClass::Handshaking, usize::MAX);
    }

    /// Reads connections of a class, `most` of them at most.
    fn read_class(&mut self, class: ReadClass, most: usize) {
        let mut slice = TimeSlice::default();
        let most = most.min(self.limits.budget.reads);
        for _ in 0..self.reads.len(class).min(most) {
            let Some(reference) = self.reads.pop(class) else {
                return;
            };
            if let Some(mut connection) = self.connections.resolve(reference) {
                connection.reading = Reading::Idle;
                self.read(reference);
                self.evict_after_read();
            }
            if slice.is_over(self.limits.budget.time, || self.network.now()) {
                return;
            }
        }
    }

    fn read(&mut self, reference: ConnectionRef) {
        if self.pause_if_needed(reference) {
            return;
        }
        let key = reference.key;
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        if connection.flags.has(Flags::WRITE_QUEUED) && connection.outbox().holds() > MAX_ANSWERS {
            return self.enqueue_read(key, ReadClass::Backlog);
        }
        if let Some(mut undecoded) = connection.take_undecoded() {
            self.decode(key, &mut undecoded);
            // The readiness edge was consumed earlier, so no event will announce the rest.
            return self.enqueue_read(key, ReadClass::Backlog);
        }
        let flags = connection.flags;
        let is_over = flags.has(Flags::HALF_CLOSED) || flags.has(Flags::BROKEN);
        match connection.receive(self.buffers.scratch()) {
            Err(error) => self.drop_connection(key, DropReason::Broken(error.kind())),
            Ok(received) if received.end => self.on_fin(key),
            Ok(received) => {
                if received.bytes > 0 {
                    let mut scratch = self.buffers.take_scratch();
                    self.on_bytes(key, &mut scratch[..received.bytes]);
                    self.buffers.put_scratch(scratch);
                }
                // Data and FIN that arrive together bring one event and a short read: only another
                // read tells of the end.
                if received.more || is_over && received.bytes > 0 {
                    self.enqueue_read(key, ReadClass::Backlog);
                }
            }
        }
    }

    /// The peer's FIN: nothing more will come, but the peer may still want what it is owed.
    fn on_fin(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        connection.flags.set(Flags::FIN_SEEN);
        match connection.stage() {
            Stage::Handshaking(_) | Stage::Joining(_) => {
                self.drop_connection(key, DropReason::Vanished);
            }
            Stage::Open(_) => self.begin_closing(key, Awaits::Outbox),
            Stage::Closing(closing) => match closing.awaits {
                Awaits::Fin => self.drop_connection(key, DropReason::Closed),
                Awaits::Close(_) | Awaits::Outbox => {
                    connection.set_awaits(Awaits::Outbox);
                    self.enqueue_write(key);
                }
            },
        }
    }
}
