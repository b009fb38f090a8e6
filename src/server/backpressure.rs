//! Backpressure and rate limits, applied: a client is not read while it is beyond its rates, or while its room is full
//! or waits for slow subscribers. What the kernel holds for it then fills up, and the client has to wait.

use super::connections::{Flags, Reading, Stage};
use super::drop_reason::DropReason;
use super::queues::ReadClass;
use super::{Network, Server};
use crate::engine::Engine;
use crate::ids::{ConnectionRef, RoomKey};

impl<N: Network, E: Engine> Server<N, E> {
    /// Pauses a client that is not to be read now. Returns whether it is. A paused client is in a list that resumes it.
    pub(super) fn pause_if_needed(&mut self, reference: ConnectionRef) -> bool {
        let now = self.tick();
        let Some(mut connection) = self.connections.get_mut(reference.key) else {
            return true;
        };
        let Stage::Open(open) = connection.stage() else {
            return false;
        };
        let due = open.rate.paid_at(connection.last_received, &self.limits);
        let room = open.member.place.room;
        let is_paused = self.rooms.is_paused(room, now);
        if due <= now && !is_paused {
            return false;
        }
        if connection.flags.has(Flags::BROKEN) {
            self.drop_connection(reference.key, DropReason::Vanished);
        } else if due > now {
            connection.reading = Reading::ByRate;
            self.paused.by_rate(reference, due);
            self.counts.reads_paused_by_rate += 1;
        } else {
            connection.reading = Reading::ByRoom;
            self.paused.by_room(reference, room);
            self.counts.reads_paused_by_room += 1;
            self.set_room_deadline(room);
        }
        true
    }

    /// Clients that are within their rates again are read, as many as a turn reads.
    pub(super) fn resume_by_rate(&mut self) {
        let now = self.tick();
        for _ in 0..self.limits.budget.reads {
            let Some(connection) = self.paused.pop_by_rate(now) else {
                return;
            };
            if self.resume(connection, Reading::ByRate) {
                self.enqueue_read(connection.key, ReadClass::Backlog);
            }
        }
    }

    /// If a room with paused clients waits for slow subscribers, it does so until a deadline.
    fn set_room_deadline(&mut self, key: RoomKey) {
        let now = self.tick();
        if self.paused.has_room(key)
            && let Some(until) = self.rooms.waits_until(key, now)
        {
            self.paused.set_room_deadline(key, until);
        }
    }

    /// The engine keeps a message for a room that does not take it now. If the room waits for slow subscribers, it does
    /// so until a deadline.
    pub(super) fn set_deadline_of_paused_room(&mut self, key: RoomKey) {
        if let Some(until) = self.rooms.waits_until(key, self.tick()) {
            self.paused.set_room_deadline(key, until);
        }
    }

    /// Rooms that have waited for slow subscribers until their deadline go on without them.
    pub(super) fn resume_overdue_rooms(&mut self) {
        let now = self.tick();
        while let Some(key) = self.paused.pop_room(now) {
            self.rooms.stop_waiting(key, now);
            self.resume_room(key);
        }
    }

    /// A room may have space again: then the clients that it has paused are read.
    pub(super) fn resume_room(&mut self, room: RoomKey) {
        if self.paused.has_no_rooms() {
            return;
        }
        if self.rooms.is_paused(room, self.tick()) {
            return self.set_room_deadline(room);
        }
        for connection in self.paused.take_room(room) {
            if self.resume(connection, Reading::ByRoom) {
                self.enqueue_read(connection.key, ReadClass::Ready);
            }
        }
    }

    /// We had stopped reading this client, so its silence begins now, and its message has that much more time. Returns
    /// whether it is still there, and paused by `what`.
    pub(super) fn resume(&mut self, reference: ConnectionRef, what: Reading) -> bool {
        let now = self.tick();
        let Some(mut connection) = self.connections.resolve(reference) else {
            return false;
        };
        if connection.reading != what {
            return false;
        }
        connection.reading = Reading::Idle;
        let silence = now.since(connection.last_received);
        connection.last_received = now;
        if let Some(open) = connection.open_mut() {
            open.rate = open.rate.after(silence, &self.limits);
            open.extend_message_time(silence);
        }
        true
    }
}
