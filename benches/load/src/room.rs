//! Verifies what the members of a room receive: a record of the stream, and an ear for each member.
//!
//! All members of a room should receive the same bytes. So only the first member to receive a frame looks at
//! it: if the frame is flawless (the next message of its sender, every byte right), it is added to the
//! room's record, and what the other members read is compared with the record as one block of memory. That
//! makes verifying cheaper than receiving. An ear whose bytes differ from the record leaves it, and is
//! checked on its own from there on, message by message, because a server may send the messages of
//! different senders to different members in different orders.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::mem;

use flate2::{Decompress, FlushDecompress};

use crate::message::Id;
use crate::tally::{Tally, Timed};
use crate::wire::{Header, Malformed, Opcode};

/// The record is cut when it is longer than this.
const RECORD: usize = 256 * 1024;

/// The record of one room.
#[derive(Debug, Default)]
pub struct Room {
    /// Whether its members have negotiated permessage-deflate.
    deflate: bool,
    members: u64,
    senders: HashMap<u32, Sender>,
    /// Invariant: whole flawless frames only, whose text frames `frames` lists.
    record: Vec<u8>,
    /// The position in the stream of the first byte of `record`.
    start: u64,
    frames: VecDeque<Frame>,
    /// How many frames came before the first of `frames`.
    earlier: u64,
    cut_at: usize,
}

#[derive(Debug)]
struct Frame {
    end: u64,
    id: Id,
    said_at: u64,
}

#[derive(Debug, Default)]
struct Sender {
    said: u32,
    /// The number of its next message at the end of the record, and at the record's start.
    next: u32,
    cut: u32,
    /// When the messages were sent that are not in the record yet.
    said_at: VecDeque<u64>,
}

/// How one member listens.
#[derive(Debug)]
pub struct Ear {
    member: u32,
    hears: Hears,
    /// The start of a frame that is not in the record.
    rest: Vec<u8>,
}

#[derive(Debug)]
enum Hears {
    /// The ear has received the record up to the position `at`, with `frames` frames before it.
    Along { at: u64, frames: u64 },
    /// The ear has received something else than the record.
    Alone(HashMap<u32, Heard>),
}

/// What an ear that has left the record has received of one sender.
#[derive(Clone, Debug, Default)]
struct Heard {
    next: u32,
    missing: BTreeSet<u32>,
}

/// A control frame, for the member to act upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The server's ping, which wants a pong with the same bytes.
    Ping(Vec<u8>),
    /// The server's pong, which should answer a ping.
    Pong(Vec<u8>),
    /// The server's close frame.
    Close,
}

impl Room {
    /// An empty room, whose members have negotiated permessage-deflate or not.
    #[must_use]
    pub fn new(deflate: bool) -> Self {
        Self {
            deflate,
            ..Self::default()
        }
    }

    /// A new member, which receives everything from here on. No member should be talking yet, because it is not
    /// known which messages of a running conversation a new member should receive.
    pub fn join(&mut self, member: u32) -> Ear {
        self.members += 1;
        let hears = Hears::Along {
            at: self.end(),
            frames: self.earlier + self.frames.len() as u64,
        };
        Ear {
            member,
            hears,
            rest: Vec::new(),
        }
    }

    /// The name of the sender's next message, which is said at `said_at`.
    pub fn say(&mut self, sender: u32, said_at: u64, tally: &mut Tally) -> Id {
        let history = self.senders.entry(sender).or_default();
        let id = Id {
            sender,
            number: history.said,
        };
        history.said += 1;
        history.said_at.push_back(said_at);
        tally.expected += self.members;
        id
    }

