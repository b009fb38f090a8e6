//! Keepalive: silent clients are pinged, and clients that are gone or stuck are dropped.
//!
//! Open connections have no timers. A watchman walks past all of them, a slice at a time, once per
//! eighth of the shortest patience: he pings the silent, ends the dead and the stuck, and spreads
//! all of it over time. While there is nothing to watch for he stays at home.

use std::borrow::Cow;
use std::time::Duration;

use super::clock::ticks;
use super::connection::{Awaits, DropReason, Flags, Stage};
use super::conversation::lane_of;
use super::{Limits, Moment, Network, Server};
use crate::feed::Piece;
use crate::ids::ConnectionKey;
use crate::ws::CloseCode;

/// Connections that the watchman looks at in one go, at least.
const SLICE: usize = 2_000;

/// A ping without a payload (RFC 6455, section 5.5.2).
const PING: &[u8] = &[0x89, 0x00];

/// Where the watchman is, and when he goes on.
#[derive(Debug)]
pub(super) struct KeepaliveSweep {
    /// The next slab entry that he looks at.
    next: usize,
    due: Moment,
    /// Time for one walk past everybody.
    round: Duration,
    /// Walks so far.
    walks: u32,
    /// Of so many walks one counts, for those who take nothing of what they are owed.
    stride: u32,
    /// Such walks after which one is ended.
    patience: u8,
    /// Connections whose time is over that this turn may still end.
    pub(super) left: usize,
    /// Whether all that he found were ended. If not, he looks at them once more.
    is_done: bool,
    /// Ticks for the rest of a message, of silence until a ping, and of silence that ends a connection.
    message: u32,
    interval: u32,
    dead: u32,
}

impl KeepaliveSweep {
    pub(super) fn new(limits: &Limits) -> KeepaliveSweep {
        let shortest = [
            limits.ping_interval,
            limits.ping_timeout,
            limits.progress_timeout,
            limits.message_timeout,
        ]
        .into_iter()
        .filter(|patience| !patience.is_zero())
        .min()
        .unwrap_or(Duration::from_secs(30));
        let round = (shortest / 8).max(Duration::from_millis(1));
        let walks = limits.progress_timeout.as_micros() / round.as_micros();
        let stride = walks / 250 + 1;
        let or_ever = |time: Duration| {
            if time.is_zero() {
                u32::MAX
            } else {
                ticks(time)
            }
        };
        let interval = or_ever(limits.ping_interval);
        KeepaliveSweep {
            next: 0,
            due: Moment::default(),
            round,
            walks: 0,
            left: 0,
            is_done: true,
            stride: u32::try_from(stride).unwrap_or(u32::MAX),
            patience: u8::try_from(walks / stride + 1).unwrap_or(u8::MAX),
            message: or_ever(limits.message_timeout),
            interval,
            dead: or_ever(limits.ping_timeout).saturating_add(interval),
        }
    }

    /// Time for one walk past everybody.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn round(&self) -> Duration {
        self.round
    }

    /// Counted walks that somebody may be stuck for.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn patience(&self) -> u8 {
        self.patience
    }

    /// Whether this turn may end one more whose time is over. Otherwise the next does: a crowd whose time is over
    /// at once holds up nobody.
    pub(super) fn may_end_one(&mut self) -> bool {
        let may = self.left > 0;
        self.left -= usize::from(may);
        may
    }

    /// Whether this turn has ended as many as it may.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn has_enough(&self) -> bool {
        self.left == 0
    }

    /// Whether he has found more that are to be ended than a turn may end.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn is_late(&self) -> bool {
        !self.is_done
    }

    /// When he goes on, if there is anybody to watch.
    pub(super) fn due(&self, anybody: bool) -> Option<Moment> {
        anybody.then_some(self.due)
    }
}

