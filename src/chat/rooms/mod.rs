//! All rooms, found by their paths. [`Rooms`] alone changes a room, and brings its ledgers up to date when it does.

mod backpressure;
pub(super) mod conversation;
mod delivery;
mod eviction;
mod timers;

use std::time::Duration;

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;
use slab::Slab;

use crate::chat::format::compress::Compressor;
use crate::chat::history::archive::Bounds;
use crate::chat::history::dedup::DedupWindow;
use crate::chat::history::log::{Log, Position};
use crate::chat::members::session::Sessions;
use crate::chat::{Format, Place, Room};
use crate::feed::Offset;
use crate::ids::{ConnectionKey, RoomKey};
use crate::random::Random;
use crate::ranked::Ranked;
use crate::schedule::Schedule;
use crate::time::{Tick, ticks};

/// As many rooms as the limit allows have members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRooms;

/// All rooms that have members, or had some lately.
#[derive(Debug)]
pub struct Rooms {
    rooms: Slab<Room>,
    /// Keys into `rooms`, by the hash of the path. The hash is seeded, so that clients cannot choose a bucket.
    by_path: HashTable<RoomKey>,
    hasher: SipHasher13,
    /// The room that was entered last: most clients enter the same room as the client before.
    entered: RoomKey,
    limits: RoomLimits,
    /// Silence after which members are pinged, which they are told.
    ping_interval: Duration,
    random: Random,
    sessions: Sessions,
    dedup: DedupWindow,
    compressor: Compressor,
    /// When each room has something to announce or to forget.
    agenda: Schedule<RoomKey>,
    /// Since when each empty room is empty.
    vacant: Schedule<RoomKey>,
    /// Heap bytes of each room's archive.
    archives: Ranked<RoomKey>,
    /// See [`Rooms::archives_cut`].
    archives_cut: u64,
    /// Heap bytes of each room's lanes.
    lanes: Ranked<RoomKey>,
}

/// A member that has another seat now: it had the last one, and the member of this seat left. The caller must offer it
/// what is new at once, because the round may have passed its new seat already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The member's connection.
    pub key: ConnectionKey,
    /// Its seat from now on.
    pub seat: u32,
}

/// What bounds rooms.
#[derive(Clone, Copy, Debug)]
pub struct RoomLimits {
    /// Rooms at a time (`--max-rooms`).
    pub max_rooms: usize,
    /// Bytes of a room's send buffer for each encoding, its lane (`--room-buffer`).
    pub room_buffer: usize,
    /// Bytes of all lanes together (`--room-buffer-total`).
    pub room_buffer_total: usize,
    /// Bytes of the largest message that is accepted (`--max-message`).
    pub max_message: usize,
    /// From 1 (fast) to 9 (small) (`--compression-level`).
    pub compression_level: u32,
    /// Bytes of the smallest message that is compressed (`--compression-threshold`).
    pub compression_threshold: usize,
    /// Messages that a new member is sent, 0 for no archives (`--history`).
    pub history: usize,
    /// Bytes of one archive (`--history-size`).
    pub history_size: usize,
    /// Bytes of all archives together (`--history-size-total`).
    pub history_size_total: usize,
    /// How long messages, empty rooms and sessions are remembered, zero for as long as there is space
    /// (`--history-ttl`).
    pub history_ttl: Duration,
}

impl Default for RoomLimits {
    fn default() -> RoomLimits {
        RoomLimits {
            max_rooms: 10_000,
            room_buffer: 4 << 20,
            room_buffer_total: 256 << 20,
            max_message: 64 << 10,
            compression_level: 6,
            compression_threshold: 256,
            history: 50,
            history_size: 1 << 20,
            history_size_total: 64 << 20,
            history_ttl: Duration::from_secs(60 * 60),
        }
    }
}

impl RoomLimits {
    /// For each message that a new member is sent, this many are held for clients that ask for older ones or come back.
    const HELD_FOR_ONE_SENT: usize = 100;

