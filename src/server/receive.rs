//! What clients say: one read for each per turn, decoded to its end, published at once.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::mem;

use super::connection::{Awaits, Debt, Farewell, Flags, Gone, Half, Open, Stage, Ticket};
use super::flush::Round;
use super::report::Notice;
use super::{Limits, Network, Server, Tick, Transport};
use crate::chat::v1::{self, Hello};
use crate::chat::{Encoding, Format, Greeting, Key, Place, Room, RoomKey, Roster, Verdict};
use crate::feed::{Lane, Outbox, Piece, Record};
use crate::http::{self, Answer, Refusal, Response, Upgrade};
use crate::ws::{CloseCode, Decoder, Event, Frame, Message, Rules, Violation};

/// Connections read in one turn: the others wait no longer than that.
const READS: usize = 256;

/// Bytes of answers to pings that may wait for a client; beyond that only the latest is kept, as
/// RFC 6455, section 5.5.3, allows.
const PONGS: usize = 4 * 1024;

impl<N: Network> Server<N> {
    pub(super) fn receive(&mut self) {
        self.wake_rested();
        for _ in 0..self.to_read.len().min(READS) {
            let Some(ticket) = self.to_read.pop_front() else {
                return;
            };
            if let Some(connection) = self.holder(ticket) {
                connection.flags.clear(Flags::TO_READ);
                self.read(ticket);
            }
        }
    }

    fn read(&mut self, ticket: Ticket) {
        if self.must_wait(ticket) {
            return;
        }
        let key = ticket.key;
        let mut scratch = mem::take(&mut self.scratch);
        if let Some(connection) = self.connection(key) {
            let half_closed = connection.flags.has(Flags::HALF_CLOSED);
            match connection.socket.receive(&mut scratch) {
                Err(error) => self.end(key, Gone::Broken(error.kind())),
                Ok(received) if received.end => self.said_its_last(key),
                Ok(received) => {
                    if received.bytes > 0 {
                        self.take(key, &mut scratch[..received.bytes]);
                    }
                    // Data and FIN that arrive together bring one event and a short read: only
                    // another read tells of the end.
                    if received.more || half_closed && received.bytes > 0 {
                        self.will_read(key);
                    }
                }
            }
        }
        self.scratch = scratch;
    }

    /// Whether we do not want to hear this client now: because of its debt, or because its room is
    /// full. Whoever waits is on a list that wakes it.
    fn must_wait(&mut self, ticket: Ticket) -> bool {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(ticket.key.0 as usize) else {
            return true;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return false;
        };
        let due = open.debt.paid_at(connection.heard, &self.limits);
        if due > now {
            connection.flags.set(Flags::RESTS);
            self.resting.push(Reverse((due, ticket)));
            self.counts.slowed += 1;
            return true;
        }
        let room = open.member.place.room;
        if self.rooms.get(room).is_some_and(Room::is_full) {
            connection.flags.set(Flags::PARKED);
            self.parked.push((room, ticket));
            self.counts.parked += 1;
            return true;
        }
        false
    }

    /// Those whose debt is paid are read again.
    fn wake_rested(&mut self) {
        let now = self.tick();
        while let Some(&Reverse((due, ticket))) = self.resting.peek() {
            if due > now {
                return;
            }
            self.resting.pop();
            self.wake(ticket);
        }
    }

    /// A room is no longer full: those who waited for that are read again.
    pub(super) fn unpark(&mut self, room: RoomKey) {
        if self.parked.is_empty() || self.rooms.get(room).is_some_and(Room::is_full) {
            return;
        }
        let (awake, parked) = mem::take(&mut self.parked)
            .into_iter()
            .partition(|(of, _)| *of == room);
        self.parked = parked;
        let awake: Vec<_> = awake;
        for (_, ticket) in awake {
            self.wake(ticket);
        }
    }

