//! All connections, and what is counted about them.
//!
//! Each count is changed together with what it counts, because both are private here: a connection is put in by
//! [`Connections::insert`], taken out by [`Connections::pop_ended`], and changed through an [`Entry`].

mod connection;
mod entry;
mod heap;

use std::collections::HashMap;
use std::hash::BuildHasher;

use siphasher::sip::SipHasher13;
use slab::Slab;

pub(super) use connection::{
    Awaits, Closing, Connection, Flags, Joining, Open, PendingInput, Reading, Stage,
};
pub(super) use entry::Entry;
pub(super) use heap::{HeapLedger, HeapUse};

use super::peer::Peer;
use crate::chat::{Member, Roster};
use crate::feed::Outbox;
use crate::http::Incoming;
use crate::ids::{ConnectionId, ConnectionKey, ConnectionRef};
use crate::time::Tick;

/// All connections by key.
pub(super) struct Connections<S> {
    slab: Slab<Connection<S>>,
    /// The id of the latest.
    last_id: u32,
    by_address: HashMap<Peer, u32, Seeded>,
    /// No key is as high as this.
    key_bound: usize,
    /// Connections whose sockets are full.
    blocked: usize,
    /// Connections that are handshaking.
    handshaking: usize,
    /// Invariant: what each connection holds, but for those in `touched`.
    heap: HeapLedger,
    /// Connections whose heap use may have changed.
    touched: Vec<ConnectionKey>,
    /// Connections that are removed at the end of the turn.
    ended: Vec<ConnectionKey>,
}

/// Hashing with random keys, so that no client can foresee where an entry is put.
struct Seeded(SipHasher13);

impl BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}

/// A connection that has been accepted.
pub(super) struct NewConnection<S> {
    pub(super) socket: S,
    pub(super) peer: Peer,
    /// Whether it counts for the limit by address.
    pub(super) is_counted: bool,
    pub(super) flags: Flags,
    pub(super) outbox: Outbox,
    pub(super) incoming: Incoming,
}

impl<S> Connections<S> {
    /// No connections. The 128 random bits keep the table of addresses from being attacked.
    pub(super) fn new(random: u128) -> Connections<S> {
        let seeded = Seeded(SipHasher13::new_with_key(&random.to_le_bytes()));
        Connections {
            slab: Slab::new(),
            last_id: 0,
            by_address: HashMap::with_hasher(seeded),
            key_bound: 0,
            blocked: 0,
            handshaking: 0,
            heap: HeapLedger::default(),
            touched: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// No key is as high as this.
    pub(super) fn key_bound(&self) -> usize {
        self.key_bound
    }

    /// Connections whose sockets are full.
    pub(super) fn blocked(&self) -> usize {
        self.blocked
    }

    /// Connections that are handshaking.
    pub(super) fn handshaking(&self) -> usize {
        self.handshaking
    }

    /// Counted connections from an address.
    pub(super) fn count_from(&self, peer: Peer) -> u32 {
        self.by_address.get(&peer).copied().unwrap_or(0)
    }

    /// Connections that are removed at the end of the turn.
    pub(super) fn ended(&self) -> usize {
        self.ended.len()
    }

    /// What connections hold, settled.
    #[inline]
    pub(super) fn heap(&mut self) -> &HeapLedger {
        if !self.touched.is_empty() {
            self.settle();
        }
        &self.heap
    }

    #[inline(never)]
    fn settle(&mut self) {
        while let Some(key) = self.touched.pop() {
            let Some(connection) = self.slab.get_mut(key.0 as usize) else {
                continue;
            };
            if connection.flags.clear(Flags::TOUCHED) {
                let heap = connection.heap_use();
                self.heap.set(key, heap);
                connection.flags.clear(Flags::IN_LEDGER);
                if heap != HeapUse::default() {
                    connection.flags.set(Flags::IN_LEDGER);
                }
            }
        }
    }

    /// The key that the next connection gets. `None` if there are as many as keys.
    pub(super) fn vacant_key(&self) -> Option<ConnectionKey> {
        u32::try_from(self.slab.vacant_key())
            .ok()
            .map(ConnectionKey)
    }

    /// Puts a connection at the vacant key.
    pub(super) fn insert(
        &mut self,
        key: ConnectionKey,
        new: NewConnection<S>,
        now: Tick,
    ) -> ConnectionId {
        let mut flags = new.flags;
        if new.is_counted {
            *self.by_address.entry(new.peer).or_insert(0) += 1;
            flags.set(Flags::COUNTED);
        }
        self.last_id = self.last_id.wrapping_add(1);
        let id = ConnectionId(self.last_id);
        self.handshaking += 1;
        self.key_bound = self.key_bound.max(key.0 as usize + 1);
        self.slab.insert(Connection {
            socket: new.socket,
            flags,
            reading: Reading::Idle,
            stuck: 0,
            last_received: now,
            id,
            peer: new.peer,
            outbox: new.outbox,
            stage: Stage::Handshaking(new.incoming),
        });
        id
    }

    pub(super) fn get(&self, key: ConnectionKey) -> Option<&Connection<S>> {
        self.slab.get(key.0 as usize)
    }

    /// The connection at a key, with the books that a change of it has to keep.
    #[inline]
    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<Entry<'_, S>> {
        Some(Entry {
            key,
            connection: self.slab.get_mut(key.0 as usize)?,
            blocked: &mut self.blocked,
            handshaking: &mut self.handshaking,
            touched: &mut self.touched,
            ended: &mut self.ended,
        })
    }

    /// The same, unless the connection has ended.
    #[inline]
    pub(super) fn live_mut(&mut self, key: ConnectionKey) -> Option<Entry<'_, S>> {
        self.get_mut(key)
            .filter(|connection| !connection.is_ended())
    }

