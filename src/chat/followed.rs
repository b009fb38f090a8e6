//! A lane with its followers: how far everybody has been offered it, and what it may forget.

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
        }
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