    /// It was our doing that nothing was heard of it: its silence begins now, and so does the time
    /// for the rest of its message.
    fn wake(&mut self, ticket: Ticket) {
        let now = self.tick();
        let limits = &self.limits;
        let Some(connection) = self.connections.get_mut(ticket.key.0 as usize) else {
            return;
        };
        if connection.id != ticket.id || connection.flags.has(Flags::ENDED) {
            return;
        }
        connection.flags.clear(Flags::RESTS);
        connection.flags.clear(Flags::PARKED);
        if let Stage::Open(open) = &mut connection.stage {
            open.debt = open.debt.after(now.since(connection.heard), limits);
            if let Some(half) = &mut open.half {
                half.since = half.since.after(now.since(connection.heard));
            }
        }
        connection.heard = now;
        self.will_read(ticket.key);
    }

    /// Bytes came from a connection.
    fn take(&mut self, key: Key, bytes: &mut [u8]) {
        let now = self.tick();
        let limits = &self.limits;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let silence = now.since(connection.heard);
        connection.heard = now;
        connection.flags.clear(Flags::PINGED);
        match &mut connection.stage {
            Stage::Handshaking(head) => {
                let mut head = mem::take(head);
                match head.take(bytes, &limits.head) {
                    Ok(None) => connection.stage = Stage::Handshaking(head),
                    Err(response) => self.respond(key, &response),
                    Ok(Some((head, rest))) => match http::answer(head, &self.site) {
                        Answer::Respond(response) => self.respond(key, &response),
                        Answer::Upgrade(upgrade) => self.enter(key, &upgrade, rest),
                    },
                }
            }
            Stage::Open(open) => {
                open.debt = open.debt.after(silence, limits);
                self.hear(key, bytes);
            }
            Stage::Closing(Farewell {
                place,
                awaits: Awaits::Close(decoder),
            }) => {
                let mut input = bytes;
                let deflate = place.is_some_and(|place| place.encoding.window.is_some());
                let rules = rules(limits, deflate);
                let closed = loop {
                    match decoder.next(&mut input, &rules) {
                        Ok(Some(Event::Close(_))) | Err(_) => break true,
                        Ok(Some(_)) => {}
                        Ok(None) => break false,
                    }
                };
                if closed {
                    self.heard_close(key);
                }
            }
            Stage::Closing(Farewell {
                awaits: Awaits::Outbox | Awaits::Fin,
                ..
            }) => {}
        }
    }

    /// A request is granted: the connection becomes a member of its room.
    fn enter(&mut self, key: Key, upgrade: &Upgrade<'_>, rest: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if connection.flags.has(Flags::SURPLUS) {
            self.counts.surplus += 1;
            return self.refuse(key, Refusal::Full);
        }
        if self.shutdown.is_some() {
            return self.refuse(key, Refusal::ShuttingDown);
        }
        let Ok(room_key) = self.rooms.enter(&upgrade.room) else {
            return self.refuse(key, Refusal::TooManyRooms);
        };
        let format = match upgrade.subprotocol {
            Some(v1::SUBPROTOCOL) => Format::ChatV1,
            Some(_) | None => Format::Plain,
        };
        let window = upgrade.deflate.map(|deflate| deflate.window);
        let encoding = Encoding { format, window };
        let query = &upgrade.query;
        let [name, since, session] =
            [&query.name, &query.since, &query.session].map(|wish| wish.as_deref());
        let hello = Hello::parse(name, since, session);
        if let Some(old) = self.rooms.replaced(room_key, &hello, &self.connections) {
            self.counts.replaced += 1;
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
        greet(&mut connection.outbox, lane, response, arrival.greeting);
        connection.stage = Stage::Open(Open {
            member: arrival.member,
            half: None,
            debt: Debt::default(),
        });
        log::debug!(
            "#{} is in {}",
            connection.id.0,
            http::Escaped(upgrade.room.as_bytes())
        );
        self.counts.upgraded += 1;
        self.will_write(key);
        if !rest.is_empty() {
            self.hear(key, rest);
        }
    }

