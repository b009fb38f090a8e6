//! Incremental UTF-8 validation, for a text that arrives in pieces.

use super::violation::Violation;

/// A UTF-8 check over pieces split anywhere. Between two pieces it stores at most three bytes, the
/// beginning of one character.
///
/// The check fails at the first byte that cannot be part of any valid text. RFC 6455, section 8.1,
/// requires the failure, and no check can detect it earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// Invariant: the first `prefix_len` bytes begin a character and do not complete it.
    prefix: [u8; 3],
    prefix_len: u8,
}

const _: () = assert!(size_of::<Utf8>() == 4);

impl Utf8 {
    /// Checks the next piece. Returns the text that the piece completes: the character that earlier
    /// pieces began, if there is one, and all complete characters after it.
    ///
    /// # Errors
    ///
    /// [`Violation::InvalidUtf8`] if no further bytes could make the text valid.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Result<(Option<char>, &'a str), Violation> {
        let (first, rest) = self.complete(piece)?;
        let (text, prefix) = complete_characters(rest)?;
        if let Some(prefix) = prefix {
            self.store(prefix);
        }
        Ok((first, text))
    }

    /// Bytes of an incomplete character at the end of the text so far. A text may end where this is 0.
    pub fn unfinished(&self) -> usize {
        usize::from(self.prefix_len)
    }

    /// Completes the character that earlier pieces began. Returns it and the bytes after it.
    fn complete<'a>(&mut self, piece: &'a [u8]) -> Result<(Option<char>, &'a [u8]), Violation> {
        let prefix_len = self.unfinished();
        if prefix_len == 0 {
            return Ok((None, piece));
        }
        let mut character = [0; 4];
        character[..prefix_len].copy_from_slice(&self.prefix[..prefix_len]);
        for (taken, &byte) in piece.iter().enumerate() {
            let length = prefix_len + taken + 1;
            character[length - 1] = byte;
            let (text, prefix) = complete_characters(&character[..length])?;
            if let Some(prefix) = prefix {
                self.store(prefix);
            } else {
                self.prefix_len = 0;
                return Ok((text.chars().next(), &piece[taken + 1..]));
            }
        }
        Ok((None, &[]))
    }

    fn store(&mut self, prefix: &[u8]) {
        for (to, from) in self.prefix.iter_mut().zip(prefix) {
            *to = *from;
        }
        self.prefix_len = prefix.len() as u8;
    }
}

/// Splits bytes into complete characters and the incomplete character at their end, if there is one.
fn complete_characters(bytes: &[u8]) -> Result<(&str, Option<&[u8]>), Violation> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok((text, None)),
        Err(error) if error.error_len().is_some() => Err(Violation::InvalidUtf8),
        Err(error) => {
            let (valid, prefix) = bytes.split_at(error.valid_up_to());
            let text = str::from_utf8(valid).map_err(|_| Violation::InvalidUtf8)?;
            Ok((text, Some(prefix)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks all pieces. Returns their text and the length of its incomplete character, or the number of
    /// bytes after which the check failed.
    fn check<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, usize), usize> {
        let (mut utf8, mut text, mut seen) = (Utf8::default(), String::new(), 0);
        for piece in pieces {
            seen += piece.len();
            let (first, rest) = utf8.push(piece).map_err(|_| seen)?;
            text.extend(first);
            text.push_str(rest);
        }
        Ok((text, utf8.unfinished()))
    }

    #[test]
    fn valid_text_passes_in_steps_of_any_length() {
        let text = "κόσμε, aé中😀\u{10ffff}\u{d7ff}\u{e000}\u{800}\u{7ff}\u{80}\0x";
        for step in 1..=text.len() {
            assert_eq!(
                check(text.as_bytes().chunks(step)),
                Ok((text.into(), 0)),
                "step {step}"
            );
        }
    }

    #[test]
    fn text_that_ends_within_a_character_is_unfinished() {
        for (bytes, prefix_len) in [(&b"a\xc3"[..], 1), (b"\xe4\xb8", 2), (b"a\xf0\x9f\x98", 3)] {
            for step in 1..=bytes.len() {
                let (_, unfinished) = check(bytes.chunks(step)).unwrap();
                assert_eq!(unfinished, prefix_len, "{bytes:02x?} in steps of {step}");
            }
        }
    }

    #[test]
    fn the_first_impossible_byte_is_where_it_fails() {
        for (bytes, fails_at) in [
            (&b"a\x80bc"[..], 2),           // a continuation byte without a first byte
            (b"a\xc0\x80b", 2),             // overlong; the first byte is never valid
            (b"\xc1\xbfb", 1),              // overlong
            (b"\xe0\x9f\xbf", 2),           // overlong in three bytes
            (b"\xf0\x8f\xbf\xbf", 2),       // overlong in four
            (b"\xed\xa0\x80b", 2),          // a surrogate
            (b"\xf4\x90\x80\x80", 2),       // beyond U+10FFFF
            (b"\xf5\x80\x80\x80", 1),       // beyond U+10FFFF by the first byte
            (b"\xff", 1),                   //
            (b"ab\xe4\xb8c\xadd", 5),       // a character that is not completed
            (b"\xce\xba\xed\xa0\x80ed", 4), // Autobahn's example
        ] {
            assert_eq!(check(bytes.chunks(1)), Err(fails_at), "{bytes:02x?}");
            for step in 1..=bytes.len() {
                let caught = fails_at.next_multiple_of(step).min(bytes.len());
                assert_eq!(
                    check(bytes.chunks(step)),
                    Err(caught),
                    "{bytes:02x?} by {step}"
                );
            }
        }
    }

    #[test]
    fn every_pair_of_bytes_is_judged_as_the_standard_library_does() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let bytes = [first, second, b'a'];
                let in_steps = check(bytes.chunks(1)).is_ok_and(|(_, unfinished)| unfinished == 0);
                assert_eq!(in_steps, str::from_utf8(&bytes).is_ok(), "{bytes:02x?}");
            }
        }
    }
}
