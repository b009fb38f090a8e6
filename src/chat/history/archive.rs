//! History: the latest messages of a room, found by their seq, for clients that join or come back.
//!
//! The archive stores the WebSocket frames of the `chat.v1` lane. So a replay is a span of the archive, which
//! outboxes read without a copy. It has a limit in messages, in bytes and in time. A client that last received a
//! message that the archive has forgotten cannot resume.

use std::borrow::Cow;
use std::collections::VecDeque;

use crate::chat::format::framing::{Framing, write_record};
use crate::chat::format::v1::Since;
use crate::feed::{Lane, Offset, Piece, Record};
use crate::sse::StreamEvent;
use crate::time::Tick;
use crate::ws::Frame;

/// The limits of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum number of messages. With 0, nothing is stored.
    pub messages: usize,
    /// Maximum size of all frames in bytes.
    pub bytes: usize,
    /// Ticks for which a message is stored.
    pub ttl: u32,
}

/// The latest messages of a room. Invariant: their seqs have no gaps.
#[derive(Debug)]
pub struct Archive {
    log: Lane,
    /// The messages in `log`, oldest first.
    index: VecDeque<IndexEntry>,
    /// The seq that the next message will have.
    next: u64,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug)]
struct IndexEntry {
    at: Offset,
    /// When it is too old.
    expires: Tick,
    /// Size of the frame's header in bytes.
    header: u8,
}

/// A message of a [snapshot](Archive::snapshot).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Ticks until it is too old.
    pub left: u32,
    /// The message as a `chat.v1` client reads it.
    pub json: String,
}

/// Consecutive messages, as positions in [`Archive::log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where the first message begins.
    pub from: Offset,
    /// Where the last message ends.
    pub to: Offset,
}

impl Archive {
    /// An empty archive of a room whose next message will have this seq.
    pub fn new(next: u64, bounds: Bounds) -> Archive {
        Archive {
            log: Lane::new(bounds.bytes),
            index: VecDeque::new(),
            next,
            bounds,
        }
    }

    /// The frames, in order.
    pub fn log(&self) -> &Lane {
        &self.log
    }

    /// Whether it has no messages.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Heap bytes in use.
    pub fn reserved(&self) -> usize {
        self.log.reserved() + self.index.capacity() * size_of::<IndexEntry>()
    }

    /// Appends the message with this seq, and forgets old messages to keep within the limits. A message whose seq
    /// does not follow the latest one replaces all.
    pub fn push(&mut self, seq: u64, frame: &Frame<'_>, now: Tick) {
        self.push_until(seq, frame, now.after(self.bounds.ttl));
    }

    fn push_until(&mut self, seq: u64, frame: &Frame<'_>, expires: Tick) {
        if seq != self.next {
            self.clear();
        }
        self.next = seq + 1;
        if self.bounds.messages == 0 {
            return;
        }
        if self.index.len() == self.bounds.messages {
            self.forget_oldest();
        }
        while !self.index.is_empty() && self.log.len() + frame.len() > self.bounds.bytes {
            self.forget_oldest();
        }
        if frame.len() <= self.bounds.bytes {
            let header = frame.parts()[0].len() as u8;
            self.index.push_back(IndexEntry {
                at: self.log.end(),
                expires,
                header,
            });
            self.log.push(frame);
        }
    }

    /// All messages after the one with this seq; `None` if some of them are forgotten, or if there never was such a
    /// message.
    pub fn since(&self, seq: u64) -> Option<Span> {
        let missed = usize::try_from(self.next.checked_sub(1)?.checked_sub(seq)?).ok()?;
        (missed <= self.index.len()).then(|| self.newest(missed))
    }

    /// The newest messages, at most `count`.
    pub fn newest(&self, count: usize) -> Span {
        let first = self.index.len().saturating_sub(count);
        Span {
            from: self.start_of(first),
            to: self.log.end(),
        }
    }

