//! The lane: a bounded log of ready-to-send bytes, shared by all subscribers of a stream.
//!
//! A lane stores the backlog: the bytes that at least one subscriber may not have received yet. When a
//! new record does not fit the limit, the lane forgets bytes from its front. A subscriber that still
//! needs those is a slow consumer: it has fallen behind, and its next read fails with [`FellBehind`].

use std::collections::VecDeque;
use std::ops::{Add, Sub};

use super::record::Record;

/// A position in a lane's stream: the number of bytes that were ever appended before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// The beginning of every lane.
    pub const START: Offset = Offset(0);
}

impl Add<usize> for Offset {
    type Output = Offset;

    fn add(self, bytes: usize) -> Offset {
        Offset(self.0 + bytes as u64)
    }
}

impl Sub for Offset {
    type Output = usize;

    /// Bytes from `earlier` to this position. 0 if `earlier` is not earlier.
    fn sub(self, earlier: Offset) -> usize {
        usize::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(usize::MAX)
    }
}

/// The subscriber is a slow consumer: it needs bytes that the lane has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBehind;

/// A bounded log of records, addressed by [`Offset`].
#[derive(Debug)]
pub struct Lane {
    /// Invariant: ends on a record boundary, and neither its length nor its capacity exceeds `limit`.
    log: VecDeque<u8>,
    /// The position of the first byte of `log`.
    start: Offset,
    /// In bytes.
    limit: usize,
}

impl Lane {
    /// An empty lane that stores at most `limit` bytes. It uses no heap before the first push.
    pub fn new(limit: usize) -> Lane {
        Lane {
            log: VecDeque::new(),
            start: Offset::START,
            limit,
        }
    }

    /// The position of the oldest stored byte.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The position of the next record. Always a record boundary.
    pub fn end(&self) -> Offset {
        self.start + self.log.len()
    }

    /// Bytes stored.
    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether no bytes are stored.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// The maximum of stored bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes of heap in use, which is the capacity of the log.
    pub fn reserved(&self) -> usize {
        self.log.capacity()
    }

    /// Appends a record. If it does not fit the limit, the lane forgets bytes from its front first. A
    /// record larger than the limit is forgotten at once.
    pub fn push(&mut self, record: &impl Record) {
        let parts = record.parts();
        let size = parts[0].len() + parts[1].len();
        self.forget_for(size);
        if size > self.limit {
            self.start = self.start + size;
            return;
        }
        for part in parts {
            self.log.extend(part);
        }
    }

    /// The bytes from one position to another, in order. The positions need not be record boundaries. A
    /// `to` beyond the end means the end. There are two slices because the log is a ring buffer.
    ///
    /// # Errors
    /// [`FellBehind`] if the lane has forgotten the byte at `from`.
    pub fn between(&self, from: Offset, to: Offset) -> Result<[&[u8]; 2], FellBehind> {
        if from < self.start {
            return Err(FellBehind);
        }
        let to = (to - self.start).min(self.log.len());
        let from = (from - self.start).min(to);
        let (front, back) = self.log.as_slices();
        let split = front.len();
        Ok([
            &front[from.min(split)..to.min(split)],
            &back[from.saturating_sub(split)..to.saturating_sub(split)],
        ])
    }

    /// Forgets all bytes before `upto`, because every subscriber has received them. An empty lane frees its
    /// memory.
    pub fn forget(&mut self, upto: Offset) {
        let count = (upto - self.start).min(self.log.len());
        self.start = self.start + count;
        if count == self.log.len() {
            self.log = VecDeque::new();
        } else {
            self.log.drain(..count);
            if self.log.len() < self.log.capacity() / 4 {
                self.log.shrink_to(2 * self.log.len());
            }
        }
    }

    /// Frees unused capacity.
    pub fn shrink(&mut self) {
        self.log.shrink_to_fit();
    }

