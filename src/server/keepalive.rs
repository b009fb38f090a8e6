//! Keepalive: silent clients are pinged, and clients that do not answer, are stuck, or do not finish a message, are
//! dropped. One slice of connections at a time; while there is nothing to look for, there is no sweep.

use std::borrow::Cow;

use super::connections::{Awaits, Flags, Reading, Stage};
use super::conversation::lane_of;
use super::drop_reason::DropReason;
use super::{Network, Server};
use crate::engine::Engine;
use crate::feed::Piece;
use crate::ids::ConnectionKey;
use crate::ws::CloseCode;

impl<N: Network, E: Engine> Server<N, E> {
    /// Whether a client may have to be pinged, or dropped because it takes or finishes nothing.
    pub(super) fn has_anything_to_sweep(&mut self) -> bool {
        let pings = !self.limits.ping_interval.is_zero() && !self.connections.is_empty();
        pings
            || self.connections.blocked() > 0
            || self.connections.heap().partial_messages.total() > 0
    }

    /// Looks at the next slice of connections, if that is due.
    pub(super) fn sweep(&mut self) {
        if !self.has_anything_to_sweep() || self.timers.sweep().due() > self.now {
            return;
        }
        let bound = self.connections.key_bound();
        let (slice, is_first) = self.timers.sweep().begin_slice(bound);
        for entry in slice {
            self.sweep_one(ConnectionKey(entry as u32), is_first);
        }
        let now = self.now;
        self.timers.sweep().end_slice(bound, now);
    }

    /// Drops a connection, or has its slice swept again if this turn has dropped enough.
    fn drop_if_allowed(&mut self, key: ConnectionKey, why: DropReason) {
        if self.timers.may_drop() {
            self.drop_connection(key, why);
        } else {
            self.timers.sweep().sweep_again();
        }
    }

    /// Looks at one connection, for the `first` time in this sweep or again.
    fn sweep_one(&mut self, key: ConnectionKey, is_first: bool) {
        let now = self.tick();
        let is_counted = self.timers.sweep().is_counted();
        let timeouts = self.timers.sweep().timeouts();
        let Some(mut connection) = self.connections.live_mut(key) else {
            return;
        };
        let Stage::Open(open) = connection.stage() else {
            return;
        };
        let (place, message_since) = (open.member.place, open.message_since());
        let (is_blocked, reading) = (connection.is_blocked(), connection.reading);
        if is_blocked && is_counted {
            connection.stuck += u8::from(is_first && connection.stuck <= timeouts.stuck);
            if connection.stuck > timeouts.stuck {
                return self.drop_if_allowed(key, DropReason::NoProgress);
            }
        }
        if reading.is_paused() {
            return;
        }
        let is_pinged = connection.flags.has(Flags::PINGED);
        let silence = now.since(connection.last_received);
        if message_since.is_some_and(|since| now.since(since) > timeouts.message) {
            self.counts.message_timeouts += 1;
            let reason = "the message took too long";
            self.close_with(key, CloseCode::POLICY, reason, Awaits::Outbox);
        } else if is_pinged && is_blocked {
            // The ping may still be behind what the socket has to accept, for which there is another timeout.
            self.cap_silence(timeouts.ping, key);
        } else if is_pinged && silence > timeouts.dead {
            if reading == Reading::Queued {
                // The client may have answered: that is read first.
                self.cap_silence(timeouts.dead, key);
            } else {
                self.drop_if_allowed(key, DropReason::Silent);
            }
        } else if !is_pinged && silence >= timeouts.ping {
            connection.flags.set(Flags::PINGED);
            let lane = lane_of(Some(place), &self.rooms, &self.lobby);
            let ping = place.encoding.framing().ping();
            connection.splice(lane, Piece::Bytes(Cow::Borrowed(ping)));
            self.cap_silence(timeouts.ping, key);
            self.enqueue_write(key);
        }
    }

    /// A client counts as silent for this many ticks at most, however late the sweep is: the time that it still
    /// has begins now.
    fn cap_silence(&mut self, ticks: u32, key: ConnectionKey) {
        let now = self.tick();
        if let Some(mut connection) = self.connections.get_mut(key) {
            let late = now.since(connection.last_received).saturating_sub(ticks);
            connection.last_received = connection.last_received.after(late);
            if let Some(open) = connection.open_mut() {
                open.rate = open.rate.after(late, &self.limits);
            }
        }
    }
}
