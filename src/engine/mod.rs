//! The seam between what members want and what becomes of it.
//!
//! A member wants to enter a room, to say something, to change its name or to leave. That is a *request*. What the engine
//! makes of it is a *commit*: it gives the number of a new member, and the seq and the time of a message. [`Embedded`]
//! commits each request at once, and the compiler leaves nothing of the seam. An engine that writes to a disk or asks
//! another process takes the request, and brings the [`Outcome`] later.
//!
//! What every engine promises:
//!
//! - All requests of one room are answered in the order in which they were made, each exactly once: by a commit or by a
//!   refusal. Leaving is the exception, and needs no answer. So a client that comes back is let in after everything
//!   that its old connection asked for, and a retry meets either a published message or a refused one.
//! - The seqs of one room have no gaps, and a refused message has none.
//! - What a plain client says is never refused, because there is no way to tell it. The engine keeps the message until
//!   it can commit it. Meanwhile the client is not read, which is backpressure.
//! - What was asked is committed even if the connection has gone.

use crate::chat::members::name::Name;
use crate::chat::{Position, Room, Said, Stamp};
use crate::ids::ConnectionRef;
use crate::time::Moment;

/// Decides about requests, at once or later.
pub trait Engine {
    /// Whether each request is answered at once: then [`Engine::next`] never has anything.
    const IMMEDIATE: bool;

    /// A client wants to be a member of a room. If it comes back, `returning` is its number.
    fn enter(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        returning: Option<u32>,
    ) -> Option<Entered>;

    /// A member wants to say something. `time` is now, in milliseconds since 1970.
    fn say(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        said: &Said<'_>,
        time: u64,
    ) -> Option<Stamp>;

    /// A member wants another name; `None` is `guest-N`.
    fn rename(
        &mut self,
        from: ConnectionRef,
        room: RoomState<'_>,
        member: u32,
        name: Option<&Name>,
    ) -> Option<Renamed>;

    /// A member has left the room with this epoch. There is no answer.
    fn leave(&mut self, epoch: u64, member: u32);

    /// Whether the engine holds so many requests that nothing more is to be asked of it for now.
    fn is_full(&self) -> bool;

    /// When [`Engine::next`] will have something. `takes` says whether the room with this path takes a message now.
    fn due(&self, takes: impl FnMut(&str) -> bool) -> Option<Moment>;

    /// The next outcome of an earlier request. A message stays in the engine until its room takes it.
    fn next(&mut self, now: Moment, takes: impl FnMut(&str) -> bool) -> Option<Outcome<'_>>;
}

/// A room as the server that asks knows it.
#[derive(Clone, Copy, Debug)]
pub struct RoomState<'a> {
    /// Whether it is open there.
    pub is_open: bool,
    /// Its path.
    pub path: &'a str,
    /// How far it has come. An engine that does not know the room begins it here.
    pub position: Position,
}

impl<'a> RoomState<'a> {
    /// The state of a room that is open.
    pub fn of(room: &'a Room) -> RoomState<'a> {
        RoomState {
            is_open: true,
            path: room.path(),
            position: room.position(),
        }
    }
}

/// A newcomer is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The room's epoch and its latest seq at that moment.
    pub epoch: u64,
    /// See `epoch`.
    pub seq: u64,
    /// The member's number.
    pub member: u32,
}

/// A member has the name that it asked for, or that name with a number behind it where another member has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renamed;

/// What becomes of a request, if that is not known at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Of [`Engine::enter`].
    Entered(ConnectionRef, Entered),
    /// Of [`Engine::say`].
    Said {
        /// Of the connection, which may have gone.
        from: ConnectionRef,
        /// The path of the room.
        room: &'a str,
        /// Of the room: if it is open with another epoch, it is not the same any more.
        epoch: u64,
        /// Where the message stands in the room's log.
        stamp: Stamp,
        /// The message.
        said: Said<'a>,
    },
    /// Of [`Engine::rename`]: the name that was asked for.
    Renamed(ConnectionRef, Option<&'a Name>),
    /// The oldest request of this connection that has no answer yet is not done, and never will be. The client may try
    /// again.
    Refused(ConnectionRef),
}

/// The engine of a server that is alone: it commits at once, and remembers nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Embedded;

impl Engine for Embedded {
    const IMMEDIATE: bool = true;

    fn enter(
        &mut self,
        _: ConnectionRef,
        room: RoomState<'_>,
        returning: Option<u32>,
    ) -> Option<Entered> {
        let Position {
            epoch,
            seq,
            arrivals,
        } = room.position;
        let member = returning.unwrap_or(arrivals.saturating_add(1));
        Some(Entered { epoch, seq, member })
    }

    fn say(
        &mut self,
        _: ConnectionRef,
        room: RoomState<'_>,
        _: &Said<'_>,
        time: u64,
    ) -> Option<Stamp> {
        let seq = room.position.seq + 1;
        Some(Stamp { seq, time })
    }

    fn rename(
        &mut self,
        _: ConnectionRef,
        _: RoomState<'_>,
        _: u32,
        _: Option<&Name>,
    ) -> Option<Renamed> {
        Some(Renamed)
    }

    #[inline]
    fn leave(&mut self, _: u64, _: u32) {}

    fn is_full(&self) -> bool {
        false
    }

    #[inline]
    fn due(&self, _: impl FnMut(&str) -> bool) -> Option<Moment> {
        None
    }

    #[inline]
    fn next(&mut self, _: Moment, _: impl FnMut(&str) -> bool) -> Option<Outcome<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::members::name::Called;
    use crate::chat::{Format, What};
    use crate::ids::{ConnectionId, ConnectionKey};

    const FROM: ConnectionRef = ConnectionRef {
        key: ConnectionKey(3),
        id: ConnectionId(9),
    };

    const ROOM: RoomState<'static> = RoomState {
        is_open: true,
        path: "/tea",
        position: Position {
            epoch: 7,
            seq: 41,
            arrivals: 5,
        },
    };

    #[test]
    fn a_newcomer_has_the_next_number_and_a_member_that_comes_back_its_own() {
        for (returning, member) in [(None, 6), (Some(2), 2)] {
            let entered = Entered {
                epoch: 7,
                seq: 41,
                member,
            };
            assert_eq!(Embedded.enter(FROM, ROOM, returning), Some(entered));
        }
    }

    #[test]
    fn a_message_has_the_next_seq_and_the_time_of_its_server() {
        let said = Said {
            member: 2,
            from: Called::Guest(2),
            format: Format::Plain,
            what: What::Text("hello".into()),
            id: None,
        };
        let stamp = Stamp {
            seq: 42,
            time: 1_000,
        };
        assert_eq!(Embedded.say(FROM, ROOM, &said, 1_000), Some(stamp));
    }

    #[test]
    fn nothing_is_left_for_later() {
        assert_eq!(Embedded.rename(FROM, ROOM, 2, None), Some(Renamed));
        Embedded.leave(7, 2);
        assert!(!Embedded.is_full());
        assert_eq!(Embedded.due(|_| true), None);
        assert_eq!(Embedded.next(Moment(u64::MAX), |_| true), None);
    }
}
