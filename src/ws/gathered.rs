//! The payload of a message or a control frame that comes in pieces.

use super::blocks::Blocks;
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
pub(super) struct Gathered {
    kind: Kind,
    /// Where the text stands, if it is one that is not still to be inflated.
    text: Utf8,
    bytes: Blocks,
}

/// A payload that is whole.
#[derive(Debug)]
pub(super) struct Whole {
    kind: Kind,
    payload: Vec<u8>,
}

impl Gathered {
    pub(super) fn new(kind: Kind) -> Gathered {
        Gathered {
            kind,
            text: Utf8::default(),
            bytes: Blocks::default(),
        }
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.kind, Kind::Compressed { .. })
    }

    /// Bytes of heap.
    pub(super) fn holds(&self) -> usize {
        self.bytes.holds()
    }

    /// Adds a piece of a payload that will be at most `most` bytes in all.
    pub(super) fn push(&mut self, piece: &[u8], most: usize) -> Result<(), Violation> {
        if let Kind::Text = self.kind {
            self.text.push(piece)?;
        }
        self.bytes.push(piece, most)?;
        if let Kind::Close = self.kind {
            close::begin(self.bytes.first())?;
        }
        Ok(())
    }

    /// The payload with its last piece.
    pub(super) fn whole(self, last: &[u8]) -> Result<Whole, Violation> {
        Ok(Whole {
            kind: self.kind,
            payload: self.bytes.join(last)?,
        })
    }
}

impl Whole {
    pub(super) fn event(&self) -> Result<Event<'_>, Violation> {
        self.kind.event(&self.payload)
    }

    /// Bytes of heap.
    pub(super) fn holds(&self) -> usize {
        self.payload.capacity()
    }
}
