//! Text that arrives in pieces, checked as it comes.

use super::Violation;

/// A check of UTF-8 over pieces cut anywhere: what it remembers between two pieces is at most the
/// beginning of one character.
///
/// It fails at the first byte that cannot be part of any valid text, not at the end of the message
/// (RFC 6455, section 8.1, asks for the failure; this is the soonest it can come).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utf8 {
    /// Invariant: the first `held` bytes can begin a character and do not yet make one.
    begun: [u8; 3],
    held: u8,
}

const _: () = assert!(size_of::<Utf8>() == 4);

impl Utf8 {
    /// Takes the next piece and gives the text that it completes: the character that earlier pieces
    /// had begun, if any, and all whole characters after it.
    ///
    /// # Errors
    ///
    /// [`Violation::InvalidUtf8`] if no continuation could make the bytes so far valid.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Result<(Option<char>, &'a str), Violation> {
        let (first, rest) = self.complete(piece)?;
        let (text, begun) = whole_characters(rest)?;
        if let Some(begun) = begun {
            self.remember(begun);
        }
        Ok((first, text))
    }

    /// How many bytes of an unfinished character are remembered: 0 where a text may end.
    pub fn unfinished(&self) -> usize {
        usize::from(self.held)
    }

    /// Finishes the character that earlier pieces have begun; gives it and the bytes after it.
    fn complete<'a>(&mut self, piece: &'a [u8]) -> Result<(Option<char>, &'a [u8]), Violation> {
        let held = self.unfinished();
        if held == 0 {
            return Ok((None, piece));
        }
        let mut character = [0; 4];
        character[..held].copy_from_slice(&self.begun[..held]);
        for (taken, &byte) in piece.iter().enumerate() {
            let length = held + taken + 1;
            character[length - 1] = byte;
            let (text, begun) = whole_characters(&character[..length])?;
            if let Some(begun) = begun {
                self.remember(begun);
            } else {
                self.held = 0;
                return Ok((text.chars().next(), &piece[taken + 1..]));
            }
        }
        Ok((None, &[]))
    }

    fn remember(&mut self, begun: &[u8]) {
        for (to, from) in self.begun.iter_mut().zip(begun) {
            *to = *from;
        }
        self.held = begun.len() as u8;
    }
}

/// Splits off the character that the bytes break off in, if they do.
fn whole_characters(bytes: &[u8]) -> Result<(&str, Option<&[u8]>), Violation> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok((text, None)),
        Err(error) if error.error_len().is_some() => Err(Violation::InvalidUtf8),
        Err(error) => {
            let (valid, begun) = bytes.split_at(error.valid_up_to());
            let text = str::from_utf8(valid).map_err(|_| Violation::InvalidUtf8)?;
            Ok((text, Some(begun)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of all pieces, or how many bytes it took to fail.
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
    fn text_that_breaks_off_in_a_character_is_unfinished() {
        for (bytes, held) in [(&b"a\xc3"[..], 1), (b"\xe4\xb8", 2), (b"a\xf0\x9f\x98", 3)] {
            for step in 1..=bytes.len() {
                let (_, unfinished) = check(bytes.chunks(step)).unwrap();
                assert_eq!(unfinished, held, "{bytes:02x?} in steps of {step}");
            }
        }
    }

    #[test]
    fn the_first_impossible_byte_is_where_it_fails() {
        for (bytes, fails_at) in [
            (&b"a\x80bc"[..], 2),           // a continuation of nothing
            (b"a\xc0\x80b", 2),             // overlong, never begins a character
            (b"\xc1\xbfb", 1),              // overlong
            (b"\xe0\x9f\xbf", 2),           // overlong in three bytes
            (b"\xf0\x8f\xbf\xbf", 2),       // overlong in four
            (b"\xed\xa0\x80b", 2),          // a surrogate
            (b"\xf4\x90\x80\x80", 2),       // beyond U+10FFFF
            (b"\xf5\x80\x80\x80", 1),       // beyond it by the first byte
            (b"\xff", 1),                   //
            (b"ab\xe4\xb8c\xadd", 5),       // broken off in the middle
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
