//! The opening handshake: its key, its version, its lists of tokens, and the choice of a subprotocol.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use sha1::{Digest, Sha1};

/// The protocol version that `Sec-WebSocket-Version` has to name (RFC 6455, section 4.2.1).
pub const VERSION: &str = "13";

/// A header of the handshake breaks its grammar. The answer is 400 Bad Request (RFC 6455, section
/// 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

/// Base64 that accepts stray bits in the last character, because the key decodes to 16 bytes all the same.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// The value of `Sec-WebSocket-Key`: 16 bytes in base64 (RFC 6455, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketKey([u8; 24]);

impl WebSocketKey {
    /// Parses the value of the header.
    ///
    /// # Errors
    ///
    /// [`BadHeader`] if the value is not base64 of exactly 16 bytes.
    pub fn parse(value: &[u8]) -> Result<WebSocketKey, BadHeader> {
        let key = <[u8; 24]>::try_from(value.trim_ascii()).map_err(|_| BadHeader)?;
        // The output buffer is 18 bytes, because the engine requires space for complete groups of three bytes
        // before it sees the padding.
        match BASE64.decode_slice(key, &mut [0; 18]) {
            Ok(16) => Ok(WebSocketKey(key)),
            Ok(_) | Err(_) => Err(BadHeader),
        }
    }

    /// The value of `Sec-WebSocket-Accept` for this key.
    pub fn accept(&self) -> [u8; 28] {
        accept_key(&self.0)
    }
}

/// The value of `Sec-WebSocket-Accept`: SHA-1 of the key and a fixed GUID, in base64 (RFC 6455, section
/// 4.2.2, item 5.4).
///
/// ```
/// # use hushd::ws::handshake::accept_key;
/// assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [b'='; 28];
    // The slice is never too small, because twenty bytes encode to 28 characters.
    let written = BASE64.encode_slice(digest, &mut accept);
    debug_assert_eq!(written, Ok(accept.len()));
    accept
}

const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The elements of a comma-separated list, without the whitespace around them. Empty elements are left
/// out, because "a recipient MUST parse and ignore" them (RFC 9110, section 5.6.1).
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&byte| byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// The elements of a list of tokens, such as `Connection` (RFC 9110, section 7.6.1).
///
/// An element that is not a token is a [`BadHeader`].
pub fn tokens(value: &[u8]) -> impl Iterator<Item = Result<&str, BadHeader>> {
    elements(value).map(token)
}

/// Parses bytes that have to be one token as a whole (RFC 9110, section 5.6.2).
///
/// # Errors
///
/// [`BadHeader`] if there are no bytes, or any byte is not one of a token.
pub fn token(bytes: &[u8]) -> Result<&str, BadHeader> {
    if !is_token(bytes) {
        return Err(BadHeader);
    }
    str::from_utf8(bytes).map_err(|_| BadHeader)
}

