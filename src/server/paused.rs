//! Who is not read for now, and until when: those in debt, and those whose room is deaf.

use std::cmp::Reverse;

use super::connection::{ConnectionRef, DropReason, Flags, Stage};
use super::{Network, Server};
use crate::ids::RoomKey;

impl<N: Network> Server<N> {
    /// Whether we do not want to hear this client now: because of its debt, or because its room is
    /// deaf. Whoever waits is on a list that wakes it.
    pub(super) fn pause_if_needed(&mut self, ticket: ConnectionRef) -> bool {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(ticket.key.0 as usize) else {
            return true;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return false;
        };
        let due = open.rate.paid_at(connection.last_received, &self.limits);
        let room = open.member.place.room;
        let is_deaf = self.rooms.is_deaf(room, now);
        if connection.flags.has(Flags::BROKEN) && (due > now || is_deaf) {
            self.drop_connection(ticket.key, DropReason::Vanished);
            return true;
        }
        if due > now {
            connection.flags.set(Flags::RESTS);
            self.resting.push(Reverse((due, ticket)));
            self.counts.reads_paused_by_rate += 1;
            return true;
        }
        if is_deaf {
            connection.flags.set(Flags::PARKED);
            self.parked.entry(room).or_default().push(ticket);
            self.counts.reads_paused_by_room += 1;
            self.note_room_deadline(room);
            return true;
        }
        false
    }

    /// Those whose debt is paid are read again, as many as a turn reads.
    pub(super) fn resume_by_rate(&mut self) {
        let now = self.tick();
        for _ in 0..self.limits.budget.reads {
            let Some(&Reverse((due, ticket))) = self.resting.peek() else {
                return;
            };
            if due > now {
                return;
            }
            self.resting.pop();
            if self.resume(ticket) {
                self.enqueue_backlog(ticket.key);
            }
        }
    }

    /// Clients are parked for a deaf room: if it waits for those who lag, it does so for a while only.
    fn note_room_deadline(&mut self, key: RoomKey) {
        let now = self.tick();
        if self.parked.contains_key(&key)
            && let Some(until) = self.rooms.waits_until(key, now)
        {
            self.waiting.insert((until, key));
        }
    }

    /// Rooms that have waited long enough for those who lag are heard again.
    pub(super) fn resume_overdue_rooms(&mut self) {
        let now = self.tick();
        while let Some(&(until, key)) = self.waiting.first() {
            if until > now {
                return;
            }
            self.waiting.pop_first();
            self.rooms.stop_waiting(key, now);
            self.resume_room(key);
        }
    }

    /// A room is perhaps no longer deaf: those who waited for that are read again.
    pub(super) fn resume_room(&mut self, room: RoomKey) {
        if self.parked.is_empty() {
            return;
        }
        if self.rooms.is_deaf(room, self.tick()) {
            return self.note_room_deadline(room);
        }
        for ticket in self.parked.remove(&room).unwrap_or_default() {
            if self.resume(ticket) {
                self.enqueue_read(ticket.key);
            }
        }
    }

    /// It was our doing that nothing was heard of it: its silence begins now, and so does the time
    /// for the rest of its message. Returns whether it is still there.
    fn resume(&mut self, ticket: ConnectionRef) -> bool {
        let now = self.tick();
        let limits = &self.limits;
        let Some(connection) = self.connections.get_mut(ticket.key.0 as usize) else {
            return false;
        };
        if connection.id != ticket.id || connection.flags.has(Flags::ENDED) {
            return false;
        }
        connection.flags.clear(Flags::RESTS);
        connection.flags.clear(Flags::PARKED);
        if let Stage::Open(open) = &mut connection.stage {
            open.rate = open.rate.after(now.since(connection.last_received), limits);
            if let Some(pending) = &mut open.pending {
                pending.since = pending.since.after(now.since(connection.last_received));
            }
        }
        connection.last_received = now;
        true
    }
}