    /// Members that are remembered when they have left, and messages by their ids.
    const SESSIONS: usize = 65_536;

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            messages: self.history.saturating_mul(RoomLimits::HELD_FOR_ONE_SENT),
            bytes: self.history_size,
            ttl: self.ttl(),
        }
    }

    /// [`RoomLimits::history_ttl`] in ticks.
    pub(super) fn ttl(&self) -> u32 {
        if self.history_ttl.is_zero() {
            u32::MAX
        } else {
            ticks(self.history_ttl)
        }
    }

    /// Bytes of JSON that a message may become. Twice its own are enough for all but control characters.
    pub(super) fn max_json(&self) -> usize {
        self.max_message.saturating_mul(2).saturating_add(1024)
    }
}

impl Rooms {
    /// No rooms yet. `seed` is 128 random bits. `ping_interval` is only told to members: silence after which
    /// they are pinged.
    pub fn new(seed: u128, limits: RoomLimits, ping_interval: Duration) -> Rooms {
        let mut random = Random::new(seed);
        Rooms {
            rooms: Slab::new(),
            by_path: HashTable::new(),
            entered: RoomKey::default(),
            hasher: SipHasher13::new_with_key(&random.bits128().to_le_bytes()),
            sessions: Sessions::new(random.bits128(), RoomLimits::SESSIONS, limits.ttl()),
            dedup: DedupWindow::new(random.bits128(), RoomLimits::SESSIONS),
            compressor: Compressor::new(limits.compression_level, limits.compression_threshold),
            random,
            limits,
            ping_interval,
            agenda: Schedule::default(),
            vacant: Schedule::default(),
            archives: Ranked::default(),
            archives_cut: 0,
            lanes: Ranked::default(),
        }
    }