    /// Writes messages as JSON, separated by commas: those with the highest seqs below `before`, in the order of
    /// their seqs. It writes at most `count` messages and `bytes` bytes, but at least one message. Returns whether
    /// there are older messages.
    pub fn write_before(&self, before: u64, count: usize, bytes: usize, out: &mut Vec<u8>) -> bool {
        let oldest = self.next.saturating_sub(self.index.len() as u64);
        let end = before.clamp(oldest, self.next) - oldest;
        let end = usize::try_from(end).unwrap_or(self.index.len());
        let mut first = end;
        while first > 0 && end - first < count {
            if first < end && self.start_of(end) - self.start_of(first - 1) > bytes {
                break;
            }
            first -= 1;
        }
        for place in first..end {
            if place > first {
                out.push(b',');
            }
            for part in self.payload(place) {
                out.extend_from_slice(part);
            }
        }
        first > 0
    }

    /// A span as it is sent in this framing. As WebSocket frames it is not copied.
    pub fn framed(&self, span: Span, framing: Framing, epoch: u64) -> Piece {
        let Span { from, to } = span;
        match framing {
            Framing::WebSocket(_) => Piece::Archive { from, to },
            Framing::EventStream => {
                let first = self.index.partition_point(|entry| entry.at < from);
                let end = self.index.partition_point(|entry| entry.at < to);
                let mut out = Vec::with_capacity(to - from);
                for place in first..end {
                    let seq = self.next - (self.index.len() - place) as u64;
                    let json = self.payload(place).concat();
                    let id = Some(Since { epoch, seq });
                    let event = StreamEvent::new(id, &String::from_utf8_lossy(&json));
                    write_record(&event, &mut out);
                }
                Piece::Bytes(Cow::Owned(out))
            }
        }
    }

    /// When there is something to [expire](Archive::expire).
    pub fn due(&self) -> Option<Tick> {
        self.index.front().map(|oldest| oldest.expires)
    }

