//! The log of a room: its durable state in one value.
//!
//! The log says which message comes next and which number the next member has, and it holds the archive of the latest
//! messages. It draws no number itself: seqs and member numbers are arguments, because another process may give them.
//! A [`Snapshot`] is the same state as plain values, which can be written to a disk or sent to another process.

use super::archive::{Archive, Bounds, Remembered, Span};
use crate::chat::format::framing::Framing;
use crate::chat::format::v1::Since;
use crate::feed::{Lane, Piece};
use crate::time::Tick;
use crate::ws::Frame;

/// The durable state of a room.
#[derive(Debug)]
pub struct Log {
    epoch: u64,
    seq: u64,
    arrivals: u32,
    /// From the first `chat.v1` member on.
    archive: Option<Box<Archive>>,
}

/// How far a room has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// 64 random bits, so that a seq of one log is never taken for a seq of another.
    pub epoch: u64,
    /// The seq of the latest message, counted from 1. 0: there has been none.
    pub seq: u64,
    /// The highest member number so far.
    pub arrivals: u32,
}

/// Where a message stands in its room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// One more than that of the message before.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub time: u64,
}

/// A log as plain values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How far the room has come.
    pub position: Position,
    /// The archived messages, oldest first; the last one is the room's latest. `None`: the room has no archive yet.
    pub messages: Option<Vec<Remembered>>,
}

/// What a newcomer is sent of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) struct Replay {
    pub(in crate::chat) span: Span,
    /// Whether these are exactly the messages that the newcomer has missed since it was last here.
    pub(in crate::chat) resumed: bool,
}

impl Log {
    /// The log of a room that has come this far, without an archive.
    pub fn new(position: Position) -> Log {
        Log {
            epoch: position.epoch,
            seq: position.seq,
            arrivals: position.arrivals,
            archive: None,
        }
    }

    /// The log that a snapshot was taken of. The archive keeps within `bounds`; `now` is the time of this process.
    pub fn restore(snapshot: &Snapshot, bounds: Bounds, now: Tick) -> Log {
        let seq = snapshot.position.seq;
        let messages = snapshot.messages.as_deref();
        let archive = messages.map(|messages| Archive::restore(messages, seq, bounds, now));
        Log {
            archive: archive.map(Box::new),
            ..Log::new(snapshot.position)
        }
    }

    /// The log as plain values.
    pub fn snapshot(&self, now: Tick) -> Snapshot {
        Snapshot {
            position: self.position(),
            messages: self.archive.as_ref().map(|archive| archive.snapshot(now)),
        }
    }

