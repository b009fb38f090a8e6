//! A lane with its followers: how far everybody has been offered it, how far those who lag have come, and what
//! it may forget.
//!
//! Every quarter of a lane is a milestone. While somebody who lags has not come to the last and the next is
//! reached, the room *waits*: nobody there is read. Sockets that are full for a moment, all at once perhaps,
//! make nobody fall behind then, however fast the others talk. It does not wait for long: see
//! [`Room::waits_until`](super::Room::waits_until).

use crate::feed::{Lane, Offset};

/// A lane, and how far the hand has brought it around.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) lane: Lane,
    pub(super) followers: u32,
    /// Everybody has been offered everything before this.
    pub(super) offered: Offset,
    /// Where the lane ended when the present lap began.
    pub(super) lap_began: Offset,
    /// No follower visited in this lap has its cursor before this.
    pub(super) low: Offset,
    /// The same of the lap before.
    pub(super) low_before: Offset,
    /// Followers whose sockets did not take all that they were offered.
    pub(super) lagging: u32,
    milestone: Offset,
    /// Those of the lagging who have not come to the milestone.
    behind: u32,
}

impl Followed {
    pub(super) fn new(limit: usize) -> Followed {
        let lane = Lane::new(limit);
        let start = lane.start();
        Followed {
            lane,
            followers: 0,
            offered: start,
            lap_began: start,
            low: start,
            low_before: start,
            lagging: 0,
            milestone: start,
            behind: 0,
        }
    }

    /// A follower took some of what it was offered, or leaves: where its cursor stood if it lagged, and
    /// where it stands if it lags.
    pub(super) fn moved(&mut self, from: Option<Offset>, to: Option<Offset>) {
        let is_behind = |cursor: Option<Offset>| cursor.is_some_and(|at| at < self.milestone);
        self.behind = self.behind + u32::from(is_behind(to)) - u32::from(is_behind(from));
        self.lagging = self.lagging + u32::from(to.is_some()) - u32::from(from.is_some());
        self.look_ahead();
    }

    /// Where the lane has come to the next milestone, and everybody to the last, that is the one to come to.
    pub(super) fn look_ahead(&mut self) {
        if self.behind == 0 {
            self.wait_no_longer();
        }
    }

    /// Whether nothing more is to come before somebody who lags has come to the milestone.
    pub(super) fn waits(&self) -> bool {
        self.behind > 0 && self.is_far()
    }

    /// Those who have not come to the last milestone are waited for at the next.
    pub(super) fn wait_no_longer(&mut self) {
        if self.is_far() {
            self.milestone = self.lane.end();
            self.behind = self.lagging;
        }
    }

    /// Whether these are the cursors of those who lag, as far as they are counted.
    pub(super) fn is_right_about(&self, cursors: impl Iterator<Item = Offset>) -> bool {
        let count = cursors.fold((0, 0), |(lagging, behind), at| {
            (lagging + 1, behind + u32::from(at < self.milestone))
        });
        count == (self.lagging, self.behind)
    }

    fn is_far(&self) -> bool {
        self.lane.end() - self.milestone > self.lane.limit() / 4
    }

    /// Everybody has been offered everything up to here, and a lap begins.
    pub(super) fn begin_lap(&mut self) {
        let end = self.lane.end();
        self.offered = end;
        self.lap_began = end;
        self.low = end;
        self.low_before = end;
    }

    pub(super) fn lap_ended(&mut self) {
        self.lane.forget(self.low);
        self.offered = self.lap_began;
        self.lap_began = self.lane.end();
        self.low_before = self.low;
        self.low = self.lap_began;
    }

    pub(super) fn all_offered(&mut self, nobody_lags: bool) {
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

    fn say(followed: &mut Followed, bytes: usize) {
        followed.lane.push(&Bytes(bytes));
        followed.look_ahead();
    }

    #[test]
    fn who_lags_is_waited_for_until_it_has_come_to_the_milestone() {
        let mut followed = Followed::new(1_000);
        let place = |bytes| Some(Offset::START + bytes);
        say(&mut followed, 100);
        followed.moved(None, place(50));
        say(&mut followed, 300);
        assert!(!followed.waits(), "the first milestone is at 400");
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.moved(place(50), place(399));
        assert!(followed.waits());
        followed.moved(place(399), place(400));
        assert!(!followed.waits(), "the second is at 651");
        say(&mut followed, 251);
        assert!(followed.waits());
        followed.moved(place(400), None);
        assert!(!followed.waits());
        assert_eq!((followed.lagging, followed.behind), (0, 0));
    }

    #[test]
    fn nobody_who_lags_means_nobody_is_waited_for() {
        let mut followed = Followed::new(1_000);
        for _ in 0..10 {
            say(&mut followed, 900);
            assert!(!followed.waits());
        }
        // Nor is anybody waited for twice at one milestone.
        followed.moved(None, Some(followed.lane.start()));
        say(&mut followed, 300);
        assert!(followed.waits());
        followed.wait_no_longer();
        assert!(!followed.waits());
        say(&mut followed, 250);
        assert!(!followed.waits());
        say(&mut followed, 1);
        assert!(followed.waits());
    }
}
