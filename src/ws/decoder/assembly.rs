//! Fragment reassembly: the payload of a message or a control frame that arrives in pieces.

use super::blocks::Blocks;
use crate::ws::close_payload;
use crate::ws::event::{Event, EventKind};
use crate::ws::utf8::Utf8;
use crate::ws::violation::Violation;

/// The pieces of a payload received so far. Each piece is checked as it arrives.
#[derive(Debug)]
pub(super) struct Assembly {
    kind: EventKind,
    /// The UTF-8 check of an uncompressed text message. Unused for all other kinds.
    text: Utf8,
    bytes: Blocks,
}

/// A payload that is complete.
#[derive(Debug)]
pub(super) struct Assembled {
    kind: EventKind,
    payload: Vec<u8>,
}

impl Assembly {
    pub(super) fn new(kind: EventKind) -> Assembly {
        Assembly {
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
        matches!(self.kind, EventKind::Compressed { .. })
    }

    /// Bytes of heap in use.
    pub(super) fn holds(&self) -> usize {
        self.bytes.holds()
    }

    /// Appends a piece of a payload that will be at most `max_total` bytes long.
    pub(super) fn push(&mut self, piece: &[u8], max_total: usize) -> Result<(), Violation> {
        if let EventKind::Text = self.kind {
            self.text.push(piece)?;
        }
        self.bytes.push(piece, max_total)?;
        if let EventKind::Close = self.kind {
            close_payload::check_prefix(self.bytes.first())?;
        }
        Ok(())
    }

    /// Completes the payload with its last piece.
    pub(super) fn complete(self, last: &[u8]) -> Result<Assembled, Violation> {
        Ok(Assembled {
            kind: self.kind,
            payload: self.bytes.join(last)?,
        })
    }
}

impl Assembled {
    pub(super) fn event(&self) -> Result<Event<'_>, Violation> {
        self.kind.event(&self.payload)
    }

    /// Bytes of heap in use.
    pub(super) fn holds(&self) -> usize {
        self.payload.capacity()
    }
}
