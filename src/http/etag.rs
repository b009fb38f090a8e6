//! Conditional requests: entity tags and `If-None-Match` (RFC 9110, sections 8.8.3 and 13.1.2).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};

/// A strong entity tag: equal tags mean equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag(String);

impl EntityTag {
    /// The tag of these bytes: their hash.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..16]))
    }

    /// The tag with its quotes.
    pub(super) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Whether the client has these bytes already, given the values of all its `If-None-Match` headers.
    ///
    /// The comparison is weak: `W/` is ignored (RFC 9110, section 13.1.2). What follows a malformed tag in
    /// a list is ignored.
    pub(super) fn matches<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        values.any(|value| value.trim_ascii() == b"*" || self.is_in(value))
    }

    fn is_in(&self, list: &[u8]) -> bool {
        let mut rest = list;
        loop {
            while let [b' ' | b'\t' | b',', behind @ ..] = rest {
                rest = behind;
            }
            let [b'"', tag @ ..] = rest.strip_prefix(b"W/").unwrap_or(rest) else {
                return false;
            };
            // A tag may contain commas, so the list cannot simply be split at them.
            let Some(end) = memchr::memchr(b'"', tag) else {
                return false;
            };
            let behind = tag[end + 1..].trim_ascii_start();
            if !behind.is_empty() && !behind.starts_with(b",") {
                return false;
            }
            if tag[..end] == *self.0.as_bytes() {
                return true;
            }
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_lists() {
        let tag = EntityTag("a".to_owned());
        for (values, matches) in [
            (&[][..], false),
            (&[""], false),
            (&["\"a\""], true),
            (&["W/\"a\""], true),
            (&["\"b\", \"a\""], true),
            (&["\"b\"", "\"a\""], true),
            (&["\"b\",W/\"a\",\"c\""], true),
            (&[" ,, \"b\" ,\t\"a\" ,"], true),
            (&["\"x,y\", \"a\""], true),
            (&["*"], true),
            (&[" * "], true),
            (&["\"b\""], false),
            (&["\"A\""], false),
            (&["a"], false),
            (&["'a'"], false),
            (&["\"a"], false),
            (&["\"\""], false),
            (&["\"*\""], false),
            (&["w/\"a\""], false),
            (&["W/ \"a\""], false),
            (&["W/a"], false),
            (&["\"b,\"a\""], false),
            (&["\"a\"b"], false),
            (&["\"b\" \"a\""], false),
            (&["*, \"b\""], false),
            (&["b, \"a\""], false),
        ] {
            let found = tag.matches(values.iter().map(|value| value.as_bytes()));
            assert_eq!(found, matches, "{values:?}");
        }
    }

    #[test]
    fn tags_are_equal_only_for_equal_bytes() {
        assert_eq!(EntityTag::of(b"tea"), EntityTag::of(b"tea"));
        assert_ne!(EntityTag::of(b"tea"), EntityTag::of(b"te"));
        let quoted = EntityTag::of(b"tea").quoted();
        assert!(EntityTag::of(b"tea").matches([quoted.as_bytes()].into_iter()));
        assert_eq!(quoted.len(), 24);
    }
}
