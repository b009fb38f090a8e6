//! Counts of everything that went right or wrong, and latencies.

use std::fmt;
use std::time::Duration;

/// Every kind of thing that a server can do wrong, and how often it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages that a client should have received and did not.
    pub lost: u64,
    /// Messages received a second time.
    pub doubled: u64,
    /// Messages received after a later one of the same sender.
    pub misordered: u64,
    /// Frames with a byte that no client sent, and frames that RFC 6455 forbids.
    pub corrupt: u64,
    /// Messages that were sent in another room.
    pub stray: u64,
    /// Connections that the server refused, failed or ended without being asked to.
    pub dropped: u64,
}

impl Faults {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lost,
            doubled,
            misordered,
            corrupt,
            stray,
            dropped,
        } = self;
        write!(
            f,
            "{lost} lost, {doubled} doubled, {misordered} misordered, {corrupt} corrupt, {stray} stray, \
             {dropped} dropped"
        )
    }
}

/// What is counted while the clients listen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Messages sent, each times the members of its room.
    pub expected: u64,
    /// Messages received, each once for each client.
    pub deliveries: u64,
    /// Pongs that answered a ping as they should.
    pub pongs: u64,
    /// What went wrong so far. Losses show only at the end.
    pub faults: Faults,
    /// From sending a message to receiving it.
    pub latency: Times,
    /// From ping to pong.
    pub pong_latency: Times,
    /// Which deliveries are timed.
    pub timed: Timed,
}

/// Which deliveries are timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timed {
    /// Only a client's own messages when they come back.
    #[default]
    Own,
    /// Every message at every client.
    Every,
}

const FINE: u32 = 5;

/// Durations in classes about 3% wide, so that any number of them fits in 15 KiB.
#[derive(Clone, Debug, Default)]
pub struct Times {
    classes: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Times {
    /// Counts one duration, in nanoseconds.
    pub fn add(&mut self, nanos: u64) {
        if self.classes.is_empty() {
            self.classes.resize((64 - FINE as usize + 1) << FINE, 0);
        }
        self.classes[class(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// The duration that `share` of them do not exceed (0.5 is the median); zero if there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        let mut left = (self.count as f64 * share).ceil() as u64;
        for (class, &count) in self.classes.iter().enumerate() {
            if count >= left && left > 0 {
                return Duration::from_nanos(upper(class).min(self.longest));
            }
            left = left.saturating_sub(count);
        }
        Duration::ZERO
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Small values are their own class; above, each power of two has `2^FINE` classes.
fn class(nanos: u64) -> usize {
    let shift = (64 - nanos.leading_zeros()).saturating_sub(FINE + 1);
    ((shift as usize) << FINE) + (nanos >> shift) as usize
}

fn upper(class: usize) -> u64 {
    let shift = (class >> FINE).saturating_sub(1);
    let top = class - (shift << FINE);
    (((top as u128 + 1) << shift) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_what_is_put_into_it_within_three_percent() {
        let mut last = 0;
        for nanos in (0..63)
            .flat_map(|bit| [1_u64 << bit, (1 << bit) + 1, 3 << bit >> 1])
            .chain([u64::MAX])
        {
            let upper = upper(class(nanos));
            assert!(
                upper >= nanos && (upper - nanos) as f64 <= nanos as f64 * 0.032,
                "{nanos} {upper}"
            );
            last = last.max(class(nanos));
        }
        let mut times = Times::default();
        times.add(u64::MAX);
        assert_eq!(last, times.classes.len() - 1);
    }

    #[test]
    fn quantiles_of_a_ramp_lie_on_it() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), Duration::ZERO);
        (1..=1000).for_each(|nanos| times.add(nanos * 1000));
        for (share, micros) in [(0.0, 0.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got = times.quantile(share).as_secs_f64() * 1e6;
            assert!((got - micros).abs() <= micros * 0.032, "{share}: {got}");
        }
    }
}
