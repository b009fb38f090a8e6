//! Text of the clients' messages: the sender, a number, and a filling that only this message has.
//!
//! `ssssssssnnnnnnnn` in hexadecimal, then printable characters that follow from sender, number and
//! length, so that any changed, missing or foreign byte shows. It is text, since chat is.

/// The shortest message: sender, number and eight characters that prove them.
pub const SHORTEST: usize = 24;

/// Name of a message: its sender and its number among that sender's, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The client that said it.
    pub sender: u32,
    /// How many messages the client had sent before.
    pub number: u32,
}

impl Id {
    /// Writes the message over `payload`, which has at least [`SHORTEST`] bytes.
    pub fn write(self, payload: &mut [u8]) {
        let len = payload.len();
        let (head, filling) = payload.split_at_mut(16);
        let both = u64::from(self.sender) << 32 | u64::from(self.number);
        for (at, digit) in head.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(both >> (60 - 4 * at)) as usize & 0xf];
        }
        for (chunk, word) in filling.chunks_mut(8).zip(self.filling(len)) {
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }

    /// Reads a message and checks all of it; `None` if any byte is not as it was written.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (head, filling) = payload.split_at_checked(16)?;
        let mut both = 0;
        for digit in head {
            both = both << 4
                | u64::from(match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                });
        }
        let id = Self {
            sender: (both >> 32) as u32,
            number: both as u32,
        };
        let mut words = id.filling(payload.len());
        filling
            .chunks(8)
            .all(|chunk| {
                words
                    .next()
                    .is_some_and(|word| chunk == &word[..chunk.len()])
            })
            .then_some(id)
    }

    fn filling(self, len: usize) -> impl Iterator<Item = [u8; 8]> {
        let both = u64::from(self.sender) << 32 | u64::from(self.number);
        let mut state = both.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ len as u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed ^= mixed >> 29;
            // Sixty-four printable characters, from '0' to 'o'.
            ((mixed & 0x3f3f_3f3f_3f3f_3f3f) + 0x3030_3030_3030_3030).to_le_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_shows() {
        let id = Id {
            sender: 0xbeef,
            number: 77,
        };
        for len in [SHORTEST, 64, 125, 127, 1000] {
            let mut payload = vec![0; len];
            id.write(&mut payload);
            assert!(payload.iter().all(|byte| (b'0'..=b'o').contains(byte)));
            assert_eq!(Id::read(&payload), Some(id));
            assert_eq!(Id::read(&payload[..len - 1]), None, "cut short");
            for at in 0..len {
                payload[at] ^= 1;
                assert_eq!(Id::read(&payload), None, "byte {at} of {len}");
                payload[at] ^= 1;
            }
        }
    }
}