    /// Bytes came from a member.
    fn hear(&mut self, key: Key, bytes: &mut [u8]) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        self.half_bytes -= connection.half_bytes();
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        let (mut decoder, mut since) = match open.half.take() {
            Some(half) => (half.decoder, half.since),
            None => (Decoder::default(), now),
        };
        let deflate = open.member.place.encoding.window.is_some();
        let rules = rules(&self.limits, deflate);
        let mut input = bytes;
        let mut inflater = self.inflater.take();
        let last = loop {
            let message = match decoder.next(&mut input, &rules) {
                Ok(None) => break None,
                Err(violation) => break Some(Last::Violation(violation)),
                Ok(Some(Event::Close(close))) => {
                    break Some(Last::Close(close.map(|(code, _)| code)));
                }
                Ok(Some(Event::Ping(payload))) => {
                    self.pinged(key, payload);
                    continue;
                }
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Text(text))) => Message::Text(text),
                Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
                Ok(Some(Event::Compressed { text, payload })) => {
                    let inflater = inflater.get_or_insert_default();
                    match inflater.inflate(text, payload, rules.max_message) {
                        Ok(message) => message,
                        Err(violation) => break Some(Last::Violation(violation)),
                    }
                }
            };
            since = now;
            self.say(key, message);
        };
        self.inflater = inflater;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if let Stage::Open(open) = &mut connection.stage
            && last.is_none()
            && decoder.in_message()
        {
            open.half = Some(Box::new(Half { decoder, since }));
            self.half_bytes += connection.half_bytes();
        }
        if connection.outbox.holds() > 0 {
            if connection.outbox.holds() > self.limits.max_owed {
                self.counts.owed_too_much += 1;
                return self.end(key, Gone::FellBehind);
            }
            self.will_write(key);
        }
        match last {
            None => self.squeeze_half_messages(),
            Some(Last::Close(code)) => {
                let frame = code.map_or(Frame::close_empty(), |code| Frame::close(code, ""));
                self.tell_last(key, &frame, Awaits::Outbox);
            }
            Some(Last::Violation(violation)) => self.violated(key, violation),
        }
    }

    /// A member asks whether we are there (RFC 6455, section 5.5.2).
    fn pinged(&mut self, key: Key, payload: &[u8]) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if let Stage::Open(open) = &mut connection.stage {
            open.debt.pings = open.debt.pings.saturating_add(10);
            let lane = lane_of(Some(open.member.place), &self.rooms, &self.lobby);
            let pong = Frame::pong(payload).to_vec();
            connection.outbox.tell_latest(lane, pong, PONGS);
        }
    }

    /// A member says something.
    fn say(&mut self, key: Key, message: Message<'_>) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let history_waits = connection.flags.has(Flags::HISTORY) && connection.outbox.holds() > 0;
        if let Stage::Open(open) = &mut connection.stage {
            open.debt.charge(&message);
        }
        if self.shutdown.is_some() {
            return;
        }
        let when = (self.now.tick(), self.network.unix_millis());
        let roster = &self.connections;
        let Some(member) = roster.member(key) else {
            return;
        };
        let verdict = self
            .rooms
            .hear(key, member, message, history_waits, roster, when);
        match verdict {
            Verdict::Say(said) => {
                let room = member.place.room;
                self.counts.messages += 1;
                if self.rooms.append(room, &said, when) {
                    self.busy.push_back(Round::new(room, self.now));
                }
            }
            Verdict::Answer(json) => self.answer(key, &json),
            Verdict::History(json) => {
                self.answer(key, &json);
                if let Some(connection) = self.connection(key) {
                    connection.flags.set(Flags::HISTORY);
                }
            }
            Verdict::Rename(name, answer) => {
                if let Some(connection) = self.connection(key)
                    && let Stage::Open(open) = &mut connection.stage
                {
                    open.member.name = name;
                }
                answer.into_iter().for_each(|json| self.answer(key, &json));
            }
            Verdict::Nothing => {}
        }
    }

    /// Tells one client something, behind all that the room has said so far.
    pub(super) fn answer(&mut self, key: Key, json: &str) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        connection.outbox.tell(lane, text(json));
        self.will_write(key);
    }

    /// All half messages together are too large: the largest ends.
    fn squeeze_half_messages(&mut self) {
        while self.limits.max_half_messages > 0 && self.half_bytes > self.limits.max_half_messages {
            let largest = self
                .connections
                .iter()
                .max_by_key(|(_, connection)| connection.half_bytes());
            let Some((key, _)) = largest.filter(|(_, connection)| connection.half_bytes() > 0)
            else {
                return;
            };
            self.counts.half_messages_squeezed += 1;
            let reason = "too many messages are unfinished";
            self.say_last(
                Key(key as u32),
                CloseCode::TRY_AGAIN_LATER,
                reason,
                Awaits::Outbox,
            );
        }
    }

    fn violated(&mut self, key: Key, violation: Violation) {
        match violation {
            Violation::TooBig => self.counts.too_big += 1,
            Violation::TooManyFrames => self.counts.too_many_frames += 1,
            _ => {}
        }
        self.counts.violations += 1;
        if let Some(connection) = self.connection(key) {
            let (id, peer) = (connection.id.0, connection.peer);
            self.notice(
                Notice::Violated,
                format_args!("#{id} from {peer} is closed: {violation}"),
            );
        }
        // Failing the connection: nothing more of it is read (RFC 6455, section 7.1.7).
        self.say_last(
            key,
            violation.close_code(),
            &violation.to_string(),
            Awaits::Outbox,
        );
    }

    /// Answers a request, and that is all.
    pub(super) fn respond(&mut self, key: Key, response: &Response) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let peer = connection.peer;
        let mut head = Vec::with_capacity(512);
        let body = response.write(self.network.unix_millis() / 1000, &mut head);
        for piece in [Cow::Owned(head), Cow::Borrowed(body)] {
            connection.outbox.tell(&self.lobby, Piece::Bytes(piece));
        }
        self.part(key, Awaits::Outbox);
        match response.refusal() {
            None => self.counts.pages += 1,
            Some(refusal) => {
                self.counts.refused += 1;
                self.notice(
                    Notice::Refused,
                    format_args!("{peer} is refused: {refusal}"),
                );
            }
        }
    }

    pub(super) fn refuse(&mut self, key: Key, refusal: Refusal) {
        self.respond(key, &refusal.into());
    }

    /// The response to a newcomer without a connection, its head in `head`.
    pub(super) fn response_to(&mut self, refusal: Refusal, head: &mut Vec<u8>) -> &'static [u8] {
        Response::from(refusal).write(self.network.unix_millis() / 1000, head)
    }

    /// The last words to a client: a Close, with its reason.
    pub(super) fn say_last(&mut self, key: Key, code: CloseCode, reason: &str, awaits: Awaits) {
        self.tell_last(key, &Frame::close(code, reason), awaits);
    }

    /// The last words to a client that is to answer them.
    pub(super) fn dismiss(&mut self, key: Key, code: CloseCode, reason: &str) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let half_bytes = connection.half_bytes();
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        let half = open.half.take();
        self.half_bytes -= half_bytes;
        let decoder = half.map(|half| half.decoder).unwrap_or_default();
        self.say_last(key, code, reason, Awaits::Close(decoder));
    }

    fn tell_last(&mut self, key: Key, frame: &Frame<'_>, awaits: Awaits) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let lane = lane_of(connection.place(), &self.rooms, &self.lobby);
        connection
            .outbox
            .tell(lane, Piece::Bytes(Cow::Owned(frame.to_vec())));
        self.part(key, awaits);
    }

    /// From here on, nothing that is said is owed to this connection any more.
    pub(super) fn part(&mut self, key: Key, awaits: Awaits) {
        let now = self.tick();
        self.depart(key);
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let place = connection.place();
        connection
            .outbox
            .finish(lane_of(place, &self.rooms, &self.lobby));
        connection.stage = Stage::Closing(Farewell { place, awaits });
        connection.flags.clear(Flags::RESTS);
        connection.flags.clear(Flags::PARKED);
        let id = connection.id;
        self.closing.set(Ticket { key, id }, now);
        self.will_write(key);
        self.will_read(key);
    }

    /// The peer has answered our Close.
    fn heard_close(&mut self, key: Key) {
        if let Some(connection) = self.connection(key)
            && let Stage::Closing(farewell) = &mut connection.stage
        {
            farewell.awaits = Awaits::Outbox;
            self.will_write(key);
        }
    }

    /// The peer's FIN: nothing more will come, but it may still want what it is owed.
    fn said_its_last(&mut self, key: Key) {
        let Some(connection) = self.connection(key) else {
            return;
        };
        connection.flags.set(Flags::FIN_SEEN);
        match &mut connection.stage {
            Stage::Handshaking(_) => self.end(key, Gone::Vanished),
            Stage::Open(_) => self.part(key, Awaits::Outbox),
            Stage::Closing(farewell) => match farewell.awaits {
                Awaits::Fin => self.end(key, Gone::Closed),
                Awaits::Close(_) | Awaits::Outbox => {
                    farewell.awaits = Awaits::Outbox;
                    self.will_write(key);
                }
            },
        }
    }
}

