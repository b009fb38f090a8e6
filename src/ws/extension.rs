//! The negotiation of permessage-deflate (RFC 7692, section 7.1), the only extension that the server
//! supports.
//!
//! A connection owns neither a deflater nor an inflater. Therefore every response disables context
//! takeover, in both directions. Two windows are enough for all clients, because a server may answer an
//! offered window with a smaller one.

use std::borrow::Cow;

use super::handshake::{BadHeader, is_token_byte};

/// The LZ77 window with which the server compresses messages to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// 512 bytes, for a client that asked for any window below the largest.
    Bits9,
    /// 32 KiB, the largest window and the default.
    Bits15,
}

impl Window {
    /// The base-2 logarithm of the window's size in bytes.
    pub fn bits(self) -> u8 {
        match self {
            Window::Bits9 => 9,
            Window::Bits15 => 15,
        }
    }
}

/// The result of a negotiation that accepted permessage-deflate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The window for messages to the client. Messages from the client may use any window up to 32 KiB.
    pub window: Window,
    response: &'static str,
}

impl Deflate {
    /// The value of `Sec-WebSocket-Extensions` in the response.
    pub fn response(&self) -> &'static str {
        self.response
    }
}

/// Accepts the first acceptable offer of a client. `None` if there is none, and then the connection stays
/// uncompressed (RFC 7692, section 5.1).
///
/// `headers` are the values of all `Sec-WebSocket-Extensions` headers, in order. They form one list.
///
/// ```
/// # use hushd::ws::extension::{Window, negotiate};
/// let header = &b"permessage-deflate; client_max_window_bits"[..];
/// let deflate = negotiate([header].into_iter()).unwrap().unwrap();
/// assert_eq!(deflate.window, Window::Bits15);
/// ```
///
/// # Errors
///
/// [`BadHeader`] if a header breaks the grammar of RFC 6455, section 9.1, even after an acceptable offer.
pub fn negotiate<'h>(
    headers: impl Iterator<Item = &'h [u8]>,
) -> Result<Option<Deflate>, BadHeader> {
    let mut accepted = None;
    for value in headers {
        let mut scanner = Scanner { rest: value };
        let mut offer = Some(scanner.offer()?);
        while let Some((name, parameters)) = offer {
            if name == "permessage-deflate" {
                accepted = accepted.or_else(|| accept(&parameters));
            }
            offer = scanner.next_offer()?;
        }
    }
    Ok(accepted)
}

/// Accepts an offer. `None` if the offer contains a parameter "not defined for use in an offer", one
/// "with an invalid value", or several "with the same name" (section 7), and if it asks for a window of
/// 256 bytes, which zlib does not support.
fn accept(parameters: &[ExtensionParameter<'_>]) -> Option<Deflate> {
    let mut window = None;
    for (i, (name, value)) in parameters.iter().enumerate() {
        if parameters[..i].iter().any(|(earlier, _)| earlier == name) {
            return None;
        }
        match (*name, value.as_deref()) {
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // The response need not limit the client's window, because the inflater supports all windows.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => drop(window_bits(bits)?),
            ("server_max_window_bits", Some(bits)) => window = Some(window_bits(bits)?),
            _ => return None,
        }
    }
    let (window, response) = match window {
        None => (Window::Bits15, NO_CONTEXT),
        Some(15) => (Window::Bits15, NO_CONTEXT_15_BITS),
        // "The same or smaller" (section 7.1.2.1).
        Some(9..) => (Window::Bits9, NO_CONTEXT_9_BITS),
        Some(_) => return None,
    };
    Some(Deflate { window, response })
}

const NO_CONTEXT: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const NO_CONTEXT_15_BITS: &str = "permessage-deflate; server_no_context_takeover; \
     client_no_context_takeover; server_max_window_bits=15";
const NO_CONTEXT_9_BITS: &str = "permessage-deflate; server_no_context_takeover; \
     client_no_context_takeover; server_max_window_bits=9";

/// Parses window bits: 8 to 15, "a decimal integer value without leading zeroes" (sections 7.1.2.1 and
/// 7.1.2.2).
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [bits @ b'8'..=b'9'] => Some(bits - b'0'),
        [b'1', bits @ b'0'..=b'5'] => Some(10 + bits - b'0'),
        _ => None,
    }
}

type ExtensionParameter<'h> = (&'h str, Option<Cow<'h, str>>);
type ExtensionOffer<'h> = (&'h str, Vec<ExtensionParameter<'h>>);

