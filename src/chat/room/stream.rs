//! Slow consumers: a lane with its subscribers, how much of it all of them have been offered, how far the slow ones
//! have come, and what the lane may forget.
//!
//! A subscriber is *slow* while its socket has not taken all that it was offered. If sockets are full for a moment,
//! perhaps all of them at once, fast senders could fill a lane before they drain, and their subscribers would fall
//! behind. So every quarter of a lane is a milestone. When the lane reaches the next milestone while a slow
//! subscriber has not reached the last one, the room *waits*: it is paused. It does not wait long, nor soon again
//! after it has waited in vain: see [`Room::waits_for_slow`](super::Room::waits_for_slow). A slow subscriber for
//! which it has waited in vain is *abandoned*: the room does not wait for it again until it has come on.

use crate::feed::{Lane, Offset};

/// A lane with counts of its subscribers.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) lane: Lane,
    pub(super) subscribers: u32,
    /// All subscribers have been offered everything before this.
    offered: Offset,
    /// Where the lane ended when the round began.
    round_began: Offset,
    /// No subscriber that was visited in this round has its cursor before this.
    low: Offset,
    /// The same for the round before.
    low_before: Offset,
    /// Number of slow subscribers.
    pub(super) slow: u32,
    milestone: Offset,
    /// Number of slow subscribers before the milestone that are not abandoned.
    before_milestone: u32,
    /// Slow subscribers before this are abandoned.
    abandoned_before: Offset,
    /// Number of abandoned subscribers.
    abandoned: u32,
}

/// Counts of slow subscribers.
#[derive(Clone, Copy, Debug, Default)]
struct SlowSubscribers {
    slow: u32,
    before_milestone: u32,
    abandoned: u32,
}

impl Stream {
    pub(super) fn new(limit: usize) -> Stream {
        let lane = Lane::new(limit);
        let start = lane.start();
        Stream {
            lane,
            subscribers: 0,
            offered: start,
            round_began: start,
            low: start,
            low_before: start,
            slow: 0,
            milestone: start,
            before_milestone: 0,
            abandoned_before: start,
            abandoned: 0,
        }
    }

    /// The cursor of a slow subscriber moved, or it leaves: `from` where, if it was slow before, and `to` where, if
    /// it is slow now.
    pub(super) fn cursor_moved(&mut self, from: Option<Offset>, to: Option<Offset>) {
        let (was, is) = (self.count(from), self.count(to));
        self.slow = self.slow + is.slow - was.slow;
        self.before_milestone = self.before_milestone + is.before_milestone - was.before_milestone;
        self.abandoned = self.abandoned + is.abandoned - was.abandoned;
        self.advance_milestone();
    }

    /// The counts for one cursor; `None` is a subscriber that is not slow.
    fn count(&self, cursor: Option<Offset>) -> SlowSubscribers {
        let is_abandoned = cursor.is_some_and(|at| at < self.abandoned_before);
        let is_behind = cursor.is_some_and(|at| at < self.milestone);
        SlowSubscribers {
            slow: u32::from(cursor.is_some()),
            before_milestone: u32::from(is_behind && !is_abandoned),
            abandoned: u32::from(is_abandoned),
        }
    }

    /// Goes on to the next milestone if the lane has reached it and all slow subscribers have reached the last one.
    pub(super) fn advance_milestone(&mut self) {
        if self.before_milestone == 0 && self.is_far() {
            self.next_milestone();
        }
    }

    /// Whether the lane has reached the next milestone before all slow subscribers have reached the last one.
    pub(super) fn waits(&self) -> bool {
        self.before_milestone > 0 && self.is_far()
    }

    /// Abandons the subscribers for which it waits.
    pub(super) fn abandon(&mut self) {
        if self.waits() {
            self.abandoned_before = self.milestone;
            self.abandoned += self.before_milestone;
            self.next_milestone();
        }
    }

    fn next_milestone(&mut self) {
        self.milestone = self.lane.end();
        self.before_milestone = self.slow - self.abandoned;
    }

