//! Broadcast: what busy rooms have on their lanes is written to their members, by round robin.
//!
//! A room with something new is in the run queue. Its members are visited in rounds, a slice of them at a time, and each
//! visit writes everything up to the end of the lane in one write. What arrives meanwhile makes the round longer, and
//! every visit carries all that has gathered. After a round during which more arrived, the room may gather for a batch
//! delay.

use std::time::Duration;

use super::clock::TimeSlice;
use super::queues::BusyRoom;
use super::{Moment, Network, Server};
use crate::chat::{Ends, NewInRound};
use crate::engine::Engine;

/// This many messages, or bytes, are worth a round of their own: a room with more does not gather.
const ENOUGH_MESSAGES: u32 = 16;
const ENOUGH_BYTES: usize = 64 * 1024;

/// What one turn has for all rooms.
struct Slice {
    visits: usize,
    time: TimeSlice,
}

/// What follows when a room has been served.
enum Served {
    /// The slice is used up, and the room is not.
    InPart,
    /// It gathers until then.
    Gathers(Moment),
    /// Each member has been offered everything.
    Wholly,
}

impl<N: Network, E: Engine> Server<N, E> {
    /// Serves busy rooms in turn, until the turn's visits or its time are used up.
    pub(super) fn broadcast(&mut self) {
        self.run_queue.end_delays(self.now);
        let mut slice = Slice {
            visits: self.limits.budget.visits,
            time: TimeSlice::default(),
        };
        while let Some(mut busy) = self.run_queue.pop() {
            match self.serve_room(&mut busy, &mut slice) {
                Served::Wholly => self.run_queue.finish(busy),
                Served::Gathers(until) => self.run_queue.delay(busy, until),
                Served::InPart => {
                    self.run_queue.put_back(busy);
                    return;
                }
            }
        }
    }

    fn serve_room(&mut self, busy: &mut BusyRoom, slice: &mut Slice) -> Served {
        while slice.visits > 0 {
            let Some((key, ends)) = self.rooms.advance(busy.room) else {
                return Served::Wholly;
            };
            slice.visits = slice.visits.saturating_sub(self.write_all(key));
            let time = self.limits.budget.time;
            if slice.time.is_over(time, || self.network.now()) {
                slice.visits = 0;
            }
            if ends == Ends::Nothing {
                continue;
            }
            let Some(NewInRound { messages, bytes }) = self.rooms.round_ended(busy.room, ends)
            else {
                return Served::Wholly;
            };
            self.resume_room(busy.room);
            if ends == Ends::Everything {
                return Served::Wholly;
            }
            let now = self.network.now();
            let round = now - busy.round_began;
            busy.round_began = now;
            let delay = (round + round / 2).min(self.limits.batch_delay);
            if messages < ENOUGH_MESSAGES && bytes < ENOUGH_BYTES && delay > Duration::ZERO {
                return Served::Gathers(now + delay);
            }
        }
        Served::InPart
    }
}
