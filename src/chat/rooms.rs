//! All rooms, found by their paths.

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use slab::Slab;

use super::Room;

/// Where a room is kept. Used again once the room is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(pub u32);

/// As many rooms as the limit allows are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRooms;

/// All rooms that somebody is in.
#[derive(Debug)]
pub struct Rooms {
    rooms: Slab<Room>,
    /// Keys into `rooms`, by the hash of the path. Seeded, so that nobody can aim at a bucket.
    by_path: HashTable<RoomKey>,
    hasher: SipHasher13,
    limits: Limits,
}

/// What bounds rooms.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rooms at a time.
    pub max_rooms: usize,
    /// Bytes that one lane remembers.
    pub lane_bytes: usize,
}

impl Rooms {
    /// No rooms yet. `seed` is 128 random bits.
    pub fn new(seed: u128, limits: Limits) -> Rooms {
        Rooms {
            rooms: Slab::new(),
            by_path: HashTable::new(),
            hasher: SipHasher13::new_with_key(&seed.to_le_bytes()),
            limits,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The room at a key that is in use.
    pub fn get(&self, key: RoomKey) -> Option<&Room> {
        self.rooms.get(key.0 as usize)
    }

    /// The room at a key that is in use.
    pub fn get_mut(&mut self, key: RoomKey) -> Option<&mut Room> {
        self.rooms.get_mut(key.0 as usize)
    }

    /// All rooms with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (RoomKey, &Room)> {
        self.rooms
            .iter()
            .map(|(key, room)| (RoomKey(key as u32), room))
    }

    /// The room with this path, opened if need be.
    ///
    /// # Errors
    /// [`TooManyRooms`] where it would be one more than the limit.
    pub fn enter(&mut self, path: &str) -> Result<RoomKey, TooManyRooms> {
        let hash = self.hasher.hash(path.as_bytes());
        if let Some(&key) = self
            .by_path
            .find(hash, |&key| path_at(&self.rooms, key) == path)
        {
            return Ok(key);
        }
        if self.rooms.len() >= self.limits.max_rooms {
            return Err(TooManyRooms);
        }
        let key = RoomKey(self.rooms.insert(Room::new(path, self.limits.lane_bytes)) as u32);
        self.by_path.insert_unique(hash, key, |&key| {
            self.hasher.hash(path_at(&self.rooms, key).as_bytes())
        });
        Ok(key)
    }

    /// Frees a room that nobody is in.
    pub fn close_if_empty(&mut self, key: RoomKey) {
        if self.get(key).is_none_or(|room| !room.is_empty()) {
            return;
        }
        let hash = self.hasher.hash(path_at(&self.rooms, key).as_bytes());
        if let Ok(entry) = self.by_path.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
        self.rooms.try_remove(key.0 as usize);
        if self.rooms.is_empty() {
            self.rooms = Slab::new();
            self.by_path = HashTable::new();
        }
    }
}

fn path_at(rooms: &Slab<Room>, key: RoomKey) -> &str {
    rooms.get(key.0 as usize).map_or("", Room::path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Encoding, Key};

    fn rooms() -> Rooms {
        Rooms::new(
            7,
            Limits {
                max_rooms: 3,
                lane_bytes: 100,
            },
        )
    }

    #[test]
    fn a_path_is_a_room_until_everybody_has_left() {
        let mut rooms = rooms();
        let tea = rooms.enter("/tea").unwrap();
        assert_ne!(rooms.enter("/").unwrap(), tea);
        assert_eq!(rooms.enter("/tea"), Ok(tea));
        let seat = rooms.get_mut(tea).unwrap().join(Key(1), Encoding::PLAIN);
        rooms.close_if_empty(tea);
        assert_eq!(rooms.len(), 2);
        rooms.get_mut(tea).unwrap().leave(seat, Encoding::PLAIN);
        rooms.close_if_empty(tea);
        assert_eq!(rooms.len(), 1);
        assert!(rooms.get(tea).is_none());
    }

    #[test]
    fn one_room_more_than_the_limit_is_refused() {
        let mut rooms = rooms();
        for path in ["/a", "/b", "/c"] {
            assert!(rooms.enter(path).is_ok());
        }
        assert_eq!(rooms.enter("/d"), Err(TooManyRooms));
        assert!(rooms.enter("/b").is_ok());
    }
}
