//! Paused connections, which are not read for now: by their own rate limits, or by the backpressure of their room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::SPARE_ENTRIES;
use crate::ids::ConnectionRef;
use crate::ids::RoomKey;
use crate::schedule::Schedule;
use crate::server::Moment;
use crate::time::Tick;

/// Connections that are paused, and when each is resumed.
#[derive(Debug, Default)]
pub(in crate::server) struct Paused {
    /// Connections beyond their rates, by when they are within them again.
    by_rate: BinaryHeap<Reverse<(Tick, ConnectionRef)>>,
    /// Connections whose room is full or waits for slow subscribers. They are resumed with their room.
    by_room: BTreeMap<RoomKey, Vec<ConnectionRef>>,
    /// Rooms of `by_room` that wait for slow subscribers, by when they wait no longer.
    rooms: Schedule<RoomKey>,
}

impl Paused {
    pub(in crate::server) fn by_rate(&mut self, connection: ConnectionRef, until: Tick) {
        self.by_rate.push(Reverse((until, connection)));
    }

    pub(in crate::server) fn by_room(&mut self, connection: ConnectionRef, room: RoomKey) {
        self.by_room.entry(room).or_default().push(connection);
    }

    /// Takes out the connection that is first to be within its rates, if it is by now.
    pub(in crate::server) fn pop_by_rate(&mut self, now: Tick) -> Option<ConnectionRef> {
        let Reverse((until, connection)) = *self.by_rate.peek()?;
        if until > now {
            return None;
        }
        self.by_rate.pop();
        Some(connection)
    }

    /// Whether connections are paused by this room.
    pub(in crate::server) fn has_room(&self, room: RoomKey) -> bool {
        self.by_room.contains_key(&room)
    }

    /// Takes out the connections that are paused by a room.
    pub(in crate::server) fn take_room(&mut self, room: RoomKey) -> Vec<ConnectionRef> {
        self.by_room.remove(&room).unwrap_or_default()
    }

    /// A room waits for slow subscribers until then at most.
    pub(in crate::server) fn set_room_deadline(&mut self, room: RoomKey, until: Tick) {
        self.rooms.set(room, until);
    }

    /// Takes out a room that has waited for slow subscribers long enough.
    pub(in crate::server) fn pop_room(&mut self, now: Tick) -> Option<RoomKey> {
        self.rooms.pop_due(now)
    }

    /// Whether no connection is paused by its room.
    pub(in crate::server) fn has_no_rooms(&self) -> bool {
        self.by_room.is_empty()
    }

    pub(in crate::server) fn due(&self) -> Option<Moment> {
        let by_rate = self.by_rate.peek().map(|Reverse((until, _))| *until);
        let rooms = self.rooms.first().map(|(until, _)| until);
        by_rate.into_iter().chain(rooms).min().map(Moment::of)
    }

    pub(in crate::server) fn shrink(&mut self) {
        if self.by_rate.is_empty() {
            self.by_rate.shrink_to(SPARE_ENTRIES);
        }
    }

    /// Connections that are paused by their rates.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter_by_rate(&self) -> impl Iterator<Item = ConnectionRef> {
        self.by_rate
            .iter()
            .map(|Reverse((_, connection))| *connection)
    }

    /// Connections that are paused by their rooms.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter_by_room(
        &self,
    ) -> impl Iterator<Item = (RoomKey, &[ConnectionRef])> {
        self.by_room
            .iter()
            .map(|(room, paused)| (*room, paused.as_slice()))
    }

    /// Whether a room has a time at which it waits no longer.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn has_room_deadline(&self, room: RoomKey) -> bool {
        self.rooms.get(room).is_some()
    }

    #[cfg(test)]
    pub(in crate::server) fn capacity(&self) -> usize {
        self.by_rate.capacity()
    }
}