    /// How far the room has come.
    pub fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            seq: self.seq,
            arrivals: self.arrivals,
        }
    }

    /// 64 random bits of this log alone.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The seq of the latest message.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Begins to archive messages, if it does not yet.
    pub fn open_archive(&mut self, bounds: Bounds) {
        let next = self.seq + 1;
        self.archive
            .get_or_insert_with(|| Box::new(Archive::new(next, bounds)));
    }

    /// Whether messages are archived.
    pub fn is_archived(&self) -> bool {
        self.archive.is_some()
    }

    /// Takes the next message. `json` is what the archive stores, if there is one.
    pub fn append(&mut self, seq: u64, json: &str, now: Tick) {
        self.seq = seq;
        if let Some(archive) = &mut self.archive {
            archive.push(seq, &Frame::text(json), now);
        }
    }

    /// A member with this number has come.
    pub fn arrived(&mut self, number: u32) {
        self.arrivals = self.arrivals.max(number);
    }

    /// What replays are read from.
    pub fn archive(&self) -> Option<&Lane> {
        self.archive.as_ref().map(|archive| archive.log())
    }

    /// Bytes of memory that the archive takes.
    pub fn reserved(&self) -> usize {
        self.archive
            .as_ref()
            .map_or(0, |archive| archive.reserved())
    }

    /// What to send to a client that has heard everything up to `since`, or nothing yet.
    pub(in crate::chat) fn replay(&self, since: Option<Since>, newest: usize) -> Option<Replay> {
        let archive = self.archive.as_ref()?;
        let missed = since
            .filter(|since| since.epoch == self.epoch)
            .and_then(|since| archive.since(since.seq));
        Some(match missed {
            Some(span) => Replay {
                span,
                resumed: true,
            },
            None => Replay {
                span: archive.newest(newest),
                resumed: false,
            },
        })
    }

    /// A span of the archive as it is sent: see [`Archive::framed`].
    pub fn framed(&self, span: Span, framing: Framing) -> Option<Piece> {
        let archive = self.archive.as_ref()?;
        Some(archive.framed(span, framing, self.epoch))
    }

    /// Writes a page of older messages: see [`Archive::write_before`].
    pub fn write_before(&self, before: u64, count: usize, bytes: usize, out: &mut Vec<u8>) -> bool {
        let archive = self.archive.as_ref();
        archive.is_some_and(|archive| archive.write_before(before, count, bytes, out))
    }

    /// When there is something to [expire](Log::expire).
    pub fn due(&self) -> Option<Tick> {
        self.archive.as_ref().and_then(|archive| archive.due())
    }

    /// Forgets messages that are too old.
    pub fn expire(&mut self, now: Tick) {
        if let Some(archive) = &mut self.archive {
            archive.expire(now);
        }
    }

    /// Forgets the older half of the archive.
    pub fn forget_half(&mut self) {
        if let Some(archive) = &mut self.archive {
            archive.forget_half();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can happen to a log.
    #[derive(Clone, Debug)]
    enum Step {
        Say(usize),
        SayElsewhere(u64),
        Come(u32),
        Archive,
        Wait(u32),
        Halve,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0usize..150).prop_map(Step::Say),
            1 => (1u64..9).prop_map(Step::SayElsewhere),
            2 => (1u32..9).prop_map(Step::Come),
            2 => Just(Step::Archive),
            3 => (0u32..40).prop_map(Step::Wait),
            1 => Just(Step::Halve),
        ]
    }

    /// A log, and the time where it is.
    struct Kept {
        log: Log,
        now: Tick,
        bounds: Bounds,
    }

    impl Kept {
        fn take(&mut self, step: &Step) {
            let position = self.log.position();
            let json = |seq: u64, length: usize| format!("{seq}{}", "x".repeat(length));
            match *step {
                Step::Say(length) => {
                    let seq = position.seq + 1;
                    self.log.append(seq, &json(seq, length), self.now);
                }
                Step::SayElsewhere(skipped) => {
                    let seq = position.seq + 1 + skipped;
                    self.log.append(seq, &json(seq, 0), self.now);
                }
                Step::Come(further) => self.log.arrived(position.arrivals + further),
                Step::Archive => self.log.open_archive(self.bounds),
                Step::Wait(ticks) => {
                    self.now = self.now.after(ticks);
                    self.log.expire(self.now);
                }
                Step::Halve => self.log.forget_half(),
            }
        }

        /// What clients can learn of a log: their welcome and replay for each `since`, the history, the numbering.
        fn seen(&self) -> impl PartialEq + std::fmt::Debug + use<> {
            let (log, seq) = (&self.log, self.log.seq());
            let epochs = [log.epoch(), log.epoch() ^ 1];
            let since = epochs.into_iter().flat_map(|epoch| {
                let seqs = seq.saturating_sub(20)..=seq + 2;
                seqs.map(move |seq| Some(Since { epoch, seq }))
            });
            let replays: Vec<_> = since
                .chain([None])
                .map(|since| {
                    let replay = log.replay(since, 3)?;
                    let (from, to) = (replay.span.from, replay.span.to);
                    let bytes = log.archive()?.between(from, to).unwrap().concat();
                    Some((replay.resumed, bytes))
                })
                .collect();
            let pages: Vec<_> = (seq.saturating_sub(20)..=seq + 2)
                .map(|before| {
                    let mut out = Vec::new();
                    let more = log.write_before(before, 4, 300, &mut out);
                    (more, String::from_utf8(out).unwrap())
                })
                .collect();
            let due = log.due().map(|due| due.since(self.now));
            (log.position(), replays, pages, due)
        }
    }

    proptest! {
        #[test]
        fn a_log_that_was_restored_behaves_as_before(
            messages in 0usize..8,
            bytes in 20usize..400,
            before in prop::collection::vec(step(), 0..40),
            later in 0u32..1_000,
            after in prop::collection::vec(step(), 0..20),
        ) {
            let bounds = Bounds { messages, bytes, ttl: 100 };
            let position = Position { epoch: 7, ..Position::default() };
            let mut kept = Kept { log: Log::new(position), now: Tick(500), bounds };
            before.iter().for_each(|step| kept.take(step));
            let snapshot = kept.log.snapshot(kept.now);
            // The clock of another process shows another time.
            let now = Tick(later);
            let mut restored = Kept { log: Log::restore(&snapshot, bounds, now), now, bounds };
            prop_assert_eq!(restored.log.snapshot(now), snapshot);
            prop_assert_eq!(restored.seen(), kept.seen());
            for step in &after {
                kept.take(step);
                restored.take(step);
                prop_assert_eq!(restored.seen(), kept.seen());
            }
        }
    }

    #[test]
    fn a_gap_in_the_seqs_empties_the_archive() {
        let bounds = Bounds {
            messages: 9,
            bytes: 900,
            ttl: 9,
        };
        let mut log = Log::new(Position::default());
        log.open_archive(bounds);
        for seq in [1, 2, 5, 6] {
            log.append(seq, "hello", Tick(0));
        }
        let resumed = |seq| {
            log.replay(Some(Since { epoch: 0, seq }), 9)
                .unwrap()
                .resumed
        };
        assert_eq!([2, 3, 4, 6].map(resumed), [false, false, true, true]);
    }
}
