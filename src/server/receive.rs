//! What clients say: one read for each per turn, decoded to its end, published at once.

use std::collections::VecDeque;
use std::mem;

use super::clock::Spell;
use super::connection::{Awaits, Connection, Farewell, Flags, Gone, Half, Stage, Ticket};
use super::report::Notice;
use super::{Limits, Network, Server, Transport};
use crate::http::{self, Answer};
use crate::ids::ConnectionKey;
use crate::ws::{CloseCode, Decoder, Event, Frame, Message, Rules, Violation};

/// Bytes of answers after which a client is not heard until they have been offered to it.
const ANSWERS: usize = 64 * 1024;

impl<N: Network> Server<N> {
    pub(super) fn receive(&mut self) {
        self.wake_rested();
        self.wait_no_longer();
        // Whoever comes to that line in this turn has been read in it.
        let waited = self.to_read_on.len();
        self.read_each(usize::MAX, |server| &mut server.to_read);
        // However many those are who say much or want to come in, nobody else stands in line behind them.
        self.read_each(waited, |server| &mut server.to_read_on);
        self.read_each(usize::MAX, |server| &mut server.knocking);
    }

    /// Reads the first of a line, `most` of them at most.
    fn read_each(&mut self, most: usize, list: impl Fn(&mut Self) -> &mut VecDeque<Ticket>) {
        let mut spell = Spell::default();
        let most = most.min(self.limits.budget.reads);
        for _ in 0..list(self).len().min(most) {
            let Some(ticket) = list(self).pop_front() else {
                return;
            };
            if let Some(connection) = self.holder(ticket) {
                connection.flags.clear(Flags::TO_READ);
                self.read(ticket);
                self.squeeze_halves();
                self.squeeze_owed();
            }
            if spell.is_over(self.limits.budget.time, || self.network.now()) {
                return;
            }
        }
    }

    fn read(&mut self, ticket: Ticket) {
        if self.must_wait(ticket) {
            return;
        }
        let key = ticket.key;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if connection.flags.has(Flags::TO_WRITE) && connection.outbox.holds() > ANSWERS {
            return self.will_read_on(key);
        }
        if let Some(mut unheard) = connection.take_unheard() {
            self.hear(key, &mut unheard);
            self.weigh(key);
            // The edge that told of what is behind it has passed.
            return self.will_read_on(key);
        }
        let is_over =
            connection.flags.has(Flags::HALF_CLOSED) || connection.flags.has(Flags::BROKEN);
        match connection.socket.receive(&mut self.scratch) {
            Err(error) => self.end(key, Gone::Broken(error.kind())),
            Ok(received) if received.end => self.said_its_last(key),
            Ok(received) => {
                if received.bytes > 0 {
                    let mut scratch = mem::take(&mut self.scratch);
                    self.take(key, &mut scratch[..received.bytes]);
                    self.scratch = scratch;
                    self.weigh(key);
                }
                // Data and FIN that arrive together bring one event and a short read: only another
                // read tells of the end.
                if received.more || is_over && received.bytes > 0 {
                    self.will_read_on(key);
                }
            }
        }
    }

    /// Bytes came from a connection.
    pub(super) fn take(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
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
                open.debt.owe_bytes(bytes.len());
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

    /// Bytes came from a member. They are heard to their end, unless compressed messages among them say
    /// more than a read could, or the answers to them are many: then the rest waits for its turn, so that a
    /// room never gets more at once than half a lane was checked to hold, and a client no more answers than
    /// it has asked for and may take.
    fn hear(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
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
        let (mut spare, mut answers) = (self.limits.read_bytes(), ANSWERS);
        let last = loop {
            let message = match decoder.next(&mut input, &rules) {
                Ok(None) => break None,
                Err(violation) => break Some(Last::Violation(violation)),
                Ok(Some(Event::Close(close))) => {
                    break Some(Last::Close(close.map(|(code, _)| code)));
                }
                Ok(Some(Event::Ping(payload))) => {
                    self.pinged(key, payload, input.is_empty());
                    continue;
                }
                Ok(Some(Event::Pong(_))) => continue,
                Ok(Some(Event::Text(text))) => Message::Text(text),
                Ok(Some(Event::Binary(bytes))) => Message::Binary(bytes),
                Ok(Some(Event::Compressed { text, payload })) => {
                    let inflater = inflater.get_or_insert_default();
                    let sent = payload.len();
                    match inflater.inflate(text, payload, rules.max_message) {
                        Ok(message) => {
                            let said = message.bytes().len();
                            spare = spare.saturating_sub(said);
                            self.owe_bytes(key, said.saturating_sub(sent));
                            message
                        }
                        Err(violation) => break Some(Last::Violation(violation)),
                    }
                }
            };
            since = now;
            answers = answers.saturating_sub(self.say(key, message));
            if spare == 0 || answers == 0 {
                break None;
            }
        };
        self.inflater = inflater;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        if let Stage::Open(open) = &mut connection.stage
            && last.is_none()
            && (decoder.in_message() || !input.is_empty())
        {
            open.half = Some(Box::new(Half {
                decoder,
                since,
                unheard: input.to_vec(),
            }));
        }
        if connection.outbox.holds() > 0 {
            if connection.outbox.holds() > self.limits.client_buffer {
                self.counts.client_buffers_over_limit += 1;
                return self.end(key, Gone::FellBehind);
            }
            self.will_write(key);
        }
        match last {
            None if input.is_empty() => {}
            None => self.will_read_on(key),
            Some(Last::Close(code)) => {
                let frame = code.map_or(Frame::close_empty(), |code| Frame::close(code, ""));
                self.tell_last(key, &frame, Awaits::Outbox);
            }
            Some(Last::Violation(violation)) => self.violated(key, violation),
        }
    }

    fn violated(&mut self, key: ConnectionKey, violation: Violation) {
        self.counts.protocol_violations += 1;
        self.counts.messages_too_large += u64::from(violation == Violation::TooBig);
        self.counts.messages_of_too_many_frames += u64::from(violation == Violation::TooManyFrames);
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

    /// The peer has answered our Close.
    fn heard_close(&mut self, key: ConnectionKey) {
        if let Some(connection) = self.connection(key)
            && let Stage::Closing(farewell) = &mut connection.stage
        {
            farewell.awaits = Awaits::Outbox;
            self.will_write(key);
        }
    }

    /// The peer's FIN: nothing more will come, but it may still want what it is owed.
    fn said_its_last(&mut self, key: ConnectionKey) {
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

impl<S> Connection<S> {
    /// What this client said in an earlier read and has not been heard.
    fn take_unheard(&mut self) -> Option<Vec<u8>> {
        let Stage::Open(open) = &mut self.stage else {
            return None;
        };
        let unheard = mem::take(&mut open.half.as_mut()?.unheard);
        Some(unheard).filter(|unheard| !unheard.is_empty())
    }
}

/// What ends a client's stream.
enum Last {
    Close(Option<CloseCode>),
    Violation(Violation),
}

fn rules(limits: &Limits, deflate: bool) -> Rules {
    Rules {
        max_message: limits.max_message,
        max_frames: limits.max_frames,
        deflate,
    }
}
