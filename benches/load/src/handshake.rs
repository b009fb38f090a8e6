//! The opening handshake from the client's side (RFC 6455, section 4.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// A key that differs from client to client.
#[must_use]
pub fn key(client: u64) -> String {
    STANDARD.encode((u128::from(client) << 64 | 0x6875_7368_6421).to_be_bytes())
}

/// The request that asks `host` for an upgrade in the room `path`, offering permessage-deflate
/// (RFC 7692, section 7.1) or nothing.
#[must_use]
pub fn request(host: &str, path: &str, key: &str, deflate: bool) -> String {
    let offer = if deflate {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
    } else {
        ""
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
    )
}

/// What a server has to make of the key (RFC 6455, section 4.2.2).
#[must_use]
pub fn accept(key: &str) -> String {
    let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(guid).finalize())
}

/// How a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not yet at its end.
    Incomplete,
    /// A right 101, which ends before this many bytes.
    Open(usize),
    /// Anything else.
    Wrong,
}

/// Judges what has arrived of the answer to a request with this `key`, which has to accept what was
/// offered.
#[must_use]
pub fn answer(bytes: &[u8], key: &str, deflate: bool) -> Answer {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > 8192 {
            Answer::Wrong
        } else {
            Answer::Incomplete
        };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else {
        return Answer::Wrong;
    };
    let field = |name: &str| {
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then(|| value.trim()))
    };
    let right = head.starts_with("HTTP/1.1 101 ")
        && field("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
        && field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade"))
        && field("Sec-WebSocket-Accept") == Some(&accept(key))
        && field("Sec-WebSocket-Extensions").is_some() == deflate;
    if right {
        Answer::Open(end + 4)
    } else {
        Answer::Wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answer_opens() {
        // The example of RFC 6455, section 1.3.
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let right = "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        let mut more = right.as_bytes().to_vec();
        more.extend_from_slice(b"\x81\x00");
        assert_eq!(answer(&more, key, false), Answer::Open(right.len()));
        assert_eq!(answer(&more, key, true), Answer::Wrong, "offered in vain");
        for split in 0..right.len() {
            let begun = &right.as_bytes()[..split];
            assert_eq!(answer(begun, key, false), Answer::Incomplete);
        }
        for (from, to) in [
            ("101", "200"),
            ("s3p", "s3P"),
            ("WebSocket", "h2c"),
            ("Upgrade\r\nSec", "close\r\nSec"),
        ] {
            assert_eq!(
                answer(right.replace(from, to).as_bytes(), key, false),
                Answer::Wrong,
                "{to}"
            );
        }
        assert_eq!(answer(&[b'x'; 9000], key, false), Answer::Wrong);
    }
}