    /// How many compressions there have been: each message is compressed once for each window in use.
    pub fn compressions(&self) -> u64 {
        self.compressor.compressions()
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there is no room.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// The room at a key that is in use.
    pub fn get(&self, key: RoomKey) -> Option<&Room> {
        self.rooms.get(key.0 as usize)
    }

    fn get_mut(&mut self, key: RoomKey) -> Option<&mut Room> {
        self.rooms.get_mut(key.0 as usize)
    }

    /// All rooms with their keys.
    pub fn iter(&self) -> impl Iterator<Item = (RoomKey, &Room)> {
        self.rooms
            .iter()
            .map(|(key, room)| (RoomKey(key as u32), room))
    }

    /// The room with this path, if it is open.
    pub fn find(&self, path: &str) -> Option<RoomKey> {
        let hash = self.hasher.hash(path.as_bytes());
        let is_it = |key: &RoomKey| path_at(&self.rooms, *key) == path;
        self.by_path.find(hash, is_it).copied()
    }

    /// The room with this path, which goes on from this position if it has to be opened.
    ///
    /// # Errors
    /// As [`Rooms::enter`].
    pub fn enter_at(&mut self, path: &str, position: Position) -> Result<RoomKey, TooManyRooms> {
        match self.find(path) {
            Some(key) => Ok(key),
            None => self.open(path, position),
        }
    }

    /// The room with this path, opened if need be: the room that has been empty for longest makes way.
    ///
    /// # Errors
    /// [`TooManyRooms`] where it would be one more than the limit.
    pub fn enter(&mut self, path: &str) -> Result<RoomKey, TooManyRooms> {
        if self
            .get(self.entered)
            .is_none_or(|room| room.path() != path)
        {
            self.entered = self.find_or_open(path)?;
        }
        Ok(self.entered)
    }

    fn find_or_open(&mut self, path: &str) -> Result<RoomKey, TooManyRooms> {
        if let Some(key) = self.find(path) {
            return Ok(key);
        }
        let position = self.new_position();
        self.open(path, position)
    }

    /// Where a room begins that nothing is known of.
    pub fn new_position(&mut self) -> Position {
        Position {
            epoch: self.random.bits64(),
            ..Position::default()
        }
    }

    fn open(&mut self, path: &str, position: Position) -> Result<RoomKey, TooManyRooms> {
        if self.rooms.len() >= self.limits.max_rooms && !self.close_longest_vacant() {
            return Err(TooManyRooms);
        }
        let room = Room::new(path, Log::new(position), self.limits.room_buffer);
        let key = RoomKey(self.rooms.insert(room) as u32);
        let hash = self.hasher.hash(path.as_bytes());
        self.by_path.insert_unique(hash, key, |&key| {
            self.hasher.hash(path_at(&self.rooms, key).as_bytes())
        });
        Ok(key)
    }

    /// Frees the seat of a member that [departed](Rooms::depart) before. `lagged`: its cursor, if it is a slow
    /// subscriber. Returns the member that has another seat now.
    pub fn leave(&mut self, place: Place, lagged: Option<Offset>, now: Tick) -> Option<Moved> {
        let room = self.rooms.get_mut(place.room.0 as usize)?;
        room.cursor_moved(place.encoding, lagged, None);
        let moved = room.leave(place.seat, place.encoding);
        let is_empty = room.is_empty();
        // A lane goes with its last subscriber, and may forget what only a slow subscriber wanted. Otherwise it stays as
        // it is.
        let may_shrink = lagged.is_some() || room.lane(place.encoding).is_none();
        let has_chat_subscribers = room.has_subscribers(Format::ChatV1);
        match &mut room.chat {
            None if is_empty => self.close(place.room),
            None if may_shrink => self.settle(place.room),
            None => {}
            Some(chat) => {
                if !has_chat_subscribers {
                    chat.presence = None;
                }
                if is_empty {
                    self.vacant.set(place.room, now);
                }
                self.settle(place.room);
            }
        }
        moved.map(|key| Moved {
            key,
            seat: place.seat,
        })
    }

    /// Brings the ledgers and the schedule up to date after a change of a room.
    fn settle(&mut self, key: RoomKey) {
        let Some(room) = self.rooms.get(key.0 as usize) else {
            return;
        };
        self.lanes.set(key, room.reserved());
        if room.chat.is_some() {
            let vacant = self.vacant.get(key);
            let closes = vacant.map(|since| since.after(self.limits.ttl()));
            let due = room.due().into_iter().chain(closes).min();
            self.agenda.set(key, due);
            self.archives.set(key, room.archived());
            self.evict_archives();
        }
    }

    /// Closes a room and forgets everything about it.
    fn close(&mut self, key: RoomKey) {
        let hash = self.hasher.hash(path_at(&self.rooms, key).as_bytes());
        if let Ok(entry) = self.by_path.find_entry(hash, |&other| other == key) {
            entry.remove();
        }
        self.rooms.try_remove(key.0 as usize);
        self.lanes.remove(key);
        self.archives.remove(key);
        self.agenda.cancel(key);
        self.vacant.cancel(key);
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
pub(super) mod tests {
    use super::*;
    use crate::chat::Encoding;

    pub(in crate::chat) const LIMITS: RoomLimits = RoomLimits {
        max_rooms: 3,
        room_buffer: 1 << 20,
        room_buffer_total: 1 << 20,
        max_message: 1000,
        compression_level: 1,
        compression_threshold: 64,
        history: 5,
        history_size: 10_000,
        history_size_total: 25_000,
        history_ttl: Duration::from_secs(60),
    };

    fn rooms() -> Rooms {
        Rooms::new(7, LIMITS, Duration::ZERO)
    }

    #[test]
    fn a_path_is_a_room_until_all_members_have_left() {
        let mut rooms = rooms();
        let tea = rooms.enter("/tea").unwrap();
        assert_ne!(rooms.enter("/").unwrap(), tea);
        assert_eq!(rooms.enter("/tea"), Ok(tea));
        let [ann, bob] = [1, 2].map(|key| {
            let room = rooms.get_mut(tea).unwrap();
            Place {
                room: tea,
                seat: room.join(ConnectionKey(key), Encoding::Plain),
                encoding: Encoding::Plain,
            }
        });
        let moved = rooms.leave(ann, None, Tick(0));
        let bob_is_first = Moved {
            key: ConnectionKey(2),
            seat: ann.seat,
        };
        assert_eq!((moved, rooms.len()), (Some(bob_is_first), 2));
        let bob = Place {
            seat: ann.seat,
            ..bob
        };
        assert_eq!(rooms.leave(bob, None, Tick(0)), None);
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
