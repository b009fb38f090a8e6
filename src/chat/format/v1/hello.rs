//! How a client introduces itself: the parameters of its URL.

use std::fmt;

use crate::chat::members::session::Token;

/// What a client says about itself when it connects. All of it is optional.
#[derive(Clone, Default)]
pub struct Hello<'a> {
    /// What it wants to be called, as it was typed.
    pub name: Option<&'a str>,
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
    /// Of the message; 0 if it has heard none.
    pub seq: u64,
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.epoch, self.seq)
    }
}

impl<'a> Hello<'a> {
    /// Reads the parameters. What cannot be read counts as not given, but for a name: the client may want
    /// to know what was wrong with it.
    pub fn parse(name: Option<&'a str>, since: Option<&str>, session: Option<&str>) -> Hello<'a> {
        Hello {
            name,
            since: since.and_then(Since::parse),
            session: session.and_then(Token::parse),
        }
    }
}

impl Since {
    /// Reads `EPOCH.SEQ`: 16 hexadecimal digits and a decimal number.
    pub fn parse(text: &str) -> Option<Since> {
        let (epoch, seq) = text.split_once('.')?;
        // Not the signs that the standard library allows.
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
