//! One room: who is in it, and what is said there.
//!
//! [`Room::hear`] judges what a member says, and [`Room::append`] alone puts it on the lanes. A lane
//! comes with its first follower and goes with its last. The room also counts how far its hand has
//! offered each lane to everybody, which is what decides how much the lanes may forget, and whether
//! the room is full.

use crate::feed::{Lane, Offset};
use crate::ws::Frame;

use super::hand::{Ends, Hand};
use super::{Encoding, Format, Key, RoomKey};

/// What a member says, or what everybody hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

/// A member's place: which room, which seat in it, and in what form it hears the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The room.
    pub room: RoomKey,
    /// The member's index in the room. Changes when another member leaves.
    pub seat: u32,
    /// The lane that the member follows.
    pub encoding: Encoding,
}

/// A lane, and how far the hand has brought it around.
#[derive(Debug)]
struct Followed {
    lane: Lane,
    followers: u32,
    /// Everybody has been offered everything before this.
    offered: Offset,
    /// Where the lane ended when the present lap began.
    lap_began: Offset,
    /// No follower visited in this lap has its cursor before this.
    low: Offset,
    /// The same of the lap before.
    low_before: Offset,
}

/// A room.
#[derive(Debug)]
pub struct Room {
    path: Box<str>,
    members: Vec<Key>,
    lanes: [Option<Box<Followed>>; Encoding::COUNT],
    hand: Hand,
    /// Members whose sockets did not take all that they were offered.
    lagging: u32,
    /// Messages since the present lap began.
    fresh: u32,
    lane_bytes: usize,
}

impl Room {
    /// An empty room whose lanes remember at most `lane_bytes` each.
    pub fn new(path: &str, lane_bytes: usize) -> Room {
        Room {
            path: path.into(),
            members: Vec::new(),
            lanes: Default::default(),
            hand: Hand::default(),
            lagging: 0,
            fresh: 0,
            lane_bytes,
        }
    }

    /// The path that the room is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members, by their seats.
    pub fn members(&self) -> &[Key] {
        &self.members
    }

    /// Takes a seat. The newcomer hears what is said from now on.
    pub fn join(&mut self, key: Key, encoding: Encoding) -> u32 {
        let seat = self.members.len();
        self.members.push(key);
        self.hand.joined();
        self.lanes[encoding.index()]
            .get_or_insert_with(|| Box::new(Followed::new(self.lane_bytes)))
            .followers += 1;
        seat as u32
    }

    /// Leaves a seat. The member of the last seat moves there, and is returned: it must be told its
    /// new seat, and offered what there is at once, since it may have moved behind the hand.
    pub fn leave(&mut self, seat: u32, encoding: Encoding) -> Option<Key> {
        let seat = seat as usize;
        if seat >= self.members.len() {
            return None;
        }
        self.members.swap_remove(seat);
        self.hand.left(self.members.len());
        let followed = &mut self.lanes[encoding.index()];
        if let Some(there) = followed {
            there.followers -= 1;
            if there.followers == 0 {
                *followed = None;
            }
        }
        if self.members.is_empty() {
            self.members = Vec::new();
        }
        self.members.get(seat).copied()
    }

    /// The lane that those who follow an encoding are cursors into.
    pub fn lane(&self, encoding: Encoding) -> Option<&Lane> {
        self.lanes[encoding.index()]
            .as_ref()
            .map(|followed| &followed.lane)
    }

    /// Publishes a message: everybody is to hear it. Nobody is written to here. Returns whether this
    /// sets the hand in motion.
    pub fn append(&mut self, message: Message<'_>) -> bool {
        let begins = self.hand.something_new(self.members.len());
        for encoding in Encoding::ALL {
            let Some(followed) = &mut self.lanes[encoding.index()] else {
                continue;
            };
            if begins {
                followed.begin_lap();
            }
            match encoding.format {
                Format::Plain => followed.lane.push(&match message {
                    Message::Text(text) => Frame::text(text),
                    Message::Binary(bytes) => Frame::binary(bytes),
                }),
            }
        }
        self.fresh = if begins { 1 } else { self.fresh + 1 };
        begins
    }

    /// Whether so much is waiting that nothing more may be heard here until the hand has come round:
    /// then nobody falls behind but by not reading.
    pub fn is_full(&self) -> bool {
        self.followed()
            .any(|followed| followed.lane.end() - followed.offered > followed.lane.limit() / 2)
    }

    /// Messages and bytes (of the largest lane) that came since the present lap began.
    pub fn waiting(&self) -> (u32, usize) {
        let bytes = self
            .followed()
            .map(|followed| followed.lane.end() - followed.lap_began)
            .max();
        (self.fresh, bytes.unwrap_or(0))
    }

    /// Bytes of heap that the lanes reserve.
    pub fn reserved(&self) -> usize {
        self.followed()
            .map(|followed| followed.lane.reserved())
            .sum()
    }

    /// The next member that is to be offered what is new, and what that visit completes. Every visit
    /// is reported by [`Room::visited`], and then by [`Room::came_round`] if it completes something.
    pub fn advance(&mut self) -> Option<(Key, Ends)> {
        let visit = self.hand.advance(self.members.len())?;
        Some((*self.members.get(visit.place)?, visit.ends))
    }

    /// Whether somebody is still to be offered the latest.
    pub fn is_busy(&self) -> bool {
        self.hand.is_busy()
    }

    /// A member was offered everything there is, and its cursor stands here now.
    pub fn visited(&mut self, encoding: Encoding, cursor: Offset) {
        if let Some(followed) = &mut self.lanes[encoding.index()] {
            followed.low = followed.low.min(cursor);
        }
    }

    /// The hand has completed a lap, or everything: forgets what everybody has taken.
    pub fn came_round(&mut self, ends: Ends) {
        let nobody_lags = self.lagging == 0;
        for followed in self.lanes.iter_mut().flatten() {
            match ends {
                Ends::Nothing => return,
                Ends::Lap => followed.lap_ended(),
                Ends::Everything => followed.all_offered(nobody_lags),
            }
        }
        self.fresh = 0;
    }

    /// A member's socket did not take all that it was offered.
    pub fn lags(&mut self) {
        self.lagging += 1;
    }

    /// A member that lagged has caught up, or leaves.
    pub fn lags_no_more(&mut self) {
        self.lagging = self.lagging.saturating_sub(1);
        if self.lagging == 0 && !self.hand.is_busy() {
            for followed in self.lanes.iter_mut().flatten() {
                followed.all_offered(true);
            }
        }
    }

    fn followed(&self) -> impl Iterator<Item = &Followed> {
        self.lanes.iter().flatten().map(Box::as_ref)
    }
}

impl Followed {
    fn new(limit: usize) -> Followed {
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
    fn begin_lap(&mut self) {
        let end = self.lane.end();
        self.offered = end;
        self.lap_began = end;
        self.low = end;
        self.low_before = end;
    }

    fn lap_ended(&mut self) {
        self.lane.forget(self.low);
        self.offered = self.lap_began;
        self.lap_began = self.lane.end();
        self.low_before = self.low;
        self.low = self.lap_began;
    }

    fn all_offered(&mut self, nobody_lags: bool) {
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
