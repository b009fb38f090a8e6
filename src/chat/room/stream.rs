//! A lane with its followers: how far everybody has been offered it, how far those who lag have come, and what
//! it may forget.
//!
//! Every quarter of a lane is a milestone. While somebody who lags has not come to the last and the next is
//! reached, the room *waits*: nobody there is read. Sockets that are full for a moment, all at once perhaps,
//! make nobody fall behind then, however fast the others talk. It does not wait for long, nor again soon where that
//! was in vain, nor for the same twice: see [`Room::waits`](super::Room::waits).

use crate::feed::{Lane, Offset};

/// A lane, and how far the hand has brought it around.
#[derive(Debug)]
pub(in crate::chat) struct Stream {
    pub(in crate::chat) lane: Lane,
    pub(in crate::chat) followers: u32,
    /// Everybody has been offered everything before this.
    pub(in crate::chat) offered: Offset,
    /// Where the lane ended when the present lap began.
    pub(in crate::chat) lap_began: Offset,
    /// No follower visited in this lap has its cursor before this.
    pub(in crate::chat) low: Offset,
    /// The same of the lap before.
    pub(in crate::chat) low_before: Offset,
    /// Followers whose sockets did not take all that they were offered.
    pub(in crate::chat) lagging: u32,
    milestone: Offset,
    /// Those of the lagging who have not come to the milestone, and are not given up.
    behind: u32,
    /// Who has not come here was waited for in vain, and is not waited for again.
    given_up: Offset,
    /// How many of the lagging those are.
    lost: u32,
}

/// Counts of those who lag.
#[derive(Clone, Copy, Debug, Default)]
struct Laggards {
    lagging: u32,
    behind: u32,
    lost: u32,
}

impl Stream {
    pub(in crate::chat) fn new(limit: usize) -> Stream {
        let lane = Lane::new(limit);
        let start = lane.start();
        Stream {
            lane,
            followers: 0,
            offered: start,
            lap_began: start,
            low: start,
            low_before: start,
            lagging: 0,
            milestone: start,
            behind: 0,
            given_up: start,
            lost: 0,
        }
    }

    /// A follower took some of what it was offered, or leaves: where its cursor stood if it lagged, and
    /// where it stands if it lags.
    pub(in crate::chat) fn cursor_moved(&mut self, from: Option<Offset>, to: Option<Offset>) {
        let (was, is) = (self.count(from), self.count(to));
        self.lagging = self.lagging + is.lagging - was.lagging;
        self.behind = self.behind + is.behind - was.behind;
        self.lost = self.lost + is.lost - was.lost;
        self.look_ahead();
    }

    /// What somebody whose cursor stands there counts, if it lags.
    fn count(&self, cursor: Option<Offset>) -> Laggards {
        let is_lost = cursor.is_some_and(|at| at < self.given_up);
        let is_behind = cursor.is_some_and(|at| at < self.milestone);
        Laggards {
            lagging: u32::from(cursor.is_some()),
            behind: u32::from(is_behind && !is_lost),
            lost: u32::from(is_lost),
        }
    }

    /// Where the lane has come to the next milestone, and everybody to the last, that is the one to come to.
    pub(in crate::chat) fn look_ahead(&mut self) {
        if self.behind == 0 && self.is_far() {
            self.next_milestone();
        }
    }

    /// Whether nothing more is to come before somebody who lags has come to the milestone.
    pub(in crate::chat) fn waits(&self) -> bool {
        self.behind > 0 && self.is_far()
    }

    /// Gives up those who have not come to the milestone, if it waits for them.
    pub(in crate::chat) fn give_up(&mut self) {
        if self.waits() {
            self.given_up = self.milestone;
            self.lost += self.behind;
            self.next_milestone();
        }
    }

    fn next_milestone(&mut self) {
        self.milestone = self.lane.end();
        self.behind = self.lagging - self.lost;
    }

    /// Whether these are the cursors of those who lag, as far as they are counted.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::chat) fn is_right_about(&self, cursors: impl Iterator<Item = Offset>) -> bool {
        let mut all = Laggards::default();
        for cursor in cursors {
            let one = self.count(Some(cursor));
            all.lagging += one.lagging;
            all.behind += one.behind;
            all.lost += one.lost;
        }
        (all.lagging, all.behind, all.lost) == (self.lagging, self.behind, self.lost)
    }

    fn is_far(&self) -> bool {
        self.lane.end() - self.milestone > self.lane.limit() / 4
    }

    /// Everybody has been offered everything up to here, and a lap begins.
    pub(in crate::chat) fn begin_lap(&mut self) {
        let end = self.lane.end();
        self.offered = end;
        self.lap_began = end;
        self.low = end;
        self.low_before = end;
    }

    pub(in crate::chat) fn lap_ended(&mut self) {
        self.lane.forget(self.low);
        self.offered = self.lap_began;
        self.lap_began = self.lane.end();
        self.low_before = self.low;
        self.low = self.lap_began;
    }

    pub(in crate::chat) fn all_offered(&mut self, nobody_lags: bool) {
        let end = self.lane.end();
        self.lane.forget(if nobody_lags {
            end
        } else {
            self.low.min(self.low_before)
        });
        self.offered = end;
        self.lap_began = end;
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

    fn say(followed: &mut Stream, bytes: usize) {
        followed.lane.push(&Bytes(bytes));
        followed.look_ahead();
    }

    #[test]
    fn who_lags_is_waited_for_until_it_has_come_to_the_milestone() {
        let mut followed = Stream::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut followed, 100);
        followed.cursor_moved(None, place(50));
        say(&mut followed, 300);
        assert!(!followed.waits(), "the first milestone is at 400");
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.cursor_moved(place(50), place(399));
        assert!(followed.waits());
        followed.cursor_moved(place(399), place(400));
        assert!(!followed.waits(), "the second is at 651");
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.cursor_moved(place(400), None);
        assert!(!followed.waits());
        assert_eq!((followed.lagging, followed.behind), (0, 0));
    }

    #[test]
    fn nobody_who_lags_means_nobody_is_waited_for() {
        let mut followed = Stream::new(1_000);
        for _ in 0..10 {
            say(&mut followed, 900);
            assert!(!followed.waits());
        }
    }

    #[test]
    fn nobody_is_waited_for_twice_in_vain() {
        let mut followed = Stream::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut followed, 251);
        let [deaf, slow] = [place(0), place(1)];
        followed.cursor_moved(None, deaf);
        followed.cursor_moved(None, slow);
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.give_up();
        assert!(!followed.waits(), "it is at 502");
        say(&mut followed, 251);
        assert!(!followed.waits(), "both are given up");
        // Who comes on is waited for again.
        followed.cursor_moved(slow, place(300));
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.cursor_moved(deaf, None);
        assert!(followed.waits());
        followed.cursor_moved(place(300), None);
        assert_eq!([followed.lagging, followed.behind, followed.lost], [0; 3]);
    }
}
