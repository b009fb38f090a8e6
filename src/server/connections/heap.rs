//! Heap accounting: bytes that connections hold beside their entries, by what they are for.

use crate::ids::ConnectionKey;
use crate::ranked::Ranked;

/// Bytes of heap of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct HeapUse {
    /// In a request that has come in part.
    pub(in crate::server) heads: usize,
    /// In a message that has come in part.
    pub(in crate::server) partial_messages: usize,
    /// In private pieces that have not been written.
    pub(in crate::server) private: usize,
}

/// The same of all connections, with the largest holder of each kind.
#[derive(Debug, Default)]
pub(in crate::server) struct HeapLedger {
    pub(in crate::server) heads: Ranked<ConnectionKey>,
    pub(in crate::server) partial_messages: Ranked<ConnectionKey>,
    pub(in crate::server) private: Ranked<ConnectionKey>,
}

impl HeapLedger {
    /// A connection holds this much from now on, whatever it held before.
    pub(super) fn set(&mut self, key: ConnectionKey, heap: HeapUse) {
        self.heads.set(key, heap.heads);
        self.partial_messages.set(key, heap.partial_messages);
        self.private.set(key, heap.private);
    }

    #[cfg(any(test, feature = "census"))]
    pub(in crate::server) fn total(&self) -> HeapUse {
        HeapUse {
            heads: self.heads.total(),
            partial_messages: self.partial_messages.total(),
            private: self.private.total(),
        }
    }
}
