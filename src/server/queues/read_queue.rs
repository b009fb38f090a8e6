//! The read queue: connections with something to read, in three classes, so that a quiet member is never queued behind
//! heavy talkers or handshakes.

use std::collections::VecDeque;

use super::SPARE_ENTRIES;
use crate::ids::ConnectionRef;

/// Which connections are read before which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum ReadClass {
    /// Members with a new event.
    Ready,
    /// Members whose last read left something, and members that were paused by their rate limits.
    Backlog,
    /// Connections that are handshaking.
    Handshaking,
}

/// Connections to be read. Events are edges, so a connection that is not read to its end stays here.
#[derive(Debug, Default)]
pub(in crate::server) struct ReadQueue {
    ready: VecDeque<ConnectionRef>,
    backlog: VecDeque<ConnectionRef>,
    handshaking: VecDeque<ConnectionRef>,
}

impl ReadQueue {
    fn class(&mut self, class: ReadClass) -> &mut VecDeque<ConnectionRef> {
        match class {
            ReadClass::Ready => &mut self.ready,
            ReadClass::Backlog => &mut self.backlog,
            ReadClass::Handshaking => &mut self.handshaking,
        }
    }

    pub(in crate::server) fn push(&mut self, class: ReadClass, connection: ConnectionRef) {
        self.class(class).push_back(connection);
    }

    pub(in crate::server) fn pop(&mut self, class: ReadClass) -> Option<ConnectionRef> {
        self.class(class).pop_front()
    }

    pub(in crate::server) fn len(&self, class: ReadClass) -> usize {
        match class {
            ReadClass::Ready => self.ready.len(),
            ReadClass::Backlog => self.backlog.len(),
            ReadClass::Handshaking => self.handshaking.len(),
        }
    }

    pub(in crate::server) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.backlog.is_empty() && self.handshaking.is_empty()
    }

    pub(in crate::server) fn shrink(&mut self) {
        self.ready.shrink_to(SPARE_ENTRIES);
        self.backlog.shrink_to(SPARE_ENTRIES);
        self.handshaking.shrink_to(SPARE_ENTRIES);
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn iter(&self) -> impl Iterator<Item = ConnectionRef> {
        let members = self.ready.iter().chain(&self.backlog);
        members.chain(&self.handshaking).copied()
    }

    #[cfg(test)]
    pub(in crate::server) fn capacity(&self) -> usize {
        let members = self.ready.capacity().max(self.backlog.capacity());
        members.max(self.handshaking.capacity())
    }
}
