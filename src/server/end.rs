//! How connections end: all of them at the end of a turn, so that an event of the same batch can
//! never mean another client.

use super::connection::{Awaits, Farewell, Flags, Gone, Stage};
use super::report::Notice;
use super::{Network, Server, Transport};
use crate::chat::{Key, Place, Room, Roster};

impl<N: Network> Server<N> {
    /// This connection leaves with this turn; nothing more is read from it or written to it.
    pub(super) fn end(&mut self, key: Key, why: Gone) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.flags.set(Flags::ENDED);
        let (id, peer) = (connection.id.0, connection.peer);
        match why {
            Gone::Closed | Gone::Vanished | Gone::Broken(_) => {
                log::debug!("#{id} from {peer} has left: {why}");
            }
            Gone::FellBehind
            | Gone::NoProgress
            | Gone::Silent
            | Gone::CloseTimeout
            | Gone::Squeezed(_) => {
                // Its socket may be full, in the middle of a frame: the kernel's queue goes too.
                connection.socket.abandon();
                match why {
                    Gone::FellBehind => self.counts.fell_behind += 1,
                    Gone::NoProgress => self.counts.no_progress += 1,
                    Gone::Silent => self.counts.silent += 1,
                    Gone::CloseTimeout => self.counts.close_timeouts += 1,
                    _ => {}
                }
                self.notice(
                    Notice::Dropped,
                    format_args!("#{id} from {peer} is dropped: {why}"),
                );
            }
        }
        self.depart(key);
        self.ended.push(key);
    }

    /// A member is not heard any more. It keeps its seat: it may still be owed some of the lane.
    pub(super) fn depart(&mut self, key: Key) {
        let now = self.tick();
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return;
        };
        let place = Some(member.place);
        self.rooms.depart(key, member, roster, now);
        if let Some(connection) = self.connections.get_mut(key.0 as usize) {
            self.half_bytes -= connection.half_bytes();
            let awaits = Awaits::Outbox;
            connection.stage = Stage::Closing(Farewell { place, awaits });
        }
    }

    pub(super) fn reap(&mut self) {
        if self.ended.is_empty() {
            return;
        }
        // Offering to those whose seats move may end more of them.
        while let Some(key) = self.ended.pop() {
            let Some(connection) = self.connections.try_remove(key.0 as usize) else {
                continue;
            };
            if connection.flags.has(Flags::COUNTED)
                && let Some(count) = self.addresses.get_mut(&connection.peer)
            {
                *count -= 1;
                if *count == 0 {
                    self.addresses.remove(&connection.peer);
                }
            }
            if connection.flags.has(Flags::BLOCKED) {
                self.blocked -= 1;
            }
            let Some(place) = connection.place() else {
                continue;
            };
            drop(connection.socket);
            self.leave(place, connection.flags.has(Flags::LAGS));
        }
        if self.connections.is_empty() {
            self.connections = slab::Slab::new();
        }
        self.pace.room_again();
    }

    fn leave(&mut self, place: Place, lagged: bool) {
        let Some(room) = self.rooms.get_mut(place.room) else {
            return;
        };
        let busy = room.is_busy();
        let moved = room.leave(place.seat, place.encoding);
        if lagged {
            room.lags_no_more();
        }
        if let Some(key) = moved {
            if let Some(connection) = self.connections.get_mut(key.0 as usize) {
                connection.moved(place.seat);
            }
            self.offer(key);
        } else if busy && self.rooms.get(place.room).is_some_and(Room::is_empty) {
            self.busy.retain(|round| round.room != place.room);
            self.gathering
                .retain(|std::cmp::Reverse((_, round))| round.room != place.room);
        }
        self.rooms.was_left(place.room, self.now.tick());
    }
}