/// The first words to a member: the response, and what its room has to tell it (the replay is read from the
/// archive when its turn comes).
fn greet(outbox: &mut Outbox, lane: &Lane, mut response: Vec<u8>, greeting: Option<Greeting>) {
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
        outbox.tell(lane, piece);
    }
}

fn text(json: &str) -> Piece {
    Piece::Bytes(Cow::Owned(Frame::text(json).to_vec()))
}

/// What ends a client's stream.
enum Last {
    Close(Option<CloseCode>),
    Violation(Violation),
}

/// The lane that somebody at this place follows.
pub(super) fn lane_of<'a>(
    place: Option<Place>,
    rooms: &'a crate::chat::Rooms,
    lobby: &'a Lane,
) -> &'a Lane {
    place
        .and_then(|place| rooms.get(place.room)?.lane(place.encoding))
        .unwrap_or(lobby)
}

fn rules(limits: &Limits, deflate: bool) -> Rules {
    Rules {
        max_message: limits.max_message,
        max_frames: limits.max_frames,
        deflate,
    }
}

impl Debt {
    fn charge(&mut self, message: &Message<'_>) {
        let bytes = match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
        };
        self.messages = self.messages.saturating_add(10);
        self.bytes = self
            .bytes
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(10));
    }

    /// What is left of it so many ticks later: each pays for a tenth of what a second allows.
    fn after(self, ticks: u32, limits: &Limits) -> Debt {
        let paid = |rate: u32| rate.saturating_mul(ticks);
        Debt {
            bytes: self.bytes.saturating_sub(paid(limits.byte_rate)),
            messages: self
                .messages
                .saturating_sub(u16::try_from(paid(limits.message_rate)).unwrap_or(u16::MAX)),
            pings: self
                .pings
                .saturating_sub(u16::try_from(paid(limits.ping_rate)).unwrap_or(u16::MAX)),
        }
    }

    /// When the client may be read again.
    fn paid_at(self, heard: Tick, limits: &Limits) -> Tick {
        let ticks = |debt: u32, burst: u32, rate: u32| match rate {
            0 => 0,
            rate => debt.saturating_sub(burst.saturating_mul(10)).div_ceil(rate),
        };
        let wait = ticks(
            self.messages.into(),
            limits.message_burst,
            limits.message_rate,
        )
        .max(ticks(self.bytes, limits.byte_rate, limits.byte_rate))
        .max(ticks(self.pings.into(), limits.ping_rate, limits.ping_rate));
        heard.after(wait)
    }
}
