//! Random bits out of a seed: one seed gives one trace, and nobody without it can foresee any.

use siphasher::sip::SipHasher24;

/// A stream of random bits: a keyed hash of 0, 1, 2, ...
pub(crate) struct Random {
    keyed: SipHasher24,
    drawn: u64,
}

impl Random {
    /// The stream of this seed.
    pub(crate) fn new(seed: u128) -> Random {
        Random {
            keyed: SipHasher24::new_with_key(&seed.to_le_bytes()),
            drawn: 0,
        }
    }

    /// The next 64 bits.
    pub(crate) fn bits64(&mut self) -> u64 {
        self.drawn += 1;
        self.keyed.hash(&self.drawn.to_le_bytes())
    }

    /// The next 128 bits.
    pub(crate) fn bits128(&mut self) -> u128 {
        u128::from(self.bits64()) << 64 | u128::from(self.bits64())
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the seed.
        f.write_str("Random")
    }
}