impl<N: Network> Server<N> {
    /// Whether somebody may have to be pinged, or ended for taking or finishing nothing.
    pub(super) fn anybody_to_watch(&self) -> bool {
        let pings = !self.limits.ping_interval.is_zero() && !self.connections.is_empty();
        pings || self.blocked > 0 || self.holdings.all().partial_messages > 0
    }

    /// Looks at the next slice of connections, and with the next turn at the same once more, if more of them are to
    /// be ended than this may end.
    pub(super) fn sweep(&mut self) {
        let all = self.highest;
        let slice = all.min(SLICE);
        let from = self.watchman.next;
        let first = std::mem::replace(&mut self.watchman.is_done, true);
        for entry in from..(from + slice).min(all) {
            self.sweep_one(ConnectionKey(entry as u32), first);
        }
        if !self.watchman.is_done {
            return;
        }
        self.watchman.next += slice;
        if self.watchman.next >= all {
            self.watchman.next = 0;
            self.watchman.walks = self.watchman.walks.wrapping_add(1);
        }
        let share = self.watchman.round.as_micros() as u64 * slice as u64 / all.max(1) as u64;
        self.watchman.due = self.now + Duration::from_micros(share.max(1_000));
    }

    /// The watchman has found one that is to be ended.
    fn drop_if_allowed(&mut self, key: ConnectionKey, why: DropReason) {
        if self.watchman.may_end_one() {
            self.drop_connection(key, why);
        } else {
            self.watchman.is_done = false;
        }
    }

    /// Looks at one connection, for the `first` time on this walk or once more.
    fn sweep_one(&mut self, key: ConnectionKey, first: bool) {
        let now = self.tick();
        let KeepaliveSweep {
            walks,
            stride,
            patience,
            message,
            interval,
            dead,
            ..
        } = self.watchman;
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let flags = connection.flags;
        let Stage::Open(open) = &connection.stage else {
            return;
        };
        if flags.has(Flags::ENDED) {
            return;
        }
        if flags.has(Flags::BLOCKED) && walks.is_multiple_of(stride) {
            connection.stuck += u8::from(first && connection.stuck <= patience);
            if connection.stuck > patience {
                return self.drop_if_allowed(key, DropReason::NoProgress);
            }
        }
        if flags.is_unread() {
            return;
        }
        let begun = open.pending.as_ref().map(|pending| pending.since);
        let silence = now.since(connection.last_received);
        if begun.is_some_and(|since| now.since(since) > message) {
            self.counts.message_timeouts += 1;
            let reason = "the message took too long";
            self.close_with(key, CloseCode::POLICY, reason, Awaits::Outbox);
        } else if flags.has(Flags::PINGED) && flags.has(Flags::BLOCKED) {
            // The ping may still stand behind what it is taking; there is a time for taking nothing.
            self.cap_silence(interval, key);
        } else if flags.has(Flags::PINGED) && silence > dead {
            if flags.has(Flags::TO_READ) {
                // What it may have said is heard first.
                self.cap_silence(dead, key);
            } else {
                self.drop_if_allowed(key, DropReason::Silent);
            }
        } else if !flags.has(Flags::PINGED) && silence >= interval {
            let lane = lane_of(Some(open.member.place), &self.rooms, &self.lobby);
            connection.flags.set(Flags::PINGED);
            connection
                .outbox
                .splice(lane, Piece::Bytes(Cow::Borrowed(PING)));
            self.cap_silence(interval, key);
            self.enqueue_write(key);
        }
    }

    /// A client counts as silent for so many ticks, however late the watchman comes: what time it still has
    /// begins now.
    fn cap_silence(&mut self, ticks: u32, key: ConnectionKey) {
        let now = self.tick();
        if let Some(connection) = self.connections.get_mut(key.0 as usize)
            && let Stage::Open(open) = &mut connection.stage
        {
            let late = now.since(connection.last_received).saturating_sub(ticks);
            connection.last_received = connection.last_received.after(late);
            open.rate = open.rate.after(late, &self.limits);
        }
    }
}
