//! Timers of rooms: when a room announces, when it forgets what is too old, and when it is closed because it was
//! empty for so long.

use super::Rooms;
use crate::chat::Roster;
use crate::chat::format::v1::ServerMessage;
use crate::chat::members::named;
use crate::ids::RoomKey;
use crate::time::Tick;

/// Maximum number of rooms for which one call does work. The others wait for the next call.
const ROOMS_AT_ONCE: usize = 64;

impl Rooms {
    /// The next time at which [`Rooms::run_due`] has work.
    pub fn due(&self) -> Option<Tick> {
        let agenda = self.agenda.first().map(|(due, _)| due);
        [agenda, self.sessions.due(), self.dedup.due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Announces presence, expires messages and closes rooms, as far as they are due. Returns the rooms in which a
    /// round begins.
    pub fn run_due(&mut self, roster: &dyn Roster, now: Tick) -> Vec<RoomKey> {
        self.sessions.forget(now);
        self.dedup.forget(now);
        let mut busy = Vec::new();
        for _ in 0..ROOMS_AT_ONCE {
            let Some(key) = self.agenda.pop_due(now) else {
                break;
            };
            if self.run_room(key, roster, now) {
                busy.push(key);
            }
        }
        busy
    }

    fn run_room(&mut self, key: RoomKey, roster: &dyn Roster, now: Tick) -> bool {
        let ttl = self.limits.ttl();
        let is_full = self.is_full(key);
        let Some(room) = self.rooms.get_mut(key.0 as usize) else {
            return false;
        };
        let Some(chat) = &mut room.chat else {
            return false;
        };
        let vacant = self.vacant.get(key);
        if vacant.is_some_and(|since| since.after(ttl) <= now) {
            self.close(key);
            return false;
        }
        if is_full {
            // Announcements wait for the end of the round, as messages do.
            self.agenda.set(key, now.after(1));
            return false;
        }
        room.log.expire(now);
        let members = room.members.iter().filter_map(|&key| roster.member(key));
        let is_due = |due: Option<Tick>| due.is_some_and(|due| due <= now);
        let presence = chat.presence.as_mut();
        let announcement = presence
            .filter(|presence| is_due(presence.due()))
            .and_then(|presence| presence.announce(named(members), now));
        let begins = announcement.is_some_and(|announcement| {
            let json = ServerMessage::from(&announcement).to_json();
            room.announce(&json, &mut self.compressor)
        });
        self.settle(key);
        begins
    }
}
