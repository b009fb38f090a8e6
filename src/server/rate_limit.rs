//! The rate limiter: a token bucket for bytes, messages and pings, kept as debt. A client in debt is not read
//! until the debt is paid by time.

use super::Limits;
use crate::time::Tick;

/// What a client has sent beyond its rates, as of its `last_received`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateLimiter {
    /// Tenths of bytes: each tick pays for `byte_rate` of them.
    pub(super) bytes: u32,
    /// Tenths of messages.
    pub(super) messages: u16,
    /// Tenths of pings.
    pub(super) pings: u16,
}

impl RateLimiter {
    /// This many bytes came, or came out of a compressed message beyond its own.
    pub(super) fn owe_bytes(&mut self, bytes: usize) {
        let tenths = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(10);
        self.bytes = self.bytes.saturating_add(tenths);
    }

    pub(super) fn owe_message(&mut self) {
        self.messages = self.messages.saturating_add(10);
    }

    /// Only the latest ping needs an answer, so pings that would take longer to pay than a client may be
    /// silent are not counted.
    pub(super) fn owe_ping(&mut self, limits: &Limits) {
        let most = limits.ping_timeout.as_secs().saturating_add(1);
        let most = u64::from(limits.ping_rate).saturating_mul(most).max(1) * 10;
        let owed = self.pings.saturating_add(10);
        self.pings = owed.min(u16::try_from(most).unwrap_or(u16::MAX));
    }

    /// What is left of the debt after this many ticks, each of which pays for a tenth of what a second allows.
    pub(super) fn after(self, ticks: u32, limits: &Limits) -> RateLimiter {
        let paid = |rate: u32| rate.saturating_mul(ticks);
        RateLimiter {
            bytes: self.bytes.saturating_sub(paid(limits.byte_rate)),
            messages: self
                .messages
                .saturating_sub(u16::try_from(paid(limits.message_rate)).unwrap_or(u16::MAX)),
            pings: self
                .pings
                .saturating_sub(u16::try_from(paid(limits.ping_rate)).unwrap_or(u16::MAX)),
        }
    }

    /// When the client may be read again.
    pub(super) fn paid_at(self, last_received: Tick, limits: &Limits) -> Tick {
        let ticks = |debt: u32, burst: u32, rate: u32| {
            // Nearly always nothing is to be divided.
            match (debt.saturating_sub(burst.saturating_mul(10)), rate) {
                (0, _) | (_, 0) => 0,
                (beyond, rate) => beyond.div_ceil(rate),
            }
        };
        let wait = ticks(
            self.messages.into(),
            limits.message_burst,
            limits.message_rate,
        )
        .max(ticks(self.bytes, limits.byte_rate, limits.byte_rate))
        .max(ticks(self.pings.into(), limits.ping_rate, limits.ping_rate));
        last_received.after(wait)
    }
}
