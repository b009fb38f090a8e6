//! How connections end: with an answer or a Close, or without a word. All are removed at the end of a
//! turn, so that an event of the same batch can never mean another client.

use std::borrow::Cow;
use std::mem;

use super::connection::{Awaits, Closing, ConnectionRef, DropReason, Flags, Stage};
use super::conversation::lane_of;
use super::report::Notice;
use super::{Network, Server, Transport};
use crate::chat::{Place, Room, Roster};
use crate::feed::{Offset, Piece};
use crate::ids::ConnectionKey;
use crate::ws::{CloseCode, Frame};

impl<N: Network> Server<N> {
    /// The last words to a client: a Close, with its reason.
    pub(super) fn close_with(
        &mut self,
        key: ConnectionKey,
        code: CloseCode,
        reason: &str,
        awaits: Awaits,
    ) {
        self.close_with_frame(key, &Frame::close(code, reason), awaits);
    }

    /// The last words to a client that is to answer them.
    pub(super) fn close_and_await_reply(
        &mut self,
        key: ConnectionKey,
        code: CloseCode,
        reason: &str,
    ) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        let pending = open.pending.take();
        let (decoder, mut undecoded) = pending
            .map(|pending| (pending.decoder, pending.undecoded))
            .unwrap_or_default();
        self.close_with(key, code, reason, Awaits::Close(decoder));
        // Its Close may be among what it has said already, and half a message.
        self.on_bytes(key, &mut undecoded);
        self.weigh(key);
        self.evict_partial_messages();
    }

    pub(super) fn close_with_frame(
        &mut self,
        key: ConnectionKey,
        frame: &Frame<'_>,
        awaits: Awaits,
    ) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        connection
            .outbox
            .splice(lane, Piece::Bytes(Cow::Owned(frame.to_vec())));
        self.begin_closing(key, awaits);
    }

    /// From here on, nothing that is said is owed to this connection any more.
    pub(super) fn begin_closing(&mut self, key: ConnectionKey, awaits: Awaits) {
        let now = self.tick();
        if let Some(connection) = self.connection(key)
            && let Stage::Closing(closing) = &mut connection.stage
        {
            // It has been told its last already, and its time is running.
            closing.awaits = awaits;
            return self.enqueue_write(key);
        }
        self.end_membership(key);
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let place = connection.place();
        connection
            .outbox
            .finish(lane_of(place, &self.rooms, &self.lobby));
        connection.flags.clear(Flags::RESTS);
        connection.flags.clear(Flags::PARKED);
        let id = connection.id;
        self.set_stage(key, Stage::Closing(Closing { place, awaits }));
        self.closing.set(ConnectionRef { key, id }, now);
        self.enqueue_write(key);
        self.enqueue_read(key);
    }

    /// A connection has come so far.
    pub(super) fn set_stage(&mut self, key: ConnectionKey, stage: Stage) {
        if let Some(connection) = self.connections.get_mut(key.0 as usize) {
            match mem::replace(&mut connection.stage, stage) {
                Stage::Handshaking(_) => self.strangers -= 1,
                Stage::Open(_) | Stage::Closing(_) => {}
            }
        }
    }

    /// This connection leaves with this turn; nothing more is read from it or written to it.
    pub(super) fn drop_connection(&mut self, key: ConnectionKey, why: DropReason) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.flags.set(Flags::ENDED);
        let (id, peer, place) = (connection.id.0, connection.peer, connection.place());
        if why.is_our_doing() {
            // Its socket may be full, in the middle of a frame: the kernel's queue goes too.
            connection.socket.abandon();
            self.notice(
                Notice::Dropped,
                format_args!("#{id} from {peer} is dropped: {why}"),
            );
        } else {
            log::debug!("#{id} from {peer} has left: {why}");
        }
        match why {
            DropReason::FellBehind => self.counts.slow_consumers_dropped += 1,
            DropReason::NoProgress => self.counts.progress_timeouts += 1,
            DropReason::Silent => self.counts.ping_timeouts += 1,
            DropReason::CloseTimeout => self.counts.close_timeouts += 1,
            // Counted by what had to make room.
            DropReason::Squeezed(_) => {}
            DropReason::Closed | DropReason::Vanished | DropReason::Broken(_) => {}
        }
        self.end_membership(key);
        let awaits = Awaits::Outbox;
        self.set_stage(key, Stage::Closing(Closing { place, awaits }));
        self.ended.push(key);
    }

    /// A member is not heard any more. It keeps its seat: it may still be owed some of the lane.
    pub(super) fn end_membership(&mut self, key: ConnectionKey) {
        let now = self.tick();
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return;
        };
        let place = Some(member.place);
        self.rooms.depart(key, member, roster, now);
        let awaits = Awaits::Outbox;
        self.set_stage(key, Stage::Closing(Closing { place, awaits }));
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
            if connection.flags.has(Flags::HOLDS) {
                self.holds_no_more(key);
            }
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
            let lags = connection.flags.has(Flags::LAGS);
            let cursor = connection.outbox.cursor();
            drop(connection.socket);
            self.leave_room(place, lags.then_some(cursor));
        }
        if self.connections.is_empty() {
            self.connections = slab::Slab::new();
            self.highest = 0;
        }
        self.pace.room_again();
    }

    /// A seat is left by somebody whose cursor stood there if it lagged.
    fn leave_room(&mut self, place: Place, lagged: Option<Offset>) {
        if let Some(moved) = self.rooms.leave(place, lagged, self.now.tick()) {
            if let Some(connection) = self.connections.get_mut(moved.key.0 as usize) {
                connection.moved(moved.seat);
            }
            self.write_all(moved.key);
        }
        if self.rooms.get(place.room).is_none_or(Room::is_empty) {
            // Its key may soon be that of another room.
            self.parked.remove(&place.room);
        } else {
            self.resume_room(place.room);
        }
    }
}
