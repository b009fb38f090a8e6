//! The decoder: an incremental parser that turns a client's bytes, split anywhere, into events.
//!
//! A message of one frame that lies wholly in the input is unmasked in place and returned as a slice
//! of the input, without a copy. Everything else (a header cut by the end of the input, a payload cut
//! by it, a message in fragments) is collected in one heap box, which the decoder frees when the
//! message is complete. That box grows with the bytes received, never with the length that a header
//! declares.
//!
//! The parts are: `partial` for incomplete input, `assembly` for fragment reassembly, `blocks` for its
//! buffers and `rules` for its limits.

mod assembly;
mod blocks;
mod partial;
mod rules;

use std::mem;

#[cfg(test)]
use super::close_code::CloseCode;
use super::event::{Event, EventKind};
use super::frame::{Header, OpCode};
use super::mask::unmask;
use super::violation::Violation;
use assembly::Assembled;
use partial::{FramePosition, Partial};

pub use rules::Rules;

/// The reading side of one connection: eight bytes, and no heap between two messages.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Invariant: after [`Decoder::next`] has returned `Ok(None)`, this is `Some` exactly while a
    /// header, a frame or a message is incomplete.
    partial: Option<Box<Partial>>,
}

const _: () = assert!(size_of::<Decoder>() == 8);

impl Decoder {
    /// Takes bytes off the front of `input` and returns the next event, or `None` once the input is
    /// used up.
    ///
    /// The caller must not call this again after an error or a Close, because a client may send
    /// nothing after those (RFC 6455, section 5.5.1).
    ///
    /// # Errors
    ///
    /// The [`Violation`] for which the connection fails, at the first header, or the first byte of a
    /// text, that proves it.
    ///
    /// ```
    /// use hushd::ws::{Decoder, Event, Rules};
    /// let rules = Rules { max_message: 65_536, max_frames: 1_024, deflate: false };
    /// let mut bytes = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    /// let mut input = &mut bytes[..];
    /// let mut decoder = Decoder::default();
    /// assert_eq!(decoder.next(&mut input, &rules), Ok(Some(Event::Text("Hello"))));
    /// assert_eq!(decoder.next(&mut input, &rules), Ok(None));
    /// ```
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i mut [u8],
        rules: &Rules,
    ) -> Result<Option<Event<'a>>, Violation> {
        self.drop_delivered();
        loop {
            let Some((header, received)) = self.frame(input, rules)? else {
                return Ok(None);
            };
            let missing = header.length - received;
            let piece = take(input, missing);
            unmask(piece, header.mask, received);
            let complete = piece.len() as u64 == missing;

            let unfragmented = header.opcode.is_control() || header.fin && !self.has_fragments();
            if complete && received == 0 && unfragmented {
                return EventKind::of(&header)?.event(piece).map(Some);
            }
            let partial = self.partial.get_or_insert_default();
            if partial.receive(header, received, piece, rules)? {
                break;
            }
            if !complete {
                return Ok(None);
            }
        }
        self.partial
            .as_ref()
            .and_then(|partial| partial.delivered.as_ref())
            .map(Assembled::event)
            .transpose()
    }

    /// Bytes of heap in use. 0 between two messages.
    pub fn holds(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.holds())
    }

    /// Whether a message, a frame or a header has begun and is incomplete.
    pub fn in_message(&self) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| !partial.is_idle())
    }

    fn has_fragments(&self) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| partial.message.is_some())
    }

    /// Drops the payload of the last event, and the box if nothing is incomplete.
    fn drop_delivered(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.delivered = None;
            if partial.is_idle() {
                self.partial = None;
            }
        }
    }

    /// The frame at which the input continues, and how many bytes of its payload were received
    /// earlier. `None` if its header is incomplete.
    fn frame(
        &mut self,
        input: &mut &mut [u8],
        rules: &Rules,
    ) -> Result<Option<(Header, u64)>, Violation> {
        let position = self
            .partial
            .as_mut()
            .map_or(FramePosition::default(), |partial| {
                mem::take(&mut partial.position)
            });
        let (mut bytes, received) = match position {
            FramePosition::Payload { header, received } => return Ok(Some((header, received))),
            FramePosition::Header { bytes, received } => (bytes, usize::from(received)),
        };
        if received == 0 && input.is_empty() {
            return Ok(None);
        }
        let parsed = if received == 0 {
            Header::parse(input)?
        } else {
            let more = input.len().min(Header::MAX_LEN - received);
            bytes[received..received + more].copy_from_slice(&input[..more]);
            Header::parse(&bytes[..received + more])?
        };
        if let Some((header, length)) = parsed {
            take(input, (length - received) as u64);
            self.admit(&header, rules)?;
            return Ok(Some((header, 0)));
        }
        let rest = take(input, u64::MAX);
        if received == 0 {
            bytes[..rest.len()].copy_from_slice(rest);
        }
        let received = (received + rest.len()) as u8;
        self.partial.get_or_insert_default().position = FramePosition::Header { bytes, received };
        Ok(None)
    }

    /// Checks a header against the rules and against the message that it belongs to, before any memory
    /// is allocated for its payload.
    fn admit(&mut self, header: &Header, rules: &Rules) -> Result<(), Violation> {
        if header.compressed && !rules.deflate {
            return Err(Violation::ReservedBits);
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        let message = self
            .partial
            .as_mut()
            .and_then(|partial| partial.message.as_mut());
        let (received, compressed) = match (message, header.opcode) {
            // "The fragments of one message MUST NOT be interleaved between the fragments of another
            // message" (section 5.4). No negotiated extension says otherwise.
            (Some(_), OpCode::Text | OpCode::Binary) => return Err(Violation::MessageUnfinished),
            (Some(message), _) => {
                message.frames += 1;
                if message.frames - u32::from(header.fin) > rules.max_frames {
                    return Err(Violation::TooManyFrames);
                }
                (message.assembly.len(), message.assembly.is_compressed())
            }
            (None, OpCode::Continuation) => return Err(Violation::NothingToContinue),
            (None, _) => (0, header.compressed),
        };
        if header.length.saturating_add(received as u64) > rules.max_wire_bytes(compressed) as u64 {
            return Err(Violation::TooBig);
        }
        Ok(())
    }
}

/// Takes at most `length` bytes off the front of the input.
fn take<'a>(input: &mut &'a mut [u8], length: u64) -> &'a mut [u8] {
    let length = usize::try_from(length).map_or(input.len(), |length| length.min(input.len()));
    let (front, rest) = mem::take(input).split_at_mut(length);
    *input = rest;
    front
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
