//! A lane with its subscribers: how far everybody has been offered it, how far those who lag have come, and what
//! it may forget.
//!
//! Every quarter of a lane is a milestone. While somebody who lags has not come to the last and the next is
//! reached, the room *waits*: nobody there is read. Sockets that are full for a moment, all at once perhaps,
//! make nobody fall behind then, however fast the others talk. It does not wait for long, nor again soon where that
//! was in vain, nor for the same twice: see [`Room::waits_for_slow`](super::Room::waits_for_slow).

use crate::feed::{Lane, Offset};

/// A lane, and how far the hand has brought it around.
#[derive(Debug)]
pub(in crate::chat) struct Stream {
    pub(in crate::chat) lane: Lane,
    pub(in crate::chat) subscribers: u32,
    /// Everybody has been offered everything before this.
    pub(in crate::chat) offered: Offset,
    /// Where the lane ended when the present lap began.
    pub(in crate::chat) round_began: Offset,
    /// No follower visited in this lap has its cursor before this.
    pub(in crate::chat) low: Offset,
    /// The same of the lap before.
    pub(in crate::chat) low_before: Offset,
    /// Followers whose sockets did not take all that they were offered.
    pub(in crate::chat) slow: u32,
    milestone: Offset,
    /// Those of the slow who have not come to the milestone, and are not given up.
    behind: u32,
    /// Who has not come here was waited for in vain, and is not waited for again.
    abandoned_before: Offset,
    /// How many of the slow those are.
    abandoned: u32,
}

/// Counts of those who lag.
#[derive(Clone, Copy, Debug, Default)]
struct SlowSubscribers {
    slow: u32,
    behind: u32,
    abandoned: u32,
}

impl Stream {
    pub(in crate::chat) fn new(limit: usize) -> Stream {
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
            behind: 0,
            abandoned_before: start,
            abandoned: 0,
        }
    }

    /// A follower took some of what it was offered, or leaves: where its cursor stood if it lagged, and
    /// where it stands if it lags.
    pub(in crate::chat) fn cursor_moved(&mut self, from: Option<Offset>, to: Option<Offset>) {
        let (was, is) = (self.count(from), self.count(to));
        self.slow = self.slow + is.slow - was.slow;
        self.behind = self.behind + is.behind - was.behind;
        self.abandoned = self.abandoned + is.abandoned - was.abandoned;
        self.advance_milestone();
    }

    /// What somebody whose cursor stands there counts, if it lags.
    fn count(&self, cursor: Option<Offset>) -> SlowSubscribers {
        let is_abandoned = cursor.is_some_and(|at| at < self.abandoned_before);
        let is_behind = cursor.is_some_and(|at| at < self.milestone);
        SlowSubscribers {
            slow: u32::from(cursor.is_some()),
            behind: u32::from(is_behind && !is_abandoned),
            abandoned: u32::from(is_abandoned),
        }
    }

    /// Where the lane has come to the next milestone, and everybody to the last, that is the one to come to.
    pub(in crate::chat) fn advance_milestone(&mut self) {
        if self.behind == 0 && self.is_far() {
            self.next_milestone();
        }
    }

    /// Whether nothing more is to come before somebody who lags has come to the milestone.
    pub(in crate::chat) fn waits(&self) -> bool {
        self.behind > 0 && self.is_far()
    }

    /// Gives up those who have not come to the milestone, if it waits for them.
    pub(in crate::chat) fn abandon(&mut self) {
        if self.waits() {
            self.abandoned_before = self.milestone;
            self.abandoned += self.behind;
            self.next_milestone();
        }
    }

    fn next_milestone(&mut self) {
        self.milestone = self.lane.end();
        self.behind = self.slow - self.abandoned;
    }

    /// Whether these are the cursors of those who lag, as far as they are counted.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::chat) fn counts_slow_right(&self, cursors: impl Iterator<Item = Offset>) -> bool {
        let mut all = SlowSubscribers::default();
        for cursor in cursors {
            let one = self.count(Some(cursor));
            all.slow += one.slow;
            all.behind += one.behind;
            all.abandoned += one.abandoned;
        }
        (all.slow, all.behind, all.abandoned) == (self.slow, self.behind, self.abandoned)
    }

    fn is_far(&self) -> bool {
        self.lane.end() - self.milestone > self.lane.limit() / 4
    }

    /// Everybody has been offered everything up to here, and a lap begins.
    pub(in crate::chat) fn begin_round(&mut self) {
        let end = self.lane.end();
        self.offered = end;
        self.round_began = end;
        self.low = end;
        self.low_before = end;
    }

    pub(in crate::chat) fn round_ended(&mut self) {
        self.lane.forget(self.low);
        self.offered = self.round_began;
        self.round_began = self.lane.end();
        self.low_before = self.low;
        self.low = self.round_began;
    }

    pub(in crate::chat) fn all_offered(&mut self, none_slow: bool) {
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
    fn who_lags_is_waited_for_until_it_has_come_to_the_milestone() {
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
        assert_eq!((stream.slow, stream.behind), (0, 0));
    }

    #[test]
    fn nobody_who_lags_means_nobody_is_waited_for() {
        let mut stream = Stream::new(1_000);
        for _ in 0..10 {
            say(&mut stream, 900);
            assert!(!stream.waits());
        }
    }

    #[test]
    fn nobody_is_waited_for_twice_in_vain() {
        let mut stream = Stream::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut stream, 251);
        let [deaf, slow] = [place(0), place(1)];
        stream.cursor_moved(None, deaf);
        stream.cursor_moved(None, slow);
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.abandon();
        assert!(!stream.waits(), "it is at 502");
        say(&mut stream, 251);
        assert!(!stream.waits(), "both are given up");
        // Who comes on is waited for again.
        stream.cursor_moved(slow, place(300));
        say(&mut stream, 251);
        assert!(stream.waits());
        stream.cursor_moved(deaf, None);
        assert!(stream.waits());
        stream.cursor_moved(place(300), None);
        assert_eq!([stream.slow, stream.behind, stream.abandoned], [0; 3]);
    }
}
