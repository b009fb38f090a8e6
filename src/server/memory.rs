//! Who holds memory beside an entry, how much, and what all of them hold together.
//!
//! Few connections hold anything at a time, so their holdings stand in a table of their own. Whatever
//! may have changed one's holdings weighs it again; weighing gives what it holds now, so that nothing
//! can be counted twice.

use std::collections::{BTreeSet, HashMap};

use super::connection::{Awaits, Connection, DropReason, Flags, Stage};
use super::{Network, Seeded, Server};
use crate::http::Refusal;
use crate::ids::ConnectionKey;
use crate::ws::CloseCode;

/// Bytes of heap that connections hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeapUse {
    /// In request heads that are not whole.
    pub(super) heads: usize,
    /// In messages that are not whole.
    pub(super) partial_messages: usize,
    /// In private pieces that have not been written.
    pub(super) owed: usize,
}

/// What each holds, and all together.
#[derive(Debug)]
pub(super) struct HeapLedger {
    each: HashMap<ConnectionKey, HeapUse, Seeded>,
    heads: Shares,
    partial_messages: Shares,
    owed: Shares,
}

/// One kind of what is held. In order, so that the largest holder is found at once however many there are.
#[derive(Debug, Default)]
struct Shares {
    /// Who holds any of it.
    ranked: BTreeSet<(usize, ConnectionKey)>,
    /// Invariant: the sum of `ranked`.
    all: usize,
}

impl Shares {
    fn set(&mut self, key: ConnectionKey, before: usize, held: usize) {
        if before == held {
            return;
        }
        if before > 0 {
            self.ranked.remove(&(before, key));
        }
        if held > 0 {
            self.ranked.insert((held, key));
        }
        self.all = self.all + held - before;
    }

    fn largest(&self) -> Option<ConnectionKey> {
        self.ranked.last().map(|(_, key)| *key)
    }
}

impl HeapLedger {
    pub(super) fn new(hasher: Seeded) -> HeapLedger {
        HeapLedger {
            each: HashMap::with_hasher(hasher),
            heads: Shares::default(),
            partial_messages: Shares::default(),
            owed: Shares::default(),
        }
    }

    pub(super) fn all(&self) -> HeapUse {
        HeapUse {
            heads: self.heads.all,
            partial_messages: self.partial_messages.all,
            owed: self.owed.all,
        }
    }

    /// From now on this one holds so much. Returns whether that is anything.
    fn set(&mut self, key: ConnectionKey, held: HeapUse) -> bool {
        let is_something = held != HeapUse::default();
        let before = if is_something {
            self.each.insert(key, held)
        } else {
            self.each.remove(&key)
        };
        let before = before.unwrap_or_default();
        self.heads.set(key, before.heads, held.heads);
        self.partial_messages
            .set(key, before.partial_messages, held.partial_messages);
        self.owed.set(key, before.owed, held.owed);
        if self.each.is_empty() {
            self.each.shrink_to_fit();
        }
        is_something
    }
}

impl<S> Connection<S> {
    pub(super) fn held(&self) -> HeapUse {
        let (heads, partial_messages) = match &self.stage {
            Stage::Handshaking(head) => (head.holds(), 0),
            Stage::Open(open) => (
                0,
                open.pending.as_ref().map_or(0, |pending| pending.holds()),
            ),
            Stage::Closing(closing) => match &closing.awaits {
                Awaits::Close(decoder) => (0, decoder.holds()),
                Awaits::Outbox | Awaits::Fin => (0, 0),
            },
        };
        let owed = self.outbox.holds();
        HeapUse {
            heads,
            partial_messages,
            owed,
        }
    }
}

impl<N: Network> Server<N> {
    /// Brings the books up to date with what a connection holds.
    pub(super) fn weigh(&mut self, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let held = connection.held();
        if held == HeapUse::default() && !connection.flags.has(Flags::HOLDS) {
            return;
        }
        if self.holdings.set(key, held) {
            connection.flags.set(Flags::HOLDS);
        } else {
            connection.flags.clear(Flags::HOLDS);
        }
    }

    /// A connection is no more, and so is what it held.
    pub(super) fn holds_no_more(&mut self, key: ConnectionKey) {
        self.holdings.set(key, HeapUse::default());
    }

    /// Where all together hold more than they may, the largest holder ends.
    pub(super) fn squeeze(&mut self) {
        self.evict_heads();
        self.evict_partial_messages();
        self.evict_owed();
        self.counts.room_buffers_over_total += self.rooms.cut_lanes();
    }

    fn evict_heads(&mut self) {
        while self.holdings.heads.all > self.limits.max_request_total
            && let Some(key) = self.holdings.heads.largest()
        {
            self.counts.requests_over_total += 1;
            self.refuse(key, Refusal::Full);
            self.weigh(key);
        }
    }

    /// Likewise for half messages. This is looked at after each read, since all reads of a turn together can
    /// bring a quarter of the limit.
    pub(super) fn evict_partial_messages(&mut self) {
        while self.holdings.partial_messages.all > self.limits.partial_messages_total
            && let Some(key) = self.holdings.partial_messages.largest()
        {
            self.counts.partial_messages_over_total += 1;
            let reason = "too many messages are unfinished";
            self.close_with(key, CloseCode::TRY_AGAIN_LATER, reason, Awaits::Outbox);
            self.weigh(key);
        }
    }

    /// Likewise for what is owed. One read can make it many times what it brought, so this is looked at
    /// after each.
    pub(super) fn evict_owed(&mut self) {
        while self.holdings.owed.all > self.limits.client_buffer_total
            && let Some(key) = self.holdings.owed.largest()
        {
            self.counts.client_buffers_over_total += 1;
            self.drop_connection(key, DropReason::Squeezed("all together are owed too much"));
            self.holds_no_more(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    fn held(heads: usize, partial_messages: usize, owed: usize) -> HeapUse {
        HeapUse {
            heads,
            partial_messages,
            owed,
        }
    }

    #[test]
    fn the_sum_and_the_largest_are_of_what_each_was_last_weighed_with() {
        let mut holdings = HeapLedger::new(Seeded(SipHasher13::new()));
        for (key, weight, all, largest) in [
            (1, held(10, 0, 5), held(10, 0, 5), None),
            (2, held(0, 300, 0), held(10, 300, 5), Some(2)),
            (4, held(0, 20, 0), held(10, 320, 5), Some(2)),
            (1, held(10, 0, 5), held(10, 320, 5), Some(2)),
            (1, held(0, 310, 0), held(0, 630, 0), Some(1)),
            (1, held(0, 40, 0), held(0, 360, 0), Some(2)),
            (3, held(0, 0, 7), held(0, 360, 7), Some(2)),
            (2, held(0, 0, 0), held(0, 60, 7), Some(1)),
            (1, held(0, 0, 9), held(0, 20, 16), Some(4)),
            (4, held(0, 0, 0), held(0, 0, 16), None),
        ] {
            holdings.set(ConnectionKey(key), weight);
            assert_eq!(holdings.all(), all);
            assert_eq!(
                holdings.partial_messages.largest(),
                largest.map(ConnectionKey)
            );
        }
        assert_eq!(holdings.owed.largest(), Some(ConnectionKey(1)));
        assert_eq!(holdings.heads.largest(), None);
    }
}
