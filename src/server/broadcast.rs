//! Broadcast: the run queue of busy rooms, served by round robin.
//!
//! A room with something new stands in line; its hand goes around its members, a slice at a time, and
//! offers each everything up to the end of its lane in one write. What arrives meanwhile makes the
//! way longer, and every visit carries all that has gathered.

use std::cmp::Reverse;
use std::time::Duration;

use super::clock::TimeSlice;
use super::{Moment, Network, Server};
use crate::chat::{Backlog, Ends};
use crate::ids::RoomKey;

/// So many messages are worth a lap of their own, and so many bytes: a room does not gather more.
const ENOUGH_MESSAGES: u32 = 16;
const ENOUGH_BYTES: usize = 64 * 1024;

/// A room on the carousel, and when its present lap began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BusyRoom {
    pub(super) room: RoomKey,
    lap_began: Moment,
}

impl BusyRoom {
    fn new(room: RoomKey, now: Moment) -> BusyRoom {
        BusyRoom {
            room,
            lap_began: now,
        }
    }
}

/// What one turn has for the carousel.
struct Slice {
    visits: usize,
    spell: TimeSlice,
}

/// How a room leaves the carousel for now.
enum Leaves {
    /// The slice is used up.
    Unfinished,
    /// It gathers until then.
    Gathers(Moment),
    /// Everybody has been offered everything.
    Finished,
}

impl<N: Network> Server<N> {
    /// Serves busy rooms in turn, until the turn's visits or its time are used up.
    pub(super) fn broadcast(&mut self) {
        self.end_batch_delays();
        let mut slice = Slice {
            visits: self.limits.budget.visits,
            spell: TimeSlice::default(),
        };
        while let Some(mut round) = self.busy.pop_front() {
            match self.serve_room(&mut round, &mut slice) {
                Leaves::Finished => self.aboard[round.room.0 as usize] = false,
                Leaves::Gathers(until) => self.gathering.push(Reverse((until, round))),
                Leaves::Unfinished => {
                    self.busy.push_back(round);
                    return;
                }
            }
        }
    }

    /// A room has something new: it stands in line. Perhaps it does so already, or the one whose key it has did and
    /// was left meanwhile.
    pub(super) fn enqueue_room(&mut self, room: RoomKey) {
        let entry = room.0 as usize;
        if entry >= self.aboard.len() {
            self.aboard.resize(entry + 1, false);
        }
        if !std::mem::replace(&mut self.aboard[entry], true) {
            self.busy.push_back(BusyRoom::new(room, self.now));
        }
    }

    /// Rooms that have gathered long enough stand in line again.
    fn end_batch_delays(&mut self) {
        while let Some(&Reverse((until, mut round))) = self.gathering.peek() {
            if until > self.now {
                return;
            }
            self.gathering.pop();
            round.lap_began = self.now;
            self.busy.push_back(round);
        }
    }

    fn serve_room(&mut self, round: &mut BusyRoom, slice: &mut Slice) -> Leaves {
        while slice.visits > 0 {
            let Some((key, ends)) = self.rooms.advance(round.room) else {
                return Leaves::Finished;
            };
            slice.visits = slice.visits.saturating_sub(self.write_all(key));
            let time = self.limits.budget.time;
            if slice.spell.is_over(time, || self.network.now()) {
                slice.visits = 0;
            }
            if ends == Ends::Nothing {
                continue;
            }
            let Some(Backlog { messages, bytes }) = self.rooms.round_ended(round.room, ends) else {
                return Leaves::Finished;
            };
            self.resume_room(round.room);
            if ends == Ends::Everything {
                return Leaves::Finished;
            }
            let now = self.network.now();
            let lap = now - round.lap_began;
            round.lap_began = now;
            let rest = (lap + lap / 2).min(self.limits.batch_delay);
            if messages < ENOUGH_MESSAGES && bytes < ENOUGH_BYTES && rest > Duration::ZERO {
                return Leaves::Gathers(now + rest);
            }
        }
        Leaves::Unfinished
    }
}
