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
        self.evict_after_read();
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

    /// Enforces the limits that one read can exceed: all reads of a turn together can bring a quarter of the limit on
    /// partial messages, and one read can make private bytes many times what it brought.
    #[inline]
    pub(super) fn evict_after_read(&mut self) {
        let heap = self.connections.heap();
        if heap.partial_messages.total() > self.limits.partial_messages_total
            || heap.private.total() > self.limits.client_buffer_total
        {
            self.evict_partial_messages();
            self.evict_private();
        }
    }

    /// Evicts messages that have come in part.
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

    fn evict_private(&mut self) {
        while let private = &self.connections.heap().private
            && private.total() > self.limits.client_buffer_total
            && let Some(key) = private.largest()
        {
            self.counts.client_buffers_over_total += 1;
            self.drop_connection(key, DropReason::Evicted("all together are owed too much"));
        }
    }
}
