//! What members say is judged and published, and what they ask is answered.

use std::borrow::Cow;

use super::connections::Flags;
use super::queues::Request;
use super::{Network, Server};
use crate::chat::{Framing, Place, Rooms, Roster, Verdict};
use crate::engine::{Engine, Renamed, RoomState};
use crate::feed::{Lane, Piece};
use crate::ids::ConnectionKey;
use crate::ws::{Frame, Message};

/// Bytes of answers to pings that may wait for a client; beyond that only the latest is kept, as
/// RFC 6455, section 5.5.3, allows.
const PONGS: usize = 4 * 1024;

impl<N: Network, E: Engine> Server<N, E> {
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

    /// A member has sent a message. Returns how many bytes answer it; `None` if it has to wait for the engine.
    pub(super) fn on_message(&mut self, key: ConnectionKey, message: Message<'_>) -> Option<usize> {
        if let Some(mut connection) = self.connections.get_mut(key)
            && let Some(open) = connection.open_mut()
        {
            open.rate.owe_message();
        }
        self.judge(key, message)
    }

    /// The same for a message that is paid for.
    pub(super) fn judge(&mut self, key: ConnectionKey, message: Message<'_>) -> Option<usize> {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return Some(0);
        };
        if connection.outbox().holds() == 0 {
            connection.flags.clear(Flags::ASKED);
        }
        let (flags, from) = (connection.flags, connection.reference());
        let waits = |question| flags.has(Flags::asked(question));
        if self.shutdown.is_some() {
            return Some(0);
        }
        let (now, time) = (self.now.tick(), self.network.unix_millis());
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return Some(0);
        };
        let (room, number) = (member.place.room, member.number);
        let verdict = self
            .rooms
            .judge(member, message, waits, roster, (now, time));
        let has_to_wait = !E::IMMEDIATE
            && match &verdict {
                Verdict::Say(said) => {
                    self.engine.is_full() || !self.requests.may_say(from, said.id.as_deref())
                }
                Verdict::Rename(_) => self.engine.is_full() || self.requests.has(from),
                Verdict::Answer(_) | Verdict::LongAnswer(..) | Verdict::Nothing => {
                    self.requests.has(from)
                }
            };
        if has_to_wait {
            return None;
        }
        let answered = match verdict {
            Verdict::Say(said) => {
                let Some(open) = self.rooms.get(room) else {
                    return Some(0);
                };
                match self.engine.say(from, RoomState::of(open), &said, time) {
                    Some(stamp) => {
                        self.counts.messages_published += 1;
                        if self.rooms.append(room, &said, stamp, now) {
                            self.run_queue.push(room, self.now);
                        }
                    }
                    None => {
                        let id = said.id.as_deref().map(Box::from);
                        self.requests.push(from, Request::Say(id));
                    }
                }
                0
            }
            Verdict::Rename(wanted) => {
                let Some(open) = self.rooms.get(room) else {
                    return Some(0);
                };
                let state = RoomState::of(open);
                match self.engine.rename(from, state, number, wanted.as_ref()) {
                    Some(Renamed) => self.rename(key, wanted),
                    None => {
                        self.requests.push(from, Request::Rename);
                        0
                    }
                }
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
            Verdict::Nothing => 0,
        };
        Some(answered)
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