    /// Whether the counts agree with these cursors, all of the slow subscribers. For tests.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn counts_slow_right(&self, cursors: impl Iterator<Item = Offset>) -> bool {
        let mut all = SlowSubscribers::default();
        for cursor in cursors {
            let one = self.count(Some(cursor));
            all.slow += one.slow;
            all.before_milestone += one.before_milestone;
            all.abandoned += one.abandoned;
        }
        (all.slow, all.before_milestone, all.abandoned)
            == (self.slow, self.before_milestone, self.abandoned)
    }

    fn is_far(&self) -> bool {
        self.lane.end() - self.milestone > self.lane.limit() / 4
    }

    /// Whether more than half a lane has not been offered to all subscribers.
    pub(super) fn is_full(&self) -> bool {
        self.lane.end() - self.offered > self.lane.limit() / 2
    }

    /// Bytes that came since the round began.
    pub(super) fn bytes_of_round(&self) -> usize {
        self.lane.end() - self.round_began
    }

    /// A subscriber was offered the whole lane, and this is its cursor now.
    pub(super) fn visited(&mut self, cursor: Offset) {
        self.low = self.low.min(cursor);
    }

    /// Bytes that only slow subscribers still want: all subscribers have been offered them.
    pub(super) fn wanted_by_slow(&self) -> usize {
        self.offered - self.lane.start()
    }

    /// Forgets what only slow subscribers still want. They have fallen behind.
    pub(super) fn cut(&mut self) {
        self.lane.forget(self.offered);
    }

    /// A round begins. All subscribers have been offered everything so far.
    pub(super) fn begin_round(&mut self) {
        let end = self.lane.end();
        self.offered = end;
        self.round_began = end;
        self.low = end;
        self.low_before = end;
    }

    pub(super) fn round_ended(&mut self) {
        self.lane.forget(self.low);
        self.offered = self.round_began;
        self.round_began = self.lane.end();
        self.low_before = self.low;
        self.low = self.round_began;
    }

    pub(super) fn all_offered(&mut self, none_slow: bool) {
        let end = self.lane.end();
        self.lane.forget(if none_slow {
            end
        } else {
            self.low.min(self.low_before)
        });
        self.offered = end;
        self.round_began = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Record;

    struct Bytes(usize);

    impl Record for Bytes {
        fn parts(&self) -> [&[u8]; 2] {
            [&[0; 1_000][..self.0], b""]
        }
    }

    fn say(stream: &mut Stream, bytes: usize) {
        stream.lane.push(&Bytes(bytes));
        stream.advance_milestone();
    }

    #[test]
    fn the_stream_waits_until_slow_subscribers_have_reached_the_milestone() {
        let mut stream = Stream::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut stream, 100);
        stream.cursor_moved(None, place(50));
        say(&mut stream, 300);
        assert!(!stream.waits(), "the first milestone is at 400");
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.cursor_moved(place(50), place(399));
        assert!(stream.waits());
        stream.cursor_moved(place(399), place(400));
        assert!(!stream.waits(), "the second is at 651");
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.cursor_moved(place(400), None);
        assert!(!stream.waits());
        assert_eq!((stream.slow, stream.before_milestone), (0, 0));
    }

    #[test]
    fn without_slow_subscribers_the_stream_does_not_wait() {
        let mut stream = Stream::new(1_000);
        for _ in 0..10 {
            say(&mut stream, 900);
            assert!(!stream.waits());
        }
    }

    #[test]
    fn the_stream_does_not_wait_twice_in_vain_for_one_subscriber() {
        let mut stream = Stream::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut stream, 251);
        let [stalled, slow] = [place(0), place(1)];
        stream.cursor_moved(None, stalled);
        stream.cursor_moved(None, slow);
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.abandon();
        assert!(!stream.waits(), "it is at 502");
        say(&mut stream, 251);
        assert!(!stream.waits(), "both are abandoned");
        // It waits again for a subscriber that has come on.
        stream.cursor_moved(slow, place(300));
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.cursor_moved(stalled, None);
        assert!(stream.waits());
        stream.cursor_moved(place(300), None);
        assert_eq!(
            [stream.slow, stream.before_milestone, stream.abandoned],
            [0; 3]
        );
    }
}