    /// Verifies what a member has read at `now`. Returns how many of its own messages were in it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] ends this ear's stream.
    pub fn hear(
        &mut self,
        ear: &mut Ear,
        bytes: &[u8],
        now: u64,
        tally: &mut Tally,
        controls: &mut Vec<Control>,
    ) -> Result<u32, Malformed> {
        let mut joined = mem::take(&mut ear.rest);
        let bytes = match joined.is_empty() {
            true => bytes,
            false => {
                joined.extend_from_slice(bytes);
                &joined
            }
        };
        let (mut used, mut own) = (0, 0);
        loop {
            if let Hears::Along { at, frames } = &mut ear.hears {
                let known = &self.record[(*at - self.start) as usize..];
                let same = common(known, &bytes[used..]);
                *at += same as u64;
                used += same;
                while let Some(frame) = self.frames.get((*frames - self.earlier) as usize)
                    && frame.end <= *at
                {
                    *frames += 1;
                    own += u32::from(frame.id.sender == ear.member);
                    tally.heard(frame.id.sender == ear.member, frame.said_at, now);
                }
                let boundary = self.boundary(*frames);
                if used < bytes.len() && *at != boundary {
                    // Differs in the middle of a frame: that frame is heard alone, from its start.
                    let mut begun = self.record
                        [(boundary - self.start) as usize..(*at - self.start) as usize]
                        .to_vec();
                    begun.extend_from_slice(&bytes[used..]);
                    ear.hears = Hears::Alone(self.heard(*frames));
                    return Ok(own + self.hear(ear, &begun, now, tally, controls)?);
                }
            }
            let Some(header) = Header::parse(&bytes[used..], self.deflate)? else {
                break;
            };
            let Some(frame) = bytes[used..].get(..header.frame()) else {
                break;
            };
            let payload = &frame[header.head..];
            used += frame.len();
            match header.opcode {
                Opcode::Text => {
                    let id = if header.compressed {
                        inflate(payload).and_then(|payload| Id::read(&payload))
                    } else {
                        Id::read(payload)
                    };
                    own += self.judge(ear, frame, id, now, tally);
                }
                Opcode::Ping => controls.push(Control::Ping(payload.to_vec())),
                Opcode::Pong => controls.push(Control::Pong(payload.to_vec())),
                Opcode::Close => controls.push(Control::Close),
            }
        }
        ear.rest = bytes[used..].to_vec();
        Ok(own)
    }

    /// Hears one frame that does not follow from the record; gives back whether it is the ear's own.
    fn judge(
        &mut self,
        ear: &mut Ear,
        frame: &[u8],
        id: Option<Id>,
        now: u64,
        tally: &mut Tally,
    ) -> u32 {
        let end = self.end();
        let sender = id.and_then(|id| {
            self.senders
                .get_mut(&id.sender)
                .filter(|sender| id.number < sender.said)
        });
        if let (Hears::Along { at, frames }, Some(id), Some(sender)) = (&mut ear.hears, id, sender)
            && *at == end
            && id.number == sender.next
        {
            let said_at = sender.said_at.pop_front().unwrap_or(now);
            sender.next += 1;
            self.record.extend_from_slice(frame);
            *at += frame.len() as u64;
            *frames += 1;
            self.frames.push_back(Frame {
                end: *at,
                id,
                said_at,
            });
            tally.heard(id.sender == ear.member, said_at, now);
            return u32::from(id.sender == ear.member);
        }
        if let Hears::Along { frames, .. } = ear.hears {
            ear.hears = Hears::Alone(self.heard(frames));
        }
        let Hears::Alone(heard) = &mut ear.hears else {
            return 0;
        };
        let Some(id) = id else {
            tally.faults.corrupt += 1;
            return 0;
        };
        if self
            .senders
            .get(&id.sender)
            .is_none_or(|sender| id.number >= sender.said)
        {
            tally.faults.stray += 1;
            return 0;
        }
        let heard = heard.entry(id.sender).or_default();
        if id.number >= heard.next {
            heard.missing.extend(heard.next..id.number);
            heard.next = id.number + 1;
        } else if heard.missing.remove(&id.number) {
            tally.faults.misordered += 1;
        } else {
            tally.faults.doubled += 1;
            return 0;
        }
        tally.deliveries += 1;
        u32::from(id.sender == ear.member)
    }

    /// What was heard by an ear that went along for the first `frames` frames.
    fn heard(&self, frames: u64) -> HashMap<u32, Heard> {
        let cut = self
            .senders
            .iter()
            .map(|(&sender, history)| (sender, history.cut));
        let mut heard: HashMap<_, _> = cut
            .map(|(sender, next)| {
                (
                    sender,
                    Heard {
                        next,
                        missing: BTreeSet::new(),
                    },
                )
            })
            .collect();
        for frame in self.frames.iter().take((frames - self.earlier) as usize) {
            heard.entry(frame.id.sender).or_default().next = frame.id.number + 1;
        }
        heard
    }

