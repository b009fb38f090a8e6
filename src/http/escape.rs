//! Escaping of untrusted text for log lines, against log injection.
//!
//! An escaped text cannot end the line, move the cursor, colour the terminal or change the writing
//! direction. Unprintable characters are shown as escapes (`\r`, `\u{1b}`, `\u{202e}`, `\xff`), and so
//! are quotes and backslashes. A long text is cut.

use std::fmt::{self, Display, Formatter, Write};

/// The number of characters that are shown before a text is cut. An invalid byte counts as one.
pub const SHOWN: usize = 128;

/// Shows bytes from the network in quotes, escaped, and cut after [`SHOWN`] characters.
///
/// ```
/// use hushd::http::Escaped;
/// assert_eq!(Escaped(b"tea\r\n\x1b[31m\xff").to_string(), r#""tea\r\n\u{1b}[31m\xff""#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let pieces = self.0.utf8_chunks().flat_map(|chunk| {
            let invalid = chunk.invalid().iter().map(|&byte| Err(byte));
            chunk.valid().chars().map(Ok).chain(invalid)
        });
        for (shown, piece) in pieces.enumerate() {
            match piece {
                _ if shown == SHOWN => return f.write_str("\"..."),
                Ok(character) => write!(f, "{}", character.escape_debug())?,
                Err(byte) => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char('"')
    }
}

/// An untrusted text as [`Escaped`] shows it, kept until it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// Escapes a text, and cuts it if it is long.
    pub fn new(text: impl AsRef<[u8]>) -> Self {
        Self(Escaped(text.as_ref()).to_string().into())
    }
}

impl Display for Excerpt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_escaped_text_cannot_move_the_cursor_or_end_the_line() {
        for (text, shown) in [
            (&b"/tea"[..], r#""/tea""#),
            (b"", r#""""#),
            ("茶 Käse".as_bytes(), r#""茶 Käse""#),
            (b"a\r\nINFO forged", r#""a\r\nINFO forged""#),
            (b"\x1b[2J\x07\x00\x7f", r#""\u{1b}[2J\u{7}\0\u{7f}""#),
            (
                "\u{2028}\u{2029}\u{85}".as_bytes(),
                r#""\u{2028}\u{2029}\u{85}""#,
            ),
            (
                "\u{202e}\u{2066}\u{200f}".as_bytes(),
                r#""\u{202e}\u{2066}\u{200f}""#,
            ),
            (b"\"quoted\" \\n", r#""\"quoted\" \\n""#),
            (b"\xff\xc3(\xed\xa0\x80", r#""\xff\xc3(\xed\xa0\x80""#),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
            assert_eq!(Excerpt::new(text).to_string(), shown);
        }
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let whole = "é".repeat(SHOWN);
        assert_eq!(
            Escaped(whole.as_bytes()).to_string(),
            format!("\"{whole}\"")
        );
        let longer = format!("{whole}é");
        assert_eq!(
            Escaped(longer.as_bytes()).to_string(),
            format!("\"{whole}\"...")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_shown_on_one_line_of_bounded_length(bytes: Vec<u8>) {
            let shown = Escaped(&bytes).to_string();
            prop_assert!(!shown.contains(char::is_control));
            prop_assert!(shown.chars().count() <= SHOWN * 10 + 5);
        }
    }
}
