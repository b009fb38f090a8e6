//! The acceptor: whether connections may be waiting to be accepted, and when to try.

use crate::server::Moment;

/// When to accept next.
#[derive(Debug, Default)]
pub(in crate::server) struct Acceptor {
    /// Whether a listener may have connections that are not accepted.
    is_pending: bool,
    /// No attempt before this.
    not_before: Moment,
    /// Whether there are so many connections that one has to be removed first.
    is_full: bool,
}

impl Acceptor {
    /// An event says that connections are waiting.
    pub(in crate::server) fn on_event(&mut self) {
        self.is_pending = true;
    }

    /// No connection is waiting: the next will be an event.
    pub(in crate::server) fn on_none_left(&mut self) {
        self.is_pending = false;
    }

    /// Accepting failed, and may do so again for now.
    pub(in crate::server) fn pause(&mut self, until: Moment) {
        self.not_before = until;
    }

    /// There are as many connections as may be.
    pub(in crate::server) fn on_full(&mut self) {
        self.is_full = true;
    }

    /// Connections were removed, and descriptors with them.
    pub(in crate::server) fn on_removed(&mut self) {
        self.is_full = false;
        self.not_before = Moment::default();
    }

    pub(in crate::server) fn due(&self) -> Option<Moment> {
        (self.is_pending && !self.is_full).then_some(self.not_before)
    }
}
