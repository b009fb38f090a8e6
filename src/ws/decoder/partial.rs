//! Partial input: the header, the frame and the message that a decoder has received in part.

use super::assembly::{Assembled, Assembly};
use super::rules::Rules;
use crate::ws::event::EventKind;
use crate::ws::frame::Header;
use crate::ws::violation::Violation;

/// Everything on one connection that is incomplete.
#[derive(Debug, Default)]
pub(super) struct Partial {
    pub(super) position: FramePosition,
    /// The message that has begun. The current frame belongs to it, unless that is a control frame.
    pub(super) message: Option<PartialMessage>,
    /// The current control frame, if its payload came in pieces.
    control: Option<Assembly>,
    /// The payload that the last event borrows.
    pub(super) delivered: Option<Assembled>,
}

/// The position in the stream of frames.
#[derive(Debug)]
pub(super) enum FramePosition {
    /// Within a header, of which `received` bytes are here. Between two frames if there are none.
    Header {
        bytes: [u8; Header::MAX_LEN],
        received: u8,
    },
    /// Within a payload, of which `received` bytes are here.
    Payload { header: Header, received: u64 },
}

impl Default for FramePosition {
    fn default() -> FramePosition {
        FramePosition::Header {
            bytes: [0; Header::MAX_LEN],
            received: 0,
        }
    }
}

/// A message of which at least one frame has begun.
#[derive(Debug)]
pub(super) struct PartialMessage {
    pub(super) assembly: Assembly,
    /// Frames whose headers have been received.
    pub(super) frames: u32,
}

impl Partial {
    pub(super) fn is_idle(&self) -> bool {
        let between_frames = matches!(self.position, FramePosition::Header { received: 0, .. });
        between_frames && self.message.is_none() && self.control.is_none()
    }

    /// Bytes of heap in use, for this box and its buffers.
    pub(super) fn holds(&self) -> usize {
        let message = self.message.as_ref().map(|message| &message.assembly);
        let incomplete = [message, self.control.as_ref()];
        let incomplete: usize = incomplete.into_iter().flatten().map(Assembly::holds).sum();
        size_of::<Partial>() + incomplete + self.delivered.as_ref().map_or(0, Assembled::holds)
    }

    /// Adds a piece of the current frame, of which `received` bytes came before. Returns whether the
    /// piece completes an event, which is then in `delivered`.
    pub(super) fn receive(
        &mut self,
        header: Header,
        received: u64,
        piece: &[u8],
        rules: &Rules,
    ) -> Result<bool, Violation> {
        let now_received = received + piece.len() as u64;
        if now_received < header.length {
            if !piece.is_empty() {
                self.append(&header, piece, header.length - received, rules)?;
            }
            self.position = FramePosition::Payload {
                header,
                received: now_received,
            };
            return Ok(false);
        }
        let assembly = if header.opcode.is_control() {
            self.control.take()
        } else if header.fin {
            self.message.take().map(|message| message.assembly)
        } else {
            self.append(&header, piece, piece.len() as u64, rules)?;
            None
        };
        self.delivered = assembly
            .map(|assembly| assembly.complete(piece))
            .transpose()?;
        Ok(self.delivered.is_some())
    }

    /// Appends a piece of the current frame, of which `missing` bytes had not been received before it.
    fn append(
        &mut self,
        header: &Header,
        piece: &[u8],
        missing: u64,
        rules: &Rules,
    ) -> Result<(), Violation> {
        let assembly = if header.opcode.is_control() {
            try_get_or_insert_with(&mut self.control, || {
                Ok(Assembly::new(EventKind::of(header)?))
            })?
        } else {
            let first = || {
                Ok(PartialMessage {
                    assembly: Assembly::new(EventKind::of(header)?),
                    frames: 1,
                })
            };
            &mut try_get_or_insert_with(&mut self.message, first)?.assembly
        };
        // `Decoder::admit` has checked that the whole frame is within the limit, so `missing` fits a
        // usize.
        let is_last_frame = header.opcode.is_control() || header.fin;
        let max_total = if is_last_frame {
            assembly.len() + missing as usize
        } else {
            rules.max_wire_bytes(assembly.is_compressed())
        };
        assembly.push(piece, max_total)
    }
}

/// `Option::get_or_insert_with` for a constructor that can fail.
fn try_get_or_insert_with<T>(
    option: &mut Option<T>,
    new: impl FnOnce() -> Result<T, Violation>,
) -> Result<&mut T, Violation> {
    let value = match option.take() {
        Some(value) => value,
        None => new()?,
    };
    Ok(option.insert(value))
}
