//! The name of a room: the path of a URL, decoded.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::escape::Excerpt;
use super::refusal::Refusal;

/// Bytes of a room's name at most, decoded.
pub const MAX_ROOM: usize = 128;

/// The room that a path means.
///
/// The path is percent-decoded and otherwise left alone: rooms are the same if the decoded bytes are
/// the same. `/tea` and `/Tea`, `/tea` and `/tea/`, `//tea` and `/./tea` are different rooms, `/t%65a`
/// and `/tea` are one, and so are `/a%2fb` and `/a/b`. (No file stands behind a path, so that `..` leads
/// nowhere; browsers resolve it before they ask.)
pub(super) fn parse(path: &str) -> Result<Cow<'_, str>, Refusal> {
    let malformed = || Refusal::MalformedRoom(Excerpt::new(path));
    let room = decode(path).ok_or_else(malformed)?;
    if room.len() > MAX_ROOM {
        return Err(Refusal::RoomTooLong);
    }
    if room.contains(is_treacherous) {
        return Err(malformed());
    }
    // What browsers and robots ask every server for is no room.
    let reserved =
        ["/favicon.ico", "/robots.txt"].contains(&&*room) || room.starts_with("/.well-known/");
    if reserved {
        Err(Refusal::NotFound)
    } else {
        Ok(room)
    }
}

/// Percent-decodes UTF-8. `None` if it is not that, or if a percent sign stands without two digits.
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

/// Control characters, and those that end a line or turn its direction: no name may do this to the
/// lines that it is shown in.
fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_the_decoded_path() {
        for (path, room) in [
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
            assert_eq!(parse(path).as_deref(), Ok(room), "{path}");
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
            let refusal = Refusal::MalformedRoom(Excerpt::new(path));
            assert_eq!(parse(path), Err(refusal), "{path}");
        }
    }

    #[test]
    fn the_length_of_a_room_is_counted_decoded() {
        let longest = format!("/{}", "%C3%A9".repeat(63));
        assert_eq!(parse(&longest).map(|room| room.len()), Ok(127));
        assert_eq!(
            parse(&format!("{longest}a")).map(|room| room.len()),
            Ok(MAX_ROOM)
        );
        assert_eq!(parse(&format!("{longest}ab")), Err(Refusal::RoomTooLong));
        assert_eq!(
            parse(&format!("/{}", "a".repeat(8_000))),
            Err(Refusal::RoomTooLong)
        );
    }

    #[test]
    fn what_every_server_is_asked_for_is_not_found() {
        for path in [
            "/favicon.ico",
            "/robots.txt",
            "/%66avicon.ico",
            "/.well-known/security.txt",
        ] {
            assert_eq!(parse(path), Err(Refusal::NotFound), "{path}");
        }
    }
}
