//! Percent-decoding of paths, and the names of rooms: a room's name is the decoded path of its URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::escape::Excerpt;
use super::refusal::Refusal;

/// The most bytes of a room's name, decoded.
pub const MAX_ROOM: usize = 128;

/// The name of the room at this path, which is `decoded` already.
///
/// The path is percent-decoded and not normalised: two paths mean the same room if their decoded bytes
/// are equal. `/tea` and `/Tea`, `/tea` and `/tea/`, `//tea` and `/./tea` are different rooms. `/t%65a`
/// and `/tea` are the same room, and so are `/a%2fb` and `/a/b`. (A path names no file, so `..` is
/// harmless. Browsers resolve it before they send a request.)
pub(super) fn room<'a>(decoded: Cow<'a, str>, path: &str) -> Result<Cow<'a, str>, Refusal> {
    if decoded.len() > MAX_ROOM {
        Err(Refusal::RoomTooLong)
    } else if decoded.contains(corrupts_lines) {
        Err(Refusal::MalformedPath(Excerpt::new(path)))
    } else {
        Ok(decoded)
    }
}

/// Percent-decodes a text. `None` if the result is not UTF-8, or if a percent sign lacks its two digits.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && !(is_digit(bytes.next()) && is_digit(bytes.next())) {
            return None;
        }
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// Whether a character can corrupt the line that shows it: control characters, line separators, and
/// characters that change the writing direction.
fn corrupts_lines(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str) -> Result<Cow<'_, str>, Refusal> {
        let decoded = decode(path).ok_or_else(|| Refusal::MalformedPath(Excerpt::new(path)))?;
        room(decoded, path)
    }

    #[test]
    fn a_room_is_the_decoded_path() {
        for (path, name) in [
            ("/", "/"),
            ("/tea", "/tea"),
            ("/tea/", "/tea/"),
            ("//tea", "//tea"),
            ("/./a/../b", "/./a/../b"),
            ("/t%65a", "/tea"),
            ("/a%2Fb%2fc", "/a/b/c"),
            ("/a%20b+c", "/a b+c"),
            ("/%3F%23%25", "/?#%"),
            ("/%E8%8C%B6", "/茶"),
            ("/|^[]\"<>", "/|^[]\"<>"),
            ("/a%5Cb", "/a\\b"),
            ("/favicon.ico/", "/favicon.ico/"),
        ] {
            assert_eq!(named(path).as_deref(), Ok(name), "{path}");
        }
    }

    #[test]
    fn a_path_that_is_not_printable_utf8_is_no_room() {
        for path in [
            "/%",
            "/%4",
            "/%4g",
            "/%%41",
            "/%u0041",
            "/%+1",
            "/%ff",
            "/%c0%af",
            "/%ed%a0%80",
            "/%E8%8C",
            "/%00",
            "/a%0d%0ab",
            "/%1b[2J",
            "/%7f",
            "/%c2%85",
            "/%e2%80%a8",
            "/%e2%80%a9",
            "/%e2%80%ae",
            "/%e2%81%a6",
        ] {
            let refusal = Refusal::MalformedPath(Excerpt::new(path));
            assert_eq!(named(path), Err(refusal), "{path}");
        }
    }

    #[test]
    fn the_length_of_a_room_is_counted_decoded() {
        let longest = format!("/{}", "%C3%A9".repeat(63));
        assert_eq!(named(&longest).map(|room| room.len()), Ok(127));
        assert_eq!(
            named(&format!("{longest}a")).map(|room| room.len()),
            Ok(MAX_ROOM)
        );
        assert_eq!(named(&format!("{longest}ab")), Err(Refusal::RoomTooLong));
        assert_eq!(
            named(&format!("/{}", "a".repeat(8_000))),
            Err(Refusal::RoomTooLong)
        );
    }
}
