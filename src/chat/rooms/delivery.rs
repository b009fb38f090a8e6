//! Delivery: which member of a room is offered new messages next (round robin), and what the lanes forget afterwards.

use super::Rooms;
use crate::chat::room::NewInRound;
use crate::chat::{Ends, Place};
use crate::feed::Offset;
use crate::ids::{ConnectionKey, RoomKey};

impl Rooms {
    /// The next member of a room to visit, and what that visit completes. The caller reports each visit by
    /// [`Rooms::visited`], and by [`Rooms::round_ended`] if it completes something.
    pub fn advance(&mut self, key: RoomKey) -> Option<(ConnectionKey, Ends)> {
        self.get_mut(key)?.advance()
    }

    /// A member was offered the whole lane, and this is its cursor now.
    pub fn visited(&mut self, place: Place, cursor: Offset) {
        if let Some(room) = self.get_mut(place.room) {
            room.visited(place.encoding, cursor);
        }
    }

    /// A round is complete, or everything: the lanes forget what all subscribers have taken. Returns what came during
    /// the round.
    pub fn round_ended(&mut self, key: RoomKey, ends: Ends) -> Option<NewInRound> {
        let room = self.get_mut(key)?;
        let backlog = room.new_in_round();
        room.round_ended(ends);
        let reserved = room.reserved();
        self.lanes.set(key, reserved);
        Some(backlog)
    }

    /// The cursor of a slow subscriber moved: `from` where, if it was slow before, and `to` where, if it is slow now.
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
