//! Deadlines of one length: first in, first due. No timer per connection.

use std::collections::VecDeque;
use std::time::Duration;

use super::Moment;
use super::clock::ticks;
use super::connection::ConnectionRef;
use crate::time::Tick;

/// Those who must have done something by a time. Whoever has done it stays until its time, or until it
/// stands in front, and is then passed over.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// Invariant: in order, since all had the same time to come.
    queue: VecDeque<(Tick, ConnectionRef)>,
    length: u32,
}

impl Deadlines {
    pub(super) fn new(length: Duration) -> Deadlines {
        Deadlines {
            queue: VecDeque::new(),
            length: ticks(length),
        }
    }

    /// From now on, this one has the whole time.
    pub(super) fn set(&mut self, ticket: ConnectionRef, now: Tick) {
        // The present tick may have just begun or be almost over: one more makes the time whole.
        self.queue.push_back((now.after(self.length + 1), ticket));
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.queue.front().map(|(tick, _)| Moment::of(*tick))
    }

    pub(super) fn front(&self) -> Option<(Tick, ConnectionRef)> {
        self.queue.front().copied()
    }

    #[cfg(any(test, feature = "census"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (Tick, ConnectionRef)> {
        self.queue.iter().copied()
    }

    pub(super) fn pop_front(&mut self) {
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Forgets those who need not be waited for.
    pub(super) fn retain(&mut self, waits: impl Fn(ConnectionRef) -> bool) {
        self.queue.retain(|(_, ticket)| waits(*ticket));
        self.queue.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConnectionId, ConnectionKey};
    use crate::server::limits::DRAINING;

    #[test]
    fn a_socket_that_was_told_all_has_the_whole_time_and_at_most_a_second() {
        let ticket = ConnectionRef {
            key: ConnectionKey(0),
            id: ConnectionId(0),
        };
        for micros in [0, 1, 50_000, 99_999, 100_000, 123_456] {
            let (mut draining, now) = (Deadlines::new(DRAINING), Moment(micros));
            draining.set(ticket, now.tick());
            let time = draining.due().unwrap() - now;
            assert!(
                time >= DRAINING && time <= Duration::from_secs(1),
                "{time:?}"
            );
        }
    }
}
