//! Commits: what the engine has made of earlier requests is published, let in, renamed or refused.
//!
//! An engine that answers at once never comes here. One that answers later brings the outcomes of a room in the order of
//! the requests. A member may have several messages with the engine at a time. Whatever else it sends, such as another
//! name or a question, waits behind them, undecoded or as one whole message, and so it keeps its order. A member with
//! such a message is paused, and resumed by the next outcome.

use super::clock::TimeSlice;
use super::connections::{Awaits, Flags, Reading, Stage};
use super::drop_reason::DropReason;
use super::queues::{ReadClass, Request};
use super::{Network, Server};
use crate::chat::members::name::Name;
use crate::chat::v1::{Refused, ServerMessage};
use crate::chat::{Format, Position, Room, Roster};
use crate::engine::{Engine, Entered, Outcome};
use crate::http::Refusal;
use crate::ids::{ConnectionKey, ConnectionRef, RoomKey};
use crate::ws::CloseCode;

impl<N: Network, E: Engine> Server<N, E> {
    /// Takes in what the engine has ready, as many outcomes as a turn reads. Messages of rooms that are full, or wait for
    /// slow subscribers, stay with the engine.
    pub(super) fn commit(&mut self) {
        if E::IMMEDIATE {
            return;
        }
        let now = self.tick();
        let mut slice = TimeSlice::default();
        for _ in 0..self.limits.budget.reads {
            let mut paused = Vec::new();
            let takes = |path: &str| {
                let room = self.rooms.find(path);
                let is_paused = |room: &RoomKey| self.rooms.is_paused(*room, now);
                paused.extend(room.filter(is_paused));
                !room.is_some_and(|room| is_paused(&room))
            };
            let outcome = self.engine.next(self.now, takes);
            let is_last = outcome.is_none();
            match outcome {
                None => {}
                Some(Outcome::Said {
                    from,
                    room,
                    epoch,
                    stamp,
                    said,
                }) => {
                    let is_same =
                        |room: &Room| room.position().epoch == epoch && self.shutdown.is_none();
                    // Once the server shuts down nothing is published: clients find it in the log when they are back.
                    if let Some(room) = self.rooms.find(room)
                        && self.rooms.get(room).is_some_and(is_same)
                    {
                        self.counts.messages_published += 1;
                        let begins = self.rooms.append(room, &said, stamp, now);
                        if begins && self.rooms.get(room).is_some_and(Room::is_busy) {
                            self.run_queue.push(room, self.now);
                        }
                    }
                    self.on_outcome(from);
                }
                Some(Outcome::Entered(from, entered)) => {
                    self.requests.pop(from);
                    self.on_entered(from, entered);
                }
                Some(Outcome::Renamed(from, name)) => {
                    let name = name.cloned();
                    self.on_outcome(from);
                    if self.connections.resolve(from).is_some() {
                        self.rename(from.key, name);
                    }
                }
                Some(Outcome::Refused(from)) => self.on_refused(from),
            }
            for room in paused {
                self.set_deadline_of_paused_room(room);
            }
            if is_last || slice.is_over(self.limits.budget.time, || self.network.now()) {
                break;
            }
        }
        if !self.engine.is_full() {
            for connection in self.requests.take_waiting() {
                self.resume_by_engine(connection);
            }
        }
    }

    /// The oldest request of a connection is answered: if it is paused for that, it is read again.
    fn on_outcome(&mut self, from: ConnectionRef) -> Option<Request> {
        let request = self.requests.pop(from);
        self.resume_by_engine(from);
        request
    }

    fn resume_by_engine(&mut self, connection: ConnectionRef) {
        if self.resume(connection, Reading::ByEngine) {
            self.enqueue_read(connection.key, ReadClass::Backlog);
        }
    }

    /// A member has sent a message that has to wait for the engine, and is not read meanwhile.
    pub(super) fn pause_by_engine(&mut self, key: ConnectionKey) {
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        if connection.flags.has(Flags::BROKEN) {
            return self.drop_connection(key, DropReason::Vanished);
        }
        connection.reading = Reading::ByEngine;
        let connection = connection.reference();
        if !self.requests.has(connection) {
            self.requests.wait_for_space(connection);
        }
    }

    /// The engine has let a client into its room. If its connection has gone meanwhile, or is closing, the member leaves
    /// again.
    pub(super) fn on_entered(&mut self, from: ConnectionRef, entered: Entered) {
        let Entered { epoch, seq, member } = entered;
        let joining = self.connections.resolve(from);
        let Some(joining) = joining.and_then(|mut connection| connection.take_joining()) else {
            return self.engine.leave(epoch, member);
        };
        let position = Position {
            epoch,
            seq,
            arrivals: member,
        };
        let room = if self.shutdown.is_some() {
            Err(Refusal::ShuttingDown)
        } else {
            let room = self.rooms.enter_at(&joining.room, position);
            room.map_err(|_| Refusal::TooManyRooms)
        };
        match room {
            Ok(room) => self.join_late(from.key, room, member, *joining),
            Err(refusal) => {
                self.engine.leave(epoch, member);
                self.refuse(from.key, refusal);
            }
        }
    }

    /// The engine does not do what was asked. The client is told, and may try again.
    fn on_refused(&mut self, from: ConnectionRef) {
        let request = self.on_outcome(from);
        let Some(connection) = self.connections.resolve(from) else {
            return;
        };
        match (connection.stage(), request) {
            (Stage::Joining(_), _) => self.refuse(from.key, Refusal::Unavailable),
            (Stage::Open(open), Some(request)) => match open.member.place.encoding.format() {
                Format::ChatV1 => {
                    let id = match request {
                        Request::Say(id) => id.map(|id| String::from(id).into()),
                        Request::Enter | Request::Rename => None,
                    };
                    let refused = Refused {
                        id,
                        ..Refused::UNAVAILABLE
                    };
                    self.answer(from.key, &ServerMessage::from(&refused).to_json());
                }
                // The engine has promised that this does not happen. There is no other way to say it.
                Format::Plain => {
                    let reason = "the message was not published";
                    self.close_with(from.key, CloseCode::TRY_AGAIN_LATER, reason, Awaits::Outbox);
                }
            },
            (Stage::Open(_) | Stage::Handshaking(_) | Stage::Closing(_), _) => {}
        }
    }

    /// A member has another name, if that is free. Returns how many bytes it is told of that.
    pub(super) fn rename(&mut self, key: ConnectionKey, wanted: Option<Name>) -> usize {
        let (roster, now) = (&self.connections, self.now.tick());
        let Some(member) = roster.member(key) else {
            return 0;
        };
        let renamed = self.rooms.rename(key, member, wanted, roster, now);
        let Some((name, answer)) = renamed else {
            return 0;
        };
        if let Some(mut connection) = self.connections.live_mut(key)
            && let Some(open) = connection.open_mut()
        {
            open.member.name = name;
        }
        let answered = answer.as_ref().map_or(0, String::len);
        answer.into_iter().for_each(|json| self.answer(key, &json));
        answered
    }
}
