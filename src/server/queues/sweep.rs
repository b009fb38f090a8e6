//! The keepalive sweep: where it is, and when it goes on.
//!
//! Open connections have no timers. A sweep looks at all of them, a slice at a time, once per eighth of the shortest
//! timeout. The slices spread the pings over time.

use std::ops::Range;
use std::time::Duration;

use crate::server::clock::ticks;
use crate::server::{Limits, Moment};

/// Connections in one slice, at least.
const SLICE: usize = 2_000;

/// The period of a sweep where no timeout is set that it has to keep.
const NO_TIMEOUT: Duration = Duration::from_secs(30);

/// A sweep over all connections, and what it looks for.
#[derive(Debug)]
pub(in crate::server) struct KeepaliveSweep {
    /// The first key of the next slice.
    next: usize,
    due: Moment,
    /// The time from one sweep to the next.
    period: Duration,
    /// Sweeps so far.
    sweeps: u32,
    /// Only every `stride`-th sweep counts for `stuck`, which is a `u8`.
    stride: u32,
    /// `false` if the turn could not drop all that the slice has found: the next turn sweeps the same slice again.
    is_done: bool,
    timeouts: Timeouts,
}

/// How long an open connection may take for what.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Timeouts {
    /// Counted sweeps with a full socket that accepts nothing.
    pub(in crate::server) stuck: u8,
    /// Ticks for the rest of a message.
    pub(in crate::server) message: u32,
    /// Ticks of silence until a ping.
    pub(in crate::server) ping: u32,
    /// Ticks of silence until a connection that was pinged is dropped.
    pub(in crate::server) dead: u32,
}

impl KeepaliveSweep {
    pub(in crate::server) fn new(limits: &Limits) -> KeepaliveSweep {
        let shortest = [
            limits.ping_interval,
            limits.ping_timeout,
            limits.progress_timeout,
            limits.message_timeout,
        ]
        .into_iter()
        .filter(|timeout| !timeout.is_zero())
        .min()
        .unwrap_or(NO_TIMEOUT);
        let period = (shortest / 8).max(Duration::from_millis(1));
        let sweeps = limits.progress_timeout.as_micros() / period.as_micros();
        let stride = sweeps / 250 + 1;
        let or_never = |time: Duration| {
            if time.is_zero() {
                u32::MAX
            } else {
                ticks(time)
            }
        };
        let ping = or_never(limits.ping_interval);
        KeepaliveSweep {
            next: 0,
            due: Moment::default(),
            period,
            sweeps: 0,
            stride: u32::try_from(stride).unwrap_or(u32::MAX),
            is_done: true,
            timeouts: Timeouts {
                stuck: u8::try_from(sweeps / stride + 1).unwrap_or(u8::MAX),
                message: or_never(limits.message_timeout),
                ping,
                dead: or_never(limits.ping_timeout).saturating_add(ping),
            },
        }
    }

    /// When the next slice is due, if there is anything to look for.
    pub(in crate::server) fn due(&self) -> Moment {
        self.due
    }

    pub(in crate::server) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Whether this sweep counts for connections whose sockets are full.
    pub(in crate::server) fn is_counted(&self) -> bool {
        self.sweeps.is_multiple_of(self.stride)
    }

    /// The keys of the next slice, of all below `bound`, and whether this sweep has not looked at them yet.
    pub(in crate::server) fn begin_slice(&mut self, bound: usize) -> (Range<usize>, bool) {
        let is_first = std::mem::replace(&mut self.is_done, true);
        let slice = bound.min(SLICE);
        (self.next..(self.next + slice).min(bound), is_first)
    }

    /// A connection of the slice is to be dropped with the next turn.
    pub(in crate::server) fn sweep_again(&mut self) {
        self.is_done = false;
    }

    /// The slice is over, and is swept again with the next turn if that is needed.
    pub(in crate::server) fn end_slice(&mut self, bound: usize, now: Moment) {
        if !self.is_done {
            return;
        }
        let slice = bound.min(SLICE);
        self.next += slice;
        if self.next >= bound {
            self.next = 0;
            self.sweeps = self.sweeps.wrapping_add(1);
        }
        let share = self.period.as_micros() as u64 * slice as u64 / bound.max(1) as u64;
        self.due = now + Duration::from_micros(share.max(1_000));
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn period(&self) -> Duration {
        self.period
    }

    /// Whether the present slice is to be swept again.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn is_late(&self) -> bool {
        !self.is_done
    }
}
