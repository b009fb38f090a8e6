//! Backpressure: which rooms are paused, and what happens when all lanes together hold too much.
//!
//! While a room is paused, its members are not read, so that TCP slows them down. Each lane has its own limit. Where
//! many lanes are long at once, two rules keep their sum within a limit of its own. Rooms with a round in progress
//! count as full. And where bytes are wanted by slow subscribers only, the lanes forget them, the largest first:
//! those subscribers have fallen behind.

use std::collections::BinaryHeap;

use super::Rooms;
use crate::chat::Room;
use crate::ids::RoomKey;
use crate::time::Tick;

impl Rooms {
    /// Bytes that all lanes reserve.
    pub fn lanes(&self) -> usize {
        self.lanes.total()
    }

    /// Whether a room is paused until its round ends. This is why a subscriber that reads does not fall behind.
    pub fn is_full(&self, key: RoomKey) -> bool {
        self.get(key).is_some_and(|room| self.fills(room))
    }

    fn fills(&self, room: &Room) -> bool {
        room.is_full() || self.lanes.total() > self.limits.room_buffer_total && room.is_busy()
    }

    /// Whether the members of a room are not read for now: it is full, or it waits for slow subscribers.
    pub fn is_paused(&self, key: RoomKey, now: Tick) -> bool {
        self.get(key)
            .is_some_and(|room| self.fills(room) || room.waits_for_slow(now))
    }

    /// Until when a room waits for slow subscribers, if it does.
    pub fn waits_until(&mut self, key: RoomKey, now: Tick) -> Option<Tick> {
        self.get_mut(key)?.waits_until(now)
    }

    /// Ends the pause of a room that has waited long enough for slow subscribers.
    pub fn stop_waiting(&mut self, key: RoomKey, now: Tick) {
        if let Some(room) = self.get_mut(key) {
            room.stop_waiting(now);
        }
    }

    /// Where all lanes together hold too much, the largest forget what only slow subscribers want. Returns for how many
    /// rooms this was done.
    pub fn cut_lanes(&mut self) -> u64 {
        if self.lanes.total() <= self.limits.room_buffer_total {
            return 0;
        }
        // The rooms are searched once, however many of them have to forget something.
        let mut largest: BinaryHeap<(usize, RoomKey)> = self
            .lanes
            .keys()
            .filter_map(|key| Some((self.get(key)?.wanted_by_slow(), key)))
            .filter(|(wanted, _)| *wanted > 0)
            .collect();
        let mut cut = 0;
        while self.lanes.total() > self.limits.room_buffer_total
            && let Some((_, key)) = largest.pop()
        {
            if let Some(room) = self.rooms.get_mut(key.0 as usize) {
                room.cut();
                self.lanes.set(key, room.reserved());
                cut += 1;
            }
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::chat::members::name::Called;
    use crate::chat::rooms::tests::LIMITS;
    use crate::chat::{Encoding, Ends, Format, Place, RoomLimits, Rooms, Said, Stamp, What};
    use crate::feed::Offset;
    use crate::ids::{ConnectionKey, RoomKey};
    use crate::time::Tick;

    fn say(rooms: &mut Rooms, room: RoomKey, bytes: &[u8]) {
        let said = Said {
            member: 1,
            from: Called::Guest(1),
            format: Format::Plain,
            what: What::Binary(bytes),
            id: None,
        };
        let stamp = Stamp { seq: 1, time: 0 };
        rooms.append(room, &said, stamp, Tick(0));
    }

    /// Adds a member whose socket takes nothing.
    fn join(rooms: &mut Rooms, room: RoomKey) -> Place {
        let encoding = Encoding::Plain;
        let seat = rooms
            .get_mut(room)
            .unwrap()
            .join(ConnectionKey(room.0), encoding);
        Place {
            room,
            seat,
            encoding,
        }
    }

    /// Visits the only member of a room, whose socket takes nothing, until nothing is new.
    fn go_round(rooms: &mut Rooms, place: Place) {
        let start = rooms.get(place.room).unwrap().lane(place.encoding).unwrap();
        let start = start.start();
        while let Some((_, ends)) = rooms.advance(place.room) {
            rooms.visited(place, start);
            if ends != Ends::Nothing {
                rooms.round_ended(place.room, ends);
            }
        }
    }

    #[test]
    fn the_largest_lanes_are_cut_and_only_for_slow_subscribers() {
        let limits = RoomLimits {
            room_buffer: 10_000,
            room_buffer_total: 15_000,
            ..LIMITS
        };
        let mut rooms = Rooms::new(7, limits, Duration::ZERO);
        let [small, large] = ["/small", "/large"].map(|path| {
            let key = rooms.enter(path).unwrap();
            let place = join(&mut rooms, key);
            rooms.cursor_moved(place, None, Some(Offset::START));
            place
        });
        say(&mut rooms, small.room, &[1; 4_000]);
        say(&mut rooms, large.room, &[1; 9_000]);
        go_round(&mut rooms, small);
        go_round(&mut rooms, large);
        assert_eq!(rooms.cut_lanes(), 0);
        let [small, large] = [small.room, large.room];
        say(&mut rooms, small, &[2; 4_000]);
        assert!(rooms.lanes() > 15_000);
        assert!(rooms.is_full(small), "it is on its way round");
        assert_eq!(rooms.cut_lanes(), 1);
        assert!(rooms.lanes() <= 15_000 && !rooms.is_full(small));
        let left = |key| rooms.get(key).unwrap().lane(Encoding::Plain).unwrap().len();
        assert_eq!((left(small), left(large)), (8_008, 0));
    }

    #[test]
    fn what_has_been_offered_to_no_subscriber_is_never_cut() {
        let limits = RoomLimits {
            room_buffer: 10_000,
            room_buffer_total: 1_000,
            ..LIMITS
        };
        let mut rooms = Rooms::new(7, limits, Duration::ZERO);
        let key = rooms.enter("/").unwrap();
        join(&mut rooms, key);
        say(&mut rooms, key, &[1; 4_000]);
        assert_eq!(rooms.cut_lanes(), 0);
        assert!(rooms.is_full(key) && rooms.lanes() >= 4_000);
    }
}
