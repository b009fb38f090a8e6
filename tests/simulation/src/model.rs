//! What is to be heard in each room, known from what the server has read; and whether it is.

use std::collections::BTreeMap;
use std::fmt;

use crate::client::Client;
use crate::names::{MemberId, Names};

/// A message, in the order of the room.
#[derive(Debug)]
struct Entry {
    client: usize,
    text: bool,
    payload: Vec<u8>,
    /// What its speaker calls it.
    id: Option<String>,
    /// What its speaker is called: the stint among the room's names. Who does not speak `chat.v1` is a guest.
    stint: Option<usize>,
    standing: Standing,
    /// That its speaker was a member does not make it certain.
    doubtful: bool,
    /// In which turn it was said, if the order within that turn is not known before somebody hears it.
    loose: Option<usize>,
    /// Microseconds since the start.
    at: u64,
    /// The most bytes that it takes in the room's memory.
    bytes: usize,
    /// The seq that it has in this epoch.
    place: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Everybody is to hear it.
    Certain,
    /// It is not known yet whether it was published at all.
    Open,
    /// Nobody is to hear it.
    Void,
}

/// Who says something, and how.
#[derive(Clone, Debug)]
pub struct Saying {
    pub text: bool,
    pub payload: Vec<u8>,
    pub id: Option<String>,
    pub stint: Option<usize>,
    /// Whether it is published for certain.
    pub certain: bool,
    pub loose: Option<usize>,
    pub at: u64,
}

/// A message as somebody hears it.
#[derive(Clone)]
pub enum Hearing<'a> {
    /// A plain client: whether it is text, and its payload.
    Plain(bool, &'a [u8]),
    /// One that speaks `chat.v1`.
    Chat(&'a Told),
}

impl fmt::Debug for Hearing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hearing::Plain(_, payload) => String::from_utf8_lossy(payload).fmt(f),
            Hearing::Chat(told) => told.fmt(f),
        }
    }
}

/// A message in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub epoch: u64,
    pub seq: u64,
    pub from: String,
    pub member: u32,
    pub id: Option<String>,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Base64(String),
    Size(u64),
}

/// All that was ever said under one path.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<Entry>,
    /// Of each client that was heard or welcomed, the member.
    pub voices: BTreeMap<usize, u32>,
    pub names: Names,
    /// Entries by their seqs in each epoch.
    by_seq: BTreeMap<(u64, u64), usize>,
    /// The seq of each epoch when its memory began.
    pub began: BTreeMap<u64, u64>,
    /// How often the room may have been forgotten and opened anew, and the epochs in between.
    pub lives: u32,
    pub epochs: BTreeMap<u32, u64>,
    /// Bytes of the longest JSON that a message may become.
    max_json: usize,
}

impl Log {
    /// Nothing was said yet. `max_json` is how many bytes of JSON a message may become.
    pub fn new(max_json: usize) -> Log {
        Log {
            max_json,
            ..Log::default()
        }
    }

    /// How much was said so far.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The server has read a message.
    pub fn say(&mut self, client: &Client, saying: Saying) {
        let certain = saying.certain && client.granted == Some(true);
        let doubtful = !saying.certain;
        self.entries.push(Entry {
            client: client.number,
            bytes: (saying.payload.len() * 6 + 400).min(self.max_json + 14),
            text: saying.text,
            payload: saying.payload,
            id: saying.id,
            stint: saying.stint,
            standing: if certain {
                Standing::Certain
            } else {
                Standing::Open
            },
            doubtful,
            loose: saying.loose,
            at: saying.at,
            place: None,
        });
    }

    /// The engine has committed a message of this member, at this place.
    pub fn commit(
        &mut self,
        client: &Client,
        member: u32,
        saying: Saying,
        place: (u64, u64),
    ) -> Result<(), String> {
        self.say(client, saying);
        let known = *self.voices.entry(client.number).or_insert(member);
        if known != member {
            return Err(format!("{} speaks as {member}, not {known}", client.number));
        }
        let at = self.entries.len() - 1;
        if let Some(entry) = self.entries.last_mut() {
            (entry.standing, entry.place) = (Standing::Certain, Some(place));
        }
        self.by_seq.insert(place, at);
        Ok(())
    }

    /// It turns out whether somebody was a member.
    pub fn settle(&mut self, client: usize, granted: bool) -> Result<(), String> {
        for entry in self.entries.iter_mut().filter(|e| e.client == client) {
            match (entry.standing, granted) {
                (Standing::Certain, false) => {
                    return Err(format!("{client} was heard and then refused"));
                }
                (Standing::Open, true) if !entry.doubtful => entry.standing = Standing::Certain,
                (Standing::Open, false) => entry.standing = Standing::Void,
                _ => {}
            }
        }
        Ok(())
    }

