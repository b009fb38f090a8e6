//! The write queue: connections that may have private bytes to be written.

use std::collections::VecDeque;

use super::SPARE_ENTRIES;
use crate::ids::ConnectionRef;

/// Connections to be written to, first in, first out.
#[derive(Debug, Default)]
pub(in crate::server) struct WriteQueue {
    queue: VecDeque<ConnectionRef>,
}

impl WriteQueue {
    pub(in crate::server) fn push(&mut self, connection: ConnectionRef) {
        self.queue.push_back(connection);
    }

    pub(in crate::server) fn pop(&mut self) -> Option<ConnectionRef> {
        self.queue.pop_front()
    }

    pub(in crate::server) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(in crate::server) fn shrink(&mut self) {
        self.queue.shrink_to(SPARE_ENTRIES);
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter(&self) -> impl Iterator<Item = ConnectionRef> {
        self.queue.iter().copied()
    }

    #[cfg(test)]
    pub(in crate::server) fn capacity(&self) -> usize {
        self.queue.capacity()
    }
}
