//! Events: what the decoder reports to its caller, one for each message and each control frame.

use super::close_code::CloseCode;
use super::close_payload;
use super::frame::{Header, OpCode};
use super::violation::Violation;

/// A message or a control frame that a client has sent. Its payload is unmasked and complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A message that the caller has to inflate. A text is not checked for UTF-8 before that.
    Compressed {
        /// Whether the first frame had the text opcode.
        text: bool,
        /// The payload as sent, which is without the tail `00 00 ff ff` (RFC 7692, section 7.2.1).
        payload: &'a [u8],
    },
    /// A ping. The server answers it with a pong of the same payload (RFC 6455, section 5.5.3).
    Ping(&'a [u8]),
    /// A pong, whether or not the server has sent a ping.
    Pong(&'a [u8]),
    /// The client's last frame, with the code and the reason if it has any.
    Close(Option<(CloseCode, &'a str)>),
}

/// Which [`Event`] a message or a control frame becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum EventKind {
    Text,
    Binary,
    Compressed { text: bool },
    Close,
    Ping,
    Pong,
}

impl EventKind {
    /// The kind that the header of a first frame announces. A continuation frame is no first frame.
    pub(super) fn of(header: &Header) -> Result<EventKind, Violation> {
        match header.opcode {
            OpCode::Continuation => Err(Violation::NothingToContinue),
            OpCode::Text if header.compressed => Ok(EventKind::Compressed { text: true }),
            OpCode::Binary if header.compressed => Ok(EventKind::Compressed { text: false }),
            OpCode::Text => Ok(EventKind::Text),
            OpCode::Binary => Ok(EventKind::Binary),
            OpCode::Close => Ok(EventKind::Close),
            OpCode::Ping => Ok(EventKind::Ping),
            OpCode::Pong => Ok(EventKind::Pong),
        }
    }

    /// The event with its complete payload, which is checked here.
    pub(super) fn event(self, payload: &[u8]) -> Result<Event<'_>, Violation> {
        Ok(match self {
            EventKind::Text => {
                Event::Text(str::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?)
            }
            EventKind::Binary => Event::Binary(payload),
            EventKind::Compressed { text } => Event::Compressed { text, payload },
            EventKind::Close => Event::Close(close_payload::parse(payload)?),
            EventKind::Ping => Event::Ping(payload),
            EventKind::Pong => Event::Pong(payload),
        })
    }
}
