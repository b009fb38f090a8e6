//! Delivery: which member is offered next what is new in a room (round robin), and what its lanes may forget then.

use super::Rooms;
use crate::chat::room::Backlog;
use crate::chat::{Ends, Place};
use crate::feed::Offset;
use crate::ids::{ConnectionKey, RoomKey};

impl Rooms {
    /// The next member of a room that is to be offered what is new, and what that visit completes. Every visit is
    /// reported by [`Rooms::visited`], and then by [`Rooms::round_ended`] if it completes something.
    pub fn advance(&mut self, key: RoomKey) -> Option<(ConnectionKey, Ends)> {
        self.get_mut(key)?.advance()
    }

    /// A member was offered everything there is, and its cursor stands here now.
    pub fn visited(&mut self, place: Place, cursor: Offset) {
        if let Some(room) = self.get_mut(place.room) {
            room.visited(place.encoding, cursor);
        }
    }

    /// A round of the room is complete, or everything: the lanes forget what everybody has taken. Returns what has
    /// come since the round began.
    pub fn round_ended(&mut self, key: RoomKey, ends: Ends) -> Option<Backlog> {
        let room = self.get_mut(key)?;
        let backlog = room.backlog();
        room.round_ended(ends);
        let reserved = room.reserved();
        self.lanes.set(key, reserved);
        Some(backlog)
    }

    /// A member took some of what it was offered: where its cursor stood if it lagged, and where it stands if it
    /// lags.
    pub fn cursor_moved(&mut self, place: Place, from: Option<Offset>, to: Option<Offset>) {
        let Some(room) = self.get_mut(place.room) else {
            return;
        };
        room.cursor_moved(place.encoding, from, to);
        if to.is_none() {
            let reserved = room.reserved();
            self.lanes.set(place.room, reserved);
        }
    }
}
