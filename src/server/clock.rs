//! Time as the event loop knows it: read as seldom as possible, passed on as a value.

use std::time::Duration;

pub use crate::time::Moment;
pub(super) use crate::time::ticks;

/// A time slice: work of one kind, of which one turn does only so much. To look at the clock is not free: it is done
/// after every few pieces of work, and the first look begins the slice.
#[derive(Debug, Default)]
pub(super) struct TimeSlice {
    /// Pieces of work so far.
    pieces: usize,
    until: Option<Moment>,
}

impl TimeSlice {
    /// Pieces of work between two looks at the clock.
    const UNTIMED: usize = 8;

    /// One more piece is done. Returns whether the slice has taken its `time`.
    pub(super) fn is_over(&mut self, time: Duration, now: impl FnOnce() -> Moment) -> bool {
        self.pieces += 1;
        if !self.pieces.is_multiple_of(Self::UNTIMED) {
            return false;
        }
        let now = now();
        now > *self.until.get_or_insert(now + time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_slice_begins_with_the_first_look_at_the_clock() {
        let (mut slice, mut looks) = (TimeSlice::default(), 0);
        let ends = (1..).find(|piece| {
            slice.is_over(Duration::from_millis(1), || {
                looks += 1;
                // A piece of work takes 0.1 ms.
                Moment(100 * piece)
            })
        });
        // It begins with the 8th piece, at 0.8 ms, and is not over with the 16th.
        assert_eq!((ends, looks), (Some(24), 3));
    }
}
