//! What members say is judged and published, and what they ask is answered.

use std::borrow::Cow;

use super::connections::Flags;
use super::{Network, Server};
use crate::chat::{Framing, Place, Rooms, Roster, Verdict};
use crate::engine::{Embedded, Engine, RoomState};
use crate::feed::{Lane, Piece};
use crate::ids::ConnectionKey;
use crate::ws::{Frame, Message};

/// Bytes of answers to pings that may wait for a client; beyond that only the latest is kept, as
/// RFC 6455, section 5.5.3, allows.
const PONGS: usize = 4 * 1024;

impl<N: Network> Server<N> {
    /// A member pings (RFC 6455, section 5.5.2). `is_last` says that nothing more of its input is decoded behind that.
    pub(super) fn on_ping(&mut self, key: ConnectionKey, payload: &[u8], is_last: bool) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let Some(open) = connection.open_mut() else {
            return;
        };
        open.rate.owe_ping(&self.limits);
        let lane = lane_of(Some(open.member.place), &self.rooms, &self.lobby);
        let mut buffer = [0; Frame::MAX_CONTROL_LEN];
        let pong = Frame::pong(payload).copy_into(&mut buffer);
        let mut written = 0;
        if is_last {
            written = connection.write_through(lane, pong);
        }
        if written < pong.len() {
            connection.splice_latest(lane, pong.to_vec(), PONGS);
            connection.wrote(written);
        }
    }

    /// A member has said this much more than it sent, because it was compressed.
    pub(super) fn owe_bytes(&mut self, key: ConnectionKey, bytes: usize) {
        if let Some(mut connection) = self.connections.live_mut(key)
            && let Some(open) = connection.open_mut()
        {
            open.rate.owe_bytes(bytes);
        }
    }

    /// A member has sent a message. Returns how many bytes answer it.
    pub(super) fn on_message(&mut self, key: ConnectionKey, message: Message<'_>) -> usize {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return 0;
        };
        if connection.outbox().holds() == 0 {
            connection.flags.clear(Flags::ASKED);
        }
        let (flags, from) = (connection.flags, connection.reference());
        let waits = |question| flags.has(Flags::asked(question));
        if let Some(open) = connection.open_mut() {
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
        let verdict = self.rooms.judge(member, message, waits, roster, when);
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
                    self.run_queue.push(room, self.now);
                }
                0
            }
            Verdict::Answer(json) => {
                self.answer(key, &json);
                json.len()
            }
            Verdict::LongAnswer(question, json) => {
                self.answer(key, &json);
                if let Some(mut connection) = self.connections.live_mut(key) {
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
                if let Some(mut connection) = self.connections.live_mut(key)
                    && let Some(open) = connection.open_mut()
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

    /// Sends a message to one client alone, behind all that its room has broadcast so far.
    pub(super) fn answer(&mut self, key: ConnectionKey, json: &str) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        let framing = framing_of(connection.place());
        connection.splice(lane, framed(framing, json));
        self.enqueue_write(key);
    }
}

/// The lane that a connection with this place follows.
pub(super) fn lane_of<'a>(place: Option<Place>, rooms: &'a Rooms, lobby: &'a Lane) -> &'a Lane {
    place
        .and_then(|place| rooms.get(place.room)?.lane(place.encoding))
        .unwrap_or(lobby)
}

/// How a client at this place is written to.
pub(super) fn framing_of(place: Option<Place>) -> Framing {
    place.map_or(Framing::WebSocket(None), |place| place.encoding.framing())
}

/// A message for one client alone.
pub(super) fn framed(framing: Framing, json: &str) -> Piece {
    let mut bytes = Vec::new();
    framing.write(json, &mut bytes);
    Piece::Bytes(Cow::Owned(bytes))
}
