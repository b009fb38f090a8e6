//! Members and their rooms: who comes is welcomed, what is said is judged and published, and what is
//! asked is answered.

use std::borrow::Cow;

use super::connection::{Flags, Open, Stage};
use super::debt::Debt;
use super::{Network, Server};
use crate::chat::v1::{self, Hello};
use crate::chat::{Encoding, Format, Greeting, Place, Rooms, Roster, Verdict};
use crate::feed::{Lane, Outbox, Piece, Record};
use crate::http::{self, Refusal, Upgrade};
use crate::ids::ConnectionKey;
use crate::ws::{CloseCode, Frame, Message};

/// Bytes of answers to pings that may wait for a client; beyond that only the latest is kept, as
/// RFC 6455, section 5.5.3, allows.
const PONGS: usize = 4 * 1024;

impl<N: Network> Server<N> {
    /// A request is granted: the connection becomes a member of its room.
    pub(super) fn enter(&mut self, key: ConnectionKey, upgrade: &Upgrade<'_>, rest: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if connection.flags.has(Flags::SURPLUS) {
            self.counts.connections_over_limit += 1;
            let from_there = self.addresses.get(&connection.peer);
            let too_many = from_there.is_some_and(|&count| count > self.limits.max_per_address);
            let refusal = if too_many {
                Refusal::TooManyFromAddress
            } else {
                Refusal::Full
            };
            return self.refuse(key, refusal);
        }
        if self.shutdown.is_some() {
            return self.refuse(key, Refusal::ShuttingDown);
        }
        let Ok(room_key) = self.rooms.enter(&upgrade.room) else {
            return self.refuse(key, Refusal::TooManyRooms);
        };
        if !rest.is_empty() && self.rooms.is_deaf(room_key, self.tick()) {
            // A client waits for our answer before it says anything (RFC 6455, section 4.1). Where it has not,
            // there must be space for what it says: it cannot be unread.
            return self.refuse(key, Refusal::Full);
        }
        let format = match upgrade.subprotocol {
            Some(v1::SUBPROTOCOL) => Format::ChatV1,
            Some(_) | None => Format::Plain,
        };
        let window = upgrade.deflate.map(|deflate| deflate.window);
        let encoding = Encoding { format, window };
        let query = &upgrade.query;
        let [name, since, session] =
            [&query.name, &query.since, &query.session].map(|wish| wish.as_deref());
        let hello = match format {
            Format::Plain => Hello::default(),
            Format::ChatV1 => Hello::parse(name, since, session),
        };
        if let Some(old) = self.rooms.replaced(room_key, &hello, &self.connections) {
            self.counts.connections_replaced += 1;
            self.dismiss(
                old,
                CloseCode::REPLACED,
                "another connection has taken over",
            );
        }
        let (roster, now) = (&self.connections, self.now.tick());
        let arrival = self
            .rooms
            .join(room_key, key, encoding, &hello, roster, now);
        let Some(arrival) = arrival else { return };
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(Some(arrival.member.place), &self.rooms, &self.lobby);
        let mut response = Vec::with_capacity(512);
        upgrade.write_response(&mut response);
        connection.outbox = Outbox::join(lane);
        log::debug!(
            "#{} is in {}",
            connection.id.0,
            http::Escaped(upgrade.room.as_bytes())
        );
        let open = Open {
            member: arrival.member,
            half: None,
            debt: Debt::default(),
        };
        self.come_to(key, Stage::Open(open));
        self.counts.handshakes_completed += 1;
        self.greet(key, response, arrival.greeting);
        if !rest.is_empty() {
            self.take(key, rest);
        }
    }

    /// The first words to a member: the response, and what its room has to tell it (the replay is read
    /// from the archive when its turn comes).
    fn greet(&mut self, key: ConnectionKey, mut response: Vec<u8>, greeting: Option<Greeting>) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        let mut written = 0;
        if greeting.is_none() {
            let sent = connection.write_through(lane, &response);
            self.blocked += usize::from(sent.full);
            written = sent.bytes;
        }
        if written == response.len() {
            return;
        }
        let (mut replay, mut refused) = (None, None);
        if let Some(greeting) = greeting {
            for part in Frame::text(&greeting.welcome).parts() {
                response.extend_from_slice(part);
            }
            let (from, to) = (greeting.replay.from, greeting.replay.to);
            replay = Some(Piece::Archive { from, to });
            refused = greeting.refused.as_deref().map(text);
        }
        let response = Piece::Bytes(Cow::Owned(response));
        for piece in [Some(response), replay, refused].into_iter().flatten() {
            connection.outbox.splice(lane, piece);
        }
        connection.outbox.wrote(written);
        self.weigh(key);
        // At once, since what is said next may make the archive forget some of the replay.
        self.offer_all(key);
    }

    /// A member asks whether we are there (RFC 6455, section 5.5.2), and that was the `last` that came
    /// of it, or more has come.
    pub(super) fn pinged(&mut self, key: ConnectionKey, payload: &[u8], last: bool) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        open.debt.owe_ping(&self.limits);
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
            open.debt.owe_bytes(bytes);
        }
    }

    /// A member says something. Returns how many bytes it is answered.
    pub(super) fn say(&mut self, key: ConnectionKey, message: Message<'_>) -> usize {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return 0;
        };
        if connection.outbox.holds() == 0 {
            connection.flags.clear(Flags::HISTORY);
            connection.flags.clear(Flags::WHO);
        }
        let flags = connection.flags;
        let waits = |question| flags.has(Flags::asked(question));
        if let Stage::Open(open) = &mut connection.stage {
            open.debt.owe_message();
        }
        if self.shutdown.is_some() {
            return 0;
        }
        let when = (self.now.tick(), self.network.unix_millis());
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return 0;
        };
        let verdict = self.rooms.hear(key, member, message, waits, roster, when);
        match verdict {
            Verdict::Say(said) => {
                let room = member.place.room;
                self.counts.messages_published += 1;
                if self.rooms.append(room, &said, when) {
                    self.set_out(room);
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
            Verdict::Rename(name, answer) => {
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
        self.will_write(key);
    }
}

/// The lane that somebody at this place follows.
pub(super) fn lane_of<'a>(place: Option<Place>, rooms: &'a Rooms, lobby: &'a Lane) -> &'a Lane {
    place
        .and_then(|place| rooms.get(place.room)?.lane(place.encoding))
        .unwrap_or(lobby)
}

fn text(json: &str) -> Piece {
    Piece::Bytes(Cow::Owned(Frame::text(json).to_vec()))
}
