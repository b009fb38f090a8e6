//! Bytes of a client, decoded: a request head, messages and control frames, or the peer's Close.

use std::mem;

use super::connection::{Awaits, Closing, DropReason, Flags, PendingInput, Stage};
use super::report::Notice;
use super::{Limits, Network, Server};
use crate::http::{self, Answer};
use crate::ids::ConnectionKey;
use crate::ws::{CloseCode, Decoder, Event, Frame, Message, Rules, Violation};

/// Bytes of answers after which a client is not heard until they have been offered to it.
pub(super) const ANSWERS: usize = 64 * 1024;

impl<N: Network> Server<N> {
    /// Bytes came from a connection.
    pub(super) fn on_bytes(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
        let now = self.tick();
        let limits = &self.limits;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let silence = now.since(connection.last_received);
        connection.last_received = now;
        connection.flags.clear(Flags::PINGED);
        match &mut connection.stage {
            Stage::Handshaking(head) => {
                let mut head = mem::take(head);
                match head.take(bytes, &limits.head) {
                    Ok(None) => connection.stage = Stage::Handshaking(head),
                    Err(response) => self.respond(key, &response),
                    Ok(Some((head, rest))) => match http::answer(head, &self.site) {
                        Answer::Respond(response) => self.respond(key, &response),
                        Answer::Upgrade(upgrade) => self.admit(key, &upgrade, rest),
                    },
                }
            }
            Stage::Open(open) => {
                open.rate = open.rate.after(silence, limits);
                open.rate.owe_bytes(bytes.len());
                self.decode(key, bytes);
            }
            Stage::Closing(Closing {
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
                    self.on_close_reply(key);
                }
            }
            Stage::Closing(Closing {
                awaits: Awaits::Outbox | Awaits::Fin,
                ..
            }) => {}
        }
    }

    /// Bytes came from a member. They are heard to their end, unless compressed messages among them say
    /// more than a read could, or the answers to them are many: then the rest waits for its turn, so that a
    /// room never gets more at once than half a lane was checked to hold, and a client no more answers than
    /// it has asked for and may take.
    pub(super) fn decode(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
        let now = self.tick();
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let Stage::Open(open) = &mut connection.stage else {
            return;
        };
        let (mut decoder, mut since) = match open.pending.take() {
            Some(pending) => (pending.decoder, pending.since),
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
                    self.on_ping(key, payload, input.is_empty());
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
            answers = answers.saturating_sub(self.on_message(key, message));
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
            open.pending = Some(Box::new(PendingInput {
                decoder,
                since,
                undecoded: input.to_vec(),
            }));
        }
        if connection.outbox.holds() > 0 {
            if connection.outbox.holds() > self.limits.client_buffer {
                self.counts.client_buffers_over_limit += 1;
                return self.drop_connection(key, DropReason::FellBehind);
            }
            self.enqueue_write(key);
        }
        match last {
            None if input.is_empty() => {}
            None => self.enqueue_backlog(key),
            Some(Last::Close(code)) => {
                let frame = code.map_or(Frame::close_empty(), |code| Frame::close(code, ""));
                self.close_with_frame(key, &frame, Awaits::Outbox);
            }
            Some(Last::Violation(violation)) => self.on_violation(key, violation),
        }
    }

    fn on_violation(&mut self, key: ConnectionKey, violation: Violation) {
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
        self.close_with(
            key,
            violation.close_code(),
            &violation.to_string(),
            Awaits::Outbox,
        );
    }
}

/// What ends a client's stream.
enum Last {
    Close(Option<CloseCode>),
    Violation(Violation),
}

fn rules(limits: &Limits, deflate: bool) -> Rules {
    Rules {
        max_message: limits.rooms.max_message,
        max_frames: limits.max_frames,
        deflate,
    }
}
