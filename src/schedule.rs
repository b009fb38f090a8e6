//! A schedule, or timer queue: which key is due when, and which is due first.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Tick;

/// At most one time for each key.
#[derive(Debug)]
pub struct Schedule<K, T = Tick> {
    times: BTreeMap<K, T>,
    /// Invariant: the entries of `times`, ordered by time.
    order: BTreeSet<(T, K)>,
    /// The key that was set last, and to what: it is often set again, and to the same.
    latest: Option<(K, Option<T>)>,
}

impl<K, T> Default for Schedule<K, T> {
    fn default() -> Schedule<K, T> {
        Schedule {
            times: BTreeMap::new(),
            order: BTreeSet::new(),
            latest: None,
        }
    }
}

impl<K: Copy + Ord, T: Copy + Ord> Schedule<K, T> {
    /// The key is due at this time and no other; with `None` it is not due at all.
    pub fn set(&mut self, key: K, time: impl Into<Option<T>>) {
        let time = time.into();
        if self.latest == Some((key, time)) {
            return;
        }
        let before = self.get(key);
        self.latest = Some((key, time));
        if time == before {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key));
        }
        if let Some(time) = time {
            self.order.insert((time, key));
            self.times.insert(key, time);
        } else {
            self.times.remove(&key);
        }
    }

    /// The key is not due any more.
    pub fn cancel(&mut self, key: K) {
        self.set(key, None);
    }

    /// When the key is due.
    pub fn get(&self, key: K) -> Option<T> {
        self.times.get(&key).copied()
    }

    /// The key that is due first, and when.
    pub fn first(&self) -> Option<(T, K)> {
        self.order.first().copied()
    }

    /// Takes out the key that is due first, if it is due by now. Keys of one time come in their order.
    pub fn pop_due(&mut self, now: T) -> Option<K> {
        let (time, key) = self.first()?;
        if time > now {
            return None;
        }
        self.latest = None;
        self.order.pop_first();
        self.times.remove(&key);
        Some(key)
    }

    /// How many keys are due at some time.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing is due at any time.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The keys, the first due first.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.order.iter().map(|&(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_due_when_it_was_last_set_to() {
        let mut schedule = Schedule::default();
        for (key, time, first) in [
            ('a', Some(20), Some((20, 'a'))),
            ('b', Some(10), Some((10, 'b'))),
            ('b', Some(10), Some((10, 'b'))),
            ('a', Some(5), Some((5, 'a'))),
            ('a', Some(30), Some((10, 'b'))),
            ('b', None, Some((30, 'a'))),
            ('b', None, Some((30, 'a'))),
        ] {
            schedule.set(key, time);
            assert_eq!((schedule.get(key), schedule.first()), (time, first));
        }
        assert_eq!((schedule.pop_due(29), schedule.len()), (None, 1));
        assert_eq!((schedule.pop_due(30), schedule.len()), (Some('a'), 0));
        assert_eq!((schedule.pop_due(99), schedule.get('a')), (None, None));
    }

    proptest! {
        #[test]
        fn keys_come_when_they_are_due_and_in_order(
            steps in prop::collection::vec((0usize..6, prop::option::of(0u32..20)), 0..60),
            now in 0u32..20,
        ) {
            let mut schedule = Schedule::<usize, u32>::default();
            let mut model = [None; 6];
            for (key, time) in steps {
                schedule.set(key, time);
                model[key] = time;
            }
            let mut all: Vec<_> = (0..6).filter_map(|key| Some((model[key]?, key))).collect();
            all.sort_unstable();
            prop_assert_eq!(schedule.len(), all.len());
            prop_assert_eq!(schedule.keys().collect::<Vec<_>>(), all.iter().map(|all| all.1).collect::<Vec<_>>());
            for (time, key) in all {
                let due = (time <= now).then_some(key);
                prop_assert_eq!(schedule.pop_due(now), due);
                if due.is_none() {
                    break;
                }
                prop_assert_eq!(schedule.get(key), None);
            }
        }
    }
}
