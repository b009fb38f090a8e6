//! Timers: deadlines of handshakes and closings, and the keepalive sweep.

use super::{Deadlines, KeepaliveSweep};
use crate::server::limits::DRAINING;
use crate::server::{Limits, Moment};

/// What a connection has to do in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Deadline {
    /// To finish its handshake.
    Handshake,
    /// To take and answer our Close.
    Close,
    /// To answer our FIN.
    Fin,
}

/// All that is due for connections, and how many of them this turn may still drop for it.
#[derive(Debug)]
pub(in crate::server) struct Timers {
    handshakes: Deadlines,
    closes: Deadlines,
    fins: Deadlines,
    sweep: KeepaliveSweep,
    drops_left: usize,
}

impl Timers {
    pub(in crate::server) fn new(limits: &Limits) -> Timers {
        Timers {
            handshakes: Deadlines::new(limits.handshake_timeout),
            closes: Deadlines::new(limits.close_timeout),
            fins: Deadlines::new(DRAINING),
            sweep: KeepaliveSweep::new(limits),
            drops_left: 0,
        }
    }

    pub(in crate::server) fn of(&mut self, deadline: Deadline) -> &mut Deadlines {
        match deadline {
            Deadline::Handshake => &mut self.handshakes,
            Deadline::Close => &mut self.closes,
            Deadline::Fin => &mut self.fins,
        }
    }

    pub(in crate::server) fn sweep(&mut self) -> &mut KeepaliveSweep {
        &mut self.sweep
    }

    /// A turn begins that may drop this many.
    pub(in crate::server) fn allow_drops(&mut self, drops: usize) {
        self.drops_left = drops;
    }

    /// Whether this turn may drop one more connection whose time is over. If not, the next turn does, so that a crowd
    /// whose time is over at once does not hold up the others.
    pub(in crate::server) fn may_drop(&mut self) -> bool {
        let may = self.drops_left > 0;
        self.drops_left -= usize::from(may);
        may
    }

    /// When the next is due. The sweep is, if there is anything `to_sweep`.
    pub(in crate::server) fn due(&self, to_sweep: bool) -> Option<Moment> {
        let sweep = to_sweep.then_some(self.sweep.due());
        [
            self.handshakes.due(),
            self.closes.due(),
            self.fins.due(),
            sweep,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn view(&self, deadline: Deadline) -> &Deadlines {
        match deadline {
            Deadline::Handshake => &self.handshakes,
            Deadline::Close => &self.closes,
            Deadline::Fin => &self.fins,
        }
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn view_sweep(&self) -> &KeepaliveSweep {
        &self.sweep
    }

    /// Whether this turn has dropped as many as it may.
    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn has_dropped_enough(&self) -> bool {
        self.drops_left == 0
    }
}