    fn end(&self) -> u64 {
        self.start + self.record.len() as u64
    }

    /// Where the first `frames` frames end.
    fn boundary(&self, frames: u64) -> u64 {
        match (frames - self.earlier).checked_sub(1) {
            Some(last) => self
                .frames
                .get(last as usize)
                .map_or(self.end(), |frame| frame.end),
            None => self.start,
        }
    }

    /// Whether the record has grown so long that [`Room::cut`] should be called.
    #[must_use]
    pub fn long(&self) -> bool {
        self.record.len() > self.cut_at.max(RECORD)
    }

    /// Forgets what all of the room's `ears` have heard.
    pub fn cut<'a>(&mut self, ears: impl Iterator<Item = &'a Ear>) {
        let along = ears.filter_map(|ear| match ear.hears {
            Hears::Along { frames, .. } => Some(frames),
            Hears::Alone(_) => None,
        });
        let common = along.min().unwrap_or(self.earlier);
        let start = self.boundary(common);
        for frame in self.frames.drain(..(common - self.earlier) as usize) {
            self.senders.entry(frame.id.sender).or_default().cut = frame.id.number + 1;
        }
        self.record.drain(..(start - self.start) as usize);
        (self.start, self.earlier) = (start, common);
        self.cut_at = 2 * self.record.len();
    }
}

