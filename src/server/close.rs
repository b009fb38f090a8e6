//! How connections close and are removed.
//!
//! | stage | awaits | what happens | what follows |
//! |---|---|---|---|
//! | handshaking | the request | it is granted (`admit`) | joining, or open at once |
//! | | | a response (`respond`, `refuse`), or the handshake timeout | closing, awaits `Outbox` |
//! | | | the peer's FIN | dropped |
//! | joining | the engine | it lets the client in (`join`) | open |
//! | | | it does not, or the handshake timeout (`refuse`) | closing, awaits `Outbox` |
//! | open | | the peer's Close, a violation, a limit (`close_with`), or the peer's FIN | closing, awaits `Outbox` |
//! | | | the server shuts down, or another connection takes over (`close_and_await_reply`) | closing, awaits `Close` |
//! | closing | `Close`: the peer's Close, which answers ours | the Close, a violation, or the peer's FIN | awaits `Outbox` |
//! | | | the close timeout, all is written | awaits `Outbox` |
//! | | | eviction of its partial message (`evict_partial_messages`) | awaits `Outbox` |
//! | | `Outbox`: that all is written | all is written (`on_drained`): FIN is sent | awaits `Fin`; dropped if the peer's FIN was seen |
//! | | `Close` or `Outbox` | the close timeout, not all is written | dropped |
//! | | `Fin`: the peer's FIN | the FIN, or the timeout for it | dropped |
//! | any | | the socket is broken, a timeout of the keepalive, a slow consumer, an eviction | dropped |
//!
//! *Closing* begins in [`Server::begin_closing`]: from there on nothing new is owed to the connection. *Dropped* is
//! [`Server::drop_connection`]: nothing more is read or written, and `reap` *removes* the connection at the end of the turn,
//! so that an event of the same batch can never mean its successor. The membership in the room ends in two steps. With
//! [`Server::end_membership`] the client says nothing more, and others see it go; its seat it keeps until it is removed,
//! because it may still be owed bytes of the lane. With [`Server::leave_room`] the seat is free.
//!
//! Of the flags, `HALF_CLOSED` says that an event has announced a FIN, which may have data before it, `FIN_SEEN` that a read
//! has met it, `BROKEN` that the socket is of no use, `ENDED` that the connection is dropped and not removed yet.

use std::borrow::Cow;

use super::connections::{Awaits, Flags, PendingInput, Reading, Stage};
use super::conversation::{framing_of, lane_of};
use super::drop_reason::DropReason;
use super::queues::{Deadline, ReadClass};
use super::report::Notice;
use super::{Network, Server};
use crate::chat::{Place, Room, Roster};
use crate::engine::Engine;
use crate::feed::{Offset, Piece};
use crate::ids::ConnectionKey;
use crate::ws::CloseCode;

impl<N: Network, E: Engine> Server<N, E> {
    /// Closes a connection with a Close frame and its reason.
    pub(super) fn close_with(
        &mut self,
        key: ConnectionKey,
        code: impl Into<Option<CloseCode>>,
        reason: &str,
        awaits: Awaits,
    ) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        if let Some(close) = framing_of(connection.place()).close(code.into(), reason) {
            connection.splice(lane, Piece::Bytes(Cow::Owned(close)));
        }
        self.begin_closing(key, awaits);
    }

    /// The same for a member that is to answer with a Close of its own.
    pub(super) fn close_and_await_reply(
        &mut self,
        key: ConnectionKey,
        code: CloseCode,
        reason: &str,
    ) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let pending = connection.take_pending();
        let Stage::Open(_) = connection.stage() else {
            return;
        };
        // A message that is held was not published, and is not any more.
        let PendingInput {
            decoder,
            mut undecoded,
            ..
        } = pending.map(|pending| *pending).unwrap_or_default();
        self.close_with(key, code, reason, Awaits::Close(decoder));
        // Its Close may be among what it has sent already, and a part of a message.
        self.on_bytes(key, &mut undecoded);
        self.evict_partial_messages();
    }

    /// From here on, nothing new is owed to this connection.
    pub(super) fn begin_closing(&mut self, key: ConnectionKey, awaits: Awaits) {
        let now = self.tick();
        if let Some(mut connection) = self.connections.live_mut(key)
            && let Stage::Closing(_) = connection.stage()
        {
            // It is closing already, and its time is running.
            connection.set_awaits(awaits);
            return self.enqueue_write(key);
        }
        self.end_membership(key);
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.finish(lane_of(connection.place(), &self.rooms, &self.lobby));
        if connection.reading.is_paused() {
            connection.reading = Reading::Idle;
        }
        connection.set_closing(awaits);
        let deadlines = self.timers.of(Deadline::Close);
        deadlines.set(connection.reference(), now);
        self.enqueue_write(key);
        self.enqueue_read(key, ReadClass::Ready);
    }

    /// Drops a connection: nothing more is read from it or written to it, and it is removed at the end of the turn.
    pub(super) fn drop_connection(&mut self, key: ConnectionKey, why: DropReason) {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        let (id, peer) = (connection.id().0, connection.peer());
        if why.is_our_doing() {
            connection.abandon();
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
            // Counted where the limit is.
            DropReason::Evicted(_) => {}
            DropReason::Closed | DropReason::Vanished | DropReason::Broken(_) => {}
        }
        self.end_membership(key);
        if let Some(mut connection) = self.connections.live_mut(key) {
            connection.end();
        }
    }

    /// A member says nothing more, and the others see it go. It keeps its seat, because it may still be owed bytes of
    /// the lane.
    fn end_membership(&mut self, key: ConnectionKey) {
        let now = self.tick();
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return;
        };
        let number = member.number;
        let epoch = self.rooms.get(member.place.room);
        let epoch = epoch.map_or(0, |room| room.position().epoch);
        self.rooms.depart(key, member, roster, now);
        self.engine.leave(epoch, number);
        if let Some(mut connection) = self.connections.get_mut(key) {
            connection.set_closing(Awaits::Outbox);
        }
    }

    /// Removes the connections that were dropped in this turn.
    pub(super) fn reap(&mut self) {
        if self.connections.ended() == 0 {
            return;
        }
        // Writing to members whose seats move may drop more of them.
        while self.connections.ended() > 0 {
            let Some(connection) = self.connections.pop_ended() else {
                continue;
            };
            let Some(place) = connection.place() else {
                continue;
            };
            let lags = connection.flags.has(Flags::LAGS);
            let cursor = connection.outbox().cursor();
            drop(connection);
            self.leave_room(place, lags.then_some(cursor));
        }
        self.acceptor.on_removed();
    }

    /// A seat is free again. `lagged` is where the cursor of its connection stood, if that lagged.
    fn leave_room(&mut self, place: Place, lagged: Option<Offset>) {
        if let Some(moved) = self.rooms.leave(place, lagged, self.now.tick()) {
            if let Some(mut connection) = self.connections.get_mut(moved.key) {
                connection.moved(moved.seat);
            }
            self.write_all(moved.key);
        }
        if self.rooms.get(place.room).is_none_or(Room::is_empty) {
            // Its key may soon be that of another room.
            self.paused.take_room(place.room);
        } else {
            self.resume_room(place.room);
        }
    }
}

/// Whether all is written and our FIN was sent.
pub(super) fn is_waiting_for_fin(stage: &Stage) -> bool {
    match stage {
        Stage::Handshaking(_) | Stage::Joining(_) | Stage::Open(_) => false,
        Stage::Closing(closing) => matches!(closing.awaits, Awaits::Fin),
    }
}
