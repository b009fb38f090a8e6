//! Time as values: read by the event loop alone, and passed on.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: tenths of a second since the server's start, which suffice for 13 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// Ticks in a second.
    pub const SECOND: u32 = 10;

    /// The moment so many ticks later.
    pub fn after(self, ticks: u32) -> Tick {
        Tick(self.0.saturating_add(ticks))
    }

    /// Ticks from an earlier moment to this one, 0 if it is not earlier.
    pub fn since(self, earlier: Tick) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A moment: microseconds since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The same in tenths of a second.
    pub fn tick(self) -> Tick {
        Tick(u32::try_from(self.0 / 100_000).unwrap_or(u32::MAX))
    }

    /// When a tick begins.
    pub fn of(tick: Tick) -> Moment {
        Moment(u64::from(tick.0) * 100_000)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, time: Duration) -> Moment {
        Moment(
            self.0
                .saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub for Moment {
    type Output = Duration;

    /// Time from an earlier moment; zero if it is not earlier.
    fn sub(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in ticks, rounded up, so that what is not zero stays so.
pub fn ticks(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(100)).unwrap_or(u32::MAX)
}