/// How many bytes the two have in common at their start.
fn common(one: &[u8], other: &[u8]) -> usize {
    let len = one.len().min(other.len());
    if one[..len] == other[..len] {
        return len;
    }
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

impl Tally {
    fn heard(&mut self, own: bool, said_at: u64, now: u64) {
        self.deliveries += 1;
        if own || self.timed == Timed::Every {
            self.latency.add(now.saturating_sub(said_at));
        }
    }
}

/// A message as it was before it was compressed (RFC 7692, section 7.2.2), of at most a megabyte.
fn inflate(payload: &[u8]) -> Option<Vec<u8>> {
    let input = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
    let mut message = Vec::with_capacity(1 << 20);
    let status = Decompress::new(false).decompress_vec(&input, &mut message, FlushDecompress::Sync);
    status.is_ok().then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Faults;

    /// Two senders say three messages each; gives back the frames as a server should pass them on.
    fn conversation(room: &mut Room, tally: &mut Tally) -> Vec<Vec<u8>> {
        let ids: Vec<_> = (0..3)
            .flat_map(|_| [7, 8])
            .map(|sender| room.say(sender, 0, tally))
            .collect();
        ids.into_iter().map(frame).collect()
    }

    fn frame(id: Id) -> Vec<u8> {
        let mut frame = vec![0x81, 40];
        frame.resize(42, 0);
        id.write(&mut frame[2..]);
        frame
    }

    /// Member 7 hears `one` and member 9 hears `other`, both in pieces of `step` bytes.
    fn listen(
        step: usize,
        one: impl Fn(&mut Vec<Vec<u8>>),
        other: impl Fn(&mut Vec<Vec<u8>>),
    ) -> (Tally, Vec<Control>, u32) {
        let (mut room, mut tally, mut controls, mut own) =
            (Room::default(), Tally::default(), Vec::new(), 0);
        let mut ears = [room.join(7), room.join(9)];
        let frames = conversation(&mut room, &mut tally);
        let mut streams = [frames.clone(), frames];
        one(&mut streams[0]);
        other(&mut streams[1]);
        let streams = streams.map(|frames| frames.concat());
        let mut pieces = streams.each_ref().map(|stream| stream.chunks(step));
        for _ in 0..streams[0].len().max(streams[1].len()).div_ceil(step) {
            for (ear, pieces) in ears.iter_mut().zip(&mut pieces) {
                let piece = pieces.next().unwrap_or(&[]);
                match room.hear(ear, piece, 1, &mut tally, &mut controls) {
                    Ok(more) => own += more,
                    Err(Malformed) => tally.faults.corrupt += 1,
                }
            }
            room.cut(ears.iter());
        }
        tally.faults.lost = tally.expected - tally.deliveries;
        (tally, controls, own)
    }

    #[test]
    fn whatever_differs_is_named_at_every_split() {
        let stray = frame(Id {
            sender: 3,
            number: 0,
        });
        let early = frame(Id {
            sender: 7,
            number: 3,
        });
        type Break = Box<dyn Fn(&mut Vec<Vec<u8>>)>;
        let none = Faults::default();
        let table: Vec<(&str, Break, Faults)> = vec![
            ("nothing", Box::new(|_| ()), none),
            (
                "another order of senders",
                Box::new(|frames| frames.swap(0, 1)),
                none,
            ),
            (
                "first dropped",
                Box::new(|frames| drop(frames.remove(0))),
                Faults { lost: 1, ..none },
            ),
            (
                "middle dropped",
                Box::new(|frames| drop(frames.remove(2))),
                Faults { lost: 1, ..none },
            ),
            (
                "last dropped",
                Box::new(|frames| drop(frames.pop())),
                Faults { lost: 1, ..none },
            ),
            (
                "doubled",
                Box::new(|frames| frames.insert(3, frames[2].clone())),
                Faults { doubled: 1, ..none },
            ),
            (
                "doubled late",
                Box::new(|frames| frames.push(frames[0].clone())),
                Faults { doubled: 1, ..none },
            ),
            (
                "swapped",
                Box::new(|frames| frames.swap(1, 3)),
                Faults {
                    misordered: 1,
                    ..none
                },
            ),
            (
                "corrupt",
                Box::new(|frames| frames[4][20] ^= 1),
                Faults {
                    corrupt: 1,
                    lost: 1,
                    ..none
                },
            ),
            (
                "corrupt at its end",
                Box::new(|frames| frames[5][41] ^= 1),
                Faults {
                    corrupt: 1,
                    lost: 1,
                    ..none
                },
            ),
            (
                "of another room",
                Box::new(move |frames| frames.insert(2, stray.clone())),
                Faults { stray: 1, ..none },
            ),
            (
                "never said",
                Box::new(move |frames| frames.push(early.clone())),
                Faults { stray: 1, ..none },
            ),
        ];
        for step in (1..60).chain([1000]) {
            for (name, fault, want) in &table {
                // The fault shows at the first member, at the one that compares, or at both.
                let (tally, _, own) = listen(step, |_| (), fault);
                assert_eq!(
                    (tally.faults, own),
                    (*want, 3),
                    "{name}, heard second, in steps of {step}"
                );
                let (tally, ..) = listen(step, fault, |_| ());
                assert_eq!(
                    tally.faults, *want,
                    "{name}, heard first, in steps of {step}"
                );
                let (tally, ..) = listen(step, fault, fault);
                let Faults {
                    lost,
                    doubled,
                    misordered,
                    corrupt,
                    stray,
                    dropped,
                } = *want;
                let twice =
                    [lost, doubled, misordered, corrupt, stray, dropped].map(|count| count * 2);
                let [lost, doubled, misordered, corrupt, stray, dropped] = twice;
                let twice = Faults {
                    lost,
                    doubled,
                    misordered,
                    corrupt,
                    stray,
                    dropped,
                };
                assert_eq!(
                    tally.faults, twice,
                    "{name}, heard by both, in steps of {step}"
                );
            }
        }
    }

    #[test]
    fn control_frames_may_stand_between_messages() {
        for step in (1..60).chain([1000]) {
            let (tally, controls, own) = listen(
                step,
                |frames| frames.insert(2, vec![0x89, 2, b'h', b'i']),
                |frames| frames.push(vec![0x8a, 0]),
            );
            assert!(tally.faults.none(), "in steps of {step}: {}", tally.faults);
            assert_eq!((tally.deliveries, own), (12, 3));
            assert!(
                controls.contains(&Control::Ping(b"hi".to_vec()))
                    && controls.contains(&Control::Pong(Vec::new()))
            );
        }
    }

    #[test]
    fn a_malformed_frame_ends_the_stream() {
        for bad in [
            &[0x81, 0x80][..],
            &[0x82, 1, 0],
            &[0x81, 126, 0, 1],
            &[0x89, 126, 0, 200],
            &[0xc1, 0],
        ] {
            let (mut room, mut tally) = (Room::default(), Tally::default());
            let mut ear = room.join(1);
            assert_eq!(
                room.hear(&mut ear, bad, 0, &mut tally, &mut Vec::new()),
                Err(Malformed),
                "{bad:02x?}"
            );
        }
    }
}
