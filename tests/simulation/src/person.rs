//! What somebody who speaks `chat.v1` keeps from one connection to the next, and asks for; as
//! docs/protocol.md has it.

use std::collections::VecDeque;

use serde_json::json;

use crate::random::Random;

/// Somebody with a client of `chat.v1`: knows only what it has taken from its sockets.
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub number: usize,
    /// The index of the room's path.
    pub room: usize,
    pub session: Option<String>,
    pub epoch: Option<u64>,
    pub member: Option<u32>,
    /// Of the last message heard in this epoch.
    pub seq: u64,
    /// What has not come back yet: id and text.
    pub kept: VecDeque<(String, String)>,
    serial: u32,
    /// Its latest client.
    pub client: usize,
}

/// What somebody takes note of once it has taken the bytes that say so.
#[derive(Clone, Debug)]
pub enum Note {
    Welcome {
        session: String,
        epoch: u64,
        member: u32,
    },
    Message {
        seq: u64,
        id: Option<String>,
    },
    Accepted(String),
    /// The message with this id is not published.
    Refused(String),
    Pong,
}

impl Person {
    /// Somebody new.
    pub fn new(number: usize, room: usize) -> Person {
        Person {
            number,
            room,
            ..Person::default()
        }
    }

    /// Takes note.
    pub fn note(&mut self, note: &Note) {
        match note {
            Note::Welcome {
                session,
                epoch,
                member,
            } => {
                self.session = Some(session.clone());
                self.member = Some(*member);
                if self.epoch.replace(*epoch) != Some(*epoch) {
                    self.seq = 0;
                }
            }
            Note::Message { seq, id } => {
                self.seq = *seq;
                id.iter().for_each(|id| self.forget(id));
            }
            Note::Accepted(id) => self.forget(id),
            Note::Refused(_) | Note::Pong => {}
        }
    }

    fn forget(&mut self, id: &str) {
        self.kept.retain(|(kept, _)| kept != id);
    }

    /// A message that nobody else says, and that is kept; of about so many bytes.
    pub fn message(&mut self, random: &mut Random, length: usize) -> (String, String) {
        self.serial += 1;
        let id = format!("p{}-{}", self.number, self.serial);
        let mut text = format!("{id}:");
        let letter = random.pick(&["a", "é", "漢", "\"", "\u{1}"]);
        // In JSON a letter takes six bytes at most.
        for _ in 0..random.scaled(length.max(1) as u64) {
            if json!(text).to_string().len() + 6 > length {
                break;
            }
            text.push_str(letter);
        }
        self.kept.push_back((id.clone(), text.clone()));
        (id, text)
    }
}

/// A name that somebody may want to have; and whether nobody can have it.
pub fn name(random: &mut Random, person: usize) -> (String, bool) {
    match random.below(8) {
        0..3 => (
            random.pick(&["ann", "ann", "Zoé", "王小明"]).to_owned(),
            false,
        ),
        3 => ("a\u{202e}b".to_owned(), true),
        _ => (format!("nobody else {person}"), false),
    }
}
