//! Admission: a request that was granted makes its connection a member of a room, which greets it.

use std::borrow::Cow;

use super::connections::{Flags, Joining, Open, PendingInput, Reading, Stage};
use super::conversation::{framed, framing_of, lane_of};
use super::queues::{ReadClass, Request};
use super::{Network, Server};
use crate::chat::v1::{self, Hello};
use crate::chat::{Encoding, Format, Greeting, Newcomer, Room};
use crate::engine::{Engine, RoomState};
use crate::feed::Piece;
use crate::http::{self, Query, Refusal, Upgrade};
use crate::ids::{ConnectionKey, ConnectionRef, RoomKey};
use crate::ws::CloseCode;

impl<N: Network, E: Engine> Server<N, E> {
    /// A request is granted: the connection becomes a member of its room.
    pub(super) fn admit(&mut self, key: ConnectionKey, upgrade: &Upgrade<'_>, rest: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        let from = connection.reference();
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
        let format = match upgrade.subprotocol {
            Some(v1::SUBPROTOCOL) => Format::ChatV1,
            Some(_) | None => Format::Plain,
        };
        let window = upgrade.deflate.map(|deflate| deflate.window);
        let encoding = Encoding::web_socket(format, window);
        let query;
        let hello = match format {
            Format::Plain => Hello::default(),
            Format::ChatV1 => {
                query = upgrade.query();
                let Query {
                    name,
                    since,
                    session,
                } = &query;
                Hello::parse(name.as_deref(), since.as_deref(), session.as_deref())
            }
        };
        if !E::IMMEDIATE {
            return self.ask_to_join(from, upgrade, encoding, &hello, rest);
        }
        let Ok(room_key) = self.rooms.enter(&upgrade.room) else {
            return self.refuse(key, Refusal::TooManyRooms);
        };
        if !rest.is_empty() && self.rooms.is_paused(room_key, self.tick()) {
            // A client waits for our answer before it sends anything (RFC 6455, section 4.1). This one did not, and
            // what it has sent needs space in the room, because it cannot be unread.
            return self.refuse(key, Refusal::Full);
        }
        let returning = self.rooms.returning(room_key, &hello, &self.connections);
        let Some(room) = self.rooms.get(room_key) else {
            return;
        };
        let room = RoomState::of(room);
        let Some(entered) = self.engine.enter(from, room, returning) else {
            return;
        };
        let newcomer = Newcomer {
            key,
            encoding,
            hello: &hello,
            number: entered.member,
        };
        let mut response = Vec::with_capacity(512);
        upgrade.write_response(&mut response);
        self.join(room_key, newcomer, response);
        if !rest.is_empty() {
            self.on_bytes(key, rest);
        }
    }

    /// The engine is asked to let a client into its room, which waits for that in its handshake.
    fn ask_to_join(
        &mut self,
        from: ConnectionRef,
        upgrade: &Upgrade<'_>,
        encoding: Encoding,
        hello: &Hello<'_>,
        rest: &[u8],
    ) {
        let Some(mut connection) = self.connections.get_mut(from.key) else {
            return;
        };
        let mut response = Vec::new();
        upgrade.write_response(&mut response);
        connection.set_stage(Stage::Joining(Box::new(Joining {
            room: upgrade.room.as_ref().into(),
            encoding,
            response,
            name: hello.name.map(Box::from),
            since: hello.since,
            session: hello.session.clone(),
            rest: rest.to_vec(),
        })));
        connection.reading = Reading::ByEngine;
        let key = self.rooms.find(&upgrade.room);
        let room = match key.and_then(|key| self.rooms.get(key)) {
            Some(room) => room.position(),
            None => self.rooms.new_position(),
        };
        let room = RoomState {
            is_open: key.is_some(),
            path: &upgrade.room,
            position: room,
        };
        let returning = key.and_then(|key| self.rooms.returning(key, hello, &self.connections));
        self.requests.push(from, Request::Enter);
        if let Some(entered) = self.engine.enter(from, room, returning) {
            self.requests.pop(from);
            self.on_entered(from, entered);
        }
    }

    /// A client that has waited for its room is let in.
    pub(super) fn join_late(
        &mut self,
        key: ConnectionKey,
        room: RoomKey,
        number: u32,
        joining: Joining,
    ) {
        let hello = Hello {
            name: joining.name.as_deref(),
            since: joining.since,
            session: joining.session,
        };
        let newcomer = Newcomer {
            key,
            encoding: joining.encoding,
            hello: &hello,
            number,
        };
        self.join(room, newcomer, joining.response);
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        let Some(open) = connection.open_mut() else {
            return;
        };
        if !joining.rest.is_empty() {
            open.rate.owe_bytes(joining.rest.len());
            connection.set_pending(PendingInput {
                undecoded: joining.rest,
                since: self.now.tick(),
                ..PendingInput::default()
            });
        }
        let connection = connection.reference();
        if self.resume(connection, Reading::ByEngine) {
            self.enqueue_read(key, ReadClass::Ready);
        }
    }

    /// A client becomes a member, and is told so.
    fn join(&mut self, room: RoomKey, newcomer: Newcomer<'_>, response: Vec<u8>) {
        let (key, hello) = (newcomer.key, newcomer.hello);
        if let Some(old) = self.rooms.replaced(room, hello, &self.connections) {
            self.counts.connections_replaced += 1;
            self.close_and_await_reply(
                old,
                CloseCode::REPLACED,
                "another connection has taken over",
            );
        }
        let (roster, now) = (&self.connections, self.now.tick());
        let Some(arrival) = self.rooms.join(room, newcomer, roster, now) else {
            return;
        };
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let lane = lane_of(Some(arrival.member.place), &self.rooms, &self.lobby);
        connection.join(lane);
        log::debug!(
            "#{} is in {}",
            connection.id().0,
            http::Escaped(self.rooms.get(room).map_or("", Room::path).as_bytes())
        );
        connection.set_stage(Stage::Open(Open::new(arrival.member)));
        self.counts.handshakes_completed += 1;
        self.greet(key, response, arrival.greeting);
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
