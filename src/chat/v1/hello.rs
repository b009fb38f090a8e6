//! How a client introduces itself: the parameters in the query of its URL.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::chat::session::Token;

/// What a client says about itself when it connects. All of it is optional, and what cannot be read counts
/// as not given, but for a name, which the client may want to know about.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// What it wants to be called, as it was typed.
    pub name: Option<Cow<'a, str>>,
    /// What it has heard already.
    pub since: Option<Since>,
    /// Who it was before.
    pub session: Option<Token>,
}

/// The last message that a client has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The memory that the seq belongs to.
    pub epoch: u64,
    /// Of the message.
    pub seq: u64,
}

impl<'a> Hello<'a> {
    /// Reads a query (without its `?`), in which a space may be `%20` or `+`. Of parameters that come more
    /// than once, the first counts.
    pub fn parse(query: &'a str) -> Hello<'a> {
        let mut hello = Hello::default();
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "name" if hello.name.is_none() && !value.is_empty() => {
                    hello.name = Some(decode(value))
                }
                "since" if hello.since.is_none() => hello.since = Since::parse(&decode(value)),
                "session" if hello.session.is_none() => {
                    hello.session = Token::parse(&decode(value))
                }
                _ => {}
            }
        }
        hello
    }
}

impl Since {
    /// Reads `EPOCH.SEQ`: 16 hexadecimal digits and a decimal number.
    pub fn parse(text: &str) -> Option<Since> {
        let (epoch, seq) = text.split_once('.')?;
        if epoch.len() != 16 || !is_digits(epoch, 16) || !is_digits(seq, 10) {
            return None;
        }
        Some(Since {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

/// Without the sign that the standard library allows.
fn is_digits(text: &str, radix: u32) -> bool {
    text.chars().all(|c| c.is_digit(radix))
}

/// Undoes `application/x-www-form-urlencoded`. What is not UTF-8 becomes U+FFFD.
fn decode(value: &str) -> Cow<'_, str> {
    if value.contains('+') {
        let spaced = value.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(value).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::session::{Claim, Session, Sessions};

    #[test]
    fn parameters_are_found_in_any_order_and_decoded() {
        for (query, want) in [
            ("", None),
            ("name", None),
            ("name=", None),
            ("name=ann", Some("ann")),
            ("x=1&&name=ann&name=bob&y", Some("ann")),
            ("name=&name=bob", Some("bob")),
            ("name=Ann+van%20Dyk%2B", Some("Ann van Dyk+")),
            ("name=%E5%B1%B1", Some("\u{5c71}")),
            ("name=%ff%", Some("\u{fffd}%")),
            ("name=a=b", Some("a=b")),
            ("nam%65=ann", None),
        ] {
            assert_eq!(Hello::parse(query).name.as_deref(), want, "{query}");
        }
    }

    #[test]
    fn since_is_an_epoch_and_a_seq() {
        let since = |epoch, seq| Some(Since { epoch, seq });
        for (text, want) in [
            ("5f3c0a9be1d27744.41", since(0x5f3c_0a9b_e1d2_7744, 41)),
            ("0000000000000000.0", since(0, 0)),
            (
                "FFFFFFFFFFFFFFFF.18446744073709551615",
                since(u64::MAX, u64::MAX),
            ),
            ("5f3c0a9be1d27744", None),
            ("5f3c0a9be1d27744.", None),
            (".41", None),
            ("5f3c0a9be1d2774.41", None),
            ("+f3c0a9be1d27744.41", None),
            ("5f3c0a9be1d27744.+41", None),
            ("5f3c0a9be1d27744.-1", None),
            ("5f3c0a9be1d27744.41.2", None),
            ("5f3c0a9be1d27744.18446744073709551616", None),
        ] {
            assert_eq!(Since::parse(text), want, "{text}");
            assert_eq!(
                Hello::parse(&format!("since={text}")).since,
                want.filter(|_| !text.contains('+')),
                "{text}"
            );
        }
    }

    #[test]
    fn a_session_comes_back_in_the_query() {
        let claim = Claim {
            session: Session {
                epoch: 1,
                number: 2,
            },
            key: 3,
        };
        let token = Sessions::new(1, 1, 1).token(claim);
        assert!(Hello::parse(&format!("session={token}&name=ann")).session == Some(token));
        assert!(Hello::parse("session=x").session.is_none());
    }
}
