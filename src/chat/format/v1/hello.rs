//! The parameters of a client's URL: name, position and session.

use std::fmt;

use crate::chat::members::session::Token;

/// The parameters with which a client connects. All of them are optional.
#[derive(Clone, Default)]
pub struct Hello<'a> {
    /// The name that it asks for, as it was typed.
    pub name: Option<&'a str>,
    /// The last message that it has received.
    pub since: Option<Since>,
    /// The token of its session, if it comes back.
    pub session: Option<Token>,
}

/// A position in a room's log: the last message that a client has received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The epoch of the log that the seq belongs to.
    pub epoch: u64,
    /// The seq of the message; 0 if the client has received none.
    pub seq: u64,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.epoch, self.seq)
    }
}

impl<'a> Hello<'a> {
    /// Parses the parameters. An invalid one counts as not given, but for the name: the client is told what is wrong
    /// with it.
    pub fn parse(name: Option<&'a str>, since: Option<&str>, session: Option<&str>) -> Hello<'a> {
        Hello {
            name,
            since: since.and_then(Since::parse),
            session: session.and_then(Token::parse),
        }
    }
}

impl Since {
    /// Parses `EPOCH.SEQ`: 16 hexadecimal digits and a decimal number.
    pub fn parse(text: &str) -> Option<Since> {
        let (epoch, seq) = text.split_once('.')?;
        // The standard library would allow a sign.
        let are_digits = |text: &str, radix| text.chars().all(|c| c.is_digit(radix));
        if epoch.len() != 16 || !are_digits(epoch, 16) || !are_digits(seq, 10) {
            return None;
        }
        Some(Since {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            seq: seq.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::members::session::{Claim, Session, Sessions};
    use crate::ids::ConnectionKey;

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
            assert_eq!(Hello::parse(None, Some(text), None).since, want, "{text}");
        }
    }

    #[test]
    fn a_session_comes_back_as_it_was_given() {
        let claim = Claim {
            session: Session {
                epoch: 1,
                number: 2,
            },
            key: ConnectionKey(3),
        };
        let token = Sessions::new(1, 1, 1).token(claim);
        let text = token.to_string();
        assert!(Hello::parse(None, None, Some(&text)).session == Some(token));
        assert!(Hello::parse(None, None, Some("x")).session.is_none());
    }
}
