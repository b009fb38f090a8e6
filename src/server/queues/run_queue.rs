//! The run queue of busy rooms: rooms with something to broadcast, served by round robin.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::mem;

use super::SPARE_ENTRIES;
use crate::ids::RoomKey;
use crate::server::Moment;

/// A room that is being served, and when its present round of visits began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::server) struct BusyRoom {
    pub(in crate::server) room: RoomKey,
    pub(in crate::server) round_began: Moment,
}

/// Busy rooms, each once: runnable, or delayed because more messages are gathered for its next round.
#[derive(Debug, Default)]
pub(in crate::server) struct RunQueue {
    /// Invariant: those that are runnable or delayed, and the one that was popped and neither put back nor finished.
    is_queued: Vec<bool>,
    runnable: VecDeque<BusyRoom>,
    /// Rooms by the end of their batch delay.
    delayed: BinaryHeap<Reverse<(Moment, BusyRoom)>>,
}

impl RunQueue {
    /// A room has something to broadcast. It may be queued already; so may the room that had its key before.
    pub(in crate::server) fn push(&mut self, room: RoomKey, now: Moment) {
        let entry = room.0 as usize;
        if entry >= self.is_queued.len() {
            self.is_queued.resize(entry + 1, false);
        }
        if !mem::replace(&mut self.is_queued[entry], true) {
            self.runnable.push_back(BusyRoom {
                room,
                round_began: now,
            });
        }
    }

    /// The next runnable room.
    pub(in crate::server) fn pop(&mut self) -> Option<BusyRoom> {
        self.runnable.pop_front()
    }

    /// A room that was popped is to be served on, behind the others.
    pub(in crate::server) fn put_back(&mut self, busy: BusyRoom) {
        self.runnable.push_back(busy);
    }

    /// A room that was popped is to be served on after a batch delay.
    pub(in crate::server) fn delay(&mut self, busy: BusyRoom, until: Moment) {
        self.delayed.push(Reverse((until, busy)));
    }

    /// A room that was popped has nothing more to broadcast.
    pub(in crate::server) fn finish(&mut self, busy: BusyRoom) {
        self.is_queued[busy.room.0 as usize] = false;
    }

    /// Rooms whose batch delay is over are runnable again.
    pub(in crate::server) fn end_delays(&mut self, now: Moment) {
        while let Some(&Reverse((until, mut busy))) = self.delayed.peek() {
            if until > now {
                return;
            }
            self.delayed.pop();
            busy.round_began = now;
            self.runnable.push_back(busy);
        }
    }

    /// Whether no room is runnable.
    pub(in crate::server) fn is_empty(&self) -> bool {
        self.runnable.is_empty()
    }

    /// When the next batch delay ends.
    pub(in crate::server) fn due(&self) -> Option<Moment> {
        self.delayed.peek().map(|Reverse((until, _))| *until)
    }

    /// `no_rooms` says that there are no rooms at all.
    pub(in crate::server) fn shrink(&mut self, no_rooms: bool) {
        self.runnable.shrink_to(SPARE_ENTRIES);
        if self.delayed.is_empty() {
            self.delayed.shrink_to(SPARE_ENTRIES);
            if no_rooms && self.runnable.is_empty() {
                self.is_queued = Vec::new();
            }
        }
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter(&self) -> impl Iterator<Item = RoomKey> {
        let delayed = self.delayed.iter().map(|Reverse((_, busy))| busy);
        self.runnable.iter().chain(delayed).map(|busy| busy.room)
    }

    /// Whether a room is marked as queued.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn is_queued(&self, room: RoomKey) -> bool {
        self.is_queued.get(room.0 as usize) == Some(&true)
    }

    #[cfg(test)]
    pub(in crate::server) fn capacity(&self) -> usize {
        self.runnable.capacity().max(self.delayed.capacity())
    }
}
