//! A ledger of memory: how many bytes each key holds, all of them together, and which key holds the most.

use std::collections::{BTreeMap, BTreeSet};

/// Bytes by key, with their total and their order. A key that holds nothing takes no memory here.
#[derive(Debug)]
pub struct Ranked<K> {
    /// Invariant: no value is 0.
    bytes: BTreeMap<K, usize>,
    /// Invariant: the entries of `bytes`, ordered by value.
    order: BTreeSet<(usize, K)>,
    /// Invariant: the sum of `bytes`.
    total: usize,
    /// The key that was set last, and to what: it is often set again, and to the same.
    latest: Option<(K, usize)>,
}

impl<K> Default for Ranked<K> {
    fn default() -> Ranked<K> {
        Ranked {
            bytes: BTreeMap::new(),
            order: BTreeSet::new(),
            total: 0,
            latest: None,
        }
    }
}

impl<K: Copy + Ord> Ranked<K> {
    /// The key holds this many bytes from now on, whatever it held before.
    pub fn set(&mut self, key: K, bytes: usize) {
        if self.latest == Some((key, bytes)) {
            return;
        }
        let before = self.get(key);
        self.latest = Some((key, bytes));
        if bytes == before {
            return;
        }
        if before > 0 {
            self.order.remove(&(before, key));
        }
        if bytes > 0 {
            self.order.insert((bytes, key));
            self.bytes.insert(key, bytes);
        } else {
            self.bytes.remove(&key);
        }
        self.total = self.total - before + bytes;
    }

    /// The key holds nothing any more.
    pub fn remove(&mut self, key: K) {
        self.set(key, 0);
    }

    /// Bytes that the key was last [set](Ranked::set) to.
    pub fn get(&self, key: K) -> usize {
        self.bytes.get(&key).copied().unwrap_or(0)
    }

    /// Bytes that all keys hold together.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The key that holds the most; `None` if all hold nothing.
    pub fn largest(&self) -> Option<K> {
        self.order.last().map(|&(_, key)| key)
    }

    /// Keys that hold anything.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.bytes.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_counts_with_what_it_was_last_set_to() {
        let mut ranked = Ranked::default();
        for (key, bytes, total, largest) in [
            ('a', 10, 10, Some('a')),
            ('b', 300, 310, Some('b')),
            ('b', 300, 310, Some('b')),
            ('c', 20, 330, Some('b')),
            ('a', 310, 630, Some('a')),
            ('a', 40, 360, Some('b')),
            ('b', 0, 60, Some('a')),
            ('b', 0, 60, Some('a')),
            ('a', 0, 20, Some('c')),
            ('c', 0, 0, None),
        ] {
            ranked.set(key, bytes);
            assert_eq!((ranked.total(), ranked.largest()), (total, largest));
            assert_eq!(ranked.get(key), bytes);
        }
        assert!(ranked.bytes.is_empty() && ranked.order.is_empty());
    }

    proptest! {
        #[test]
        fn total_and_largest_are_those_of_a_plain_table(
            steps in prop::collection::vec((0usize..6, 0usize..5), 0..60),
        ) {
            let mut ranked = Ranked::default();
            let mut model = [0; 6];
            for (key, bytes) in steps {
                ranked.set(key, bytes);
                model[key] = bytes;
                prop_assert_eq!(ranked.total(), model.iter().sum::<usize>());
                let most = model.iter().copied().max().unwrap();
                prop_assert_eq!(ranked.largest().map_or(0, |key| model[key]), most);
                let holders: Vec<_> = (0..6).filter(|&key| model[key] > 0).collect();
                prop_assert_eq!(ranked.keys().collect::<Vec<_>>(), holders);
            }
        }
    }
}
