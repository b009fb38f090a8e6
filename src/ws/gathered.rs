//! The payload of a message or a control frame that comes in pieces.

use super::decoder::Event;
use super::frame::{Header, OpCode};
use super::utf8::Utf8;
use super::{Violation, close};

/// What a message or a control frame turns out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Binary,
    Compressed { text: bool },
    Close,
    Ping,
    Pong,
}

impl Kind {
    /// By the first frame.
    pub(super) fn of(header: &Header) -> Result<Kind, Violation> {
        match header.opcode {
            OpCode::Continuation => Err(Violation::NothingToContinue),
            OpCode::Text if header.compressed => Ok(Kind::Compressed { text: true }),
            OpCode::Binary if header.compressed => Ok(Kind::Compressed { text: false }),
            OpCode::Text => Ok(Kind::Text),
            OpCode::Binary => Ok(Kind::Binary),
            OpCode::Close => Ok(Kind::Close),
            OpCode::Ping => Ok(Kind::Ping),
            OpCode::Pong => Ok(Kind::Pong),
        }
    }

    pub(super) fn event(self, payload: &[u8]) -> Result<Event<'_>, Violation> {
        Ok(match self {
            Kind::Text => Event::Text(str::from_utf8(payload).map_err(|_| Violation::InvalidUtf8)?),
            Kind::Binary => Event::Binary(payload),
            Kind::Compressed { text } => Event::Compressed { text, payload },
            Kind::Close => Event::Close(close::parse(payload)?),
            Kind::Ping => Event::Ping(payload),
            Kind::Pong => Event::Pong(payload),
        })
    }
}

/// The payload so far, checked as it comes.
#[derive(Debug)]
pub(super) enum Gathered {
    Text { text: String, last: Utf8 },
    Bytes { kind: Kind, bytes: Vec<u8> },
}

impl Gathered {
    pub(super) fn new(kind: Kind) -> Gathered {
        match kind {
            Kind::Text => Gathered::Text {
                text: String::new(),
                last: Utf8::default(),
            },
            kind => Gathered::Bytes {
                kind,
                bytes: Vec::new(),
            },
        }
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        match self {
            Gathered::Text { text, last } => text.len() + last.unfinished(),
            Gathered::Bytes { bytes, .. } => bytes.len(),
        }
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(
            self,
            Gathered::Bytes {
                kind: Kind::Compressed { .. },
                ..
            }
        )
    }

    pub(super) fn capacity(&self) -> usize {
        match self {
            Gathered::Text { text, .. } => text.capacity(),
            Gathered::Bytes { bytes, .. } => bytes.capacity(),
        }
    }

    /// Adds a piece of a payload that will be at most `most` bytes in all.
    pub(super) fn push(&mut self, piece: &[u8], most: usize) -> Result<(), Violation> {
        match self {
            Gathered::Text { text, last } => {
                let more = last.unfinished() + piece.len();
                let (first, rest) = last.push(piece)?;
                text.try_reserve_exact(growth(text.len(), text.capacity(), more, most))
                    .map_err(|_| Violation::OutOfMemory)?;
                text.extend(first);
                text.push_str(rest);
            }
            Gathered::Bytes { kind, bytes } => {
                bytes
                    .try_reserve_exact(growth(bytes.len(), bytes.capacity(), piece.len(), most))
                    .map_err(|_| Violation::OutOfMemory)?;
                bytes.extend_from_slice(piece);
                if matches!(kind, Kind::Close) {
                    close::begin(bytes)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn event(&self) -> Result<Event<'_>, Violation> {
        match self {
            Gathered::Text { text, last } if last.unfinished() == 0 => Ok(Event::Text(text)),
            Gathered::Text { .. } => Err(Violation::InvalidUtf8),
            Gathered::Bytes { kind, bytes } => kind.event(bytes),
        }
    }
}

/// How many bytes to reserve behind the first `length`, so that `more` fit: the capacity doubles, so
/// that many small pieces cost linear work, but never beyond the `most` there can be.
fn growth(length: usize, capacity: usize, more: usize, most: usize) -> usize {
    if length + more <= capacity {
        return 0;
    }
    (length + more).max(most.min(2 * capacity)) - length
}
