//! Bytes of a client, decoded: a request, messages and control frames, or the peer's Close.

use super::connections::{Awaits, Flags, PendingInput, Stage};
use super::drop_reason::DropReason;
use super::queues::ReadClass;
use super::report::Notice;
use super::{Limits, Network, Server};
use crate::engine::Engine;
use crate::http::{Answer, Progress};
use crate::ids::ConnectionKey;
use crate::ws::{CloseCode, Decoder, Event, Message, Rules, Violation};

/// Bytes of answers after which the input of a client waits until they have been written.
pub(super) const MAX_ANSWERS: usize = 64 * 1024;

impl<N: Network, E: Engine> Server<N, E> {
    /// Bytes came from a connection.
    pub(super) fn on_bytes(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
        let now = self.tick();
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let silence = now.since(connection.last_received);
        connection.last_received = now;
        connection.flags.clear(Flags::PINGED);
        if let Some(open) = connection.open_mut() {
            open.rate = open.rate.after(silence, &self.limits);
            open.rate.owe_bytes(bytes.len());
            return self.decode(key, bytes);
        }
        if let Some(mut incoming) = connection.take_incoming() {
            match incoming.take(bytes, &self.limits.head, &self.site) {
                Progress::More => connection.put_incoming(incoming),
                Progress::Continue => {
                    connection.put_incoming(incoming);
                    self.ask_for_body(key);
                }
                Progress::Whole(Answer::Upgrade(upgrade), rest) => self.admit(key, &upgrade, rest),
                Progress::Whole(Answer::Respond(response), _) => self.respond(key, response),
                Progress::Whole(Answer::Call(call), _) => {
                    let response = self.serve(call);
                    self.respond(key, response);
                }
            }
        } else if let Some(decoder) = connection.take_close_decoder() {
            self.await_close(key, decoder, bytes);
        }
    }

    /// Passes over what a closing client still says, until its Close. Input that breaks the protocol ends the wait too.
    fn await_close(&mut self, key: ConnectionKey, mut decoder: Decoder, bytes: &mut [u8]) {
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let place = connection.place();
        let deflate = place.is_some_and(|place| place.encoding.framing().is_compressed());
        let rules = rules(&self.limits, deflate);
        let mut input = bytes;
        loop {
            match decoder.next(&mut input, &rules) {
                Ok(Some(Event::Close(_))) | Err(_) => {
                    connection.set_awaits(Awaits::Outbox);
                    return self.enqueue_write(key);
                }
                Ok(Some(_)) => {}
                Ok(None) => return connection.set_awaits(Awaits::Close(decoder)),
            }
        }
    }

    /// Bytes came from a member. They are decoded to their end, unless compressed messages among them say
    /// more than a read could, or the answers to them are many. Then the rest waits, so that a room never gets more
    /// at once than its lane was checked to hold, and a client no more answers than it has asked for and may take.
    pub(super) fn decode(&mut self, key: ConnectionKey, bytes: &mut [u8]) {
        let now = self.tick();
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let pending = connection.take_pending();
        let Stage::Open(open) = connection.stage() else {
            return;
        };
        let (mut decoder, mut since, mut held) = match pending {
            Some(pending) => (pending.decoder, pending.since, pending.held),
            None => (Decoder::default(), now, None),
        };
        let deflate = open.member.place.encoding.framing().is_compressed();
        let rules = rules(&self.limits, deflate);
        let mut input = bytes;
        let mut inflater = self.buffers.take_inflater();
        let (mut spare, mut answers) = (self.limits.read_bytes(), MAX_ANSWERS);
        if !E::IMMEDIATE
            && let Some(message) = held.take()
            && self.judge(key, message.as_message()).is_none()
        {
            held = Some(message);
        }
        let last = loop {
            if !E::IMMEDIATE && held.is_some() {
                break None;
            }
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
            let Some(answered) = self.on_message(key, message) else {
                held = Some(message.into());
                break None;
            };
            answers = answers.saturating_sub(answered);
            if spare == 0 || answers == 0 {
                break None;
            }
        };
        self.buffers.put_inflater(inflater);
        let Some(mut connection) = self.connections.get_mut(key) else {
            return;
        };
        let is_held = held.is_some();
        if last.is_none() && (decoder.in_message() || !input.is_empty() || is_held) {
            connection.set_pending(PendingInput {
                decoder,
                since,
                held,
                undecoded: input.to_vec(),
            });
        }
        let private = connection.outbox().holds();
        if private > 0 {
            if private > self.limits.client_buffer {
                self.counts.client_buffers_over_limit += 1;
                return self.drop_connection(key, DropReason::FellBehind);
            }
            self.enqueue_write(key);
        }
        match last {
            None if is_held => self.pause_by_engine(key),
            None if input.is_empty() => {}
            None => self.enqueue_read(key, ReadClass::Backlog),
            Some(Last::Close(code)) => {
                self.close_with(key, code, "", Awaits::Outbox);
            }
            Some(Last::Violation(violation)) => self.on_violation(key, violation),
        }
    }

    fn on_violation(&mut self, key: ConnectionKey, violation: Violation) {
        self.counts.protocol_violations += 1;
        self.counts.messages_too_large += u64::from(violation == Violation::TooBig);
        self.counts.messages_of_too_many_frames += u64::from(violation == Violation::TooManyFrames);
        if let Some(connection) = self.connections.live_mut(key) {
            let (id, peer) = (connection.id().0, connection.peer());
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