    /// What became of a message with this id so far, if one of these has said it: the client, and when; the latest.
    pub fn said(&self, id: &str, by: impl Fn(usize) -> bool) -> Option<(usize, u64, bool)> {
        let is_it = |entry: &&Entry| {
            entry.id.as_deref() == Some(id) && entry.standing != Standing::Void && by(entry.client)
        };
        let entry = self.entries.iter().rev().find(is_it)?;
        Some((entry.client, entry.at, entry.standing == Standing::Certain))
    }

    /// The seq of the latest message of a member with this id.
    pub fn seq_of(&self, id: &str, (epoch, number): MemberId) -> Option<u64> {
        let is_its = |entry: &&Entry| self.voices.get(&entry.client) == Some(&number);
        let mut of_id = self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.id.as_deref() == Some(id) && is_its(entry));
        let (of, seq) = of_id.find_map(|entry| entry.place)?;
        (of == epoch).then_some(seq)
    }

    /// How many messages with an id a client has said since.
    pub fn said_since(&self, clients: impl Fn(usize) -> bool, since: u64) -> usize {
        let later = self.entries.iter().rev().take_while(|e| e.at >= since);
        later
            .filter(|e| e.id.is_some() && clients(e.client))
            .count()
    }

    /// Somebody hears this message, and its next is at `position`. What stands before `skip` it need not
    /// hear, and may in any order.
    pub fn hear(
        &mut self,
        position: &mut usize,
        skip: usize,
        hearing: &Hearing<'_>,
    ) -> Result<(), String> {
        let skip = skip.min(self.entries.len());
        if let Some(found) = (*position..skip).find(|&i| self.is(i, hearing)) {
            return self.heard(found, hearing);
        }
        *position = skip.max(*position);
        while *position < self.entries.len() {
            let place = *position;
            *position += 1;
            let found = self.group(place).find(|&i| self.is(i, hearing));
            let entry = &mut self.entries[place];
            match (entry.standing, found) {
                (_, Some(found)) => {
                    self.entries[place..=found].rotate_right(1);
                    for (i, entry) in self.entries[place..=found].iter_mut().enumerate() {
                        if let Some(seq) = entry.place {
                            self.by_seq.insert(seq, place + i);
                        }
                    }
                    self.entries[place].loose = None;
                    return self.heard(place, hearing);
                }
                (Standing::Void, None) => {}
                (Standing::Certain, None) => {
                    let due = String::from_utf8_lossy(&entry.payload);
                    return Err(format!("hears {hearing:?} instead of {due:?}"));
                }
                (Standing::Open, None) => entry.standing = Standing::Void,
            }
        }
        Err(format!("hears {hearing:?}, which nobody has said now"))
    }

    /// The entries that may come next: one, unless they are loose; then the first of each client.
    fn group(&self, place: usize) -> impl Iterator<Item = usize> {
        let turn = self.entries[place].loose;
        let mut seen = Vec::new();
        let upto = match turn {
            None => place + 1,
            Some(_) => self.entries.len(),
        };
        let group = (place..upto).take_while(move |&i| i == place || self.entries[i].loose == turn);
        group.filter(move |&i| {
            let entry = &self.entries[i];
            let first = !seen.contains(&entry.client);
            if entry.standing == Standing::Certain {
                seen.push(entry.client);
            }
            first && entry.standing != Standing::Void
        })
    }

    /// Whether this is that message, as far as is known.
    fn is(&self, place: usize, hearing: &Hearing<'_>) -> bool {
        let entry = &self.entries[place];
        let called = |from: &str| match entry.stint {
            None => from.starts_with("guest-"),
            Some(stint) => self.names.is_due(stint, from),
        };
        match hearing {
            Hearing::Plain(text, payload) if entry.stint.is_some() => {
                let said = payload.strip_suffix(&*entry.payload);
                let from = said.and_then(|from| str::from_utf8(from.strip_suffix(b": ")?).ok());
                *text && from.is_some_and(called)
            }
            Hearing::Plain(text, payload) => *text == entry.text && *payload == entry.payload,
            Hearing::Chat(told) => {
                let is_said = match &told.content {
                    Content::Text(text) => entry.text && text.as_bytes() == entry.payload,
                    Content::Base64(base64) => !entry.text && *base64 == in_base64(&entry.payload),
                    Content::Size(size) => {
                        *size == entry.payload.len() as u64
                            && 300 + entry.payload.len() * 6 > self.max_json
                    }
                };
                let member = self.voices.get(&entry.client);
                is_said
                    && told.id == entry.id
                    && member.is_none_or(|member| *member == told.member)
                    && called(&told.from)
                    && (entry.stint.is_some() || told.from == format!("guest-{}", told.member))
                    && entry
                        .place
                        .is_none_or(|place| place == (told.epoch, told.seq))
                    && self
                        .place_of(told.epoch, told.seq)
                        .is_none_or(|known| known == place)
            }
        }
    }

    /// Notes what is known now that it was not before.
    fn heard(&mut self, place: usize, hearing: &Hearing<'_>) -> Result<(), String> {
        let entry = &mut self.entries[place];
        entry.standing = Standing::Certain;
        let Hearing::Chat(told) = hearing else {
            return Ok(());
        };
        self.voices.insert(entry.client, told.member);
        if let Some(stint) = entry.stint {
            self.names.identify(entry.client, (told.epoch, told.member));
            self.names.learn(stint, &told.from)?;
        }
        entry.place = Some((told.epoch, told.seq));
        match self.by_seq.insert((told.epoch, told.seq), place) {
            Some(other) if other != place => Err(format!("{told:?} has the seq of another")),
            Some(_) | None => Ok(()),
        }
    }

    /// Where a message of the past stands, of which so many with higher seqs come before `end`; and where the
    /// messages end that may stand before it as well as behind. The entries from `loose` on may count or not.
    pub fn locate(
        &self,
        told: &Told,
        behind: u64,
        loose: usize,
        end: usize,
    ) -> Option<(usize, usize)> {
        if let Some(&place) = self.by_seq.get(&(told.epoch, told.seq)) {
            return Some(self.breath(place));
        }
        let (mut least, mut most, mut group) = (0, 0, None);
        for place in (0..end.min(self.entries.len())).rev() {
            let entry = &self.entries[place];
            if entry.loose.is_some() && entry.loose != group {
                // Whatever order these have: all of them may come before it.
                let of_group = |entry: &&Entry| entry.loose == self.entries[place].loose;
                most += self.entries[..=place]
                    .iter()
                    .rev()
                    .take_while(of_group)
                    .count() as u64;
            }
            group = entry.loose;
            let may_be = (least..=most).contains(&behind) && entry.standing != Standing::Void;
            if may_be && self.is(place, &Hearing::Chat(told)) {
                return Some(self.breath(place));
            }
            match entry.standing {
                Standing::Certain if place < loose && entry.loose.is_none() => least += 1,
                Standing::Certain | Standing::Open => {}
                Standing::Void => continue,
            }
            most += u64::from(entry.loose.is_none());
        }
        None
    }

    /// From where to where the entries stand of which nobody knows yet whether they come before or behind this one.
    fn breath(&self, place: usize) -> (usize, usize) {
        let turn = self.entries[place].loose;
        let alike = |entry: &&Entry| entry.loose.is_some() && entry.loose == turn;
        let before = self.entries[..place].iter().rev().take_while(alike).count();
        let after = self.entries[place..].iter().take_while(alike).count();
        (place - before, place + after)
    }

    /// What is known of who has said this, for whoever wants to know why it cannot be.
    pub fn recall(&self, told: &Told) -> String {
        let alike = |entry: &&Entry| match &told.content {
            Content::Text(text) => entry.payload == text.as_bytes(),
            Content::Base64(base64) => in_base64(&entry.payload) == *base64,
            Content::Size(size) => entry.payload.len() as u64 == *size,
        };
        let entry = self.entries.iter().rposition(|entry| alike(&entry));
        let entry = entry.map(|i| {
            (
                i,
                &self.entries[i],
                self.voices.get(&self.entries[i].client),
            )
        });
        format!("{entry:?} of {}", self.entries.len())
    }

    /// How many of the latest messages of an epoch a memory of so many bytes and microseconds surely holds,
    /// at a place whose latest seq is this.
    pub fn surely_held(&self, (epoch, seq): (u64, u64), bytes: usize, since: u64) -> u64 {
        let began = self.began.get(&epoch).copied().unwrap_or(seq);
        let (mut held, mut sum) = (0, 0);
        while seq - held > began {
            let Some(&place) = self.by_seq.get(&(epoch, seq - held)) else {
                break;
            };
            sum += self.entries[place].bytes;
            if sum > bytes || self.entries[place].at <= since {
                break;
            }
            held += 1;
        }
        held
    }

    /// Where this stands, if it is known.
    pub fn place_of(&self, epoch: u64, seq: u64) -> Option<usize> {
        self.by_seq.get(&(epoch, seq)).copied()
    }

    /// When this was said, if it is known.
    pub fn said_at(&self, epoch: u64, seq: u64) -> Option<u64> {
        let place = *self.by_seq.get(&(epoch, seq))?;
        Some(self.entries[place].at)
    }

    /// Whether this is what has that seq, as far as is known.
    pub fn has(&self, told: &Told) -> bool {
        let place = self.by_seq.get(&(told.epoch, told.seq));
        place.is_none_or(|&place| self.is(place, &Hearing::Chat(told)))
    }

    /// What somebody at this position has still to hear of what was said so far, if anything.
    pub fn missing(&self, position: usize, upto: usize) -> Option<String> {
        let upto = upto.min(self.entries.len());
        self.entries[position.min(upto)..upto]
            .iter()
            .find(|entry| entry.standing == Standing::Certain)
            .map(|entry| String::from_utf8_lossy(&entry.payload).into_owned())
    }
}

fn in_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three
            .iter()
            .fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            let is_there = digit <= three.len() as u32;
            text.push(if is_there {
                DIGITS[value as usize].into()
            } else {
                '='
            });
        }
    }
    text
}
