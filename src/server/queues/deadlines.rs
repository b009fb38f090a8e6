//! Deadlines of one length: first in, first due. No timer per connection.

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::ConnectionRef;
use crate::server::Moment;
use crate::server::clock::ticks;
use crate::time::Tick;

/// Connections that must have done something by a deadline. A connection that has done it stays until its deadline, or
/// until it is the first, and is then passed over.
#[derive(Debug)]
pub(in crate::server) struct Deadlines {
    /// Invariant: in the order of the deadlines, because all were set with the same length.
    queue: VecDeque<(Tick, ConnectionRef)>,
    /// In ticks.
    length: u32,
}

impl Deadlines {
    pub(in crate::server) fn new(length: Duration) -> Deadlines {
        Deadlines {
            queue: VecDeque::new(),
            length: ticks(length),
        }
    }

    /// From now on, this connection has the whole time.
    pub(in crate::server) fn set(&mut self, connection: ConnectionRef, now: Tick) {
        // The present tick may be almost over: one more tick makes the time whole.
        self.queue
            .push_back((now.after(self.length + 1), connection));
    }

    pub(in crate::server) fn due(&self) -> Option<Moment> {
        self.queue.front().map(|(tick, _)| Moment::of(*tick))
    }

    pub(in crate::server) fn front(&self) -> Option<(Tick, ConnectionRef)> {
        self.queue.front().copied()
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter(&self) -> impl Iterator<Item = (Tick, ConnectionRef)> {
        self.queue.iter().copied()
    }

    pub(in crate::server) fn pop_front(&mut self) {
        self.queue.pop_front();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// Forgets connections that have met their deadlines.
    pub(in crate::server) fn retain(&mut self, waits: impl Fn(ConnectionRef) -> bool) {
        self.queue.retain(|(_, connection)| waits(*connection));
        self.queue.shrink_to_fit();
    }

    pub(in crate::server) fn len(&self) -> usize {
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
        let connection = ConnectionRef {
            key: ConnectionKey(0),
            id: ConnectionId(0),
        };
        for micros in [0, 1, 50_000, 99_999, 100_000, 123_456] {
            let (mut draining, now) = (Deadlines::new(DRAINING), Moment(micros));
            draining.set(connection, now.tick());
            let time = draining.due().unwrap() - now;
            assert!(
                time >= DRAINING && time <= Duration::from_secs(1),
                "{time:?}"
            );
        }
    }
}
