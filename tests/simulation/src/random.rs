//! Choices: out of a seed, or out of bytes that a fuzzer has thought of.

use std::rc::Rc;

/// A stream of choices. The same source gives the same stream, everywhere and for ever.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// Taken first, one for a choice among few, two for any other.
    bytes: Option<Rc<[u8]>>,
    taken: usize,
}

impl Random {
    /// The choices of a seed (SplitMix64).
    pub fn of_seed(seed: u64) -> Random {
        Random {
            state: seed,
            bytes: None,
            taken: 0,
        }
    }

    /// The choices that bytes stand for; once they are used up, those of seed 0.
    pub fn of_bytes(bytes: &[u8]) -> Random {
        Random {
            state: 0,
            bytes: Some(bytes.into()),
            taken: 0,
        }
    }

    /// Whether bytes decided, and there are no more.
    pub fn is_spent(&self) -> bool {
        let bytes = self.bytes.as_ref();
        bytes.is_some_and(|bytes| self.taken >= bytes.len())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.as_ref()?.get(self.taken)?;
        self.taken += 1;
        Some(byte)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        if let Some(low) = self.byte() {
            let high = self.byte().unwrap_or(0);
            return u64::from_le_bytes([low, high, 0, 0, 0, 0, 0, 0]);
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number less than `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end <= 256
            && let Some(byte) = self.byte()
        {
            return usize::from(byte) % end;
        }
        (self.bits() % end as u64) as usize
    }

    /// A number from `least` to `most`.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    /// Whether something happens that happens once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A number from 1 to `most`, small ones as likely as large ones.
    pub fn scaled(&mut self, most: u64) -> u64 {
        let bits = 64 - most.max(1).leading_zeros() as usize;
        let scale = 1u64 << self.below(bits);
        (scale + self.bits() % scale).min(most.max(1))
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