    /// Forgets the oldest bytes until `size` more fit the limit, and reserves capacity for those.
    fn forget_for(&mut self, size: usize) {
        let excess = (self.log.len() + size)
            .saturating_sub(self.limit)
            .min(self.log.len());
        self.log.drain(..excess);
        self.start = self.start + excess;
        let needed = self.log.len() + size;
        if needed > self.log.capacity() && needed <= self.limit {
            let target = needed.max(2 * self.log.capacity()).min(self.limit);
            self.log.reserve_exact(target - self.log.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct TwoParts<'a>(&'a [u8], &'a [u8]);

    impl Record for TwoParts<'_> {
        fn parts(&self) -> [&[u8]; 2] {
            [self.0, self.1]
        }
    }

    fn text(lane: &Lane, from: Offset, to: Offset) -> Result<Vec<u8>, FellBehind> {
        lane.between(from, to).map(|parts| parts.concat())
    }

    #[test]
    fn pushed_bytes_can_be_read_from_any_position() {
        let mut lane = Lane::new(100);
        lane.push(&TwoParts(b"he", b"llo"));
        lane.push(&TwoParts(b"", b" there"));
        assert_eq!(lane.end(), Offset(11));
        for (from, to, want) in [
            (0, 11, "hello there"),
            (1, 4, "ell"),
            (3, 7, "lo t"),
            (11, 11, ""),
            (6, 99, "there"),
        ] {
            assert_eq!(
                text(&lane, Offset(from), Offset(to)).as_deref(),
                Ok(want.as_bytes()),
                "{from}..{to}"
            );
        }
    }

    #[test]
    fn the_oldest_bytes_are_forgotten_first() {
        let mut lane = Lane::new(8);
        lane.push(&TwoParts(b"abc", b"def"));
        lane.push(&TwoParts(b"", b"ghij"));
        assert_eq!(
            (lane.start(), lane.end(), lane.len()),
            (Offset(2), Offset(10), 8)
        );
        assert_eq!(text(&lane, Offset(1), Offset(10)), Err(FellBehind));
        assert_eq!(
            text(&lane, Offset(2), Offset(10)).as_deref(),
            Ok(&b"cdefghij"[..])
        );
    }

    #[test]
    fn after_a_record_larger_than_the_limit_every_subscriber_has_fallen_behind() {
        let mut lane = Lane::new(4);
        lane.push(&TwoParts(b"ab", b"cde"));
        assert_eq!(
            (lane.start(), lane.end(), lane.is_empty()),
            (Offset(5), Offset(5), true)
        );
        assert_eq!(text(&lane, Offset(0), Offset(5)), Err(FellBehind));
    }

    #[test]
    fn an_emptied_lane_uses_no_heap() {
        let mut lane = Lane::new(1000);
        lane.push(&TwoParts(b"", &[7; 600]));
        lane.forget(Offset(100));
        assert!(lane.reserved() >= 500);
        lane.forget(lane.end());
        assert_eq!((lane.reserved(), lane.start()), (0, Offset(600)));
    }

    #[test]
    fn a_lane_that_is_mostly_forgotten_frees_memory() {
        let mut lane = Lane::new(100_000);
        lane.push(&TwoParts(b"", &[7; 80_000]));
        lane.forget(Offset(79_000));
        assert!(lane.reserved() < 4_000, "{}", lane.reserved());
        assert_eq!(text(&lane, lane.start(), lane.end()), Ok(vec![7; 1_000]));
    }

    proptest! {
        #[test]
        fn a_lane_is_the_tail_of_all_that_was_pushed(
            limit in 1usize..200,
            steps in prop::collection::vec((0usize..60, 0usize..60, prop::option::of(0usize..250)), 1..60),
        ) {
            let mut lane = Lane::new(limit);
            let mut all = Vec::new();
            for (head, body, forget) in steps {
                let bytes: Vec<u8> = (all.len()..all.len() + head + body).map(|n| n as u8).collect();
                lane.push(&TwoParts(&bytes[..head], &bytes[head..]));
                all.extend(bytes);
                if let Some(back) = forget {
                    lane.forget(Offset(all.len().saturating_sub(back) as u64));
                }
                prop_assert_eq!(lane.end(), Offset(all.len() as u64));
                prop_assert!(lane.len() <= limit && lane.reserved() <= limit);
                let start = lane.start().0 as usize;
                prop_assert_eq!(text(&lane, lane.start(), lane.end()), Ok(all[start..].to_vec()));
            }
        }
    }
}
