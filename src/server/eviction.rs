//! Eviction: where all connections together hold more memory than they may, the largest holder makes room.

use super::connections::Awaits;
use super::drop_reason::DropReason;
use super::{Network, Server};
use crate::engine::Engine;
use crate::http::Refusal;
use crate::ws::CloseCode;

impl<N: Network, E: Engine> Server<N, E> {
    /// Enforces the limits on memory of all together: request heads, messages, private bytes, lanes.
    pub(super) fn squeeze(&mut self) {
        self.evict_heads();
        self.evict_partial_messages();
        self.evict_private();
        self.counts.room_buffers_over_total += self.rooms.cut_lanes();
    }

    fn evict_heads(&mut self) {
        while let heads = &self.connections.heap().heads
            && heads.total() > self.limits.max_request_total
            && let Some(key) = heads.largest()
        {
            self.counts.requests_over_total += 1;
            self.refuse(key, Refusal::Full);
        }
    }

    /// Evicts messages that have come in part. This is done after each read, because all reads of a turn together can
    /// bring a quarter of the limit.
    pub(super) fn evict_partial_messages(&mut self) {
        while let partial = &self.connections.heap().partial_messages
            && partial.total() > self.limits.partial_messages_total
            && let Some(key) = partial.largest()
        {
            self.counts.partial_messages_over_total += 1;
            let reason = "too many messages are unfinished";
            self.close_with(key, CloseCode::TRY_AGAIN_LATER, reason, Awaits::Outbox);
        }
    }

    /// Evicts private bytes. This is done after each read, because one read can make them many times what it brought.
    pub(super) fn evict_private(&mut self) {
        while let private = &self.connections.heap().private
            && private.total() > self.limits.client_buffer_total
            && let Some(key) = private.largest()
        {
            self.counts.client_buffers_over_total += 1;
            self.drop_connection(key, DropReason::Evicted("all together are owed too much"));
        }
    }
}