    /// Forgets messages that are too old.
    pub fn expire(&mut self, now: Tick) {
        while self.due().is_some_and(|due| due <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets the oldest message. An empty archive has no heap memory.
    pub fn forget_oldest(&mut self) {
        self.index.pop_front();
        self.log.forget(self.start_of(0));
        if self.index.is_empty() {
            self.index = VecDeque::new();
        }
    }

    fn clear(&mut self) {
        while !self.is_empty() {
            self.forget_oldest();
        }
    }

    /// The messages as plain values, oldest first. The last one is the room's latest.
    pub fn snapshot(&self, now: Tick) -> Vec<Remembered> {
        let messages = self.index.iter().enumerate().map(|(place, entry)| {
            let json = self.payload(place).concat();
            Remembered {
                left: entry.expires.since(now),
                json: String::from_utf8_lossy(&json).into_owned(),
            }
        });
        messages.collect()
    }

    /// The archive of a room whose latest messages were these, the last of them with this seq.
    pub fn restore(messages: &[Remembered], seq: u64, bounds: Bounds, now: Tick) -> Archive {
        let first = (seq + 1).saturating_sub(messages.len() as u64);
        let mut archive = Archive::new(first, bounds);
        for (seq, message) in (first..).zip(messages) {
            let left = message.left.min(bounds.ttl);
            archive.push_until(seq, &Frame::text(&message.json), now.after(left));
        }
        archive
    }

    /// Forgets the older half of the messages and frees their memory.
    pub fn forget_half(&mut self) {
        for _ in 0..self.index.len().div_ceil(2) {
            self.forget_oldest();
        }
        self.log.shrink();
        self.index.shrink_to_fit();
    }

    /// The JSON of a message, by its place in the index.
    fn payload(&self, place: usize) -> [&[u8]; 2] {
        let Some(entry) = self.index.get(place) else {
            return [&[]; 2];
        };
        let payload = entry.at + usize::from(entry.header);
        let payload = self.log.between(payload, self.start_of(place + 1));
        // The log has all frames of the index.
        payload.unwrap_or_default()
    }

    /// Where a message begins, by its place in the index. After the last message, the end of the log.
    fn start_of(&self, place: usize) -> Offset {
        self.index
            .get(place)
            .map_or(self.log.end(), |entry| entry.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        messages: 4,
        bytes: 400,
        ttl: 100,
    };

    fn archive(bounds: Bounds, messages: u64) -> Archive {
        let mut archive = Archive::new(1, bounds);
        for seq in 1..=messages {
            archive.push(
                seq,
                &Frame::text(&format!("message {seq}")),
                Tick(seq as u32),
            );
        }
        archive
    }

    fn read(archive: &Archive, span: Span) -> Vec<u8> {
        archive.log().between(span.from, span.to).unwrap().concat()
    }

    fn frames(seqs: impl Iterator<Item = u64>) -> Vec<u8> {
        seqs.flat_map(|seq| Frame::text(&format!("message {seq}")).to_vec())
            .collect()
    }

    fn before(archive: &Archive, before: u64, count: usize, bytes: usize) -> (String, bool) {
        let mut out = Vec::new();
        let more = archive.write_before(before, count, bytes, &mut out);
        (String::from_utf8(out).unwrap(), more)
    }

    #[test]
    fn a_client_that_missed_messages_gets_them_if_the_archive_has_all() {
        let archive = archive(BOUNDS, 7);
        for (since, want) in [(7, 8..8), (6, 7..8), (3, 4..8)] {
            assert_eq!(
                read(&archive, archive.since(since).unwrap()),
                frames(want),
                "since {since}"
            );
        }
        for lost in [0, 2, 8, u64::MAX] {
            assert_eq!(archive.since(lost), None, "since {lost}");
        }
    }

    #[test]
    fn a_newcomer_gets_the_newest() {
        let archive = archive(BOUNDS, 7);
        for (count, want) in [(0, 8..8), (1, 7..8), (3, 5..8), (4, 4..8), (50, 4..8)] {
            assert_eq!(
                read(&archive, archive.newest(count)),
                frames(want),
                "newest {count}"
            );
        }
    }

    #[test]
    fn an_empty_archive_can_be_resumed_from_its_end_only() {
        for bounds in [
            BOUNDS,
            Bounds {
                messages: 0,
                ..BOUNDS
            },
        ] {
            let empty = Archive::new(1, bounds);
            assert!(empty.since(0).is_some_and(|span| span.from == span.to));
            assert_eq!(empty.since(1), None);
        }
        let off = archive(
            Bounds {
                messages: 0,
                ..BOUNDS
            },
            5,
        );
        assert!(off.is_empty() && off.reserved() == 0);
        assert!(off.since(5).is_some() && off.since(4).is_none());
    }

    #[test]
    fn older_messages_come_in_pages() {
        let archive = archive(
            Bounds {
                messages: 10,
                ..BOUNDS
            },
            5,
        );
        for (seq, count, bytes, want, more) in [
            (u64::MAX, 2, 400, "message 4,message 5", true),
            (6, 2, 400, "message 4,message 5", true),
            (4, 2, 400, "message 2,message 3", true),
            (3, 2, 400, "message 1,message 2", false),
            (3, 50, 400, "message 1,message 2", false),
            (1, 50, 400, "", false),
            (0, 50, 400, "", false),
            (4, 0, 400, "", true),
            (4, 50, 22, "message 2,message 3", true),
            (4, 50, 1, "message 3", true),
        ] {
            assert_eq!(
                before(&archive, seq, count, bytes),
                (want.to_owned(), more),
                "before {seq}, {count}, {bytes}"
            );
        }
        let late = super::tests::archive(BOUNDS, 100);
        assert_eq!(before(&late, 98, 50, 400), ("message 97".to_owned(), false));
        assert_eq!(before(&late, 50, 50, 400), (String::new(), false));
    }

    #[test]
    fn a_replay_is_what_was_said_in_either_framing() {
        let archive = archive(BOUNDS, 7);
        let event = |seq| format!("id: 00000000000000ff.{seq}\ndata: message {seq}\n\n");
        for (since, want) in [(7, 8..8), (6, 7..8), (3, 4..8)] {
            let span = archive.since(since).unwrap();
            let events: String = want.map(event).collect();
            let frames = archive.framed(span, Framing::WebSocket(None), 255);
            let (from, to) = (span.from, span.to);
            assert_eq!(frames, Piece::Archive { from, to });
            let replay = archive.framed(span, Framing::EventStream, 255);
            assert_eq!(replay, Piece::Bytes(Cow::Owned(events.into())));
        }
    }

    #[test]
    fn payloads_of_every_length_form_come_whole() {
        let mut archive = Archive::new(
            1,
            Bounds {
                messages: 10,
                bytes: 1 << 20,
                ttl: 1,
            },
        );
        let texts: Vec<String> = [0, 125, 126, 65_535, 65_536]
            .map(|length| "x".repeat(length))
            .into();
        for (seq, text) in (1..).zip(&texts) {
            archive.push(seq, &Frame::text(text), Tick(0));
        }
        assert_eq!(before(&archive, 9, 9, 1 << 20), (texts.join(","), false));
    }

    #[test]
    fn what_is_too_old_or_too_large_is_forgotten() {
        let mut archive = archive(BOUNDS, 4);
        assert_eq!(archive.due(), Some(Tick(101)));
        archive.expire(Tick(102));
        assert_eq!((archive.since(1), archive.since(2).is_some()), (None, true));
        archive.expire(Tick(104));
        assert_eq!((archive.due(), archive.reserved()), (None, 0));

        archive.push(5, &Frame::text("small"), Tick(200));
        archive.push(6, &Frame::text(&"x".repeat(397)), Tick(200));
        assert!(
            archive.is_empty(),
            "no message may be missing between two others"
        );
        assert!(archive.since(6).is_some());
        assert_eq!(archive.since(5), None);
    }

    #[test]
    fn an_archive_that_is_halved_gives_half_of_its_memory_back() {
        let mut archive = archive(
            Bounds {
                messages: 1000,
                bytes: 1 << 20,
                ttl: 1,
            },
            999,
        );
        let before = archive.reserved();
        archive.forget_half();
        assert!(archive.reserved() <= before / 2 + 64);
        assert_eq!(
            (archive.since(499).is_some(), archive.since(500).is_some()),
            (false, true)
        );
        while !archive.is_empty() {
            archive.forget_half();
        }
        assert_eq!(archive.reserved(), 0);
    }

    proptest! {
        #[test]
        fn it_holds_the_latest_messages_whatever_comes(
            messages in 1usize..6,
            bytes in 20usize..200,
            said in prop::collection::vec((0usize..150, 0u32..30), 1..60),
        ) {
            let mut archive = Archive::new(1, Bounds { messages, bytes, ttl: 100 });
            let (mut all, mut now) = (Vec::new(), Tick(0));
            for (length, ticks) in said {
                now = now.after(ticks);
                archive.expire(now);
                let text = "x".repeat(length);
                archive.push(all.len() as u64 + 1, &Frame::text(&text), now);
                all.push((Frame::text(&text).to_vec(), now));
                // The model: the longest run of the latest that fits every bound.
                let fits = |held: &[(Vec<u8>, Tick)]| {
                    held.len() <= messages
                        && held.iter().map(|(frame, _)| frame.len()).sum::<usize>() <= bytes
                        && held.iter().all(|(_, said)| now.since(*said) < 100)
                };
                let held = (0..=all.len()).map(|first| &all[first..]).find(|held| fits(held)).unwrap();
                for count in 0..=all.len() {
                    let seq = (all.len() - count) as u64;
                    let latest = all[all.len() - count..].iter().flat_map(|(frame, _)| frame).copied().collect();
                    let span = archive.since(seq).map(|span| read(&archive, span));
                    prop_assert_eq!(span, (count <= held.len()).then_some(latest));
                }
            }
        }
    }
}
