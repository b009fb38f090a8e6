//! What members say is judged and published, and what they ask is answered.

use std::borrow::Cow;

use super::connection::{Flags, Stage};
use super::{Network, Server};
use crate::chat::{Place, Rooms, Roster, Verdict};
use crate::engine::{Embedded, Engine, RoomState};
use crate::feed::{Lane, Piece};
use crate::ids::{ConnectionKey, ConnectionRef};
use crate::ws::{Frame, Message};

/// Bytes of answers to pings that may wait for a client; beyond that only the latest is kept, as
/// RFC 6455, section 5.5.3, allows.
const PONGS: usize = 4 * 1024;

impl<N: Network> Server<N> {
    /// A member asks whether we are there (RFC 6455, section 5.5.2), and that was the `last` that came
    /// of it, or more has come.
    pub(super) fn on_ping(&mut self, key: ConnectionKey, payload: &[u8], last: bool) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        open.rate.owe_ping(&self.limits);
        let lane = lane_of(Some(open.member.place), &self.rooms, &self.lobby);
        let mut buffer = [0; Frame::MAX_CONTROL_LEN];
        let pong = Frame::pong(payload).copy_into(&mut buffer);
        let mut written = 0;
        if last {
            let sent = connection.write_through(lane, pong);
            self.blocked += usize::from(sent.full);
            written = sent.bytes;
        }
        if written < pong.len() {
            connection.outbox.splice_latest(lane, pong.to_vec(), PONGS);
            connection.outbox.wrote(written);
        }
    }

    /// A member has said so much more than it sent: it was compressed.
    pub(super) fn owe_bytes(&mut self, key: ConnectionKey, bytes: usize) {
        if let Some(connection) = self.connection(key)
            && let Stage::Open(open) = &mut connection.stage
        {
            open.rate.owe_bytes(bytes);
        }
    }

    /// A member says something. Returns how many bytes it is answered.
    pub(super) fn on_message(&mut self, key: ConnectionKey, message: Message<'_>) -> usize {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return 0;
        };
        if connection.outbox.holds() == 0 {
            connection.flags.clear(Flags::HISTORY);
            connection.flags.clear(Flags::WHO);
        }
        let (flags, id) = (connection.flags, connection.id);
        let from = ConnectionRef { key, id };
        let waits = |question| flags.has(Flags::asked(question));
        if let Stage::Open(open) = &mut connection.stage {
            open.rate.owe_message();
        }
        if self.shutdown.is_some() {
            return 0;
        }
        let when = (self.now.tick(), self.network.unix_millis());
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return 0;
        };
        let verdict = self.rooms.hear(member, message, waits, roster, when);
        match verdict {
            Verdict::Say(said) => {
                let room = member.place.room;
                self.counts.messages_published += 1;
                let (now, time) = when;
                let Some(state) = self.rooms.get(room) else {
                    return 0;
                };
                let state = RoomState::of(room, state);
                let Some(stamp) = Embedded.say(from, state, &said, time) else {
                    return 0;
                };
                if self.rooms.append(room, &said, stamp, now) {
                    self.enqueue_room(room);
                }
                0
            }
            Verdict::Answer(json) => {
                self.answer(key, &json);
                json.len()
            }
            Verdict::Long(question, json) => {
                self.answer(key, &json);
                if let Some(connection) = self.connection(key) {
                    connection.flags.set(Flags::asked(question));
                }
                json.len()
            }
            Verdict::Rename(wanted) => {
                let room = member.place.room;
                let Some(state) = self.rooms.get(room) else {
                    return 0;
                };
                let state = RoomState::of(room, state);
                let number = member.number;
                if Embedded
                    .rename(from, state, number, wanted.as_ref())
                    .is_none()
                {
                    return 0;
                }
                let renamed = self.rooms.rename(key, member, wanted, roster, when.0);
                let Some((name, answer)) = renamed else {
                    return 0;
                };
                if let Some(connection) = self.connection(key)
                    && let Stage::Open(open) = &mut connection.stage
                {
                    open.member.name = name;
                }
                let answered = answer.as_ref().map_or(0, String::len);
                answer.into_iter().for_each(|json| self.answer(key, &json));
                answered
            }
            Verdict::Nothing => 0,
        }
    }

    /// Tells one client something, behind all that the room has said so far.
    pub(super) fn answer(&mut self, key: ConnectionKey, json: &str) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        connection.outbox.splice(lane, text(json));
        self.enqueue_write(key);
    }
}

/// The lane that somebody at this place follows.
pub(super) fn lane_of<'a>(place: Option<Place>, rooms: &'a Rooms, lobby: &'a Lane) -> &'a Lane {
    place
        .and_then(|place| rooms.get(place.room)?.lane(place.encoding))
        .unwrap_or(lobby)
}

/// A text frame with this payload, for one client.
pub(super) fn text(json: &str) -> Piece {
    Piece::Bytes(Cow::Owned(Frame::text(json).to_vec()))
}
