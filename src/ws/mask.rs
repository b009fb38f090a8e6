//! Masking: clients mask every payload, and the server unmasks it in place.

/// Unmasks a piece of a payload. The piece begins `offset` bytes into the payload.
///
/// Byte `i` of a payload is XORed with byte `i mod 4` of the masking key, so masking and unmasking are
/// the same operation (RFC 6455, section 5.3). The loop XORs eight bytes at a time, and the compiler
/// vectorises it.
pub fn unmask(piece: &mut [u8], mask: [u8; 4], offset: u64) {
    let rotated = u32::from_be_bytes(mask).rotate_left((offset % 4) as u32 * 8);
    let word = (u64::from(rotated) << 32 | u64::from(rotated)).to_be_bytes();
    let (words, rest) = piece.as_chunks_mut();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ u64::from_ne_bytes(word)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(word) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn byte_by_byte(payload: &mut [u8], mask: [u8; 4]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[i % 4];
        }
    }

    #[test]
    fn the_rfcs_example_unmasks() {
        let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        unmask(&mut payload, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(&payload, b"Hello");
    }

    #[test]
    fn any_two_pieces_of_any_length_give_what_one_byte_at_a_time_gives() {
        let mask = [0x01, 0x20, 0x0f, 0xf0];
        for length in 0..70 {
            let masked: Vec<u8> = (0..length).collect();
            let mut plain = masked.clone();
            byte_by_byte(&mut plain, mask);
            for split in 0..=masked.len() {
                let mut pieces = masked.clone();
                let (front, back) = pieces.split_at_mut(split);
                unmask(front, mask, 0);
                unmask(back, mask, split as u64);
                assert_eq!(pieces, plain, "{length} bytes split at {split}");
            }
        }
    }

    #[test]
    fn offsets_beyond_32_bits_are_still_in_step() {
        let mut piece = [0u8; 3];
        unmask(&mut piece, [1, 2, 3, 4], u64::MAX - 1);
        assert_eq!(piece, [3, 4, 1]);
    }
}
