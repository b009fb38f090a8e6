//! Who holds memory beside an entry, how much, and what all of them hold together.
//!
//! Few connections hold anything at a time, so their holdings stand in a table of their own. Whatever
//! may have changed one's holdings weighs it again; weighing gives what it holds now, so that nothing
//! can be counted twice.

use std::collections::HashMap;

use super::connection::{Awaits, Connection, Flags, Gone, Stage};
use super::{Network, Seeded, Server};
use crate::chat::Key;
use crate::http::Refusal;
use crate::ws::CloseCode;

/// Bytes of heap that connections hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// In request heads that are not whole.
    pub(super) heads: usize,
    /// In messages that are not whole.
    pub(super) halves: usize,
    /// In private pieces that have not been written.
    pub(super) owed: usize,
}

/// What each holds, and all together.
#[derive(Debug)]
pub(super) struct Holdings {
    each: HashMap<Key, Held, Seeded>,
    /// Invariant: the sum of `each`.
    all: Held,
}

impl Holdings {
    pub(super) fn new(hasher: Seeded) -> Holdings {
        Holdings {
            each: HashMap::with_hasher(hasher),
            all: Held::default(),
        }
    }

    pub(super) fn all(&self) -> Held {
        self.all
    }

    /// From now on this one holds so much. Returns whether that is anything.
    fn set(&mut self, key: Key, held: Held) -> bool {
        let is_something = held != Held::default();
        let before = if is_something {
            self.each.insert(key, held)
        } else {
            self.each.remove(&key)
        };
        let before = before.unwrap_or_default();
        self.all = Held {
            heads: self.all.heads + held.heads - before.heads,
            halves: self.all.halves + held.halves - before.halves,
            owed: self.all.owed + held.owed - before.owed,
        };
        if self.each.is_empty() {
            self.each.shrink_to_fit();
        }
        is_something
    }

    fn largest(&self, kind: impl Fn(&Held) -> usize) -> Option<Key> {
        self.each
            .iter()
            .max_by_key(|(_, held)| kind(held))
            .filter(|(_, held)| kind(held) > 0)
            .map(|(key, _)| *key)
    }
}

impl<S> Connection<S> {
    pub(super) fn held(&self) -> Held {
        let (heads, halves) = match &self.stage {
            Stage::Handshaking(head) => (head.holds(), 0),
            Stage::Open(open) => (0, open.half.as_ref().map_or(0, |half| half.holds())),
            Stage::Closing(farewell) => match &farewell.awaits {
                Awaits::Close(decoder) => (0, decoder.holds()),
                Awaits::Outbox | Awaits::Fin => (0, 0),
            },
        };
        let owed = self.outbox.holds();
        Held {
            heads,
            halves,
            owed,
        }
    }
}

impl<N: Network> Server<N> {
    /// Brings the books up to date with what a connection holds.
    pub(super) fn weigh(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key.0 as usize) else {
            return;
        };
        let held = connection.held();
        if held == Held::default() && !connection.flags.has(Flags::HOLDS) {
            return;
        }
        if self.holdings.set(key, held) {
            connection.flags.set(Flags::HOLDS);
        } else {
            connection.flags.clear(Flags::HOLDS);
        }
    }

    /// A connection is no more, and so is what it held.
    pub(super) fn holds_no_more(&mut self, key: Key) {
        self.holdings.set(key, Held::default());
    }

    /// Where all together hold more than they may, the largest holder ends.
    pub(super) fn squeeze(&mut self) {
        self.squeeze_heads();
        self.squeeze_halves();
        self.squeeze_owed();
        self.counts.lanes_squeezed += self.rooms.cut_lanes();
    }

    fn squeeze_heads(&mut self) {
        while self.holdings.all.heads > self.limits.max_heads
            && let Some(key) = self.holdings.largest(|held| held.heads)
        {
            self.counts.heads_squeezed += 1;
            self.refuse(key, Refusal::Full);
            self.weigh(key);
        }
    }

    /// Likewise for half messages. This is looked at after each read, since all reads of a turn together can
    /// bring a quarter of the limit.
    pub(super) fn squeeze_halves(&mut self) {
        while self.holdings.all.halves > self.limits.max_half_messages
            && let Some(key) = self.holdings.largest(|held| held.halves)
        {
            self.counts.half_messages_squeezed += 1;
            let reason = "too many messages are unfinished";
            self.say_last(key, CloseCode::TRY_AGAIN_LATER, reason, Awaits::Outbox);
            self.weigh(key);
        }
    }

    /// Likewise for what is owed. One read can make it many times what it brought, so this is looked at
    /// after each.
    pub(super) fn squeeze_owed(&mut self) {
        while self.holdings.all.owed > self.limits.max_owed_in_all
            && let Some(key) = self.holdings.largest(|held| held.owed)
        {
            self.counts.owed_squeezed += 1;
            self.end(key, Gone::Squeezed("all together are owed too much"));
            self.holds_no_more(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    fn held(heads: usize, halves: usize, owed: usize) -> Held {
        Held {
            heads,
            halves,
            owed,
        }
    }

    #[test]
    fn the_sum_is_that_of_what_each_was_last_weighed_with() {
        let mut holdings = Holdings::new(Seeded(SipHasher13::new()));
        for (key, weight, all) in [
            (1, held(10, 0, 5), held(10, 0, 5)),
            (2, held(0, 300, 0), held(10, 300, 5)),
            (1, held(10, 0, 5), held(10, 300, 5)),
            (1, held(0, 20, 0), held(0, 320, 0)),
            (3, held(0, 0, 7), held(0, 320, 7)),
            (2, held(0, 0, 0), held(0, 20, 7)),
        ] {
            holdings.set(Key(key), weight);
            assert_eq!(holdings.all(), all);
        }
        assert_eq!(holdings.largest(|held| held.halves), Some(Key(1)));
        assert_eq!(holdings.largest(|held| held.heads), None);
    }
}
