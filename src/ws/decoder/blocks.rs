//! Fixed-size blocks: the buffers of a payload that arrives in pieces. They limit heap fragmentation.
//!
//! A single buffer that grows leaves holes of every size in the heap. With thousands of partial messages
//! the process then takes up to twice the memory that they use. A freed block fits any other message.

use std::mem;

use crate::ws::violation::Violation;

/// Size of a block in bytes. It is small in tests, so that a short payload takes several blocks.
const BLOCK: usize = if cfg!(any(test, fuzzing)) {
    128
} else {
    16 * 1024
};

// The payload of a control frame fits one block.
const _: () = assert!(BLOCK >= 125);

/// The bytes received so far.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Invariant: each block has exactly `BLOCK` bytes.
    full: Vec<Vec<u8>>,
    /// The block that is being filled.
    last: Vec<u8>,
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        self.full.len() * BLOCK + self.last.len()
    }

    /// Bytes of heap in use.
    pub(super) fn holds(&self) -> usize {
        self.full.capacity() * size_of::<Vec<u8>>() + self.full.len() * BLOCK + self.last.capacity()
    }

    /// The first block, which may not be full yet.
    pub(super) fn first(&self) -> &[u8] {
        self.full.first().unwrap_or(&self.last)
    }

    /// Appends a piece of a payload that will be at most `max_total` bytes long.
    ///
    /// The capacity doubles, so that many small pieces cost linear work. It never exceeds a block, nor
    /// `max_total`.
    pub(super) fn push(&mut self, mut piece: &[u8], max_total: usize) -> Result<(), Violation> {
        while !piece.is_empty() {
            if self.last.len() == BLOCK {
                self.full.try_reserve(1).map_err(out_of_memory)?;
                self.full.push(mem::take(&mut self.last));
            }
            let length = self.last.len();
            let (now, later) = piece.split_at(piece.len().min(BLOCK - length));
            let needed = length + now.len();
            if needed > self.last.capacity() {
                let max_length = BLOCK.min(max_total - self.full.len() * BLOCK);
                let wanted = needed.max(max_length.min(2 * self.len()));
                self.last
                    .try_reserve_exact(wanted - length)
                    .map_err(out_of_memory)?;
            }
            self.last.extend_from_slice(now);
            piece = later;
        }
        Ok(())
    }

    /// Concatenates all blocks and the last piece. During the call, up to twice the memory is in use.
    pub(super) fn join(self, last: &[u8]) -> Result<Vec<u8>, Violation> {
        let length = self.len() + last.len();
        let mut blocks = self.full.into_iter().chain([self.last]);
        let mut joined = blocks.next().unwrap_or_default();
        joined
            .try_reserve_exact(length - joined.len())
            .map_err(out_of_memory)?;
        for block in blocks {
            joined.extend_from_slice(&block);
        }
        joined.extend_from_slice(last);
        Ok(joined)
    }
}

fn out_of_memory<E>(_: E) -> Violation {
    Violation::OutOfMemory
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Blocks {
        /// The largest heap size of the list of full blocks, for a payload of `length` bytes.
        pub(in crate::ws::decoder) fn index(length: usize) -> usize {
            let full = length / BLOCK;
            if full == 0 {
                return 0;
            }
            (2 * full).max(4) * size_of::<Vec<u8>>()
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_came_in_and_no_more_than_twice_that_is_reserved(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..12),
            more in 0..300usize,
        ) {
            let whole = pieces.concat();
            let most = whole.len() + more;
            let (mut blocks, mut length) = (Blocks::default(), 0);
            for piece in &pieces {
                blocks.push(piece, most).unwrap();
                length += piece.len();
                prop_assert_eq!(blocks.len(), length);
                prop_assert_eq!(blocks.first(), &whole[..length.min(BLOCK)]);
                let reserved = blocks.holds();
                prop_assert!(reserved <= Blocks::index(length) + most.min(2 * length), "{}", reserved);
            }
            let last = vec![7; more];
            let joined = blocks.join(&last).unwrap();
            prop_assert!(joined.capacity() <= most);
            prop_assert_eq!(joined, [whole, last].concat());
        }
    }

    #[test]
    fn no_block_is_ever_larger_or_smaller_than_the_others_once_it_is_full() {
        for step in [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let bytes = vec![1; 10 * BLOCK + 3];
            let mut blocks = Blocks::default();
            for piece in bytes.chunks(step) {
                blocks.push(piece, bytes.len()).unwrap();
            }
            assert_eq!(blocks.full.len(), 10);
            for block in blocks.full {
                assert_eq!(block.capacity(), BLOCK, "in steps of {step}");
            }
            assert_eq!(blocks.last.capacity(), 3, "in steps of {step}");
        }
    }
}