/// A parser for one header, by the grammar of RFC 6455, section 9.1:
///
/// ```text
/// extension-list  = 1#extension
/// extension       = extension-token *( ";" extension-param )
/// extension-param = token [ "=" (token | quoted-string) ]
/// ```
struct Scanner<'h> {
    rest: &'h [u8],
}

impl<'h> Scanner<'h> {
    /// Parses the first offer. A list has at least one element, empty ones not counted.
    fn offer(&mut self) -> Result<ExtensionOffer<'h>, BadHeader> {
        while self.skip(b',') {}
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.skip(b';') {
            let name = self.token()?;
            let value = if self.skip(b'=') {
                Some(self.value()?)
            } else {
                None
            };
            parameters.push((name, value));
        }
        Ok((name, parameters))
    }

    /// Parses the next offer. `None` at the end of the header.
    fn next_offer(&mut self) -> Result<Option<ExtensionOffer<'h>>, BadHeader> {
        if !self.rest.is_empty() && !self.skip(b',') {
            return Err(BadHeader);
        }
        while self.skip(b',') {}
        if self.rest.is_empty() {
            Ok(None)
        } else {
            self.offer().map(Some)
        }
    }

    /// Parses the value of a parameter, which is a token or a quoted string.
    fn value(&mut self) -> Result<Cow<'h, str>, BadHeader> {
        if !self.skip(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        // "The value after quoted-string unescaping MUST conform to the 'token' ABNF", so whitespace
        // within it is an error.
        let mut value = String::new();
        loop {
            let (byte, rest) = match *self.rest {
                [b'"', ref rest @ ..] if !value.is_empty() => {
                    self.rest = rest;
                    self.skip_whitespace();
                    return Ok(Cow::Owned(value));
                }
                [b'\\', byte, ref rest @ ..] => (byte, rest),
                [byte, ref rest @ ..] => (byte, rest),
                [] => return Err(BadHeader),
            };
            if !is_token_byte(byte) {
                return Err(BadHeader);
            }
            value.push(byte.into());
            self.rest = rest;
        }
    }

    /// Parses a token and skips the whitespace around it.
    fn token(&mut self) -> Result<&'h str, BadHeader> {
        self.skip_whitespace();
        let length = self
            .rest
            .iter()
            .take_while(|byte| is_token_byte(**byte))
            .count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.skip_whitespace();
        super::handshake::token(token)
    }

    /// Skips whitespace, and then the separator if it comes next. Returns whether it did.
    fn skip(&mut self, separator: u8) -> bool {
        self.skip_whitespace();
        match self.rest.split_first() {
            Some((&first, rest)) if first == separator => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn skip_whitespace(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn response(headers: &[&str]) -> Result<Option<&'static str>, BadHeader> {
        let accepted = negotiate(headers.iter().map(|header| header.as_bytes()))?;
        Ok(accepted.map(|deflate| deflate.response()))
    }

    #[test]
    fn the_first_acceptable_offer_is_accepted() {
        for (headers, want) in [
            (&[][..], None),
            (&["permessage-deflate"], Some(NO_CONTEXT)),
            // The offers of Chromium, Firefox and Python's websockets.
            (
                &["permessage-deflate; client_max_window_bits"],
                Some(NO_CONTEXT),
            ),
            (
                &["permessage-deflate;client_max_window_bits=15"],
                Some(NO_CONTEXT),
            ),
            (
                &["permessage-deflate; client_no_context_takeover"],
                Some(NO_CONTEXT),
            ),
            (
                &["permessage-deflate; server_no_context_takeover"],
                Some(NO_CONTEXT),
            ),
            (
                &["permessage-deflate; server_max_window_bits=12; client_max_window_bits"],
                Some(NO_CONTEXT_9_BITS),
            ),
            (
                &["permessage-deflate; server_max_window_bits=15"],
                Some(NO_CONTEXT_15_BITS),
            ),
            (
                &["permessage-deflate; server_max_window_bits=14"],
                Some(NO_CONTEXT_9_BITS),
            ),
            (
                &["permessage-deflate; server_max_window_bits=9"],
                Some(NO_CONTEXT_9_BITS),
            ),
            (&["permessage-deflate; server_max_window_bits=8"], None),
            (
                &["permessage-deflate; client_max_window_bits=8"],
                Some(NO_CONTEXT),
            ),
            // Quoted values (RFC 6455, section 9.1).
            (
                &[r#"permessage-deflate; server_max_window_bits="10""#],
                Some(NO_CONTEXT_9_BITS),
            ),
            (
                &[r#"permessage-deflate; server_max_window_bits="1\0""#],
                Some(NO_CONTEXT_9_BITS),
            ),
            (
                &[r#"permessage-deflate; server_max_window_bits = "15" "#],
                Some(NO_CONTEXT_15_BITS),
            ),
            // Fallbacks, in one header and over several (RFC 7692, section 5.2).
            (&["permessage-foo, permessage-deflate"], Some(NO_CONTEXT)),
            (
                &["permessage-deflate; server_max_window_bits=10, permessage-deflate"],
                Some(NO_CONTEXT_9_BITS),
            ),
            (
                &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
                Some(NO_CONTEXT),
            ),
            (&["x; a=b; c", "permessage-deflate"], Some(NO_CONTEXT)),
            (&[" , permessage-deflate ,\t,"], Some(NO_CONTEXT)),
            (&["x-webkit-deflate-frame"], None),
            (&["permessage-deflate2"], None),
            (&["permessage-bzip2; client_max_window_bits"], None),
            // Offers to decline.
            (&["permessage-deflate; server_no_context_takeover=1"], None),
            (&["permessage-deflate; client_no_context_takeover=x"], None),
            (&["permessage-deflate; server_max_window_bits"], None),
            (&["permessage-deflate; server_max_window_bits=7"], None),
            (&["permessage-deflate; server_max_window_bits=16"], None),
            (&["permessage-deflate; server_max_window_bits=09"], None),
            (&["permessage-deflate; server_max_window_bits=0"], None),
            (&["permessage-deflate; server_max_window_bits=+9"], None),
            (&["permessage-deflate; server_max_window_bits=150"], None),
            (&["permessage-deflate; client_max_window_bits=16"], None),
            (
                &["permessage-deflate; client_max_window_bits=\"015\""],
                None,
            ),
            (&["permessage-deflate; unknown"], None),
            (
                &["permessage-deflate; unknown=1; client_max_window_bits"],
                None,
            ),
            (
                &["permessage-deflate; client_max_window_bits; client_max_window_bits"],
                None,
            ),
            (
                &["permessage-deflate; server_max_window_bits=9; server_max_window_bits=10"],
                None,
            ),
        ] {
            assert_eq!(response(headers), Ok(want), "{headers:?}");
        }
    }

    #[test]
    fn a_header_that_breaks_the_grammar_is_a_bad_request_wherever_it_breaks() {
        for header in [
            "",
            " ",
            ",",
            ";",
            "permessage-deflate;",
            "permessage-deflate; ;client_max_window_bits",
            "permessage-deflate; =9",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=,",
            "permessage-deflate; server_max_window_bits=\"\"",
            "permessage-deflate; server_max_window_bits=\"9",
            "permessage-deflate; server_max_window_bits=\"9\\",
            "permessage-deflate; server_max_window_bits=\" 9\"",
            "permessage-deflate; server_max_window_bits=9\"9\"",
            "permessage-deflate; server_max_window_bits=\"9\"9",
            "permessage-deflate; server_max_window_bits=9=9",
            "permessage-deflate client_max_window_bits",
            "permessage-deflate, a b",
            "permessage-deflate, a;b=\"\u{e9}\"",
            "permessage-deflate, (",
            "=",
            "\"permessage-deflate\"",
        ] {
            assert_eq!(response(&[header]), Err(BadHeader), "{header:?}");
            assert_eq!(
                response(&["permessage-deflate", header]),
                Err(BadHeader),
                "{header:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(header in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = negotiate([&header[..]].into_iter());
        }

        #[test]
        fn offers_written_by_the_grammar_are_read(
            names in prop::collection::vec("[a-z!#$%&'*+.^_`|~-]{1,9}", 1..5),
            values in prop::collection::vec(
                prop_oneof![Just(""), Just("=a"), Just(" = \"b\""), Just("\t=\"\\c\\d\"")], 0..5),
            space in "[ \t]{0,2}",
        ) {
            let parameters: String =
                values.iter().map(|value| format!("{space};{space}p{value}{space}")).collect();
            let header: Vec<String> =
                names.iter().map(|name| format!("{space}{name}{parameters}")).collect();
            let header = header.join(",");
            prop_assert_eq!(response(&[&header]), Ok(None), "{}", header);
            let header = format!("{header}, permessage-deflate");
            prop_assert_eq!(response(&[&header]), Ok(Some(NO_CONTEXT)), "{}", header);
        }
    }
}
