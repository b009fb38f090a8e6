//! Admission: a request that was granted makes its connection a member of a room, which greets it.

use std::borrow::Cow;

use super::connections::{Flags, Open, Stage};
use super::conversation::{framed, framing_of, lane_of};
use super::{Network, Server};
use crate::chat::v1::{self, Hello};
use crate::chat::{Encoding, Format, Greeting, Newcomer};
use crate::engine::{Embedded, Engine, RoomState};
use crate::feed::Piece;
use crate::http::{self, Refusal, Upgrade};
use crate::ids::{ConnectionKey, ConnectionRef};
use crate::ws::CloseCode;

impl<N: Network> Server<N> {
    /// A request is granted: the connection becomes a member of its room.
    pub(super) fn admit(&mut self, key: ConnectionKey, upgrade: &Upgrade<'_>, rest: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let id = connection.id();
        if connection.flags.has(Flags::OVER_LIMIT) {
            self.counts.connections_over_limit += 1;
            let peer = connection.peer();
            let refusal = if self.connections.count_from(peer) > self.limits.max_per_address {
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
        if !rest.is_empty() && self.rooms.is_paused(room_key, self.tick()) {
            // A client waits for our answer before it sends anything (RFC 6455, section 4.1). This one did not, and
            // what it has sent needs space in the room, because it cannot be unread.
            return self.refuse(key, Refusal::Full);
        }
        let format = match upgrade.subprotocol {
            Some(v1::SUBPROTOCOL) => Format::ChatV1,
            Some(_) | None => Format::Plain,
        };
        let window = upgrade.deflate.map(|deflate| deflate.window);
        let encoding = Encoding::web_socket(format, window);
        let query = &upgrade.query;
        let [name, since, session] =
            [&query.name, &query.since, &query.session].map(|wish| wish.as_deref());
        let hello = match format {
            Format::Plain => Hello::default(),
            Format::ChatV1 => Hello::parse(name, since, session),
        };
        if let Some(old) = self.rooms.replaced(room_key, &hello, &self.connections) {
            self.counts.connections_replaced += 1;
            self.close_and_await_reply(
                old,
                CloseCode::REPLACED,
                "another connection has taken over",
            );
        }
        let (roster, now) = (&self.connections, self.now.tick());
        let returning = self.rooms.returning(room_key, &hello, roster);
        let Some(room) = self.rooms.get(room_key) else {
            return;
        };
        let (from, room) = (ConnectionRef { key, id }, RoomState::of(room_key, room));
        let Some(entered) = Embedded.enter(from, room, returning) else {
            return;
        };
        let newcomer = Newcomer {
            key,
            encoding,
            hello: &hello,
            number: entered.member,
        };
        let arrival = self.rooms.join(room_key, newcomer, roster, now);
        let Some(arrival) = arrival else { return };
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let lane = lane_of(Some(arrival.member.place), &self.rooms, &self.lobby);
        let mut response = Vec::with_capacity(512);
        upgrade.write_response(&mut response);
        connection.join(lane);
        log::debug!(
            "#{} is in {}",
            connection.id().0,
            http::Escaped(upgrade.room.as_bytes())
        );
        connection.set_stage(Stage::Open(Open::new(arrival.member)));
        self.counts.handshakes_completed += 1;
        self.greet(key, response, arrival.greeting);
        if !rest.is_empty() {
            self.on_bytes(key, rest);
        }
    }

    /// The first bytes to a member: the response, and what its room has to tell it. The replay is read from the
    /// archive when it is written.
    fn greet(&mut self, key: ConnectionKey, mut response: Vec<u8>, greeting: Option<Greeting>) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        let mut written = 0;
        if greeting.is_none() {
            written = connection.write_through(lane, &response);
        }
        if written == response.len() {
            return;
        }
        let (mut replay, mut refused) = (None, None);
        if let Some(greeting) = greeting {
            let framing = framing_of(connection.place());
            framing.write(&greeting.welcome, &mut response);
            replay = Some(greeting.replay);
            refused = greeting.refused.map(|refused| framed(framing, &refused));
        }
        let response = Piece::Bytes(Cow::Owned(response));
        for piece in [Some(response), replay, refused].into_iter().flatten() {
            connection.splice(lane, piece);
        }
        connection.wrote(written);
        // At once, because what is said next may make the archive forget some of the replay.
        self.write_all(key);
    }
}