    /// The connection that a list meant, if it is still there and has not ended.
    #[inline]
    pub(super) fn resolve(&mut self, reference: ConnectionRef) -> Option<Entry<'_, S>> {
        self.live_mut(reference.key)
            .filter(|connection| connection.id == reference.id)
    }

    /// Whether a list still means a connection that is handshaking.
    pub(super) fn is_handshaking(&self, reference: ConnectionRef) -> bool {
        self.get(reference.key).is_some_and(|connection| {
            connection.id == reference.id && !connection.is_ended() && connection.is_handshaking()
        })
    }

    /// Removes a connection that has ended. `None` if there is none.
    pub(super) fn pop_ended(&mut self) -> Option<Connection<S>> {
        let key = self.ended.pop()?;
        let connection = self.slab.try_remove(key.0 as usize)?;
        let flags = connection.flags;
        if flags.has(Flags::IN_LEDGER) {
            self.heap.set(key, HeapUse::default());
        }
        if flags.has(Flags::COUNTED)
            && let Some(count) = self.by_address.get_mut(&connection.peer)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&connection.peer);
            }
        }
        self.blocked -= usize::from(flags.has(Flags::BLOCKED));
        self.handshaking -= usize::from(connection.is_handshaking());
        if self.slab.is_empty() {
            self.slab = Slab::new();
            self.key_bound = 0;
        }
        Some(connection)
    }

    /// Gives back memory that a storm has left.
    pub(super) fn shrink(&mut self, spare: usize) {
        self.touched.shrink_to(spare);
        self.ended.shrink_to(spare);
        if self.by_address.is_empty() {
            self.by_address.shrink_to_fit();
        }
    }

    #[cfg(any(test, feature = "census"))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionKey, &Connection<S>)> {
        let entries = self.slab.iter();
        entries.map(|(entry, connection)| (ConnectionKey(entry as u32), connection))
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        let lists = self.touched.capacity().max(self.ended.capacity());
        self.slab
            .capacity()
            .max(lists)
            .max(self.by_address.capacity())
    }

    /// Counts everything again. Returns what connections hold.
    ///
    /// # Errors
    /// A count that is wrong.
    #[cfg(any(test, feature = "census"))]
    pub(super) fn check(&self) -> Result<HeapUse, String> {
        let (mut heap, mut by_address) = (HeapLedger::default(), HashMap::new());
        let (mut blocked, mut handshaking) = (0, 0);
        for (key, connection) in self.iter() {
            let held = connection.heap_use();
            let is_known =
                connection.flags.has(Flags::IN_LEDGER) || connection.flags.has(Flags::TOUCHED);
            if held != HeapUse::default() && !is_known {
                return Err(format!(
                    "{key:?} holds {held:?}, and the ledger has no entry"
                ));
            }
            heap.set(key, held);
            blocked += usize::from(connection.is_blocked());
            handshaking += usize::from(connection.is_handshaking());
            if connection.flags.has(Flags::COUNTED) {
                *by_address.entry(connection.peer).or_insert(0) += 1;
            }
            if connection.is_ended() {
                return Err(format!("{key:?} has ended and is still there"));
            }
        }
        let (counted, kept) = ((blocked, handshaking), (self.blocked, self.handshaking));
        if counted != kept {
            return Err(format!(
                "{counted:?} are blocked and handshaking, not {kept:?}"
            ));
        }
        if self.touched.is_empty() && heap.total() != self.heap.total() {
            let (total, kept) = (heap.total(), self.heap.total());
            return Err(format!("{total:?} bytes are held, not {kept:?}"));
        }
        let is_same = |peer: &Peer, count: &u32| self.by_address.get(peer) == Some(count);
        if by_address.len() != self.by_address.len()
            || !by_address.iter().all(|(p, n)| is_same(p, n))
        {
            return Err(format!(
                "{by_address:?} are counted by address, not {:?}",
                self.by_address.len()
            ));
        }
        if !self.ended.is_empty() {
            return Err("connections have ended and were not removed".into());
        }
        Ok(heap.total())
    }
}

impl<S> Roster for Connections<S> {
    fn member(&self, key: ConnectionKey) -> Option<&Member> {
        match &self.get(key)?.stage {
            Stage::Open(open) => Some(&open.member),
            Stage::Handshaking(_) | Stage::Joining(_) | Stage::Closing(_) => None,
        }
    }
}