/// Whether the bytes are one token as a whole.
pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Removes optional whitespace, which consists of spaces and tabs only (RFC 9110, section 5.6.3).
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Chooses the first subprotocol in the client's list that the server knows. `None` if the list contains
/// no such subprotocol, or if the client sent no list (RFC 6455, section 4.2.2, item 5.5).
///
/// `offers` are the values of all `Sec-WebSocket-Protocol` headers, in order. They form one list.
///
/// # Errors
///
/// [`BadHeader`] if a header is empty or contains anything else than tokens, and if the client repeats a
/// subprotocol, which it must not do (section 4.1, item 10).
pub fn choose_subprotocol<'o>(
    offers: impl Iterator<Item = &'o [u8]>,
    known: &[&'static str],
) -> Result<Option<&'static str>, BadHeader> {
    let mut offered = Vec::new();
    for value in offers {
        let before = offered.len();
        for token in tokens(value) {
            offered.push(token?);
        }
        if offered.len() == before {
            return Err(BadHeader);
        }
    }
    let chosen = offered
        .iter()
        .find_map(|offer| known.iter().find(|known| *known == offer));
    let chosen = chosen.copied();
    offered.sort_unstable();
    if offered.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(BadHeader);
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        for (value, ok) in [
            (&b"dGhlIHNhbXBsZSBub25jZQ=="[..], true),
            (b" dGhlIHNhbXBsZSBub25jZQ== ", true),
            (b"AAAAAAAAAAAAAAAAAAAAAA==", true),
            (b"////++++////++++////+w==", true),
            (b"dGhlIHNhbXBsZSBub25jZR==", true), // stray bits at the end
            (b"", false),
            (b"dGhlIHNhbXBsZSBub25jZQ", false),     // no padding
            (b"dGhlIHNhbXBsZSBub25jZQ=", false),    // one character of two
            (b"dGhlIHNhbXBsZSBub25jZQ===", false),  // three characters of two
            (b"dGhlIHNhbXBsZSBub25jZWE=", false),   // 17 bytes
            (b"dGhlIHNhbXBsZSBub25jZWFh", false),   // 18
            (b"SGVsbG8sIHdvcmxkIQ==", false),       // 13
            (b"dGhlIHNhbXBsZSBub25j!Q==", false),   // not base64
            (b"dGhlIHNhbXBsZSBub25j-_==", false),   // the URL-safe alphabet
            (b"dGhlIHNhbXBs ZSBub25jZQ==", false),  // a space
            (b"dGhlIHNhbXBsZSBub25jZQ==,a", false), // a list
        ] {
            assert_eq!(
                WebSocketKey::parse(value).is_ok(),
                ok,
                "{}",
                value.escape_ascii()
            );
        }
    }

    #[test]
    fn the_rfcs_key_is_answered_with_the_rfcs_accept() {
        let key = WebSocketKey::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(&key.accept(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn lists_are_tokens_between_commas() {
        for (value, want) in [
            (&b"Upgrade"[..], Ok(vec!["Upgrade"])),
            (b"keep-alive, Upgrade", Ok(vec!["keep-alive", "Upgrade"])),
            (b" \t,, a ,\tb,,", Ok(vec!["a", "b"])),
            (b"!#$%&'*+-.^_`|~09azAZ", Ok(vec!["!#$%&'*+-.^_`|~09azAZ"])),
            (b"", Ok(vec![])),
            (b"a b", Err(BadHeader)),
            (b"a;b", Err(BadHeader)),
            (b"a, \"b\"", Err(BadHeader)),
            (b"a/1", Err(BadHeader)),
            (b"a\x00", Err(BadHeader)),
            (b"\xc3\xa9", Err(BadHeader)),
        ] {
            let got: Result<Vec<&str>, BadHeader> = tokens(value).collect();
            assert_eq!(got, want, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn the_clients_first_known_subprotocol_is_chosen() {
        let known = ["chat", "chat.v1"];
        for (offers, want) in [
            (&[][..], Ok(None)),
            (&["chat"], Ok(Some("chat"))),
            (&["chat.v1, chat"], Ok(Some("chat.v1"))),
            (&["mqtt,chat"], Ok(Some("chat"))),
            (&["mqtt", "chat.v1", "chat"], Ok(Some("chat.v1"))),
            (&["mqtt"], Ok(None)),
            (&["CHAT"], Ok(None)),
            (&["chat, chat"], Err(BadHeader)),
            (&["mqtt, chat", "mqtt"], Err(BadHeader)),
            (&["chat, a b"], Err(BadHeader)),
            (&["chat, a/b"], Err(BadHeader)),
            (&["chat", ""], Err(BadHeader)),
            (&[" , "], Err(BadHeader)),
        ] {
            let got = choose_subprotocol(offers.iter().map(|offer| offer.as_bytes()), &known);
            assert_eq!(got, want, "{offers:?}");
        }
    }
}
